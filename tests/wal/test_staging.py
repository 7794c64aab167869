"""The staged lines: the same bytes as `encode_line`'s, chained, in buffers that take turns."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    WalError,
    WalInputError,
    WalInvariantError,
    encode_line,
)
from wal.entry import SEQUENCE_MAX
from wal.staging import Staging
from wal_support import KEY

HASHER = ChainHasher(KEY)
ROOM = 64 * 1024  # of a buffer at first
KEPT_MAX = 16 * 1024 * 1024


def never() -> None:
    raise AssertionError("asked though it is open")


def staging_after(head: Head = EMPTY_HEAD, bytes_max: int = 2**26) -> Staging:
    return Staging(HASHER, head, bytes_max, never)


def lines_of(datas: list[bytes], head: Head, hasher: ChainHasher = HASHER) -> list[bytes]:
    lines = []
    for data in datas:
        entry_hash = hasher.entry_hash(head.entry_hash, data)
        lines.append(encode_line(head.sequence + 1, head.entry_hash, entry_hash, data))
        head = Head(head.sequence + 1, entry_hash)
    return lines


HEADS = st.builds(
    lambda sequence: Head(sequence, sha256(b"%d" % sequence).hexdigest()),
    st.one_of(
        st.integers(1, SEQUENCE_MAX - 9),
        st.builds(lambda power, less: 10**power - less, st.integers(1, 19), st.integers(1, 3)),
        st.just(SEQUENCE_MAX - 9),
    ),
)


@settings(deadline=None)
@given(
    st.one_of(st.just(EMPTY_HEAD), HEADS),
    st.lists(st.binary(max_size=200), min_size=1, max_size=9),
    st.booleans(),
)
def test_the_lines_are_the_formats(head: Head, datas: list[bytes], is_keyed: bool) -> None:
    hasher = HASHER if is_keyed else ChainHasher(None)
    staging = Staging(hasher, head, 2**26, never)
    lines = lines_of(datas, head, hasher)
    for count, (data, line) in enumerate(zip(datas, lines, strict=True), start=1):
        entry_hash = staging.append(head.sequence + count, data)
        assert line.count(entry_hash.encode()) == 1
        assert (staging.sequence, staging.entry_hash) == (
            head.sequence + count,
            entry_hash.encode(),
        )
        assert staging.record_count == count
        assert staging.byte_count == sum(map(len, lines[:count]))
    assert bytes(staging.take()) == b"".join(lines)
    assert (staging.record_count, staging.byte_count) == (0, 0)
    assert staging.sequence == head.sequence + len(datas)


def test_what_was_taken_stays_while_the_next_batch_grows() -> None:
    staging = staging_after()
    datas = [b'{"n":%d}' % n for n in range(1200)]
    lines = lines_of(datas, EMPTY_HEAD)
    for sequence in range(1, 3):
        staging.append(sequence, datas[sequence - 1])
    taken = staging.take()
    for sequence in range(3, 1201):  # beyond the buffer's room, several times
        staging.append(sequence, datas[sequence - 1])
    assert len(b"".join(lines[2:])) > 2 * ROOM
    assert bytes(taken) == b"".join(lines[:2])
    assert bytes(staging.take()) == b"".join(lines[2:])


def test_two_buffers_take_turns_and_a_large_one_is_not_kept() -> None:
    staging = staging_after()
    buffers = []
    for sequence in range(1, 5):
        staging.append(sequence, b"{}")
        buffers.append(staging.take().obj)
    assert buffers[0] is buffers[2]
    assert buffers[1] is buffers[3]
    assert buffers[0] is not buffers[1]
    staging.append(5, b" " * (KEPT_MAX // 2))
    grown = staging.take().obj
    staging.append(6, b"{}")
    assert staging.take().obj is not grown
    staging.append(7, b"{}")
    assert staging.take().obj is grown
    staging.append(8, b"{}")
    staging.take()
    staging.append(9, b" " * (KEPT_MAX + 1))
    large = staging.take().obj
    assert len(large) > KEPT_MAX
    later = []
    for sequence in range(10, 14):
        staging.append(sequence, b"{}")
        later.append(staging.take().obj)
    assert all(buffer is not large for buffer in later)
    assert {len(buffer) for buffer in later} == {ROOM}


@pytest.mark.parametrize("size", [0, 1, ROOM - 300, ROOM - 200, ROOM, 3 * ROOM])
def test_a_record_of_any_size_fits(size: int) -> None:
    staging = staging_after()
    datas = [b"{}", b"x" * size, b"{}"]
    for sequence, data in enumerate(datas, start=1):
        staging.append(sequence, data)
    assert bytes(staging.take()) == b"".join(lines_of(datas, EMPTY_HEAD))


def test_a_batch_is_bounded_to_the_byte() -> None:
    lines = lines_of([b"{}", b"[]"], EMPTY_HEAD)
    size = len(b"".join(lines))
    for bytes_max in (size, size - 1):
        staging = staging_after(bytes_max=bytes_max)
        staging.append(1, b"{}")
        if bytes_max < size:
            with pytest.raises(WalInputError, match=f"^a batch has at most {bytes_max} bytes"):
                staging.append(2, b"[]")
            assert (staging.sequence, staging.record_count) == (1, 1)
            assert bytes(staging.take()) == lines[0]
        staging.append(2, b"[]")


def test_only_the_next_record_is_staged() -> None:
    staging = staging_after()
    staging.append(1, b"{}")
    before = (staging.sequence, staging.entry_hash, staging.record_count, staging.byte_count)
    for sequence in (0, 1, 3):
        with pytest.raises(WalInvariantError, match=f"record {sequence} is staged behind record 1"):
            staging.append(sequence, b"{}")
    with pytest.raises(TypeError):
        staging.append(2, None)  # type: ignore[arg-type]
    after = (staging.sequence, staging.entry_hash, staging.record_count, staging.byte_count)
    assert after == before


def test_closed_it_takes_nothing_and_says_what_it_was_told() -> None:
    def refuse() -> None:
        raise WalError("the reason")

    staging = Staging(HASHER, EMPTY_HEAD, 2**26, refuse)
    staging.is_open = False
    with pytest.raises(WalError, match=r"^the reason$"):
        staging.append(1, b"{}")
    assert (staging.sequence, staging.record_count) == (0, 0)
    silent = Staging(HASHER, EMPTY_HEAD, 2**26, lambda: None)
    silent.is_open = False
    with pytest.raises(WalInvariantError, match="and nobody says why"):
        silent.append(1, b"{}")
    assert silent.record_count == 0
