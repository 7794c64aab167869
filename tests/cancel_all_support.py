"""What tests of `cancel_all` share: what the door answers, and records."""

from typing import Any

from guard.engine.request_events import CanceledAllRecorded
from guard.protocol.messages import CancelAll, CanceledAll
from guard.protocol.request_reader import RequestReader
from guard.server.canceling import LOOKED_MAX, ORDERS_MAX, canceled_all
from guard_support import LoggedEngine, describe


def ask(
    engine: LoggedEngine,
    through: int | None = None,
    orders_max: int = ORDERS_MAX,
    looked_max: int = LOOKED_MAX,
    **scope: Any,
) -> Any:
    """What the door answers, and records: the event, or the error."""
    last = engine.state.next_sequence - 1
    message = CancelAll(last if through is None else through, **scope)
    request = engine.request
    RequestReader("local").take(request, message)
    request.received_at_ns = max(engine.now_ns, engine.state.last_received_at_ns)
    request.batch_first_sequence = engine.state.next_sequence
    before = describe(engine.state)
    found = canceled_all(engine.state, request, orders_max, looked_max)
    assert describe(engine.state) == before, "deciding has changed the state"
    return found


def cancel_all(engine: LoggedEngine, through: int | None = None, **scope: Any) -> CanceledAll:
    found = ask(engine, through, **scope)
    assert isinstance(found, CanceledAllRecorded)
    engine.log(found)
    return found.answer
