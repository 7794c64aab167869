"""Which loss beyond its limit is to be recorded next. Pure; reads the state.

Owns that for who writes it (`guard.server.recording`) and for who holds a log to it
(`guard.record.loss_rules`): the record stands directly behind the one that has caused it, or, where
a crash has cut it off there, before anything that is decided behind the start.

How it fails: it does not.
"""

from guard.engine.loss_events import LossBreached
from guard.engine.state import GuardState


def due_breach(state: GuardState, client: str, batch_first_sequence: int) -> LossBreached | None:
    """The first that no record has said yet, at the last record's time; None where there is none.

    Where several are due, they came to be so by one record, and their order says nothing.
    """
    for limit in state.losses_due.values():
        return LossBreached(
            received_at_ns=state.last_received_at_ns,
            client=client,
            batch_first_sequence=batch_first_sequence,
            desk=limit.desk,
            symbol=limit.symbol,
            loss_microcents=state.loss_beyond(limit.desk, limit.symbol),
            limit_microcents=limit.max_microcents,
        )
    return None
