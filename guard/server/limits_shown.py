"""The answer to `limits`: what counts for a desk in a symbol, and what of it is used.

Owns what a client may see of it: of a rate that other desks share it is not told what is used. The
desk's budget and the cap of its open holds stand behind the limits, whether there are any or not.
"""

from guard.engine.limit_lines import limit_lines
from guard.engine.state import GuardState
from guard.protocol.limits import file_name
from guard.protocol.messages import LimitLine, LimitsReply
from kernel import InvariantError


def show_limits(state: GuardState, desk: str, symbol: str) -> LimitsReply:
    """Of a desk and a symbol that there are."""
    lines = [
        LimitLine(
            file_name(line["limit"]),
            line["scope"],
            line["value"],
            line["used"] if line.get("is_own") else None,
        )
        for line in limit_lines(state, desk, symbol)
    ]
    return LimitsReply(desk, symbol, [*lines, *_of_ledger(state, desk)])


def _of_ledger(state: GuardState, desk: str) -> list[LimitLine]:
    """What is held and spent of the budget, and held of the cap, in microcents."""
    line = state.ledger.line(desk)
    if line is None:
        raise InvariantError(f"desk {desk} has no line in the ledger")
    return [
        LimitLine("budget", "desk", line.initial, line.reserved + line.committed),
        LimitLine("exposure_cap", "desk", line.cap or None, line.reserved),
    ]
