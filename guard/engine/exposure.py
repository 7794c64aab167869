# cython: annotation_typing=False, nonecheck=True
"""What positions with all that works are worth: of each desk, each symbol, and the firm. Pure.

Owns the sums that limits of money look at (`guard.engine.exposure_checks`), each kept up as the
rows of `guard.engine.positions` change, so that no order walks over any. Of a row the worst long is
its position with all working buys, the worst short the position less all working sells. At the
symbol's recorded price (`guard.engine.prices`) the one is its *long* side, the other, with its sign
turned, its *short* side, each rounded up; its gross is the greater of the two. A desk's gross is
the sum over its symbols, its long and its short the sums of what is above zero, its net, at its
worst, the greater of the sums with their signs. In a symbol all desks' lots count together, and the
firm's sums are over symbols.

Profit is counted of each row since the day's turn, too: of the row, its desk, its symbol and the
firm. Whether any has lost more than it may, `guard.engine.day_loss` says. Where a row's is not
known exactly (an amount of it is, or was since the turn, beyond what can be counted), it is in no
sum: such rows are counted (`unknown`), and as long as there is one its scopes have lost all.

All of it follows from positions, prices and sizes: nothing of it is dumped, and what read a state
counts it anew (`Positions.count_exposure`). Where no limit bounds money, none of it is kept.

What does not fit an i64 of a row or of a symbol stays at its end, which is beyond every limit; the
sums are wider than any number of those. A row that has anything and no price is counted
(`unpriced`): what its scopes have cannot be said.
"""

from guard.engine.day_loss import FIRM_PLACE, Losses, place_of
from guard.engine.measures import (
    GROSS,
    LONG,
    NET,
    NO_ROW,
    SHORT,
    UNKNOWN,
    Measure,
    OwnLimits,
    SymbolBook,
    bounded,
    is_at_end,
)  # fmt: skip
from guard.protocol.limits import OWN_KEYS
from kernel import little_endian as le

# The own keys of limits that stand behind those of the four figures.
CONCENTRATION_BPS, CONCENTRATION_FROM, DAY_LOSS = 4, 5, 6
# Places in a proposal, the narrowest scope first.
OF_DESK, OF_SYMBOL, OF_FIRM = range(3)

_GROSS, _NET, _LONG, _SHORT, _FIGURES = GROSS, NET, LONG, SHORT, 4
_OF_DESK, _OF_SYMBOL, _OF_FIRM, _NO_ROW = OF_DESK, OF_SYMBOL, OF_FIRM, NO_ROW
_OWN_COUNT = len(OWN_KEYS)
_WORST_LONG, _WORST_SHORT, _LONG_SIDE, _SHORT_SIDE, _EQUITY, _NEXT, _DESK, _DAY_PROFIT = range(8)
_ROW_BYTES = 8 * 8
_ROWS_PER_SLAB = 1 << 10
_I64_MAX = 2**63 - 1
_I64_LOW = -_I64_MAX
_UNKNOWN = UNKNOWN
_BUY = 0
_FIRM_PLACE, _ALL_SYMBOLS = FIRM_PLACE, -1


