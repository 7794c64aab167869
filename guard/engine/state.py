# cython: annotation_typing=False
"""The state that the log folds into. Plain data; pure.

Owns what there is to know: identity and settings of the log, policy, instruments, desks, ledger,
and the orders remembered. It changes only in `guard.engine.apply`; `guard.engine.decide` reads it.
"""

from dataclasses import dataclass, field
from typing import Final

from guard.engine.accounts import Accounts
from guard.engine.day_loss import LOSS, LossLimit, place_of
from guard.engine.executions import Executions
from guard.engine.facts import NEVER, KeptFacts
from guard.engine.found import Desk, Found
from guard.engine.halts import ACTIONS_REMEMBERED_MAX as ACTIONS_REMEMBERED_MAX
from guard.engine.halts import ActionDone as ActionDone
from guard.engine.halts import Actions as Actions
from guard.engine.halts import EntriesHalt as EntriesHalt
from guard.engine.latches import OF_ALL, Latches
from guard.engine.limits import Limits
from guard.engine.locates import Locates
from guard.engine.people_kept import People
from guard.engine.positions import NO_POSITION, Positions
from guard.engine.prices import Prices
from guard.engine.remembered import RememberedOrders
from guard.engine.remembered_form import OrderPhase
from guard.engine.remembered_rows import (
    forget_early_fill,
    last_sent_at_ns,
    live_rows,
    works,
)
from guard.engine.row_map import NO_ROW
from guard.engine.shares import DeskIds
from guard.engine.working_book import WorkingBook
from guard.engine.worth import Worth
from guard.protocol.instruments import Instrument
from guard.protocol.limits import LimitScope, own_values, revaluing
from guard.protocol.ranges import TIME_NS_MAX
from guard.protocol.request import Request
from kernel import InvariantError, KernelModel
from kernel.ledger import BudgetEngine
from kernel.policy import PolicySnapshot

_LAST_NS, _NO_ROW, _OPEN = TIME_NS_MAX, NO_ROW, int(OrderPhase.OPEN)
# The kind of latch that a surplus of reducing orders sets (`guard.engine.latches`).
SURPLUS: Final = "surplus"


