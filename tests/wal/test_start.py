"""A log read from a checkpoint's head on, with and without its oldest segments, and its anchor."""

from pathlib import Path

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Head,
    LocatedEntry,
    LogWriter,
    WalDamage,
    WalInputError,
    WalKeyMismatch,
    WalStartMismatch,
    anchor_of,
    apply_repair,
    find_head,
    list_segments,
    open_for_recovery,
    plan_repair,
    position_after,
    read_entries,
    segment_name,
    verify_chain,
)
from wal_support import DIALECT, KEY, REPAIR_REMEDY, fake_clock, line_starts, opened, record

HASHER = ChainHasher(KEY)
# Records by segment: 1 to 3, 4 to 6, 7 and 8.
LAYOUT = [[1, 2], [3]], [[4], [5, 6]], [[7, 8]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    directory = tmp_path / "log"
    directory.mkdir()
    with LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock()) as writer:
        for segment in LAYOUT:
            writer.rotate()
            for batch in segment:
                for sequence in batch:
                    text = "x" * (7 * sequence)
                    data = opened(HASHER) if sequence == 1 else record("order", batch[0], t=text)
                    writer.append(sequence, data)
                writer.sync_now()
    return directory


@pytest.fixture
def entries(log: Path) -> list[LocatedEntry]:
    return list(read_entries(log, HASHER, DIALECT))


def rest(log: Path, start: Head) -> list[LocatedEntry]:
    return list(read_entries(log, HASHER, DIALECT, start))


def test_from_every_head(log: Path, entries: list[LocatedEntry]) -> None:
    for at, entry in enumerate(entries):
        assert rest(log, entry.head) == entries[at + 1 :]
        report = verify_chain(log, HASHER, DIALECT, start=entry.head)
        assert report.head == entries[-1].head
        assert report.record_count == 7 - at
        assert find_head(log, HASHER, DIALECT, start=entry.head) == entries[-1].head
    assert rest(log, EMPTY_HEAD) == entries


def test_without_the_oldest_segments(log: Path, entries: list[LocatedEntry]) -> None:
    for gone in (1, 2):
        (log / segment_name(gone)).unlink()
        last_gone = 3 * gone
        for entry in entries[last_gone - 1 :]:
            assert rest(log, entry.head) == entries[entry.sequence :]
            assert plan_repair(log, HASHER, DIALECT, start=entry.head) is None
            with open_for_recovery(log):
                pass
        for entry in entries[: last_gone - 1]:
            with pytest.raises(WalStartMismatch) as caught:
                rest(log, entry.head)
            assert caught.value.reason == (
                f"the log begins with record {last_gone + 1}, after the given start"
            )
        for check in (find_head, plan_repair):
            with pytest.raises(WalDamage, match=r"^00000001\.jsonl.*is read from a checkpoint on"):
                check(log, HASHER, DIALECT)
        with pytest.raises(WalDamage, match="is missing"):
            list_segments(log)


def test_a_start_that_the_log_does_not_hold(log: Path, entries: list[LocatedEntry]) -> None:
    for sequence in (1, 2, 3, 4, 5, 6, 7, 8):
        with pytest.raises(WalStartMismatch, match=r"not the one|another record"):
            rest(log, Head(sequence, "a" * 64))
    with pytest.raises(WalStartMismatch, match="the log ends before record 9") as caught:
        rest(log, Head(9, "a" * 64))
    assert (caught.value.segment, caught.value.offset, caught.value.sequence) == (
        segment_name(3),
        entries[-1].end_offset,
        9,
    )
    with pytest.raises(WalStartMismatch, match="ends before record 4000"):
        verify_chain(log, HASHER, DIALECT, start=Head(4000, "a" * 64))
    # A log of which nothing at all is left is not one that a checkpoint's start may follow.
    for path in log.glob("*.jsonl"):
        path.unlink()
    with pytest.raises(WalDamage, match="the log has no segment"):
        rest(log, entries[3].head)


