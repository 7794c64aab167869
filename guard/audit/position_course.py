"""Each desk's position in each symbol through the day, its profit, and how both ended. Pure.

Owns one row for each time bucket, desk and symbol in which a position or its profit has changed:
how they ended there. A price that is recorded within a bucket counts from the next one on. Profit
is realised and, where the log holds a price of the symbol, what the position would make at that
one, rounded down.

Bounded: the first `COURSES_MAX` of the pairs have a course, and all share one width, which grows
with the span.
"""

from typing import Any, Final

from guard.audit.timegrid import TimeGrid
from guard.audit.units import in_units
from guard.engine.positions import BUY, POSITION_ROW, SELL
from guard.engine.state import GuardState
from guard.engine.unrealised import unrealised_microcents

# Each may have some 1,440 rows.
COURSES_MAX: Final = 60
# How many positions the end lists; the first that there were.
LISTED_MAX: Final = 10_000
COLUMNS: Final = ("position_lots", "profit_microcents")
_BOUGHT, _SOLD, _COST, _REALISED = map(
    POSITION_ROW.index, ("bought_lots", "sold_lots", "cost_microcents", "realised_microcents")
)


class PositionCourse:
    """Told of each record; `fields` once, behind the last."""

    def __init__(self) -> None:
        self._grid = TimeGrid(self._merge)
        self._from_ns = self._until_ns = self._moves = 0
        self._rows: dict[int, dict[int, tuple[int, int]]] = {}
        self._symbols: list[str] = []  # by their numbers

    def observe(self, at_ns: int, state: GuardState) -> None:
        """A record of that time was applied."""
        if state.positions.moves != self._moves or not self._from_ns <= at_ns < self._until_ns:
            self._take(at_ns, state)

    def _take(self, at_ns: int, state: GuardState) -> None:
        """Looks at all of them: one has moved, or a price that was recorded may have moved some."""
        self._moves = state.positions.moves
        index = self._grid.index_of(at_ns)
        self._from_ns = index * self._grid.width_ns
        self._until_ns = self._from_ns + self._grid.width_ns
        for row in range(min(state.positions.count, COURSES_MAX)):
            course = self._rows.setdefault(row, {})
            stands = state.positions.position(row), self._profit(row, state)
            if not course or next(reversed(course.values())) != stands:
                course[index] = stands

    def _merge(self, factor: int) -> None:
        self._until_ns = 0
        for row, course in self._rows.items():
            # Of those that fall together the last one stays.
            self._rows[row] = {index // factor: course[index] for index in sorted(course)}

    def _profit(self, row: int, state: GuardState) -> int:
        realised = state.positions.value(row, _REALISED)
        unrealised = self._unrealised(row, state)
        return realised if unrealised is None else realised + unrealised

    def _unrealised(self, row: int, state: GuardState) -> int | None:
        symbol = self._name(state.positions.key_of(row)[1], state)
        return unrealised_microcents(state, state.instruments[symbol], row)

    def _name(self, symbol: int, state: GuardState) -> str:
        """Numbers were given in the order in which the names stand."""
        if len(self._symbols) != len(state.positions.symbols):
            self._symbols = list(state.positions.symbols)
        return self._symbols[symbol]

    def fields(self, last_ns: int, state: GuardState) -> dict[str, Any]:
        """The positions at the end, and the courses that led there."""
        positions = state.positions
        if positions.count:
            self._until_ns = 0
            self._take(last_ns, state)
        desks = {desk.share: name for name, desk in state.desks.items()}
        listed = []
        for row in range(min(positions.count, LISTED_MAX)):
            desk, symbol = positions.key_of(row)
            listed.append(self._listed(row, desks[desk], self._name(symbol, state), state))
        listed.sort(key=lambda line: (line["desk"], line["symbol"]))
        return {
            "counted_after_sequence": positions.since_sequence if positions.is_kept else None,
            "bucket_width_ns": self._grid.width_ns,
            "columns": ["start_ns", *COLUMNS],
            "listed": listed,
            "left_out": max(positions.count - LISTED_MAX, 0),
        }

    def _listed(self, row: int, desk: str, symbol: str, state: GuardState) -> dict[str, Any]:
        positions, instrument = state.positions, state.instruments[symbol]
        lots, width_ns = positions.position(row), self._grid.width_ns
        course = self._rows.get(row, {})
        price = state.prices.price(positions.key_of(row)[1])
        return {
            "desk": desk,
            "symbol": symbol,
            "position": in_units(lots, instrument.lot_size),
            "position_lots": lots,
            "lot_size": instrument.lot_size,
            "bought_lots": positions.value(row, _BOUGHT),
            "sold_lots": positions.value(row, _SOLD),
            "working_buy_lots": positions.working(row, BUY),
            "working_sell_lots": positions.working(row, SELL),
            "cost_microcents": positions.value(row, _COST),
            "price": in_units(price, instrument.tick_size) if price else None,
            "realised_microcents": positions.value(row, _REALISED),
            "unrealised_microcents": self._unrealised(row, state),
            "rows": [[index * width_ns, *course[index]] for index in sorted(course)],
        }