@dataclass  # no slots: the compiler knows them of itself, and does not take the word
class GuardState:
    """Everything. A fresh one is what an empty log folds into: it can decide nothing yet."""

    log_id: str = ""
    key_id: str = ""
    epoch: int = 0
    rules_version: int = 0
    next_sequence: int = 1
    last_received_at_ns: int = 0
    # Of a start that brings newer rules: the system's clock, where it stands behind the log's time.
    session_clock_ns: int = 0
    is_closed_cleanly: bool = False
    entries_halt: EntriesHalt | None = None
    currency: str = ""
    remembered_orders_max: int = 0
    remembered_order_window_ns: int = 0
    refuses_unknown_venues: bool = False
    policy: PolicySnapshot | None = None
    policy_digest_hex: str = ""
    instruments: dict[str, Instrument] = field(default_factory=dict)
    desks: dict[str, Desk] = field(default_factory=dict)
    ledger: BudgetEngine = field(default_factory=BudgetEngine)
    orders: RememberedOrders = field(default_factory=RememberedOrders)
    positions: Positions = field(default_factory=Positions)
    is_firm_stopped: bool = False
    stopped_symbols: set[str] = field(default_factory=set)
    is_firm_reducing: bool = False
    reducing_symbols: set[str] = field(default_factory=set)
    actions: Actions = field(default_factory=dict)
    facts: KeptFacts = field(default_factory=KeptFacts)
    has_facts: bool = False  # whether any are kept; worked out, as the next one
    facts_expire_at_ns: int = NEVER  # when the first of them does
    limits: Limits = field(default_factory=Limits)
    has_limits: bool = False
    elapsed_ns: int = 0  # as the last order said it
    executions: Executions = field(default_factory=Executions)
    latches: Latches = field(default_factory=Latches)
    has_latches: bool = False  # whether any is set; worked out
    people: People = field(default_factory=People)
    due_at_ns: int = NEVER  # when the first thing that time causes is due; worked out
    has_overrides: bool = False  # whether any waits for its order; worked out
    prices: Prices = field(default_factory=Prices)
    has_losses: bool = False  # whether any latch is one of a loss; worked out
    # Losses beyond their limits that no record has said yet, by place; worked out.
    losses_due: dict[int, LossLimit] = field(default_factory=dict)
    book: WorkingBook = field(default_factory=WorkingBook)
    locates: Locates = field(default_factory=Locates)
    has_locates: bool = False  # whether there are any; worked out
    accounts: Accounts = field(default_factory=Accounts)
    # Of traders and algorithms: which of both, and the name.
    stopped_names: set[tuple[str, str]] = field(default_factory=set)
    reducing_names: set[tuple[str, str]] = field(default_factory=set)

    found: Found = field(default_factory=Found, init=False, repr=False, compare=False)

    def desk_of(self, request: Request) -> Desk | None:
        """The request's desk, None where there is none of that name."""
        return self.found.desk_in(self.desks, request)

    def worth_of(self, request: Request) -> Worth | None:
        """What the lots of the request's symbol are worth, None where there is none."""
        return self.found.worth_in(self.instruments, self.positions, self.limits, request)

    def has_venue(self, venue: int) -> bool:
        """Does the policy in force have a venue of that number, be it one that is out of use?"""
        return self.venue_of(venue) is not None

    def venue_of(self, venue: int) -> KernelModel | None:
        """The venue of that number in the policy in force; None where there is none."""
        found, policy = self.found, self.policy
        if policy is None:
            return None
        if found.venues_of is not policy:
            found.venues = {model.model_id: model for model in policy.models}
            found.venues_of = policy
        return found.venues.get(venue)

    def define(self, instrument: Instrument) -> None:
        """An instrument as it is from now on."""
        self.instruments[instrument.symbol] = instrument
        number = self.positions.number_of(instrument.symbol)
        if self.prices.price(number):
            self.prices.forget(number)
        self._measure_symbol(instrument, number)
        if self.limits.loss_scopes:
            self._bound_losses()
        self.found.forget_symbol(instrument.symbol)

    def set_limits(self, tree: list[LimitScope], digest_hex: str) -> None:
        """Other limits from now on; none where the tree says nothing."""
        self.limits.set(tree, digest_hex)
        self.has_limits = bool(tree)
        self.prices.set_rule(*revaluing(tree))
        self._bound_money()
        for desk in self.desks.values():
            desk.limit_class = self.limits.desk_class(desk.name)
        self.found.forget_symbols()
        if self.book.is_kept != self.limits.watches_own_orders:
            self.list_working()

    def latch(self, desk: str, symbol: str, kind: str) -> None:
        """The record that is applied sets a latch; OF_ALL in the place of a desk or a symbol."""
        self.latches.put(desk, symbol, kind, self.next_sequence)
        self.has_latches = True
        if kind == LOSS:
            self.has_losses = True
            self.losses_due.pop(self._place_of(desk, symbol), None)

    def latch_surplus(self, before: dict[int, int]) -> None:
        """Latches the desks that have more of it than `before` (`Positions.surpluses`)."""
        lots = self.positions.surpluses()
        if not lots:
            return
        for desk in self.desks.values():
            if lots.get(desk.share, 0) > before.get(desk.share, 0):
                self.latch(desk.name, OF_ALL, SURPLUS)

    def is_latched(self, desk: str, symbol: str) -> bool:
        """Is a latch set of that very place?"""
        return self.has_latches and self.latches.has(desk, symbol)

    def note_latches(self) -> None:
        """To be called when some were lifted or loaded."""
        self.has_latches = len(self.latches) > 0
        self.has_losses = any(kind == LOSS for _, _, kind, _ in self.latches.entries())

    def begin_positions(self, sequence: int) -> None:
        """They are kept from record `sequence` on, and so is what works now."""
        self.positions.begin(sequence, sorted(self.instruments))
        self.measure_positions()
        self.found.forget_symbols()
        self.list_working()

    def list_working(self) -> None:
        """At which prices all open orders work, anew, where a limit asks for it."""
        self.book.begin(self.limits.watches_own_orders)
        row = self.orders.find_open(0, self.orders.row_end()) if self.book.is_kept else _NO_ROW
        while row != _NO_ROW:
            if works(self.orders, row):
                self.note_working(row, True)
            row = self.orders.find_open(row + 1, self.orders.row_end())

    def note_working(self, row: int, is_begun: bool) -> int:
        """The open order in that row works at its price from now on, or no more."""
        orders = self.orders
        orders.read(row)
        worth = self.worth_of(orders.known)
        if worth is None:
            raise InvariantError(f"an order of {orders.known.symbol} is open, not defined")
        if is_begun:
            return self.book.add(worth.number, orders.known_outcome.venue, orders.known)
        return self.book.take(worth.number, orders.known_outcome.venue, orders.known)

    def revalue(self, symbol: str, price: int, elapsed_ns: int) -> None:
        """Positions in a symbol have another price, recorded at that count of time."""
        number = self.positions.number_of(symbol)
        self.prices.put(number, price, elapsed_ns)
        self.positions.revalue(number, price)

    def measure_positions(self) -> None:
        """What all positions are worth is counted anew: of a state that was just read, too."""
        self.positions.count_exposure(False)
        for symbol, number in self.positions.symbols.items():
            self._measure_symbol(self.instruments[symbol], number)
        self._bound_money()
        self._note_losses()

    def _measures_positions(self) -> bool:
        return self.limits.bounds_money and self.positions.is_kept

    def _measure_symbol(self, instrument: Instrument, number: int) -> None:
        exposure = self.positions.exposure
        exposure.book(number).worth = Worth(instrument, number)
        exposure.book(number).limits.set(own_values(self.limits.scope_of("", instrument.symbol)))
        self.positions.revalue(number, self.prices.price(number))

    def _bound_money(self) -> None:
        """Each scope's own limits, as the tree in force says them."""
        exposure, scope_of = self.positions.exposure, self.limits.scope_of
        exposure.firm.limits.set(own_values(scope_of("", "")))
        for desk in self.desks.values():
            self.bound_desk(desk)
        for symbol, number in self.positions.symbols.items():
            exposure.book(number).limits.set(own_values(scope_of("", symbol)))
        if exposure.is_on != self._measures_positions():
            self.positions.count_exposure(self._measures_positions())
        self._bound_losses()

    def bound_desk(self, desk: Desk) -> None:
        """What the tree in force says of all that a desk has."""
        own = own_values(self.limits.scope_of(desk.name, ""))
        self.positions.exposure.desk(desk.share).limits.set(own)

    def bound_losses_of(self, desk: Desk) -> None:
        """The same of what a desk may lose, which is new."""
        if desk.name in self.limits.loss_scopes:
            self._bound_losses()

    def _bound_losses(self) -> None:
        """What each place may lose, as the tree in force says, and whether it has lost more."""
        exposure, symbols = self.positions.exposure, self.positions.symbols
        limits = {}
        for name, scopes in self.limits.loss_scopes.items() if exposure.is_on else ():
            for scope in scopes:
                is_known = not scope.symbol or scope.symbol in symbols
                if is_known and (not name or name in self.desks):
                    most = scope.day_loss_max_microcents
                    assert isinstance(most, int)  # as those that bound a loss are
                    place = self._place_of(name, scope.symbol)
                    limits[place] = LossLimit(name, scope.symbol, most)
        exposure.losses.set(limits)
        for place, limit in limits.items():
            exposure.losses.look(place, self.day_profit(limit.desk, limit.symbol))

    def _place_of(self, desk: str, symbol: str) -> int:
        """By names; empty for all."""
        number = self.positions.symbols[symbol] if symbol else -1
        return place_of(self.desks[desk].share if desk else 0, number)

    def day_profit(self, desk: str, symbol: str) -> int:
        """What a desk has made in a symbol since the day's turn, where that is kept; empty: all."""
        exposure = self.positions.exposure
        if not desk:
            of_symbol = self.positions.symbols.get(symbol)
            if of_symbol is not None:
                return exposure.book(of_symbol).day.profit()
            return 0 if symbol else exposure.firm.day.profit()
        if not symbol:
            return exposure.desk(self.desks[desk].share).day.profit()
        number = self.positions.symbols.get(symbol)
        if number is None or not exposure.is_on:
            return 0
        row = self.positions.find(self.desks[desk].share, number)
        return 0 if row == NO_POSITION else exposure.day_profit_of(row)

    def loss_limit(self, desk: str, symbol: str) -> LossLimit | None:
        """What that very place may lose in a day; None: no such limit is in force."""
        return self.positions.exposure.losses.limits.get(self._place_of(desk, symbol))

    def loss_beyond(self, desk: str, symbol: str) -> int:
        """What that very place has lost, where that is more than it may; else 0."""
        return self.positions.exposure.losses.lost(self._place_of(desk, symbol))

    def _note_losses(self) -> None:
        """What of the places that have moved is due now, and what no more."""
        losses = self.positions.exposure.losses
        for place in losses.take_moved():
            limit = losses.limits.get(place)
            if limit is None or not losses.lost(place):
                self.losses_due.pop(place, None)
            elif LOSS not in self.latches.of(limit.desk, limit.symbol):
                self.losses_due[place] = limit

    def turn_day(self) -> None:
        """A day ends: what is made or lost from here on counts in the next one."""
        self.positions.turn_day()

    def clock_of(self, request: Request) -> int:
        """What the system's clock said when the request came: what its age is judged by."""
        return request.clock_ns or request.received_at_ns

    def advance(self, sequence: int, received_at_ns: int) -> int:
        """Says that record `sequence`, received then, is part of the state from now on."""
        self.next_sequence = sequence + 1
        if received_at_ns > self.last_received_at_ns:
            self.last_received_at_ns = received_at_ns
        self.is_closed_cleanly = False
        if self.positions.exposure.losses.has_moved:
            self._note_losses()
        return 0

    def forget_facts(self, now_ns: int) -> int:
        """Forgets what of early facts may be forgotten by `now_ns`."""
        if now_ns >= self.facts_expire_at_ns:
            self._forget_facts(now_ns)
        return 0

    def note_facts(self) -> None:
        """To be called when what is kept of facts has changed."""
        self.has_facts = not self.facts.is_empty
        self.facts_expire_at_ns = self.facts.first_expires_at_ns

    def _forget_facts(self, now_ns: int) -> None:
        for fill_key in self.facts.forget_expired(now_ns):
            forget_early_fill(self.orders, fill_key)
        self.note_facts()

    def cancel_expires_at_ns(self, received_at_ns: int) -> int:
        """From when on a cancel that came before its order may be forgotten."""
        return self._window_behind(received_at_ns, 1)

    def share_of(self, request: Request) -> DeskIds:
        """What is remembered of the request's desk."""
        desk = self.desk_of(request)
        return self.orders.shares.of(0 if desk is None else desk.share)

    def close_order(self, row: int, phase: int, request: Request, sent_at_ns: int) -> int:
        """Closes an order by that request; `sent_at_ns`: its own, 0 where not said."""
        closed_at_ns = request.received_at_ns
        if self.orders.has_chains:
            sent_at_ns = last_sent_at_ns(self.orders, row, sent_at_ns)
        # At the window's last nanosecond an order is not stale yet, so its id is still remembered.
        since_ns = sent_at_ns if sent_at_ns > closed_at_ns else closed_at_ns
        if self.book.is_kept and self.orders.phase(row) == _OPEN:
            for each in live_rows(self.orders, row):
                self.note_working(each, False)
        return self.orders.close(row, phase, since_ns, self._window_behind(since_ns, 1))

    def orphan_expires_at_ns(self, received_at_ns: int) -> int:
        """From when on a fill of no order of ours may be forgotten that is received then."""
        return self._window_behind(received_at_ns, 0)

    def _window_behind(self, since_ns: int, more_ns: int) -> int:
        """The window's end, `_LAST_NS` at the latest."""
        window_ns = self.remembered_order_window_ns
        if since_ns > 0 and window_ns > _LAST_NS - since_ns - more_ns:
            return _LAST_NS
        return since_ns + window_ns + more_ns