class Proposal:
    """What the scopes of an order that have limits have without it and with it.

    `counts`: does any of them bound money? `value`: the order's own, at the price of positions.
    `before`, `after`: four figures for each place. `share_before`, `share`: of that gross what is
    in the order's symbol. `overflows`: what the order adds to cannot be counted any more.
    """

    def __init__(self) -> None:
        self.counts = self.overflows = False
        self.value = 0
        self.before = [0] * 12
        self.after = [0] * 12
        self.share_before = [0] * 3
        self.share = [0] * 3
        self.limits: list[OwnLimits | None] = [None, None, None]

    def put(self, place: int, number: int, before: int, after: int) -> int:
        """One figure."""
        self.before[place * _FIGURES + number] = before
        self.after[place * _FIGURES + number] = after
        return 0

    def put_measure(
        self, measure: Measure, place: int, is_buy: bool, own: int, other: int, after: int
    ) -> int:
        """Of the desk or the firm: the side of the row or the symbol that the order adds to was
        `own` and becomes `after`; the other one stays."""
        self.limits[place] = measure.limits
        wide_more = after
        wide_more = wide_more - own
        wide_gross = after if after > other else other
        self.share[place] = wide_gross
        self.share_before[place] = own if own > other else other
        wide_gross = wide_gross - (own if own > other else other)
        self.put(place, _GROSS, measure.gross, measure.gross + wide_gross)
        wide_side = after if after > 0 else 0
        wide_side = wide_side - (own if own > 0 else 0)
        if is_buy:
            self.put(place, _NET, measure.net_long, measure.net_long + wide_more)
            self.put(place, _LONG, measure.longs, measure.longs + wide_side)
            self.put(place, _SHORT, 0, 0)
        else:
            self.put(place, _NET, measure.net_short, measure.net_short + wide_more)
            self.put(place, _LONG, 0, 0)
            self.put(place, _SHORT, measure.shorts, measure.shorts + wide_side)
        return 0

    def put_book(self, book: SymbolBook, is_buy: bool, own: int, other: int, after: int) -> int:
        """The same of the symbol itself, which is its own only one."""
        self.limits[_OF_SYMBOL] = book.limits
        above_before, above_after = own if own > 0 else 0, after if after > 0 else 0
        self.put(_OF_SYMBOL, _NET, above_before, above_after)
        gross_before = own if own > other else other
        self.put(_OF_SYMBOL, _GROSS, gross_before, after if after > other else other)
        self.put(_OF_SYMBOL, _LONG, above_before if is_buy else 0, above_after if is_buy else 0)
        self.put(_OF_SYMBOL, _SHORT, 0 if is_buy else above_before, 0 if is_buy else above_after)
        return 0


