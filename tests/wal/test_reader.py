"""The one iterator: every flipped bit and every cut byte is found, at its place."""

import os
from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LocatedEntry,
    Position,
    WalDamage,
    WalError,
    encode_line,
    find_head,
    plan_repair,
    position_after,
    read_entries,
)
from wal_support import DIALECT, KEY, SEGMENT, line_starts, small_batches, write_log

HASHER = ChainHasher(KEY)


def damage_of(source: Path, hasher: ChainHasher = HASHER) -> WalDamage:
    with pytest.raises(WalDamage) as caught:
        for _ in read_entries(source, hasher, DIALECT):
            pass
    return caught.value


def chain(hasher: ChainHasher, *datas: bytes) -> bytes:
    """The lines of a chain from the genesis."""
    content, head = b"", EMPTY_HEAD
    for data in datas:
        entry_hash = hasher.entry_hash(head.entry_hash, data)
        content += encode_line(head.sequence + 1, head.entry_hash, entry_hash, data)
        head = Head(head.sequence + 1, entry_hash)
    return content


def test_entries_say_where_they_stand(tmp_path: Path) -> None:
    batches = small_batches(HASHER)
    write_log(tmp_path, HASHER, batches)
    content = (tmp_path / SEGMENT).read_bytes()
    starts = line_starts(content)
    entries = list(read_entries(tmp_path, HASHER, DIALECT))
    datas = [data for batch in batches for data in batch]
    previous = "genesis"
    for at, entry in enumerate(entries):
        entry_hash = HASHER.entry_hash(previous, datas[at])
        assert entry == LocatedEntry(
            at + 1, previous, entry_hash, datas[at], SEGMENT, starts[at], starts[at + 1]
        )
        previous = entry_hash
    assert len(entries) == 5
    assert list(read_entries(tmp_path / SEGMENT, HASHER, DIALECT)) == entries


@pytest.mark.parametrize("key", [KEY, None])
def test_every_flipped_bit_is_found_and_never_cut(key: bytes | None, tmp_path: Path) -> None:
    hasher = ChainHasher(key)
    write_log(tmp_path, hasher, small_batches(hasher, "@ "))
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    starts = line_starts(content)
    descriptor = os.open(path, os.O_RDWR)
    for at, byte in enumerate(content):
        sequence = sum(start <= at for start in starts)
        for bit in range(8):
            os.pwrite(descriptor, bytes([byte ^ 1 << bit]), at)
            damage = damage_of(tmp_path, hasher)
            assert (damage.segment, damage.sequence) == (SEGMENT, sequence)
            assert damage.offset == starts[sequence - 1]
            with pytest.raises(WalDamage):
                plan_repair(tmp_path, hasher, DIALECT)
        os.pwrite(descriptor, bytes([byte]), at)
    os.close(descriptor)
    assert path.read_bytes() == content


def test_every_cut_inside_a_line_is_found(tmp_path: Path) -> None:
    write_log(tmp_path, HASHER, small_batches(HASHER))
    path = tmp_path / SEGMENT
    starts = line_starts(path.read_bytes())
    for size in range(starts[-1] - 1, -1, -1):
        os.truncate(path, size)
        whole = sum(start <= size for start in starts) - 1
        if size in starts:
            assert len(list(read_entries(tmp_path, HASHER, DIALECT))) == whole
            continue
        damage = damage_of(tmp_path)
        assert (damage.offset, damage.sequence, damage.reason) == (
            starts[whole],
            whole + 1,
            "the last line has no newline",
        )


