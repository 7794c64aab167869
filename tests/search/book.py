"""What somebody outside believes who sees requests, answers and facts alone: orders and positions.

Owns that belief, written from PROTOCOL 3.5 and 12, not from the guard's code. Of what was confirmed
it keeps two figures, a lower and an upper one: where the page leaves it open whether a lot is, the
two differ.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

BUY, SELL = "buy", "sell"
Place = tuple[str, str]  # desk and symbol


@dataclass(slots=True)
class Trade:
    """A fill that counts: lots, its price, and how many of the lots were confirmed, at least."""

    lots: int
    price: int
    sure: int
    perhaps: int


@dataclass(slots=True)
class Form:
    """What an order is worth as it stands, or as a replace would have it. `off`: lots taken off."""

    total: int
    price: int
    hold_microcents: int
    sequence: int
    client_order_id: str
    off: int = 0


@dataclass(slots=True)
class Known:
    """An order that was answered, with all that replace it, under the id of the first.

    `standing`: as it is; `pending`: as a replace would have it of which the venue has not spoken.
    `lots`, `price`: as it was asked first. `ever`: the most lots that it ever had.
    """

    name: tuple[str, str]
    place: Place
    side: str
    lots: int
    price: int
    is_admitted: bool
    is_exit: bool
    at_ns: int
    venue: int
    standing: Form
    pending: Form | None = None
    ever: int = 0
    filled: int = 0
    is_closed: bool = True
    fills: dict[str, Trade] = field(default_factory=dict)
    # What a fill said, lots and a price if any, for as long as the order is known; and the trades
    # of executions whose fill has not come.
    said: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    reports: dict[str, Trade] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        return 1 if self.side == BUY else -1

    @property
    def hold_microcents(self) -> int:
        return self.standing.hold_microcents

    @property
    def forms(self) -> list[Form]:
        return [form for form in (self.standing, self.pending) if form is not None]

    def left(self, form: Form) -> int:
        return 0 if self.is_closed else max(0, form.total - form.off - self.filled)

    @property
    def open_lots(self) -> int:
        """What works: of the larger of both."""
        return max(map(self.left, self.forms))

    @property
    def held_at_least(self) -> int:
        """What is held for what is open, at least."""
        return max(form.hold_microcents * self.left(form) // form.total for form in self.forms)

    def only_lowers(self, total: int, price: int) -> bool:
        """Would a replace leave no more open, and be no easier to trade with?"""
        easier = (price - self.standing.price) * self.sign > 0
        return total - self.filled <= self.open_lots and not easier


class Book:
    """See the module."""

    def __init__(self) -> None:
        self.orders: dict[tuple[str, str], Known] = {}  # by desk and id
        self.open: dict[tuple[str, str], Known] = {}
        self.position: dict[Place, int] = defaultdict(int)
        self.low: dict[Place, int] = defaultdict(int)  # of it, confirmed: at least, and at most
        self.high: dict[Place, int] = defaultdict(int)
        self.entries: list[Known] = []  # admitted and not reducing, in order
        self.exits: list[Known] = []

    # What is told.

    def answered(self, order: Any, at_ns: int, admit: Any | None) -> Known:
        """An order was admitted, or refused."""
        hold = 0 if admit is None else admit.notional_microcents
        sequence = 0 if admit is None else admit.wal_sequence
        known = Known(
            (order.desk, order.client_order_id),
            (order.desk, order.symbol),
            order.side,
            order.quantity,
            order.price,
            admit is not None,
            admit is not None and bool(admit.reducing),
            at_ns,
            0 if admit is None else admit.venue,
            Form(order.quantity, order.price, hold, sequence, order.client_order_id),
            ever=order.quantity,
            is_closed=admit is None,
        )
        self.orders[known.name] = known
        if admit is not None:
            self.open[known.name] = known
            (self.exits if known.is_exit else self.entries).append(known)
        return known

    def filled(self, name: tuple[str, str], fill_id: str, lots: int, price: int | None) -> bool:
        """Lots of an order that is known traded. Does its execution, before it, say otherwise?"""
        known = self.orders[name]
        known.said[fill_id] = lots, price
        report = known.reports.pop(fill_id, None)
        if report is not None:
            known.fills[fill_id] = report
            return (report.lots, price or report.price) != (lots, report.price)
        within = max(0, min(lots, known.ever - known.filled)) if known.is_admitted else 0
        trade = Trade(lots, price or known.price, min(within, known.open_lots), within)
        known.fills[fill_id] = trade
        known.filled += lots
        self._close_if_done(known)
        self._trade(known, trade, 1)
        return False

    def executed(self, name: tuple[str, str], execution_id: str, lots: int, price: int) -> bool:
        """A drop copy says so of an order's venue. Does its fill, before it, say otherwise?"""
        known = self.orders[name]
        said_lots, said_price = known.said.get(execution_id, (0, None))
        fill, more = known.fills.pop(execution_id, None), max(0, lots - said_lots)
        within = max(0, min(more, known.ever - known.filled)) if known.is_admitted else 0
        trade = Trade(lots, price, min(within, known.open_lots), within)
        if fill is not None:
            trade.sure = min(lots, trade.sure + fill.sure)
            trade.perhaps = min(lots, trade.perhaps + fill.perhaps)
            self._trade(known, fill, -1)
        known.filled += more
        self._close_if_done(known)
        self._trade(known, trade, 1)
        if execution_id not in known.said:
            known.reports[execution_id] = trade
            return False
        is_same = fill is not None and (fill.lots, said_price or price) == (lots, price)
        if fill is not None:  # of one that was busted nobody says so twice
            known.fills[execution_id] = trade
        return not is_same

    def executed_elsewhere(self, name: tuple[str, str], lots: int, price: int) -> None:
        """A drop copy says so of a venue where the order is not: it confirms no fill."""
        known = self.orders[name]
        known.filled += lots
        self._close_if_done(known)
        self._trade(known, Trade(lots, price, 0, 0), 1)

    def busted(self, name: tuple[str, str], fill_id: str) -> None:
        """One of them did not happen; what it took off does not work again."""
        known = self.orders[name]
        trade = known.reports.pop(fill_id, None) or known.fills.pop(fill_id)
        self._trade(known, trade, -1)

    def taken_off(self, name: tuple[str, str], lots: int | None = None) -> None:
        """Lots of an order that nothing replaces work no more; all that do."""
        known = self.orders[name]
        if lots is None:
            known.is_closed = True
        else:
            known.standing.off += min(lots, known.open_lots)
        self._close_if_done(known)

    def replacing(self, name: tuple[str, str], new: tuple[str, str], form: Form) -> None:
        """A replace was admitted: until the venue has spoken both are."""
        known = self.orders[new] = self.orders[name]
        known.pending, known.ever = form, max(known.ever, form.total)

    def spoken(self, name: tuple[str, str], *, is_replaced: bool) -> None:
        """The venue has said of a replace."""
        known = self.orders[name]
        if known.pending is not None and not known.is_closed:
            known.standing = known.pending if is_replaced else known.standing
            known.pending = None
            self._close_if_done(known)

    def canceled(self, desk: str | None, symbol: str | None, venue: int | None, last: int) -> int:
        """All open orders of that scope are off that were recorded up to the last; how many."""
        found = [
            name
            for name, known in self.open.items()
            if desk in (None, known.place[0])
            and symbol in (None, known.place[1])
            and venue in (None, known.venue)
            and all(form.sequence <= last for form in known.forms)
        ]
        for name in found:
            self.taken_off(name)
        return len(found)

    def meets(self, order: Known) -> bool:
        """Could it trade against another open order, of whichever desk, at its venue?"""
        return any(
            each.side != order.side
            and each.place[1] == order.place[1]
            and each.venue == order.venue
            and (each.standing.price - order.standing.price) * order.sign <= 0
            for each in self.open.values()
        )

    def _close_if_done(self, known: Known) -> None:
        if known.open_lots == 0:
            known.is_closed = True
            self.open.pop(known.name, None)

    def _trade(self, known: Known, trade: Trade, times: int) -> None:
        place, signed = known.place, known.sign * times
        self.position[place] += signed * trade.lots
        is_bought = known.side == BUY
        self.low[place] += signed * (trade.sure if is_bought else trade.perhaps)
        self.high[place] += signed * (trade.perhaps if is_bought else trade.sure)

    # What follows.

    def working(self, place: Place, side: str) -> int:
        """Lots of that side that work there."""
        return sum(
            each.open_lots
            for each in self.open.values()
            if each.place == place and each.side == side
        )

    def worst(self, place: Place, side: str) -> int:
        """How long, or how short, the place may come to be."""
        position = self.position[place] if side == BUY else -self.position[place]
        return position + self.working(place, side)

    def places(self) -> set[Place]:
        """Where there is a position, or an order."""
        return {*self.position, *(each.place for each in self.open.values())}

    def reducible(self, place: Place, side: str, beside: Known | None = None) -> tuple[int, int]:
        """How many lots an order of that side may have and but reduce: for certain, at most.

        `beside`: an order whose own lots do not count.
        """
        against, sure, perhaps = self.position[place], self.low[place], self.high[place]
        if side == BUY:
            against, sure, perhaps = -against, -perhaps, -sure
        works = self.working(place, side) - (0 if beside is None else beside.open_lots)
        return max(0, min(against, sure) - works), max(0, min(against, perhaps) - works)

    def held(self, desk: str) -> int:
        """What is held for a desk, at least."""
        return sum(each.held_at_least for each in self.open.values() if each.place[0] == desk)

    def open_count(self, desk: str) -> int:
        """How many of its orders are open."""
        return sum(each.place[0] == desk for each in self.open.values())