def test_an_empty_last_segment_behind_the_start(log: Path, entries: list[LocatedEntry]) -> None:
    for number in (1, 2, 3):
        (log / segment_name(number)).unlink()
    (log / segment_name(4)).touch()
    assert rest(log, entries[-1].head) == []
    with LogWriter.open(log, HASHER, entries[-1].head, monotonic_ns=fake_clock()) as writer:
        writer.append(9, record("order", 9))
        writer.sync_now()
    assert [entry.sequence for entry in rest(log, entries[-1].head)] == [9]
    assert list(log.glob("*.jsonl")) == [log / segment_name(4)]


@pytest.mark.parametrize("missing", [2, 3])
def test_a_missing_segment_behind_the_start(
    missing: int, log: Path, entries: list[LocatedEntry]
) -> None:
    (log / segment_name(missing)).unlink()
    anchor = anchor_of(entries[-1].head, keyed=True)
    match = r"00000002\.jsonl.*is missing" if missing == 2 else "ends before its anchor"
    with pytest.raises(WalDamage, match=match):
        list(read_entries(log, HASHER, DIALECT, entries[1].head, anchor))


def test_damage_before_and_behind_the_start(log: Path, entries: list[LocatedEntry]) -> None:
    """What stands in the start's own segment is read; what stands in older ones is not needed."""
    start = entries[4].head
    for at, is_read in ((2, False), (3, True), (4, True), (5, True), (7, True)):
        entry = entries[at]
        path = log / entry.segment
        content = path.read_bytes()
        place = (entry.offset + entry.end_offset) // 2 + 20
        path.write_bytes(content[:place] + b"#" + content[place + 1 :])
        if is_read:
            for check in (rest, lambda log, head: plan_repair(log, HASHER, DIALECT, start=head)):
                with pytest.raises(WalDamage) as caught:
                    check(log, start)
                assert not isinstance(caught.value, WalStartMismatch)
                assert (caught.value.segment, caught.value.sequence) == (entry.segment, at + 1)
        else:
            assert rest(log, start) == entries[5:]
        path.write_bytes(content)


