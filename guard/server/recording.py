"""The one way into log and state of what no client sent.

How it fails: what writer and ledger raise comes through, and must end the pipeline.
"""

from guard.engine import decide as deciding
from guard.engine.actor import Actor
from guard.engine.early import put_due
from guard.engine.engine import Engine
from guard.engine.events import Outcome as Event
from guard.engine.loss_due import due_breach
from guard.engine.people import due_event
from guard.protocol.outcome import Outcome
from guard.protocol.ranges import LOCAL_CLIENT
from guard.protocol.request import Request
from guard.record.codec import encode_event
from guard.record.people_rules import DECIDE_NOTHING
from guard.record.writer import RecordWriter
from wal import LogWriter
from wal.failpoint import reach

DUE_WHY = "its time has come"


def record_event(engine: Engine, writer: LogWriter, event: Event) -> int:
    """Stages the record of an event that no request asked for, then applies it, and so with each
    loss beyond its limit that it has caused; how many of these.

    What decides nothing causes none: a start's first records stand before what a crash has cut off.
    """
    _record(engine, writer, event)
    if type(event) in DECIDE_NOTHING or not engine.state.losses_due:
        return 0
    return record_losses(engine, writer)


def record_losses(engine: Engine, writer: LogWriter) -> int:
    """Records the losses beyond their limits that no record has said yet; how many."""
    state, count = engine.state, 0
    while state.losses_due:
        batch = engine.next_sequence - writer.staged_count
        event = due_breach(state, LOCAL_CLIENT, batch)
        assert event is not None  # as some are due
        _record(engine, writer, event)
        count += 1
    return count


def _record(engine: Engine, writer: LogWriter, event: Event) -> None:
    sequence = engine.next_sequence
    writer.append(sequence, encode_event(event), is_encoded=True)
    reach("append.after")
    engine.apply_event(sequence, event)
    reach("apply.after")


def record_what_is_due(engine: Engine, writer: LogWriter, at_ns: int) -> int:
    """Records what time has caused by then (`guard.engine.people`), before whatever is decided
    behind it; how many records.
    """
    state, count = engine.state, 0
    at_ns = max(at_ns, state.last_received_at_ns)
    while at_ns >= state.due_at_ns:
        batch = engine.next_sequence - writer.staged_count
        event = due_event(state, Actor(at_ns, batch, LOCAL_CLIENT, DUE_WHY))
        count += 1 + record_event(engine, writer, event)
    return count


def record_due(engine: Engine, writer: LogWriter, at_ns: int, batch_first_sequence: int) -> int:
    """Records the early fills of an order behind whose record a crash has cut them; how many."""
    request, outcome, record = Request(), Outcome(), RecordWriter()
    request.set_text("client", LOCAL_CLIENT.encode())
    state, count = engine.state, 0
    while put_due(state, request):
        request.received_at_ns, request.batch_first_sequence = at_ns, batch_first_sequence
        deciding.decide(state, request, outcome)
        data = record.data(request, outcome, state.policy_digest_hex)
        writer.append(outcome.sequence, data, is_encoded=True)
        engine.apply(request, outcome)
        count += 1
        record_losses(engine, writer)
    return count
