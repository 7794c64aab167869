"""Recovery: the state is the fold of the log, and a log that is not ours is refused."""

from io import BytesIO
from pathlib import Path

import pytest
from msgspec import structs

from guard.engine.engine import Engine
from guard.protocol.messages import Reject, StatusReply
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.recovery.recover import NotOurLogError, fold_log, recover_log
from guard_day_support import trading_day
from guard_support import (
    KEY,
    LOG_ID,
    LoggedEngine,
    decide,
    describe,
    order,
    status,
    write_log,
)
from reference.origin import Origin
from wal import EMPTY_HEAD, ChainHasher, WalDamage, WalKeyMismatch, WalLocked

DAY = trading_day()
HASHER = ChainHasher(KEY)
SEGMENT = "00000001.jsonl"


def test_a_fresh_directory_is_created_and_held(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    recovered = recover_log(directory, HASHER, new_log=True)
    assert (recovered.head, recovered.cuts) == (EMPTY_HEAD, [])
    assert recovered.engine.next_sequence == 1
    with pytest.raises(WalLocked):
        recover_log(directory, HASHER, new_log=True)
    recovered.lock.release()
    recover_log(directory, HASHER, new_log=True).lock.release()


def test_the_state_is_the_fold_of_the_log(tmp_path: Path) -> None:
    head = write_log(tmp_path, DAY.records)
    recovered = recover_log(tmp_path, HASHER)
    assert (recovered.head, recovered.cuts) == (head, [])
    assert describe(recovered.engine.state) == describe(DAY.state)
    assert recovered.engine.state.log_id == LOG_ID
    recovered.lock.release()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 20, 28, 36])
def test_the_fold_of_every_beginning(count: int, tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records[:count])
    engine, head = fold_log(tmp_path, HASHER)
    assert head.sequence == count
    assert engine.next_sequence == count + 1
    assert engine.state.is_closed_cleanly == (count == 28)


def test_recovery_only_applies_what_the_log_says(tmp_path: Path) -> None:
    """An answer that the rules would not give is recovered as it was given."""
    day = LoggedEngine()
    day.reject(order(risk_bps=10_000))
    records = list(day.records)
    records[-1] = records[-1].replace(b'"risk_hard_limit"', b'"rule_of_old_times"')
    write_log(tmp_path, records)
    engine, _ = fold_log(tmp_path, HASHER)
    again = decide(engine, order(risk_bps=10_000), Origin(day.now_ns, "local", 9))
    assert isinstance(again, Reject)
    assert (again.reason, again.repeat) == ("rule_of_old_times", True)
    told = decide(engine, status(), Origin(day.now_ns, "local", 9))
    assert isinstance(told, StatusReply)
    assert told.answer == structs.replace(again, repeat=False)
    reloaded = decode_state(BytesIO(b"".join(encode_state(engine.state))).read)
    assert decide(Engine(reloaded), order(risk_bps=10_000), Origin(day.now_ns, "local", 9)) == again


FOREIGN = [
    ([b'{"kind":"foreign"}'], "record 1: no record of this guard"),
    ([DAY.records[1]], "record 1: a log begins with log_opened, once"),
    ([DAY.records[7]], "record 1: a log begins with log_opened, once"),
    ([DAY.records[0], DAY.records[0]], "record 2: a log begins with log_opened, once"),
    ([*DAY.records, b"[]"], "record 43: no record of this guard"),
]


@pytest.mark.parametrize(("records", "words"), FOREIGN)
def test_a_foreign_log_is_refused_and_let_go(
    records: list[bytes], words: str, tmp_path: Path
) -> None:
    write_log(tmp_path, records)
    before = (tmp_path / SEGMENT).read_bytes()
    for _ in range(2):  # the lock is free again
        with pytest.raises(NotOurLogError, match=f"^{SEGMENT}, byte [0-9]+, {words}"):
            recover_log(tmp_path, HASHER)
    assert (tmp_path / SEGMENT).read_bytes() == before


def test_records_that_do_not_follow_are_named_and_no_start(tmp_path: Path) -> None:
    records = list(DAY.records)
    records[8] = records[8].replace(b'"reservation_id":2', b'"reservation_id":3')
    write_log(tmp_path, records)
    words = f"^{SEGMENT}, byte [0-9]+, record 9: record 9 holds reservation 3, the ledger gave 2$"
    for _ in range(2):  # the lock is free again
        with pytest.raises(NotOurLogError, match=words):
            recover_log(tmp_path, HASHER)


def test_another_key_is_no_damage_to_repair(tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records)
    with pytest.raises(WalKeyMismatch):
        recover_log(tmp_path, ChainHasher(bytes(32)))


def test_a_wrong_byte_is_refused_and_nothing_is_cut(tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records)
    path = tmp_path / SEGMENT
    changed = path.read_bytes().replace(b'"venue":10', b'"venue":11', 1)
    path.write_bytes(changed)
    with pytest.raises(WalDamage) as caught:
        recover_log(tmp_path, HASHER)
    assert (caught.value.segment, caught.value.sequence) == (SEGMENT, 8)
    assert path.read_bytes() == changed


def test_a_torn_end_is_cut_and_folded_again(tmp_path: Path) -> None:
    day = LoggedEngine()
    day.admit(order())  # its record names itself as its batch's first
    write_log(tmp_path, day.records)
    path = tmp_path / SEGMENT
    content = path.read_bytes()
    kept = content.rindex(b'{"sequence":8,')
    path.write_bytes(content[:-100])
    recovered = recover_log(tmp_path, HASHER)
    [cut] = recovered.cuts
    assert cut is not None
    assert (cut.segment, cut.first_sequence_lost, cut.bytes_cut) == (
        SEGMENT,
        8,
        len(content) - 100 - kept,
    )
    assert (tmp_path / cut.copy_name).read_bytes().endswith(content[kept:-100])
    assert recovered.head.sequence == 7
    assert describe(recovered.engine.state) == describe(LoggedEngine().state)
    recovered.lock.release()