def test_a_segment_whose_first_line_is_damaged(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(2)
    content = path.read_bytes()
    path.write_bytes(b"#" + content[1:])
    with pytest.raises(WalDamage, match="not JSON"):
        rest(log, entries[2].head)
    with pytest.raises(WalDamage, match="not JSON"):
        rest(log, entries[4].head)
    assert rest(log, entries[6].head) == entries[7:]
    (log / segment_name(1)).unlink()
    with pytest.raises(WalDamage, match="the first line of the segment is damaged") as caught:
        rest(log, entries[4].head)
    assert caught.value.segment == segment_name(2)


def test_a_torn_end_behind_a_start(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(3)
    content = path.read_bytes()
    starts = line_starts(content)
    (log / segment_name(1)).unlink()
    for start, size in ((5, len(content) - 3), (6, starts[1] - 1), (6, 40), (7, starts[2] - 1)):
        path.write_bytes(content[:size])
        whole = sum(at <= size for at in starts) - 1
        cut = plan_repair(log, HASHER, DIALECT, start=entries[start - 1].head)
        assert cut is not None
        assert (cut.segment, cut.offset) == (segment_name(3), starts[whole])
        assert cut.first_sequence_lost == 7 + whole
        (apply_repair(log, cut)).unlink()
        assert find_head(log, HASHER, DIALECT, start=entries[start - 1].head).sequence == 6 + whole
    # Up to the start nothing may be missing.
    path.write_bytes(content[: starts[1]])
    with pytest.raises(WalStartMismatch, match="ends before record 8"):
        rest(log, entries[7].head)


def test_nothing_is_cut_up_to_the_start(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(3)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(WalDamage) as caught:
        plan_repair(log, HASHER, DIALECT, start=entries[7].head)
    assert "an anchor or a checkpoint protects 8" in caught.value.reason
    assert caught.value.reason.endswith(REPAIR_REMEDY)


def test_a_clean_close_at_the_start_is_seen(log: Path, entries: list[LocatedEntry]) -> None:
    with LogWriter.open(log, HASHER, entries[-1].head, monotonic_ns=fake_clock()) as writer:
        writer.append(9, record("session_closed", 9))
        head = writer.sync_now()
    path = log / segment_name(3)
    path.write_bytes(path.read_bytes() + b'{"sequence":10,')
    with pytest.raises(WalDamage, match="closed in good order"):
        plan_repair(log, HASHER, DIALECT, start=head)


def test_the_writer_goes_on_in_a_log_without_its_beginning(
    log: Path, entries: list[LocatedEntry]
) -> None:
    for number in (1, 2):
        (log / segment_name(number)).unlink()
    head = entries[-1].head
    with LogWriter.open(log, HASHER, head, monotonic_ns=fake_clock(), fresh_segment=True) as writer:
        writer.append(9, record("order", 9))
        writer.sync_now()
        assert writer.segment_number == 4
    assert verify_chain(log, HASHER, DIALECT, start=entries[6].head).record_count == 2
    with pytest.raises(WalDamage, match="is missing"):
        LogWriter.open(log, HASHER, EMPTY_HEAD, monotonic_ns=fake_clock())
    (log.parent / "other").mkdir()
    with pytest.raises(WalInputError, match="no segment"):
        LogWriter.open(log.parent / "other", HASHER, head, monotonic_ns=fake_clock())


def test_an_anchor_in_the_same_pass(log: Path, entries: list[LocatedEntry]) -> None:
    size = entries[-1].end_offset
    for start in (None, *(entry.head for entry in entries)):
        expected = entries if start is None else entries[start.sequence :]
        for entry in entries:
            anchor = anchor_of(entry.head, keyed=True)
            assert list(read_entries(log, HASHER, DIALECT, start, anchor)) == expected
            wrong = anchor_of(Head(entry.sequence, "a" * 64), keyed=True)
            if start is None or entry.sequence >= start.sequence:
                with pytest.raises(WalDamage, match="not the anchored one") as caught:
                    list(read_entries(log, HASHER, DIALECT, start, wrong))
                assert caught.value.sequence == entry.sequence
            else:  # the start stands for it
                list(read_entries(log, HASHER, DIALECT, start, wrong))
        ahead = anchor_of(Head(9, "a" * 64), keyed=True)
        reader = read_entries(log, HASHER, DIALECT, start, ahead)
        assert [next(reader) for _ in expected] == expected
        with pytest.raises(WalDamage, match="ends before its anchor, which is at record 9") as late:
            next(reader)
        assert (late.value.segment, late.value.offset, late.value.sequence) == (
            segment_name(3),
            size,
            9,
        )
    with pytest.raises(WalKeyMismatch, match="the anchor is of an unkeyed log"):
        list(read_entries(log, HASHER, DIALECT, None, anchor_of(entries[0].head, keyed=False)))
    genesis = anchor_of(EMPTY_HEAD, keyed=True)
    assert list(read_entries(log, HASHER, DIALECT, None, genesis)) == entries


def test_a_wrong_record_at_the_anchor_is_not_given_out(
    log: Path, entries: list[LocatedEntry]
) -> None:
    wrong = anchor_of(Head(4, "a" * 64), keyed=True)
    reader = read_entries(log, HASHER, DIALECT, anchor=wrong)
    assert [next(reader) for _ in range(3)] == entries[:3]
    with pytest.raises(WalDamage, match="not the anchored one"):
        next(reader)


def test_a_position_in_a_log_without_its_beginning(log: Path, entries: list[LocatedEntry]) -> None:
    (log / segment_name(1)).unlink()
    for entry in entries[3:]:
        found = list(read_entries(log, HASHER, DIALECT, position_after(entry)))
        assert found == entries[entry.sequence :]


def test_one_file_from_a_head_inside_it(log: Path, entries: list[LocatedEntry]) -> None:
    path = log / segment_name(2)
    for start in (3, 4, 5):
        assert rest(path, entries[start - 1].head) == entries[start:6]
