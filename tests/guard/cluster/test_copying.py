"""A local log takes over rows: byte for byte, or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.cluster.copying import LocalCopy
from guard.cluster.errors import ClusterError, Diverged
from guard.cluster.lines import BatchRow
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.recover import Recovered, fold_log, recover_log
from guard_support import KEY, LoggedEngine, cancel, order, write_log
from wal import EMPTY_HEAD, ChainHasher, encode_line, parse_line, read_published_head

HASHER = ChainHasher(KEY)
SEGMENT_BYTES = 1_048_576
FEW_BYTES = 2_048


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A short day's lines, as a log has them."""
    day = LoggedEngine()
    for number in range(12):
        day.submit(order(f"A-{number}"))
    day.submit(cancel(client_order_id="A-3"))
    directory = tmp_path_factory.mktemp("day") / "log"
    write_log(directory, day.records)
    (segment,) = directory.glob("*.jsonl")
    return segment.read_bytes().splitlines(keepends=True)


@pytest.fixture
def recovered(tmp_path: Path) -> Iterator[Recovered]:
    """A fresh local log, held."""
    found = recover_log(tmp_path / "log", HASHER, new_log=True)
    with found.lock:
        yield found


def row_of(lines: list[bytes], first: int, last: int) -> BatchRow:
    data = b"".join(lines[first - 1 : last])
    return BatchRow(first, last, 1, parse_line(lines[last - 1]).entry_hash, data)


def copy_to(recovered: Recovered, tmp_path: Path) -> LocalCopy:
    return LocalCopy(tmp_path / "log", HASHER, recovered, SEGMENT_BYTES)


def test_rows_are_taken_over_byte_for_byte_and_folded(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = copy_to(recovered, tmp_path)
    for first, last in ((1, 7), (8, 8), (9, len(lines))):
        copy.take([row_of(lines, first, last)])
    copy.close()
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "log").glob("*.jsonl")))
    assert written == b"".join(lines)
    assert recovered.head == parse_line(lines[-1]).head
    engine, head = fold_log(tmp_path / "log", HASHER)
    assert head == recovered.head
    assert state_digest_hex(engine.state) == state_digest_hex(recovered.engine.state)


def test_what_is_here_already_is_passed_over(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = copy_to(recovered, tmp_path)
    copy.take([row_of(lines, 1, 9)])
    copy.take([row_of(lines, 8, 12)])
    copy.close()
    assert recovered.head.sequence == 12


def test_a_row_that_does_not_follow_is_another_log_s(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = copy_to(recovered, tmp_path)
    copy.take([row_of(lines, 1, 8)])
    with pytest.raises(Diverged):
        copy.take([row_of(lines, 10, 11)])
    assert copy.head.sequence == 8
    copy.close()


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda data: data[:-1], "does not end with a line"),
        (
            lambda data: data + data,
            "record 11 is not what the key proves: the record says that it is 9",
        ),
        (lambda data: data[: data.index(b"\n") + 1], "does not end with its head 10"),
        (lambda data: data.replace(b'"quantity":100', b'"quantity":101', 1), "the key"),
        (lambda data: data.replace(b'"sequence":9', b'"sequence":7', 1), "says that it is 7"),
        (lambda data: data.replace(b'{"sequence"', b'{ "sequence"', 1), "the key"),
    ],
)
def test_a_row_that_no_guard_has_written_is_refused(
    lines: list[bytes], recovered: Recovered, tmp_path: Path, broken: object, said: str
) -> None:
    copy = copy_to(recovered, tmp_path)
    copy.take([row_of(lines, 1, 8)])
    row = row_of(lines, 9, 10)
    assert callable(broken)
    with pytest.raises(ClusterError, match=said):
        copy.take([row._replace(lines=broken(row.lines))])
    assert copy.head.sequence == recovered.head.sequence == 8
    copy.close()


