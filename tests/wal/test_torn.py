"""What is torn and what is not: every torn write is cut exactly where it begins."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wal import (
    Head,
    encode_line,
)
from wal_support import (
    LOG_HASHER,
    REPAIR_REMEDY,
    SECTOR,
    SEGMENT,
    WIDE_BATCHES,
    Log,
    opened,
    record,
    sector_in,
    small_batches,
    wide,
    zeroed,
)

HASHER = LOG_HASHER


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", WIDE_BATCHES)


@pytest.mark.parametrize("length", [1, 100, 511, 512, 5000, 3 * 1024 * 1024])
def test_a_tail_of_nuls_behind_a_whole_batch(length: int, log: Log) -> None:
    # Written ahead of the next batch, or of which the length has reached the disk and nothing else.
    log.put(log.content + bytes(length))
    log.is_whole_up_to(9)


@pytest.mark.parametrize("ahead", [0, 1, 700, 4096])
def test_zeros_on_both_sides_of_a_torn_batch(ahead: int, log: Log) -> None:
    """Written over zeros, the batch has lost sectors in front, and zeros still stand behind it."""
    first = log.start(4)
    for sector in range(sector_in(first, len(log.content)), len(log.content) - SECTOR, SECTOR):
        log.put(zeroed(log.content, (first, sector)) + bytes(ahead))
        assert log.repaired_to(3).reason == "zero-filled sectors"
    # Its last sector is lost, too; it ends in zeros, where a line does not.
    last = len(log.content) // SECTOR * SECTOR
    middle = sector_in(first, len(log.content))
    holes = ((middle, middle + SECTOR), (last, len(log.content)))
    log.put(zeroed(log.content, *holes) + bytes(ahead))
    log.repaired_to(sum(start <= middle for start in log.starts) - 1)


def test_zeros_ahead_do_not_hide_wrong_bytes(log: Log) -> None:
    wrong = bytearray(log.content)
    wrong[log.start(8) + 300] ^= 1
    log.put(bytes(wrong) + bytes(5000))
    assert "a whole line has wrong bytes" in log.refused().reason
    # An end that is not the beginning of the record expected there.
    log.put(log.content[: log.start(9)] + b'{"sequence":10,' + bytes(5000))
    assert "an unfinished line is not the beginning of the next record" in log.refused().reason


def test_a_record_of_a_later_batch_behind_a_hole_and_zeros_ahead(log: Log) -> None:
    """Records that were durable are not cut, whatever stands behind them."""
    at = sector_in(log.start(2), log.start(4))
    log.put(zeroed(log.content, (at, at + SECTOR)) + bytes(5000))
    assert "had been synced" in log.refused().reason


def test_a_tail_of_nuls_from_a_sector_on(log: Log) -> None:
    for sector in range(sector_in(log.start(4), len(log.content)), len(log.content), SECTOR):
        log.put(log.content[:sector] + bytes(len(log.content) - sector))
        if sector in log.starts:
            log.is_whole_up_to(log.starts.index(sector))
        else:
            log.repaired_to(sum(start <= sector for start in log.starts) - 1)


def test_nuls_that_begin_inside_a_sector_and_a_record(log: Log) -> None:
    at = sector_in(log.start(6), len(log.content)) + 3
    end = at - 3 + SECTOR
    log.put(log.content[:at] + bytes(end - at) + log.content[end:])
    assert f"NUL bytes that do not begin at a sector (byte {at})" in log.refused().reason


def test_a_process_killed_inside_a_write_over_zeros(log: Log) -> None:
    """Any number of bytes may have gone through; behind them stands what stood there before."""
    first = log.start(4)
    places = {*range(first + 1, len(log.content), 131), *log.starts[3:-1], len(log.content) - 1}
    for at in sorted(places):
        log.put(log.content[:at] + bytes(len(log.content) - at + 300))
        if at in log.starts:
            log.is_whole_up_to(log.starts.index(at))
        else:
            log.repaired_to(sum(start < at for start in log.starts) - 1)


def test_nuls_that_end_inside_a_sector(log: Log) -> None:
    at = sector_in(log.start(6), len(log.content))
    log.put(zeroed(log.content, (at, at + SECTOR - 1)))
    end = at + SECTOR - 1
    assert f"NUL bytes that do not end at a sector (byte {end})" in log.refused().reason


def test_a_hole_before_whole_records_of_the_same_batch(log: Log) -> None:
    for sequence in range(4, 10):
        at = sector_in(log.start(sequence), len(log.content))
        log.put(zeroed(log.content, (at, at + SECTOR)))
        whole = sum(start <= at for start in log.starts) - 1
        assert log.repaired_to(whole).reason == "zero-filled sectors"


def test_several_holes_are_cut_from_the_first_on(log: Log) -> None:
    first = sector_in(log.start(5), len(log.content))
    second = sector_in(log.start(8), len(log.content))
    log.put(zeroed(log.content, (first, first + SECTOR), (second, second + SECTOR))[:-30])
    reason = log.repaired_to(sum(start <= first for start in log.starts) - 1).reason
    assert reason == "zero-filled sectors and a missing end"


def test_the_first_sector_of_a_batch_may_be_shared(log: Log) -> None:
    # The old sector stayed: it holds the end of record 3, and zeros where record 4 begins.
    end = -(-log.start(4) // SECTOR) * SECTOR
    assert log.start(4) % SECTOR
    log.put(zeroed(log.content, (log.start(4), end)))
    assert log.repaired_to(3).reason == "zero-filled sectors"


def test_the_same_shape_inside_a_batch_is_damage(log: Log) -> None:
    end = -(-log.start(6) // SECTOR) * SECTOR
    assert log.start(6) % SECTOR
    log.put(zeroed(log.content, (log.start(6), end)))
    assert "a hole begins inside a sector and a batch" in log.refused().reason


def test_a_hole_before_records_of_a_later_batch_is_damage(log: Log) -> None:
    at = sector_in(log.start(2), log.start(4))
    log.put(zeroed(log.content, (at, at + SECTOR)))
    damage = log.refused()
    lost = sum(start <= at for start in log.starts)
    assert (damage.segment, damage.offset, damage.sequence) == (SEGMENT, log.start(lost), lost)
    assert (
        "is of a later batch, so the damaged one had been synced" in damage.reason
        or "two batches stand behind" in damage.reason
    )


def test_a_lost_sector_in_any_earlier_batch_is_never_cut(log: Log) -> None:
    for at in range(0, log.start(4) - SECTOR + 1, SECTOR):
        log.put(zeroed(log.content, (at, at + SECTOR)))
        log.refused()


def test_a_later_batch_whose_record_begins_right_behind_the_hole(tmp_path: Path) -> None:
    # Record 3 is made to begin at a sector; then all of record 2 is lost, and 3 is of batch 3.
    plain = Log(tmp_path / "plain", [[opened(HASHER)], [wide(2)], [record("order", 3)]])
    padding = -plain.start(3) % SECTOR
    batches = [[opened(HASHER)], [wide(2, 700 + padding)], [record("order", 3)]]
    log = Log(tmp_path / "log", batches)
    assert log.start(3) % SECTOR == 0
    log.put(zeroed(log.content, (log.start(2), log.start(3))))
    assert "record 3 is of a later batch" in log.refused().reason
    # Also where its newline is missing.
    log.put(zeroed(log.content, (log.start(2), log.start(3)))[:-1])
    assert "record 3 is of a later batch" in log.refused().reason
    # The same shape within one batch is torn.
    batches = [[opened(HASHER)], [wide(2, 700 + padding), record("order", 2)]]
    log = Log(tmp_path / "same", batches)
    log.put(zeroed(log.content, (log.start(2), log.start(3))))
    log.repaired_to(1)


@given(data=st.data())
def test_any_torn_write_of_the_final_batch_is_cut_where_it_begins(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sizes = data.draw(st.lists(st.integers(0, 1500), min_size=1, max_size=8), label="sizes")
    texts = [record("order", 2, text="é" * (size // 4) + "y" * size) for size in sizes]
    log = Log(tmp_path_factory.mktemp("log"), [[opened(HASHER)], texts])
    batch_start = log.start(2)
    size = data.draw(st.integers(batch_start, len(log.content)), label="file size")
    ahead = data.draw(st.integers(0, 3 * SECTOR) if size == len(log.content) else st.just(0))
    torn = bytearray(log.content[:size])
    for sector in range(batch_start // SECTOR, -(-size // SECTOR)):
        if data.draw(st.booleans(), label=f"sector {sector} is lost"):
            start = max(sector * SECTOR, batch_start)
            end = min((sector + 1) * SECTOR, size)
            torn[start:end] = bytes(end - start)
    log.put(bytes(torn) + bytes(ahead))
    same = next((at for at in range(size) if torn[at] != log.content[at]), size)
    kept = len(bytes(torn).rstrip(b"\0"))
    if kept <= same and kept in log.starts:
        log.is_whole_up_to(log.starts.index(kept))
    else:
        log.repaired_to(sum(start <= same for start in log.starts) - 1)


@given(data=st.data())
def test_any_wrong_bytes_in_a_batch_of_full_length_are_refused(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = Log(tmp_path_factory.mktemp("log"), small_batches(HASHER))
    at = data.draw(st.integers(0, len(log.content) - 1), label="at")
    wrong = data.draw(st.binary(min_size=1, max_size=20), label="wrong")
    wrong = wrong[: len(log.content) - at]
    content = log.content[:at] + wrong + log.content[at + len(wrong) :]
    if content == log.content or not content.endswith(b"}\n"):
        return
    # Less than a sector of NULs, and not up to the end of the file: no torn write does that.
    log.put(content)
    log.refused()


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage", b"garbage\n", b"\x01", b"\xff" * 600, b"{", b'{"sequence":', b'{"sequence":11',
        b'{"sequence":10,"previous_hash":"aaaa', b"\n", b"\n\n", b" ", b"\x00garbage", b"{}\n",
        b"\x00" * 600 + b"\n",
    ],
)  # fmt: skip
def test_garbage_behind_the_last_record_is_refused(garbage: bytes, log: Log) -> None:
    log.put(log.content + garbage)
    begins_a_line = b'{"sequence":10,'.startswith(garbage)
    if begins_a_line:
        log.repaired_to(9)
    else:
        log.refused()


def test_an_unfinished_line_must_be_the_beginning_of_the_next_record(log: Log) -> None:
    line = log.content[log.start(9) : -1]
    before = log.content[: log.start(9)]
    hash_at = line.index(b'"entry_hash":"') + 14
    data_at = line.index(b'"data":') + 7
    for wrong in (
        line[: hash_at + 10] + b"G",
        line[: hash_at + 63] + b'"',
        line[: hash_at + 64] + b"'",
        line[:data_at] + b"}",
        line[: data_at + 30] + b"\x07",
        line[: data_at + 60] + b"\xff",
        line[: data_at + 1] + b"garbage",
        b'{"sequence":9,"previous_hash":"' + b"a" * 64,
        b'{"sequence":8',
    ):
        log.put(before + wrong)
        assert "is not the beginning of the next record" in log.refused().reason
    for right in (line[: hash_at + 10], line[: hash_at + 64], line[:data_at], line[: data_at + 9]):
        log.put(before + right)
        log.repaired_to(8)


def test_a_changed_newline_is_not_a_missing_one(log: Log) -> None:
    for byte in b"\x0bJ*":
        log.put(log.content[:-1] + bytes([byte]))
        log.refused()
    # In the middle: a durable record must not go with an unfinished one that runs into it.
    end = log.start(4) - 1
    log.put(log.content[:end] + b"J" + log.content[end + 1 : end + 200])
    assert "is not the beginning of the next record" in log.refused().reason


def test_wrong_bytes_in_the_first_record_of_the_final_batch(log: Log) -> None:
    at = log.start(4) + 400
    log.put(log.content[:at] + b"y" + log.content[at + 1 :])
    damage = log.refused()
    assert (damage.sequence, damage.offset) == (4, log.start(4))
    assert damage.reason == (
        "entry_hash does not match the record's bytes; not a torn end that may be cut: "
        f"a whole line has wrong bytes (byte {log.start(4)}); {REPAIR_REMEDY}"
    )


def test_wrong_bytes_behind_a_hole(log: Log) -> None:
    hole = sector_in(log.start(4), len(log.content))
    at = log.start(8) + 400
    content = zeroed(log.content, (hole, hole + SECTOR))
    log.put(content[:at] + b"y" + content[at + 1 :])
    assert f"a whole line has wrong bytes (byte {log.start(8)})" in log.refused().reason
    # A record missing without a trace, between two whole ones.
    log.put(content[: log.start(7)] + content[log.start(8) :])
    assert "record 8 does not follow the one before" in log.refused().reason
    # A record from before the hole, behind it.
    log.put(content[: log.start(9)] + log.content[log.start(3) : log.start(4)])
    assert "does not follow the one before" in log.refused().reason


def test_a_record_of_before_behind_the_hole(log: Log) -> None:
    hole = sector_in(log.start(9), len(log.content))
    content = zeroed(log.content, (hole, hole + SECTOR))
    log.put(content + log.content[log.start(3) : log.start(4)])
    assert "record 3 stands too late" in log.refused().reason


def test_wrong_bytes_beside_a_hole_in_its_own_line(log: Log) -> None:
    hole = sector_in(log.start(8), len(log.content))
    content = zeroed(log.content, (hole, hole + SECTOR))
    start = max(start for start in log.starts if start <= hole)
    log.put(content[: start + 4] + b"x" + content[start + 5 :])
    assert "is not the beginning of the next record" in log.refused().reason
    log.put(content[: start + 4] + b"\x07" + content[start + 5 :])
    assert "control characters" in log.refused().reason
    end = content.index(b"\n", hole + SECTOR)
    log.put(content[: end - 1] + b"x" + content[end:])
    assert "does not end as a record" in log.refused().reason


def forged(log: Log, first: int, datas: list[bytes]) -> bytes:
    """The log up to record `first` - 1, then well-chained records of `datas`."""
    lines = log.content[: log.start(first)]
    previous = lines[: log.start(first) - 1].rsplit(b"\n", 1)[-1]
    at = previous.index(b'"entry_hash":"') + 14
    head = Head(first - 1, previous[at : at + 64].decode())
    for data in datas:
        entry_hash = HASHER.entry_hash(head.entry_hash, data)
        lines += encode_line(head.sequence + 1, head.entry_hash, entry_hash, data)
        head = Head(head.sequence + 1, entry_hash)
    return lines


@pytest.mark.parametrize(
    ("datas", "reason"),
    [
        ([wide(4, 2000), record("order", 4), b'{"kind":"order"}'], "does not say its batch"),
        ([wide(4, 2000), record("order", 4), record("order", 6)], "is of a later batch"),
        ([wide(4, 2000), record("order", 3)], "names a batch that is none"),
        ([wide(4, 2000), record("order", 2), record("order", 4)], "two batches stand behind"),
    ],
)
def test_batches_that_do_not_fit(datas: list[bytes], reason: str, log: Log) -> None:
    content = forged(log, 4, datas)
    hole = sector_in(log.start(4), len(content))
    log.put(zeroed(content, (hole, hole + SECTOR)))
    assert reason in log.refused().reason
