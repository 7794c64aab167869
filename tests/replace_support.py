"""What the tests of replaces share: the requests, and that a log gives the very state."""

from typing import Any

from guard.protocol.messages import Replace, Replaced, ReplaceRejected
from guard_support import LoggedEngine, status

DESK = "desk-alpha"


def replace(name: str = "B-1", original: str = "A-1", **changes: Any) -> Replace:
    """The order `A-1` with another id, and what else is to be other than it was."""
    said: dict[str, Any] = {"quantity": 100, "price": 19_000}
    said |= {"order_type": "limit", "time_in_force": "day", "desk": DESK} | changes
    return Replace(client_order_id=name, original_client_order_id=original, **said)


def replaced(name: str = "B-1", desk: str = DESK) -> Replaced:
    return Replaced(desk, name)


def rejected(name: str = "B-1", desk: str = DESK) -> ReplaceRejected:
    return ReplaceRejected(desk, name)


def stands(engine: LoggedEngine, name: str = "A-1") -> tuple[str, int, int, int]:
    """State, filled and open lots, and what is held, as a status of that id says it."""
    told = engine.submit(status(name))
    return told.state, told.filled_quantity, told.open_quantity, told.hold_microcents