class Exposure:
    """All of it. `is_on`: it is kept."""

    def __init__(self) -> None:
        self.is_on = False
        self.losses = Losses()
        self.firm = Measure()
        self._desks: list[Measure] = []
        self._books: list[SymbolBook] = []
        self._slabs: list[bytearray] = []
        self._count = 0

    def begin(self, is_on: bool) -> None:
        """Nothing is counted, and from here on it is, or not. Limits, prices and sizes stay."""
        self.is_on = is_on
        self._slabs, self._count = [], 0
        for measure in (self.firm, *self._desks):
            measure.clear()
        for book in self._books:
            book.clear()
        self.losses.forget()

    def memory_bytes(self) -> int:
        """What the rows take."""
        return len(self._slabs) * _ROWS_PER_SLAB * _ROW_BYTES

    def desk(self, number: int) -> Measure:
        """What the desk of that number has."""
        while len(self._desks) <= number:
            self._desks.append(Measure())
        return self._desks[number]

    def book(self, number: int) -> SymbolBook:
        """The symbol of that number."""
        while len(self._books) <= number:
            self._books.append(SymbolBook())
        return self._books[number]

    def next_row(self, row: int) -> int:
        """The next row of the same symbol, in no order; NO_ROW."""
        return self._get(row, _NEXT)

    def gross_of(self, row: int) -> int:
        """What a row has of its desk's gross."""
        long, short = self._get(row, _LONG_SIDE), self._get(row, _SHORT_SIDE)
        return long if long > short else short

    def set_price(self, symbol: int, price: int) -> int:
        """Another price, 0: none. Each row of the symbol has to be noted again behind it."""
        book = self.book(symbol)
        change = 0
        if book.price == 0 or price == 0:
            change = (1 if price == 0 else 0) - (1 if book.price == 0 else 0)
        book.price = price
        row = book.first if change != 0 else _NO_ROW
        while row != _NO_ROW:
            if self._get(row, _WORST_LONG) != 0 or self._get(row, _WORST_SHORT) != 0:
                self._count_unpriced(book, self._get(row, _DESK), change)
            row = self._get(row, _NEXT)
        return 0

    def note(
        self,
        row: int,
        desk: int,
        symbol: int,
        position: int,
        buys: int,
        sells: int,
        cost: int,
        realised: int,
        turn_equity: int,
        is_counted: bool,
    ) -> int:
        """A row of positions is so now; a new one is the one behind the last.

        `turn_equity`: its profit at the day's turn. `is_counted`: no amount was beyond its end.
        """
        book = self.book(symbol)
        if row == self._count:
            self._add_row(row, desk, book)
        measure = self.desk(desk)
        wide_long, wide_short = position, position
        wide_long = wide_long + buys
        wide_short = wide_short - sells
        worst_long, worst_short = bounded(wide_long), bounded(wide_short)
        had_long, had_short = self._get(row, _WORST_LONG), self._get(row, _WORST_SHORT)
        if book.price == 0:
            has = worst_long != 0 or worst_short != 0
            had = had_long != 0 or had_short != 0
            if has != had:
                self._count_unpriced(book, desk, 1 if has else -1)
        self._put(row, _WORST_LONG, worst_long)
        self._put(row, _WORST_SHORT, worst_short)
        self._note_sides(row, book, measure, worst_long, worst_short)
        self._note_book(book, worst_long, had_long, worst_short, had_short)
        equity = self._get(row, _EQUITY)
        owed = book.owed(position)
        equity_after = book.profit(position, cost, realised, owed)
        if equity_after != equity:
            self._put(row, _EQUITY, equity_after)
            measure.change_equity(equity, equity_after)
            self.firm.change_equity(equity, equity_after)
        wide_made = equity_after
        made = bounded(wide_made - turn_equity)
        if not is_counted or is_at_end(owed) or is_at_end(equity_after) or is_at_end(made):
            made = _UNKNOWN
        if made != self._get(row, _DAY_PROFIT):
            self._note_day(row, book, measure, made)
            if self.losses.is_on:
                self._look_at_losses(row, desk, symbol)
        return 0

    def day_profit_of(self, row: int) -> int:
        """What a row has made since the day's turn; the low end where that is not known."""
        made = self._get(row, _DAY_PROFIT)
        return made if made != _UNKNOWN else _I64_LOW

    def _note_day(self, row: int, book: SymbolBook, measure: Measure, made: int) -> int:
        before = self._get(row, _DAY_PROFIT)
        self._put(row, _DAY_PROFIT, made)
        measure.day.change(before, made)
        book.day.change(before, made)
        self.firm.day.change(before, made)
        return 0

    def _look_at_losses(self, row: int, desk: int, symbol: int) -> int:
        """At all scopes that the row is of."""
        losses = self.losses
        losses.look(place_of(desk, symbol), self.day_profit_of(row))
        losses.look(place_of(desk, _ALL_SYMBOLS), self.desk(desk).day.profit())
        losses.look(place_of(0, symbol), self.book(symbol).day.profit())
        losses.look(_FIRM_PLACE, self.firm.day.profit())
        return 0

    def _add_row(self, row: int, desk: int, book: SymbolBook) -> int:
        if row % _ROWS_PER_SLAB == 0:
            self._slabs.append(bytearray(_ROWS_PER_SLAB * _ROW_BYTES))
        self._count = row + 1
        self._put(row, _DESK, desk)
        self._put(row, _NEXT, book.first)
        book.first = row
        return 0

    def drop_last(self, book: SymbolBook) -> int:
        """The last row goes, the newest of its symbol, which has nothing: as if it had not come."""
        self._count -= 1
        book.first = self._get(self._count, _NEXT)
        if self._count % _ROWS_PER_SLAB == 0:
            self._slabs.pop()
        return 0

    def _count_unpriced(self, book: SymbolBook, desk: int, change: int) -> int:
        measure = self.desk(desk)
        measure.unpriced += change
        self.firm.unpriced += change
        book.unpriced += change
        return 0

    def _note_sides(
        self, row: int, book: SymbolBook, measure: Measure, worst_long: int, worst_short: int
    ) -> int:
        """A row's sides, and with them its desk's sums."""
        long, short = self._get(row, _LONG_SIDE), self._get(row, _SHORT_SIDE)
        long_after = book.value(worst_long)
        wide_short = worst_short
        short_after = book.value(-wide_short)
        if long_after != long or short_after != short:
            self._put(row, _LONG_SIDE, long_after)
            self._put(row, _SHORT_SIDE, short_after)
            measure.change(long, short, long_after, short_after)
        return 0

    def _note_book(
        self, book: SymbolBook, worst_long: int, had_long: int, worst_short: int, had_short: int
    ) -> int:
        """The symbol's lots and sides, and with them the firm's sums."""
        wide_change = worst_long
        wide_change = wide_change - had_long
        book.worst_long = book.worst_long + wide_change
        wide_change = worst_short
        wide_change = wide_change - had_short
        book.worst_short = book.worst_short + wide_change
        long_after = book.value(book.worst_long)
        short_after = book.value(-book.worst_short)
        if long_after != book.long_side or short_after != book.short_side:
            self.firm.change(book.long_side, book.short_side, long_after, short_after)
            book.long_side, book.short_side = long_after, short_after
        return 0

    def propose(
        self, proposal: Proposal, row: int, desk: int, symbol: int, side: int, quantity: int
    ) -> int:
        """Works out what an order would add, where any of its scopes bounds money."""
        measure, book, firm = self.desk(desk), self.book(symbol), self.firm
        of_firm, of_book = firm.limits.are_said, book.limits.are_said
        proposal.counts = self.is_on and (of_firm or of_book or measure.limits.are_said)
        if not proposal.counts:
            return 0
        proposal.overflows = False
        proposal.limits[0] = proposal.limits[1] = proposal.limits[2] = None
        is_buy = side == _BUY
        wide_lots = quantity
        proposal.value = book.value(wide_lots)
        if measure.limits.are_said:
            long = short = 0
            if row != _NO_ROW and row < self._count:
                long, short = self._get(row, _LONG_SIDE), self._get(row, _SHORT_SIDE)
                wide_lots = self._get(row, _WORST_LONG)
                if not is_buy:
                    wide_lots = self._get(row, _WORST_SHORT)
                    wide_lots = -wide_lots
                wide_lots = wide_lots + quantity
            own, other = long, short
            if not is_buy:
                own, other = short, long
            after = book.value(wide_lots)
            proposal.overflows = after == _I64_MAX
            proposal.put_measure(measure, _OF_DESK, is_buy, own, other, after)
        if of_firm or of_book:
            wide_lots = book.worst_long if is_buy else -book.worst_short
            wide_lots = wide_lots + quantity
            after = book.value(wide_lots)
            if after == _I64_MAX:
                proposal.overflows = True
            own, other = book.long_side, book.short_side
            if not is_buy:
                own, other = other, own
            if of_book:
                proposal.put_book(book, is_buy, own, other, after)
            if of_firm:
                proposal.put_measure(firm, _OF_FIRM, is_buy, own, other, after)
        return 0

    def dump(self) -> list[tuple[int, ...]]:
        """All sums, equal for equal histories: the firm's, the desks' and the symbols'."""
        found: list[tuple[int, ...]] = []
        for measure in (self.firm, *self._desks):
            figures = [measure.figure(number) for number in range(_FIGURES)]
            found.append((*figures, measure.profit(), measure.unpriced))
        for book in self._books:
            figures = [book.figure(number) for number in range(_FIGURES)]
            found.append((*figures, book.price, book.unpriced))
        return found

    def _get(self, row: int, field: int) -> int:
        slab: bytearray = self._slabs[row // _ROWS_PER_SLAB]
        return le.load_i64(slab, row % _ROWS_PER_SLAB * _ROW_BYTES + 8 * field)

    def _put(self, row: int, field: int, value: int) -> int:
        slab: bytearray = self._slabs[row // _ROWS_PER_SLAB]
        le.store_i64(slab, row % _ROWS_PER_SLAB * _ROW_BYTES + 8 * field, value)
        return 0
