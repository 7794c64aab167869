"""The answer to `limits`: what counts for a desk in a symbol, and what of its rates is used.

Owns what a client may see of it: of a rate that other desks share it is not told what is used.
"""

from guard.engine.limit_lines import limit_lines
from guard.engine.state import GuardState
from guard.protocol.limits import file_name
from guard.protocol.messages import LimitLine, LimitsReply

_OWN = ("desk", "desk_symbol")


def show_limits(state: GuardState, desk: str, symbol: str) -> LimitsReply:
    """Of a desk and a symbol that there are."""
    return LimitsReply(
        desk,
        symbol,
        [
            LimitLine(
                file_name(line["limit"]),
                line["scope"],
                line["value"],
                line.get("used") if line["scope"] in _OWN else None,
            )
            for line in limit_lines(state, desk, symbol)
        ],
    )
