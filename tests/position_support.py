"""What the tests of positions share: what there is of one, and that a log gives the very state."""

import io
from typing import Any

from guard.engine.amendments import Correction, FillName, assess
from guard.engine.positions import POSITION_ROW
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard_support import LoggedEngine, actor, describe, fold


def position(engine: LoggedEngine, desk: str = "desk-alpha", symbol: str = "AAPL") -> Any:
    """Position, confirmed, working buys and sells, bought, sold, cost, realised."""
    kept = engine.state.positions
    number = engine.state.desks[desk].share
    row = kept.find(number, kept.symbols[symbol])
    names = [name for name in POSITION_ROW[1:] if not name.startswith(("exiting", "surplus"))]
    if row < 0:
        return (0,) * len(names)
    return tuple(kept.value(row, POSITION_ROW.index(name)) for name in names)


def settled(engine: LoggedEngine) -> None:
    """The fold of the records, and what a checkpoint gives, are the same state."""
    wanted = describe(engine.state)
    assert describe(fold(engine.records).state) == wanted
    data = b"".join(encode_state(engine.state))
    assert describe(decode_state(io.BytesIO(data).read)) == wanted


def say(
    engine: LoggedEngine,
    kind: type[Any],
    fill_id: str = "F-1",
    client_order_id: str = "A-1",
    **changes: Any,
) -> None:
    """Says it of a fill of that order, and logs that."""
    at_ns = max(engine.now_ns, engine.state.last_received_at_ns)
    name = FillName("desk-alpha", client_order_id, fill_id)
    fields = assess(engine.state, kind, name, at_ns, Correction(**changes))
    assert fields is not None
    engine.log(actor(at_ns).event(kind, **fields))
