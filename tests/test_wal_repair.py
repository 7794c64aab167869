"""Repair: every torn write is cut exactly, and nothing that is not torn is cut."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Cut,
    Head,
    WalDamage,
    WalError,
    WalKeyMismatch,
    apply_repair,
    encode_line,
    find_head,
    plan_repair,
)
from wal_support import (
    DIALECT,
    KEY,
    SEGMENT,
    VECTOR_KEY,
    line_starts,
    opened,
    record,
    small_batches,
    unpack_vector,
    write_log,
)

HASHER = ChainHasher(KEY)
SECTOR = 512
REMEDY = "keep the files as they are and compare them with a replica, a backup or the anchor"


def wide(batch: int, size: int = 700) -> bytes:
    """A record whose line is longer than a sector."""
    return record("order", batch, text="x" * size)


# Records 1, 2-3, 4-9: the final batch has six records of about 950 bytes.
WIDE = [[opened(HASHER)], [wide(2), wide(2)], [wide(4) for _ in range(6)]]


class Log:
    """A log in a directory, its content and where its lines begin."""

    def __init__(self, directory: Path, batches: list[list[bytes]]) -> None:
        directory.mkdir(exist_ok=True)
        write_log(directory, HASHER, batches)
        self.directory = directory
        self.path = directory / SEGMENT
        self.content = self.path.read_bytes()
        self.starts = line_starts(self.content)

    def start(self, sequence: int) -> int:
        return self.starts[sequence - 1]

    def put(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def plan(self, protected_sequence: int = 0) -> Cut | None:
        return plan_repair(self.directory, HASHER, DIALECT, protected_sequence)

    def refused(self, protected_sequence: int = 0) -> WalDamage:
        before = self.path.read_bytes()
        with pytest.raises(WalDamage) as caught:
            self.plan(protected_sequence)
        assert self.path.read_bytes() == before
        assert caught.value.reason.endswith(REMEDY)
        return caught.value

    def repaired_to(self, sequence: int) -> Cut:
        """Plan and apply; check that the log ends after `sequence` and nothing is gone."""
        before = self.path.read_bytes()
        cut = self.plan()
        assert cut is not None
        offset = self.starts[sequence]
        assert (cut.segment, cut.offset, cut.first_sequence_lost, cut.bytes_cut) == (
            SEGMENT,
            offset,
            sequence + 1,
            len(before) - offset,
        )
        copy = apply_repair(self.directory, cut)
        assert copy == self.directory / f"{SEGMENT}.cut-{sequence + 1}-{offset}"
        assert copy.read_bytes() == before[offset:]
        assert self.path.read_bytes() == before[:offset] == self.content[:offset]
        assert find_head(self.directory, HASHER, DIALECT).sequence == sequence
        assert self.plan() is None
        copy.unlink()
        return cut


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", WIDE)


def zeroed(content: bytes, *holes: tuple[int, int]) -> bytes:
    changed = bytearray(content)
    for start, end in holes:
        changed[start:end] = bytes(end - start)
    return bytes(changed)


def sector_in(start: int, end: int) -> int:
    """The first sector boundary whose sector lies whole between `start` and `end`."""
    at = -(-start // SECTOR) * SECTOR
    assert at + SECTOR <= end
    return at


def test_an_intact_log_needs_none(log: Log, tmp_path: Path) -> None:
    assert log.plan() is None
    assert log.plan(protected_sequence=9) is None
    (tmp_path / "empty").mkdir()
    assert plan_repair(tmp_path / "empty", HASHER, DIALECT) is None


def test_a_cut_at_every_byte(tmp_path: Path) -> None:
    log = Log(tmp_path, small_batches(HASHER))
    for size in range(len(log.content) + 1):
        log.put(log.content[:size])
        if size in log.starts:
            assert log.plan() is None
            continue
        whole = sum(start <= size for start in log.starts) - 1
        assert log.repaired_to(whole).reason == "the last line is unfinished"


def test_a_whole_record_without_its_newline_is_torn(log: Log) -> None:
    log.put(log.content[:-1])
    assert log.plan() == Cut(
        SEGMENT,
        log.start(9),
        9,
        len(log.content) - log.start(9) - 1,
        "the last line is unfinished",
        f"{SEGMENT}.cut-9-{log.start(9)}",
    )
    log.repaired_to(8)


def test_a_first_batch_that_is_torn_leaves_an_empty_log(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)]])
    log.put(log.content[:-5])
    log.repaired_to(0)
    log.put(bytes(len(log.content)))
    assert log.repaired_to(0).reason == "zero-filled sectors and a missing end"
    assert find_head(tmp_path, HASHER, DIALECT) == EMPTY_HEAD


@pytest.mark.parametrize("length", [1, 100, 511, 512, 5000, 3 * 1024 * 1024])
def test_a_tail_of_nuls_behind_a_whole_batch(length: int, log: Log) -> None:
    # The next batch, of which the length has reached the disk and nothing else.
    log.put(log.content + bytes(length))
    assert log.repaired_to(9).reason == "zero-filled sectors and a missing end"


def test_a_tail_of_nuls_from_a_sector_on(log: Log) -> None:
    for sector in range(sector_in(log.start(4), len(log.content)), len(log.content), SECTOR):
        log.put(log.content[:sector] + bytes(len(log.content) - sector))
        log.repaired_to(sum(start <= sector for start in log.starts) - 1)


def test_nuls_that_begin_inside_a_sector_and_a_record(log: Log) -> None:
    at = sector_in(log.start(9), len(log.content)) + 3
    log.put(log.content[:at] + bytes(len(log.content) - at))
    assert f"NUL bytes that do not begin at a sector (byte {at})" in log.refused().reason


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
    torn = bytearray(log.content[:size])
    for sector in range(batch_start // SECTOR, -(-size // SECTOR)):
        if data.draw(st.booleans(), label=f"sector {sector} is lost"):
            start = max(sector * SECTOR, batch_start)
            end = min((sector + 1) * SECTOR, size)
            torn[start:end] = bytes(end - start)
    log.put(bytes(torn))
    same = next((at for at in range(size) if torn[at] != log.content[at]), size)
    if same == size and size in log.starts:
        assert log.plan() is None
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
    for byte in b"\x0b\x00J*":
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
        f"a whole line has wrong bytes (byte {log.start(4)}); {REMEDY}"
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


def test_protected_records_are_never_cut(log: Log) -> None:
    log.put(log.content[:-10])
    assert log.refused(protected_sequence=9).reason == (
        "the last line has no newline; not a torn end that may be cut: "
        f"an anchor or a checkpoint protects 9; {REMEDY}"
    )
    log.refused(protected_sequence=2**63)
    assert log.plan(protected_sequence=8) is not None
    log.repaired_to(8)


def closing(batch: int) -> bytes:
    return record("session_closed", batch)


@pytest.mark.parametrize("tail", [b'{"sequence":5,', b"\x00" * 900, b"garbage"])
def test_nothing_is_cut_after_a_clean_close(tail: bytes, tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2)], [closing(4)]])
    log.put(log.content + tail)
    assert "the session before it was closed in good order" in log.refused().reason


def test_a_batch_that_closes_the_session_is_not_cut_before_its_end(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2), closing(2)]])
    hole = sector_in(log.start(2), len(log.content))
    log.put(zeroed(log.content, (hole, hole + SECTOR)))
    assert "the session was closed in good order" in log.refused().reason


def test_a_close_that_is_itself_unfinished_is_cut(tmp_path: Path) -> None:
    log = Log(tmp_path, [[opened(HASHER)], [wide(2), wide(2)], [closing(4)]])
    for size in (len(log.content) - 1, log.start(4) + 1):
        log.put(log.content[:size])
        log.repaired_to(3)


def test_damage_in_a_segment_that_is_not_the_last(log: Log) -> None:
    (log.directory / "00000002.jsonl").touch()
    log.put(log.content[:-10])
    assert "it is not in the last segment" in log.refused().reason


def test_a_torn_batch_in_the_last_of_two_segments(log: Log) -> None:
    second = log.directory / "00000002.jsonl"
    second.write_bytes(log.content[log.start(4) : -10])
    log.put(log.content[: log.start(4)])
    cut = log.plan()
    assert cut is not None
    offset = log.start(9) - log.start(4)
    assert (cut.segment, cut.offset, cut.first_sequence_lost) == ("00000002.jsonl", offset, 9)
    assert apply_repair(log.directory, cut).name == f"00000002.jsonl.cut-9-{offset}"
    assert log.path.read_bytes() == log.content[: log.start(4)]
    assert second.read_bytes() == log.content[log.start(4) : log.start(9)]


def test_a_missing_segment_is_no_torn_end(log: Log) -> None:
    (log.directory / "00000003.jsonl").touch()
    with pytest.raises(WalDamage, match=r"00000002\.jsonl.*is missing"):
        log.plan()


def test_a_wrong_key_is_no_torn_end(log: Log) -> None:
    log.put(log.content[:-10])
    for hasher in (ChainHasher(None), ChainHasher(b"w" * 32)):
        with pytest.raises(WalKeyMismatch):
            plan_repair(log.directory, hasher, DIALECT)


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


def test_a_tail_longer_than_any_batch(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.repair.BATCH_BYTES_MAX", 800)
    log.put(log.content + bytes(800))
    log.repaired_to(9)
    log.put(log.content + bytes(801))
    assert "more than 800 bytes, a batch's most, follow it" in log.refused().reason


def test_a_foreign_log_with_a_torn_line(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    directory.mkdir()
    unpack_vector("bad_torn_tail.jsonl", directory).rename(directory / SEGMENT)
    content = (directory / SEGMENT).read_bytes()
    cut = plan_repair(directory, ChainHasher(VECTOR_KEY), DIALECT)
    assert cut is not None
    assert (cut.offset, cut.first_sequence_lost) == (163187, 120)
    assert cut.bytes_cut == len(content) - 163187


def test_an_older_copy_is_never_overwritten(log: Log) -> None:
    name = f"{SEGMENT}.cut-9-{log.start(9)}"
    for number, size in ((1, 10), (2, 20), (3, 30)):
        log.put(log.content[:-size])
        cut = log.plan()
        assert cut is not None
        expected = name if number == 1 else f"{name}-{number}"
        assert cut.copy_name == expected
        apply_repair(log.directory, cut)
    for number, size in ((1, 10), (2, 20), (3, 30)):
        copy = log.directory / (name if number == 1 else f"{name}-{number}")
        assert copy.read_bytes() == log.content[log.start(9) : -size]


def test_too_many_copies(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wal.repair.COPIES_MAX", 1)
    log.put(log.content[:-10])
    (log.directory / f"{SEGMENT}.cut-9-{log.start(9)}").touch()
    with pytest.raises(WalError, match="already holds 1 copies"):
        log.plan()


@pytest.mark.parametrize("call", ["ftruncate", "fsync", "pread"])
def test_an_interrupted_repair_ends_the_same(
    call: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(f"wal.repair.os.{call}", fail)
        with pytest.raises(WalError, match="cannot repair"):
            apply_repair(log.directory, cut)
    assert log.path.read_bytes() == log.content[:-10]
    assert log.plan() == cut
    log.repaired_to(8)


def test_half_a_copy_from_a_crash_is_kept_and_not_used(log: Log) -> None:
    log.put(log.content[:-10])
    name = f"{SEGMENT}.cut-9-{log.start(9)}"
    (log.directory / name).write_bytes(b"half")
    cut = log.plan()
    assert cut is not None
    assert cut.copy_name == f"{name}-2"
    apply_repair(log.directory, cut)
    assert (log.directory / name).read_bytes() == b"half"


def test_a_plan_that_is_out_of_date(log: Log) -> None:
    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None
    log.put(log.content[:-11])
    with pytest.raises(WalError, match="has changed since the repair was planned"):
        apply_repair(log.directory, cut)
    log.put(log.content[:-10])
    (log.directory / cut.copy_name).write_bytes(b"other")
    with pytest.raises(WalError, match="holds other bytes"):
        apply_repair(log.directory, cut)
    assert log.path.read_bytes() == log.content[:-10]


def test_the_copy_is_durable_before_the_cut(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_truncate = os.fsync, os.ftruncate

    def fsync(descriptor: int) -> None:
        calls.append("fsync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def ftruncate(descriptor: int, size: int) -> None:
        calls.append("cut")
        real_truncate(descriptor, size)

    log.put(log.content[:-10])
    cut = log.plan()
    assert cut is not None
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "ftruncate", ftruncate)
    apply_repair(log.directory, cut)
    assert calls == [
        f"fsync {cut.copy_name}",
        "fsync log",
        "cut",
        f"fsync {SEGMENT}",
        "fsync log",
    ]