def test_a_head_that_is_not_the_lines_is_refused(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = copy_to(recovered, tmp_path)
    with pytest.raises(ClusterError, match="does not end with its head"):
        copy.take([row_of(lines, 1, 8)._replace(head_hash="0" * 64)])
    assert copy.head == EMPTY_HEAD
    copy.close()


def small_copy_to(recovered: Recovered, tmp_path: Path) -> LocalCopy:
    """Rows of more than half of these bytes are taken over as a segment."""
    return LocalCopy(tmp_path / "log", HASHER, recovered, 2 * FEW_BYTES)


def segments(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((tmp_path / "log").glob("*.jsonl"))]


def test_many_bytes_are_taken_over_as_a_segment_of_their_own(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = small_copy_to(recovered, tmp_path)
    many = [row_of(lines, 1, 7), row_of(lines, 8, 8), row_of(lines, 9, 10)]
    assert sum(len(row.lines) for row in many) > FEW_BYTES
    copy.take(many)
    assert copy.head == recovered.head == parse_line(lines[9]).head
    assert copy.place == (1, sum(map(len, lines[:10])))
    copy.publish()
    told = read_published_head(tmp_path / "log")
    assert told is not None
    assert told == (copy.head, "00000001.jsonl", copy.place[1])
    copy.take([row_of(lines, 11, 11)])
    assert copy.place == (2, len(lines[10]))
    copy.take([row_of(lines, 12, 12)])
    copy.take([row_of(lines, 10, len(lines))])
    copy.close()
    written = segments(tmp_path)
    assert copy.place == (len(written), len(written[-1]))
    assert b"".join(segments(tmp_path)) == b"".join(lines)
    assert segments(tmp_path)[0] == b"".join(lines[:10])
    engine, head = fold_log(tmp_path / "log", HASHER)
    assert head == recovered.head == parse_line(lines[-1]).head
    assert state_digest_hex(engine.state) == state_digest_hex(recovered.engine.state)


def test_rows_that_do_not_follow_one_another_leave_all_as_it_was(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = small_copy_to(recovered, tmp_path)
    copy.take([row_of(lines, 1, 7)])
    before, digest = segments(tmp_path), state_digest_hex(recovered.engine.state)
    other = parse_line(lines[9])
    forged = encode_line(10, "f" * 64, other.entry_hash, other.data)
    for last in (row_of(lines, 11, 12), row_of(lines, 10, 12)._replace(lines=forged)):
        with pytest.raises(Diverged):
            copy.take([row_of(lines, 8, 9), last])
        assert copy.head == recovered.head == parse_line(lines[6]).head
        assert state_digest_hex(recovered.engine.state) == digest
        assert segments(tmp_path) == before
    copy.take([row_of(lines, 8, len(lines))])
    copy.close()
    assert b"".join(segments(tmp_path)) == b"".join(lines)


def test_nothing_is_written_of_many_rows_of_which_one_is_not_the_key_s(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = small_copy_to(recovered, tmp_path)
    copy.take([row_of(lines, 1, 7)])
    before = segments(tmp_path)
    bad = row_of(lines, 10, 12)
    bad = bad._replace(lines=bad.lines.replace(b'"quantity":100', b'"quantity":101', 1))
    with pytest.raises(ClusterError, match="record 10 is not what the key proves"):
        copy.take([row_of(lines, 8, 9), bad])
    assert copy.head == recovered.head == parse_line(lines[6]).head
    copy.close()
    assert segments(tmp_path) == before
    assert sorted(path.name for path in (tmp_path / "log").glob("*.whole")) == []


def test_rows_are_taken_over_in_steps_of_bounded_bytes(
    lines: list[bytes], recovered: Recovered, tmp_path: Path
) -> None:
    copy = small_copy_to(recovered, tmp_path)
    rows = [row_of(lines, number, number) for number in range(1, len(lines) + 1)]
    steps = list(copy.steps_of(rows))
    assert [row for step in steps for row in step] == rows
    for step in steps:
        byte_count = sum(len(row.lines) for row in step)
        assert len(step) == 1 or FEW_BYTES <= byte_count <= 2 * FEW_BYTES
    assert max(map(len, steps)) > 1
    assert list(copy.steps_of([])) == []
    few = rows[-2:-1]
    assert list(copy.steps_of(few)) == [few]
    copy.close()