def test_what_is_yielded_before_the_damage_is_verified(tmp_path: Path) -> None:
    write_log(tmp_path, HASHER, small_batches(HASHER))
    path = tmp_path / SEGMENT
    path.write_bytes(path.read_bytes() + b"garbage\n")
    entries = read_entries(tmp_path, HASHER, DIALECT)
    assert [next(entries).sequence for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(WalDamage, match="not JSON"):
        next(entries)


def test_blank_lines_pass_in_a_foreign_log_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    foreign = chain(HASHER, b'{"a":1}', b'{"b":2}')
    first, second = foreign.splitlines(keepends=True)
    path.write_bytes(b"\n \t\r\n" + first + b"\n" + second + b"\n")
    entries = list(read_entries(path, HASHER, DIALECT))
    assert [(entry.sequence, entry.offset) for entry in entries] == [
        (1, 5),
        (2, 6 + len(first)),
    ]
    native = b"".join(chain(HASHER, *batch) for batch in small_batches(HASHER)[:1])
    first, second = native.splitlines(keepends=True)
    for blank in (b"\n", b"  \r\n"):
        path.write_bytes(first + blank + second)
        assert str(damage_of(path)) == f"log, byte {len(first)}, record 2: the line is blank"
        path.write_bytes(native + blank)
        assert damage_of(path).offset == len(native)
        path.write_bytes(b"\n" + blank + native)
        assert str(damage_of(path)) == "log, byte 0, record 1: the line is blank"


def test_only_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\n\n")
    assert list(read_entries(tmp_path / "log", HASHER, DIALECT)) == []


def test_segments_are_one_chain(tmp_path: Path) -> None:
    head = write_log(tmp_path, HASHER, small_batches(HASHER))
    content = (tmp_path / SEGMENT).read_bytes()
    starts = line_starts(content)
    (tmp_path / SEGMENT).write_bytes(content[: starts[2]])
    (tmp_path / "00000002.jsonl").write_bytes(content[starts[2] : starts[3]])
    (tmp_path / "00000003.jsonl").write_bytes(content[starts[3] :])
    entries = list(read_entries(tmp_path, HASHER, DIALECT))
    assert [(entry.segment[:8].lstrip("0"), entry.offset) for entry in entries] == [
        ("1", 0),
        ("1", starts[1]),
        ("2", 0),
        ("3", 0),
        ("3", starts[4] - starts[3]),
    ]
    assert entries[-1].head == head
    # One segment alone, from the head before it.
    second = tmp_path / "00000002.jsonl"
    assert list(read_entries(second, HASHER, DIALECT, entries[1].head)) == [entries[2]]
    damage = damage_of(second)
    assert (damage.segment, damage.reason) == ("00000002.jsonl", "the record says that it is 3")
    # A line may not run over the end of a segment.
    (tmp_path / SEGMENT).write_bytes(content[: starts[2] - 1])
    second.write_bytes(b"\n" + content[starts[2] : starts[3]])
    assert str(damage_of(tmp_path)).startswith(f"{SEGMENT}, byte {starts[1]}, record 2: the last")
    second.unlink()
    assert damage_of(tmp_path).segment == "00000002.jsonl"


def test_reading_goes_on_from_a_position(tmp_path: Path) -> None:
    write_log(tmp_path, HASHER, small_batches(HASHER))
    content = (tmp_path / SEGMENT).read_bytes()
    starts = line_starts(content)
    (tmp_path / SEGMENT).write_bytes(content[: starts[3]])
    (tmp_path / "00000002.jsonl").write_bytes(content[starts[3] :])
    entries = list(read_entries(tmp_path, HASHER, DIALECT))
    for at, entry in enumerate(entries):
        rest = list(read_entries(tmp_path, HASHER, DIALECT, position_after(entry)))
        assert rest == entries[at + 1 :]
    beginning = Position(SEGMENT, 0, EMPTY_HEAD)
    assert list(read_entries(tmp_path, HASHER, DIALECT, beginning)) == entries
    wrong = Position(SEGMENT, starts[1], Head(1, "a" * 64))
    with pytest.raises(WalDamage, match="previous_hash"):
        list(read_entries(tmp_path, HASHER, DIALECT, wrong))
    absent = Position("00000007.jsonl", 0, EMPTY_HEAD)
    with pytest.raises(WalDamage, match="the segment is missing"):
        list(read_entries(tmp_path, HASHER, DIALECT, absent))


@pytest.mark.parametrize("chunk_bytes", [1, 2, 64, 200, 10**6])
def test_chunks_do_not_show(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(tmp_path, HASHER, small_batches(HASHER))
    entries = list(read_entries(tmp_path, HASHER, DIALECT))
    monkeypatch.setattr("wal.log_pass.CHUNK_BYTES", chunk_bytes)
    assert list(read_entries(tmp_path, HASHER, DIALECT)) == entries


def test_a_file_without_newlines_is_not_read_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wal.log_pass.LINE_BYTES_MAX", 1000)
    monkeypatch.setattr("wal.log_pass.CHUNK_BYTES", 100)
    write_log(tmp_path, HASHER, small_batches(HASHER))
    path = tmp_path / SEGMENT
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"x" * 1000)
    reason = "the last line has no newline"
    assert (damage_of(tmp_path).offset, damage_of(tmp_path).reason) == (size, reason)
    with path.open("ab") as file:
        file.write(b"x" * 2000)
    damage = damage_of(tmp_path)
    assert (damage.offset, damage.sequence, damage.reason) == (size, 6, "no newline in 1000 bytes")


def test_more_zeros_than_are_ever_written_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wal.log_pass.ZEROS_BYTES_MAX", 1000)
    write_log(tmp_path, HASHER, small_batches(HASHER))
    path = tmp_path / SEGMENT
    size = path.stat().st_size
    os.truncate(path, size + 1000)
    assert find_head(tmp_path, HASHER, DIALECT).sequence == 5
    os.truncate(path, 2**40)  # sparse: a terabyte of NULs
    damage = damage_of(tmp_path)
    reason = "more than 1000 zeros stand there"
    assert (damage.offset, damage.sequence, damage.reason) == (size, 6, reason)


@pytest.mark.parametrize("chunk_bytes", [100, 300_000])
def test_zeros_are_no_damage_at_the_end_of_the_last_segment_alone(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wal.log_pass.CHUNK_BYTES", chunk_bytes)
    write_log(tmp_path, HASHER, small_batches(HASHER))
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    for zeros in (1, 99, 100, 5000):
        path.write_bytes(content + bytes(zeros))
        assert find_head(tmp_path, HASHER, DIALECT).sequence == 5
        assert find_head(path, HASHER, DIALECT).sequence == 5  # or of the one file
    path.write_bytes(content + bytes(700) + content[:50])
    reason = (
        "zeros stand where a record should, and other bytes behind them: "
        "damaged, or copied while it was written"
    )
    damage = damage_of(tmp_path)
    assert (damage.offset, damage.sequence, damage.reason) == (len(content), 6, reason)
    # Inside a line they are what they always were.
    path.write_bytes(content[:-1] + bytes(700))
    assert damage_of(tmp_path).reason == "the last line has no newline"
    path.write_bytes(content + bytes(700))
    (tmp_path / "00000002.jsonl").touch()
    damage = damage_of(tmp_path)
    assert (damage.segment, damage.offset) == (SEGMENT, len(content))
    assert damage.reason == "zeros stand where a record should"


def test_zeros_behind_a_foreign_log_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "log"
    entry_hash = HASHER.entry_hash("genesis", b"{}")
    path.write_bytes(encode_line(1, "genesis", entry_hash, b"{}") + bytes(100))
    assert damage_of(path).reason == "zeros stand where a record should"


def test_a_second_member_behind_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    data = b'{},"data":{}'
    entry_hash = HASHER.entry_hash("genesis", data)
    path.write_bytes(encode_line(1, "genesis", entry_hash, data))
    assert damage_of(path).reason == "data stands twice in the line"
    head = Head(0, "genesis")
    with pytest.raises(WalDamage, match="data stands twice"):
        list(read_entries(path, HASHER, DIALECT, head))


def test_data_that_is_no_object(tmp_path: Path) -> None:
    datas = [b"1", b'"{"', b"null", b"[{}]", b"{}", b'"\\ud800"', '{"é":1}'.encode()]
    (tmp_path / "log").write_bytes(chain(HASHER, *datas))
    assert [entry.data for entry in read_entries(tmp_path / "log", HASHER, DIALECT)] == datas


def test_bytes_that_are_not_utf8_are_damage_though_their_hash_is_right(tmp_path: Path) -> None:
    good, bad = b'{"a":1}', b'{"a":"\xff"}'
    (tmp_path / "log").write_bytes(chain(HASHER, good, bad))
    assert damage_of(tmp_path / "log").reason == "the line is not UTF-8"


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WalError, match="cannot read"):
        list(read_entries(tmp_path / "absent", HASHER, DIALECT))
