"""Which latches a person may lift yet. Pure; reads the state.

Owns the rule for each kind: what has set it must be over, where the state can tell. Who lifts one
is asked by this before the record (`guard.admin.latch_actions`), and whoever reads that record
again asks the same (`guard.record.rules`).

How it fails: it does not.
"""

from collections.abc import Callable
from typing import Final

from guard.engine.day_loss import LOSS
from guard.engine.latches import is_place
from guard.engine.state import SURPLUS, GuardState
from guard.protocol.instruments import money_text


def why_it_stays(state: GuardState, desk: str, symbol: str, kind: str) -> str:
    """Why a latch of that kind, of that place, cannot be lifted now; empty where it can."""
    rule = _RULES.get(kind)
    return "" if rule is None else rule(state, desk, symbol)


def _surplus_left(state: GuardState, desk: str, _symbol: str) -> str:
    known = state.desks.get(desk)
    lots = 0 if known is None else state.positions.surplus_of(known.share)
    if not lots:
        return ""
    return f"{lots} lots of its working reducing orders are beyond its position still: cancel them"


def _lost_still(state: GuardState, desk: str, symbol: str) -> str:
    if not is_place(desk, symbol, state.desks, state.instruments):
        return ""
    limit, lost = state.loss_limit(desk, symbol), state.loss_beyond(desk, symbol)
    if limit is None or not lost:
        return ""
    return (
        f"it has lost {money_text(lost, ',')} since the day's turn, and may lose "
        f"{money_text(limit.max_microcents, ',')}: it is over once that is made good, when the day "
        "has turned, or under a higher limit"
    )


_RULES: Final[dict[str, Callable[[GuardState, str, str], str]]] = {
    SURPLUS: _surplus_left,
    LOSS: _lost_still,
}
