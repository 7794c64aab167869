"""What must be so of every answer: no entry gets past a limit, no exit is held up.

Owns the claims, each from PROTOCOL 3.5 and 12 and `limits.md`'s words. They look at the book alone,
which knows no more than somebody outside. `Terms` are the limits, as the claims are told them: a
claim that is told a tighter one than the guard has finds a case, or it claims nothing.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from search.book import BUY, SELL, Book, Form, Known, Place

MS_NS: Final = 1_000_000
BPS: Final = 10_000
SHARED: Final = ("firm", "desk", "symbol")


class Broken(AssertionError):  # noqa: N818 — what was claimed is not so
    """A claim is not so."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of every desk in every symbol; money in microcents, None: no such limit."""

    quantity_max: int | None = None
    value_max: int | None = None
    collar_bps: int | None = None
    age_max_ms: int | None = None
    long_max: int | None = None
    short_max: int | None = None
    open_orders_max: int | None = None
    orders_in_window: int | None = None
    window_ms: int = 1_000
    notional_in_window: int | None = None
    duplicate_window_ms: int | None = None
    gross_max: int | None = None
    refuses_self_match: bool = False
    refuses_short_sales: bool = False

    def tightened(self, name: str, by: int) -> "Terms":
        """With that one tighter, if there is such a limit."""
        limit = getattr(self, name)
        return self if limit is None else replace(self, **{name: limit - by})


@dataclass(slots=True)
class Around:
    """What was so when an order was asked: the clock, the mark and its age, the states."""

    at_ns: int
    mark: tuple[int, int] | None  # price, and when it came
    prices: dict[str, int]  # recorded, by symbol
    states: dict[tuple[str, str], str]  # by scope and name
    unit_microcents: dict[str, int]  # of a lot at a tick

    def strictest(self, place: Place) -> str:
        """Of the order's scopes: active, reducing, halted."""
        found = [self.states.get(("firm", ""), "active")]
        found += [self.states.get(("desk", place[0]), "active")]
        found += [self.states.get(("symbol", place[1]), "active")]
        return max(found, key=("active", "reducing", "halted").index)


