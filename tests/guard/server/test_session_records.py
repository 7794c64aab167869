"""What a start records behind its own first records: early fills that a crash has cut off."""

from pathlib import Path

import pytest

from guard.protocol.outcome import Outcome
from guard.recovery.recover import recover_log
from guard.replay.replay import replay_log
from guard.server.request_path import record_due
from guard_support import KEY, T0, LoggedEngine, balances, fields_of, fill, order, write_log
from kernel import InvariantError
from wal import ChainHasher, LogWriter

HASHER = ChainHasher(KEY)


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_start_records_what_is_due(cut: int, tmp_path: Path) -> None:
    """A torn write left the order's record, and not all of those that followed in its batch."""
    whole = LoggedEngine()
    whole.submit(fill(fee=7))
    whole.submit(fill("F-2", quantity=10, fee=8))
    whole.admit(order())
    write_log(tmp_path, whole.records[: len(whole.records) - cut])
    recovered = recover_log(tmp_path, HASHER)
    engine = recovered.engine
    if cut:
        with pytest.raises(InvariantError, match="is due, as it was reported, and nothing else"):
            engine.decide(fields_of(order("A-2"), T0), Outcome())
    with LogWriter.open(
        tmp_path, HASHER, recovered.head, monotonic_ns=lambda: 0, lock=recovered.lock
    ) as writer:
        assert record_due(engine, writer, T0 + 1, engine.next_sequence) == cut
        writer.sync_now()
    assert balances(engine.state) == balances(whole.state)
    assert not engine.state.has_facts
    assert replay_log(tmp_path, HASHER).record_count == len(whole.records)
