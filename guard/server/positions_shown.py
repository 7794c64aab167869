"""The answer to `positions`: what a desk has and works, by symbol.

Owns the pages of it: symbols in ascending order, of which one page looks at so many
(`SCANNED_MAX`) and names so many (`LISTED_MAX`). Two pages may have seen two states.
"""

from bisect import bisect_left
from typing import Final

from guard.engine.positions import BUY, NO_POSITION, POSITION_ROW, SELL, Positions
from guard.engine.state import GuardState
from guard.protocol.messages import PositionsReply, SymbolPosition

LISTED_MAX: Final = 100
SCANNED_MAX: Final = 1_000  # however few of them the desk has ever had: nobody waits for the rest
_CONFIRMED, _COST, _REALISED = map(
    POSITION_ROW.index, ("confirmed_lots", "cost_microcents", "realised_microcents")
)


def show_positions(
    state: GuardState, symbols: list[str], desk: str, from_symbol: str
) -> PositionsReply:
    """Of a desk that there is. `symbols`: all, in ascending order; "": from the first one on."""
    kept, number = state.positions, state.desks[desk].share
    first = bisect_left(symbols, from_symbol)
    end = min(first + SCANNED_MAX, len(symbols))
    found: list[SymbolPosition] = []
    for at in range(first, end):
        row = kept.find(number, kept.symbols[symbols[at]])
        if row == NO_POSITION:
            continue
        if len(found) == LISTED_MAX:
            end = at
            break
        found.append(_shown(kept, row, symbols[at]))
    next_symbol = symbols[end] if end < len(symbols) else None
    return PositionsReply(desk, found, kept.since_sequence, next_symbol)


def _shown(kept: Positions, row: int, symbol: str) -> SymbolPosition:
    lots, cost = kept.position(row), kept.value(row, _COST)
    return SymbolPosition(
        symbol,
        lots,
        kept.value(row, _CONFIRMED),
        kept.working(row, BUY),
        kept.working(row, SELL),
        cost,
        _average(cost, lots),
        kept.value(row, _REALISED),
    )


def _average(cost_microcents: int, lots: int) -> int:
    """What a lot cost, rounded up; of a short position what one was sold for, rounded down."""
    if lots == 0:
        return 0
    return -(-cost_microcents // lots) if lots > 0 else cost_microcents // -lots