class Claims:
    """Holds each answer against the terms. Raises Broken."""

    def __init__(self, terms: Terms, budgets: dict[str, int], caps: dict[str, int | None]) -> None:
        self.terms, self.budgets, self.caps = terms, budgets, caps
        self.checked = {"entries": 0, "exits": 0, "replaces": 0, "refused": 0}

    def before(self, book: Book, order: Any, around: Around) -> str:
        """`must pass` of an exit that nothing may stop; `may`; `must not` of what is halted."""
        place = order.desk, order.symbol
        state = around.strictest(place)
        if state == "halted":
            return "must not"
        sure, perhaps = book.reducible(place, order.side)
        if order.quantity > perhaps:
            return "must not" if state == "reducing" else "may"
        asked = order.symbol, order.quantity, order.price
        return "must pass" if order.quantity <= sure and self._fits(*asked, around) else "may"

    def _fits(self, symbol: str, lots: int, price: int, around: Around) -> bool:
        """Does an exit keep the limits that exits have, too?"""
        terms, mark = self.terms, around.mark
        if terms.quantity_max is not None and lots > terms.quantity_max:
            return False
        if terms.value_max is not None:
            highest = max(price, mark[0] if mark else 0) * (BPS + (terms.collar_bps or 0))
            if lots * highest * around.unit_microcents[symbol] // BPS + 1 > terms.value_max:
                return False
        if terms.collar_bps is None or mark is None:
            return True
        return abs(price - mark[0]) * BPS <= mark[0] * terms.collar_bps

    def after(self, book: Book, order: Any, wanted: str, around: Around, known: Known) -> None:
        """The order was answered so, which the book has."""
        if not known.is_admitted:
            self.checked["refused"] += 1
            if wanted == "must pass":
                raise Broken("an order that but reduces was refused")
            return
        if wanted == "must not":
            raise Broken("an order was admitted that no state lets in")
        if known.is_exit:
            self.checked["exits"] += 1
            return
        if wanted == "must pass":
            raise Broken("an order that but reduces was taken for an entry")
        self.checked["entries"] += 1
        self._size(order.side, order.symbol, order.quantity, order.price, around)
        self._positions(book, known)
        self._sides(book, known)
        self._windows(book, known)
        self._money(book, known, around)

    def before_replace(self, book: Book, known: Known, form: Form, around: Around) -> str:
        """As `before`, of a replace of an order that is open and that nothing replaces yet."""
        if known.only_lowers(form.total, form.price):
            return "must pass"
        state = around.strictest(known.place)
        if state == "halted" or (state == "reducing" and not known.is_exit):
            return "must not"
        if not known.is_exit:
            return "may"
        sure, perhaps = book.reducible(known.place, known.side, beside=known)
        lots = form.total - known.filled
        if lots > perhaps:
            return "must not"
        asked = known.place[1], form.total, form.price
        return "must pass" if lots <= sure and self._fits(*asked, around) else "may"

    def after_replace(
        self, book: Book, known: Known, wanted: str, before: tuple[int, int], around: Around
    ) -> None:
        """It was admitted. `before`: lots that worked, and what was held at least."""
        if wanted == "must not":
            raise Broken("a replace was admitted that nothing lets in")
        self.checked["replaces"] += 1
        form = known.pending
        assert form is not None
        if wanted == "must pass" or known.is_exit:
            return
        self._size(known.side, known.place[1], form.total, form.price, around)
        if known.open_lots > before[0]:
            self._positions(book, known, is_new=False)
        if known.held_at_least > before[1]:
            self._holds(book, known)

    def reducing(self, perhaps: int, known: Known) -> None:
        """What was taken for an exit may be one; `perhaps`: so many lots, when it was asked."""
        if known.is_exit and known.lots > perhaps:
            raise Broken(f"an exit of {known.lots} lots, where {perhaps} may be reduced")

    def _size(self, side: str, symbol: str, lots: int, asked: int, around: Around) -> None:
        terms = self.terms
        if terms.quantity_max is not None and lots > terms.quantity_max:
            raise Broken("quantity_max")
        value = lots * asked * around.unit_microcents[symbol]
        if terms.value_max is not None and side == BUY and value > terms.value_max:
            raise Broken("value_max")
        if terms.collar_bps is None:
            return
        if around.mark is None:
            raise Broken("no reference")
        price, came_ns = around.mark
        if terms.age_max_ms is not None and around.at_ns - came_ns > terms.age_max_ms * MS_NS:
            raise Broken("a stale reference")
        if abs(asked - price) * BPS > price * terms.collar_bps:
            raise Broken("collar_bps")

    def _positions(self, book: Book, known: Known, *, is_new: bool = True) -> None:
        terms = self.terms
        most = terms.long_max if known.side == BUY else terms.short_max
        if most is not None and book.worst(known.place, known.side) > most:
            raise Broken(f"a position of {book.worst(known.place, known.side)} {known.side}")
        count = book.open_count(known.place[0])
        if is_new and terms.open_orders_max is not None and count > terms.open_orders_max:
            raise Broken(f"{count} open orders")

    def _sides(self, book: Book, known: Known) -> None:
        if self.terms.refuses_self_match and book.meets(known):
            raise Broken("an order that may meet another of the firm")
        is_sale = known.side != BUY
        if self.terms.refuses_short_sales and is_sale and book.worst(known.place, known.side) > 0:
            raise Broken("a short sale")

    def _windows(self, book: Book, known: Known) -> None:
        terms = self.terms
        begin_ns = known.at_ns - terms.window_ms * MS_NS
        found = []
        for each in reversed(book.entries):
            if each.at_ns <= begin_ns:
                break
            if each.place[0] == known.place[0]:
                found.append(each)
        if terms.orders_in_window is not None and len(found) > terms.orders_in_window:
            raise Broken(f"{len(found)} orders in a window")
        value = sum(each.hold_microcents for each in found)
        if terms.notional_in_window is not None and value > terms.notional_in_window:
            raise Broken(f"{value} in a window")
        if terms.duplicate_window_ms is not None:
            self._duplicates(book, known, terms.duplicate_window_ms * MS_NS)

    @staticmethod
    def _duplicates(book: Book, known: Known, window_ns: int) -> None:
        for each in reversed(book.entries[:-1]):
            if known.at_ns - each.at_ns >= window_ns:
                break
            names = ("place", "side", "lots", "price")
            if all(getattr(each, name) == getattr(known, name) for name in names):
                raise Broken("the same order again")

    def _holds(self, book: Book, known: Known) -> None:
        desk = known.place[0]
        held, cap = book.held(desk), self.caps[desk]
        if cap is not None and held > cap:
            raise Broken(f"{held} are held of a cap of {cap}")
        if held > self.budgets[desk]:
            raise Broken(f"{held} are held of a budget of {self.budgets[desk]}")

    def _money(self, book: Book, known: Known, around: Around) -> None:
        self._holds(book, known)
        if self.terms.gross_max is None:
            return
        desk = known.place[0]
        others, own = 0, 0
        for place in book.places():
            if place[0] != desk:
                continue
            lots = max(book.worst(place, BUY), book.worst(place, "sell"))
            if lots <= 0:
                continue
            price = around.prices.get(place[1])
            if price is None:
                raise Broken("an exposure that nobody can value")
            worth = lots * price * around.unit_microcents[place[1]]
            if place == known.place:
                own = worth
            else:
                others += worth
        # What an order does not add to cannot refuse it.
        side = known.side
        other = book.worst(known.place, SELL if side == BUY else BUY)
        worst = book.worst(known.place, side)
        is_worse = max(worst, other) > max(worst - known.open_lots, other)
        if is_worse and own + others > self.terms.gross_max:
            raise Broken(f"a gross exposure of {own + others}")
