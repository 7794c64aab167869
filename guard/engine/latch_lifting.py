"""Which latches a person may lift yet. Pure; reads the state.

Owns the rule for each kind: what has set it must be over, where the state can tell. Who lifts one
is asked by this before the record (`guard.admin.latch_actions`), and whoever reads that record
again asks the same (`guard.record.rules`).

How it fails: it does not.
"""

from collections.abc import Callable
from typing import Final

from guard.engine.state import SURPLUS, GuardState


def why_it_stays(state: GuardState, desk: str, kind: str) -> str:
    """Why a latch of that kind, of that desk, cannot be lifted now; empty where it can."""
    rule = _RULES.get(kind)
    return "" if rule is None else rule(state, desk)


def _surplus_left(state: GuardState, desk: str) -> str:
    known = state.desks.get(desk)
    lots = 0 if known is None else state.positions.surplus_of(known.share)
    if not lots:
        return ""
    return f"{lots} lots of its working reducing orders are beyond its position still: cancel them"


_RULES: Final[dict[str, Callable[[GuardState, str], str]]] = {SURPLUS: _surplus_left}
