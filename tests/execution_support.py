"""What the tests of drop copies share: guards with and without one, and a trade as it says it."""

from typing import Any

from guard.protocol.messages import Executed, Execution
from guard_limits_support import T0, WAIVED, limited
from guard_support import LoggedEngine, order

COPIED = WAIVED + "reconcile_s = 30\n"
LOTS = 100
PRICE = 19_000


def execution(execution_id: str = "F-1", quantity: int = 40, **changes: Any) -> Execution:
    """A trade of the order A-1, at its price."""
    fields: dict[str, Any] = {
        "desk": "desk-alpha",
        "client_order_id": "A-1",
        "execution_id": execution_id,
        "venue": 10,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": quantity,
        "price": PRICE,
    }
    return Execution(**fields | changes)


def plain() -> LoggedEngine:
    """A guard whose limits say nothing of drop copies; A-1 works."""
    engine = LoggedEngine()
    engine.admit(order())
    return engine


def copied(**changes: Any) -> LoggedEngine:
    """One whose limits do."""
    engine = limited(COPIED)
    engine.admit(order(**changes), T0)
    return engine


def told(engine: LoggedEngine, request: Any) -> Executed:
    answer = engine.submit(request)
    assert isinstance(answer, Executed), answer
    return answer
