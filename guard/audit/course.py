"""A day lived again under other rules, with one assumption of how unknown orders end. Pure.

Owns an engine of its own, asked each recorded request at its recorded time, and the ends that are
assumed of orders which the day itself had refused: fills and cancels of the course's own, each at
its time between the recorded ones. `guard.audit.whatif` lives several courses side by side.

Memory: another state as large as the replay's own, and the ends of the orders that are open.
"""

import heapq
from collections import Counter
from typing import Final

from msgspec import UNSET, structs

from guard.audit.changes import NOTHING, Counts, Totals, counts_of
from guard.audit.exposure import ROWS_MAX, ExposureBook
from guard.audit.like_orders import NOT_CLOSED
from guard.audit.lives import AssumedLife
from guard.audit.overrides import Overrides
from guard.config.errors import ConfigError
from guard.config.file import DeskTerms
from guard.engine.actor import Actor
from guard.engine.amendments import COLLECTING_SINCE_RULES, retold
from guard.engine.apply_event import build_policy
from guard.engine.cancel_all import assess
from guard.engine.day_loss import LOSS
from guard.engine.early import put_due
from guard.engine.engine import Engine
from guard.engine.events import (
    BudgetLowered,
    CheckpointTaken,
    DeskCapped,
    DeskOpened,
    DeskOrderAgeLimited,
    DeskToppedUp,
    FillAccepted,
    FillBusted,
    FillCorrected,
    HoldFreed,
    LimitsSet,
    Outcome,
    PolicyActivated,
    Revalued,
    SettingsActivated,
)
from guard.engine.latch_lifting import why_it_stays
from guard.engine.loss_due import due_breach
from guard.engine.loss_events import LossBreached
from guard.engine.order_group import OrderGroup
from guard.engine.people_events import LatchLifted
from guard.engine.remembered_form import OrderPhase
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.state import SURPLUS, GuardState
from guard.protocol.limits import digest_hex
from guard.protocol.messages import Cancel, Fill
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.outcome import OutcomeKind
from guard.protocol.request import Request
from guard.protocol.request_reader import RequestReader

TERMS_EVENTS: Final = (
    DeskOpened, DeskToppedUp, DeskCapped, BudgetLowered, DeskOrderAgeLimited
)  # fmt: skip
_ADMITTED, _ERROR = int(OutcomeKind.ADMITTED), int(OutcomeKind.ERROR)


def is_admitted(state: GuardState, request: Request) -> bool:
    """Is the request's order one that was admitted, and not forgotten?"""
    row = state.orders.find(request, request.received_at_ns)
    return row >= 0 and state.orders.phase(row) != OrderPhase.REFUSED


class Course:
    """See the module. `answers`: what was answered to the order, or the orders, that were asked
    about last, until the next; `counted`: what each of them adds.
    """

    def __init__(
        self, overrides: Overrides, begun: Engine | None = None, rows_max: int = ROWS_MAX
    ) -> None:
        """`begun`: an engine where the log begins, if not at its first record: it becomes ours."""
        self.engine = Engine() if begun is None else begun
        if begun is not None and overrides.policy is not None:
            begun.state.policy = build_policy(overrides.policy)
            begun.state.policy_digest_hex = overrides.policy_digest_hex
        if begun is not None and overrides.limits is not None:
            begun.state.set_limits(overrides.limits, digest_hex(overrides.limits))
        self.outcome = RequestOutcome()
        self._group = OrderGroup()
        self.answers: list[RequestOutcome] = []
        self.totals = Totals()
        self.counted: list[Counts] = []
        self.admitted_by_desk: Counter[str] = Counter()
        self.exposure = ExposureBook(rows_max)
        self._overrides = overrides
        self._has_opened_desks = False
        self._reader = RequestReader("what-if")
        self._end = Request()
        self._end.set_text("client", b"what-if")
        self._early = Request(), RequestOutcome()
        self._ends: list[tuple[int, int, Fill | Cancel]] = []
        self._end_count = 0

    def order(self, sequence: int, request: Request, at_ns: int) -> bool:
        """Asks for an order; whether it is admitted. One that is known is not counted again."""
        elapsed_ns = self._say(request)
        answered = self.outcome
        if self.engine.decide(request, answered):
            self.engine.apply(request, answered)
            self._note_losses()
            self._meet_early_fills(request)
        request.elapsed_ns = elapsed_ns
        return self._count(sequence, [request], [answered], at_ns)

    def orders(self, sequence: int, requests: list[Request], at_ns: int) -> bool:
        """The same of orders that stand or fall together."""
        said = [self._say(request) for request in requests]
        group = self._group
        group.begin(requests)
        if self.engine.decide_group(group):
            self.engine.apply_group(group)
            self._note_losses()
            self._meet_early_fills(requests[0])
        for request, elapsed_ns in zip(requests, said, strict=True):
            request.elapsed_ns = elapsed_ns
        return self._count(sequence, requests, group.outcomes[: len(requests)], at_ns)

    def _say(self, request: Request) -> int:
        """What the rules here want said of an order before it is decided; what it had said."""
        elapsed_ns: int = request.elapsed_ns
        if self.engine.state.has_limits and elapsed_ns == 0:  # the day had none, and did not count
            request.elapsed_ns = max(request.received_at_ns, 1)
        self._revalue(request)
        return elapsed_ns

    def _count(
        self, sequence: int, requests: list[Request], answers: list[RequestOutcome], at_ns: int
    ) -> bool:
        """Counts what was answered; whether that is new, and an admission."""
        self.answers = answers
        self.counted = [NOTHING if each.repeat else counts_of(each) for each in answers]
        for counted in self.counted:
            self.totals.add(counted)
        if answers[0].repeat or any(each.kind != _ADMITTED for each in answers):
            return False
        self.admitted_by_desk[requests[0].desk] += len(requests)
        self.note(requests[0].desk, sequence, at_ns)
        return True

    def _revalue(self, order: Request) -> None:
        """The mark of an order's symbol is recorded before it, where that is due here."""
        state = self.engine.state
        symbol = order.symbol
        if not state.prices.is_kept or symbol not in state.instruments:
            return
        number = state.positions.number_of(symbol)
        if state.prices.is_due(number, order.mark_price, order.elapsed_ns):
            event = Revalued(
                received_at_ns=order.received_at_ns,
                client="what-if",
                batch_first_sequence=state.next_sequence,
                symbol=symbol,
                price=order.mark_price,
                age_ns=order.mark_age_ns,
                elapsed_ns=order.elapsed_ns,
            )
            self._apply(event)

    def _meet_early_fills(self, order: Request) -> None:
        """An order that was admitted meets what came of its fills before it, at once."""
        fill, answer = self._early
        while put_due(self.engine.state, fill):
            fill.received_at_ns = order.received_at_ns
            self.engine.decide(fill, answer)
            self.engine.apply(fill, answer)
            self._note_losses()

    def follow(self, sequence: int, request: Request, at_ns: int) -> bool:
        """Asks for a fill or a cancel; False where it cannot be here."""
        if self.engine.decide(request, self.outcome):
            self.engine.apply(request, self.outcome)
            self._note_losses()
        elif self.outcome.kind == _ERROR:
            return False
        self.note(request.desk, sequence, at_ns)
        return True

    def assume(self, request: Request, life: AssumedLife) -> None:
        """An order that was just admitted is to be filled and canceled so."""
        desk, name, from_ns = request.desk, request.client_order_id, request.received_at_ns
        for after_ns, lots, fee_microcents in life.fills:
            fill = Fill(desk, name, f"what-if-{self._end_count}", lots, fee_microcents)
            self._plan(from_ns + after_ns, fill)
        if life.closed_after_ns != NOT_CLOSED:
            self._plan(from_ns + life.closed_after_ns, Cancel(desk, name))

    def _plan(self, at_ns: int, end: Fill | Cancel) -> None:
        heapq.heappush(self._ends, (at_ns, self._end_count, end))
        self._end_count += 1

    def run_until(self, sequence: int, at_ns: int) -> None:
        """Lets happen what was assumed up to that time, before the record of that sequence."""
        while self._ends and self._ends[0][0] <= at_ns:
            due_ns, _, end = heapq.heappop(self._ends)
            self._reader.take(self._end, end)
            self._ask_own(sequence, due_ns)

    def _ask_own(self, sequence: int, at_ns: int) -> None:
        """Asks for a fill or a cancel of the course's own."""
        request, state = self._end, self.engine.state
        request.received_at_ns = max(at_ns, state.last_received_at_ns)
        request.batch_first_sequence = state.next_sequence
        self.follow(sequence, request, request.received_at_ns)

    def _lower(self, event: BudgetLowered) -> None:
        """Takes back what is free here, where less is than there was."""
        free = self.engine.state.ledger.remaining_microcents(event.desk) or 0
        amount = min(event.amount_microcents, free)
        if amount:
            self._apply(structs.replace(event, amount_microcents=amount))

    def note(self, desk: str, sequence: int, at_ns: int) -> None:
        """Takes down the desk's exposure."""
        self.exposure.note(desk, self.engine.state.ledger, sequence, at_ns)

    def administer(self, sequence: int, event: Outcome, at_ns: int) -> None:
        """What people and start-ups did, under the other rules. Raises ConfigError."""
        overrides = self._overrides
        if isinstance(event, PolicyActivated) and overrides.policy is not None:
            event = structs.replace(
                event, policy=overrides.policy, policy_digest_hex=overrides.policy_digest_hex
            )
        elif isinstance(event, LimitsSet) and overrides.limits is not None:
            return  # others are in force, from the first record on
        elif isinstance(event, SettingsActivated):
            event = self._settings(event)
        elif isinstance(event, TERMS_EVENTS):
            if event.desk in overrides.desks:
                return
            if isinstance(event, BudgetLowered):
                self._lower(event)
                self.note(event.desk, sequence, at_ns)
                return
            if isinstance(event, DeskToppedUp):
                event = self._topped_up(event)
        elif isinstance(event, FillAccepted | FillBusted | FillCorrected):
            event = retold(self.engine.state, event)
            if event is None:
                return
        elif isinstance(event, CheckpointTaken | LossBreached):
            return  # of the state that the day came to, which this one is not
        elif isinstance(event, HoldFreed):
            # As a cancel: what is left of it here is freed, if it is there and open.
            self._reader.take(self._end, Cancel(event.desk, event.client_order_id))
            self._ask_own(sequence, at_ns)
            return
        elif isinstance(event, CanceledAllRecorded):
            self._cancel_all(event, sequence, at_ns)
            return
        elif isinstance(event, LatchLifted) and not self._may_lift(
            event.desk, event.symbol, event.latch
        ):
            return
        self._apply(event)
        if isinstance(event, (*TERMS_EVENTS, FillAccepted, FillBusted, FillCorrected)):
            self.note(event.desk, sequence, at_ns)
        if isinstance(event, SettingsActivated) and not self._has_opened_desks:
            self._has_opened_desks = True
            if overrides.limits is not None:
                self.engine.state.set_limits(overrides.limits, digest_hex(overrides.limits))
            for terms in overrides.desks.values():
                self._open(terms, event, sequence, at_ns)

    def _cancel_all(self, event: CanceledAllRecorded, sequence: int, at_ns: int) -> None:
        """What of the scope is open here, up to the record, is off."""
        state, asked = self.engine.state, event.cancel_all
        if asked.of_desk is not None and asked.of_desk not in state.desks:
            return
        ending = assess(state, asked)
        if ending is None:  # more than a record may close: it would have been refused
            return
        answer = structs.replace(
            event.answer,
            orders=len(ending.rows),
            released_microcents=ending.released_microcents,
            collected_microcents=ending.collected_microcents or UNSET,
        )
        self._apply(structs.replace(event, answer=answer))
        for name, desk in state.desks.items():
            if desk.share in ending.released:
                self.note(name, sequence, at_ns)

    def lift_own(self, day: GuardState, at_ns: int) -> None:
        """Lifts the latch of each surplus and loss that is over, unless the day's people left one.

        Nobody knows when a person would have lifted one that the day did not have, or that lasted
        longer there: at the earliest.
        """
        state = self.engine.state
        if not state.has_latches:
            return
        for desk, symbol, kind, _ in list(state.latches.entries()):
            if kind not in (SURPLUS, LOSS) or not self._may_lift(desk, symbol, kind):
                continue
            is_in_day = kind in day.latches.of(desk, symbol)
            if not is_in_day or why_it_stays(day, desk, symbol, kind):
                actor = Actor(at_ns, state.next_sequence, "what-if", "it is over")
                self._apply(actor.event(LatchLifted, desk=desk, symbol=symbol, latch=kind))

    def _may_lift(self, desk: str, symbol: str, kind: str) -> bool:
        """Is such a latch set here, and what set it over?"""
        state = self.engine.state
        return kind in state.latches.of(desk, symbol) and not why_it_stays(
            state, desk, symbol, kind
        )

    def _topped_up(self, event: DeskToppedUp) -> DeskToppedUp:
        """What comes free pays what is owed here, which may be more or less than it was."""
        state = self.engine.state
        collected = 0
        if state.rules_version >= COLLECTING_SINCE_RULES:
            free = state.ledger.remaining_microcents(event.desk) or 0
            collected = state.desks[event.desk].debt_paid_by(free + event.amount_microcents)
        return structs.replace(event, collected_microcents=collected or UNSET)

    def _settings(self, event: SettingsActivated) -> SettingsActivated:
        overrides = self._overrides
        if overrides.currency not in (None, event.currency):
            raise ConfigError(
                f"settings.currency: {overrides.currency!r} is not allowed; "
                f"allowed: the log's, {event.currency!r}"
            )
        orders_max = overrides.remembered_orders_max
        window_ns = overrides.remembered_order_window_ns
        return structs.replace(
            event,
            remembered_orders_max=event.remembered_orders_max if orders_max is None else orders_max,
            remembered_order_window_ns=event.remembered_order_window_ns
            if window_ns is None
            else window_ns,
            refuses_unknown_venues=event.refuses_unknown_venues
            if overrides.refuse_unknown_venues is None
            else overrides.refuse_unknown_venues or UNSET,
        )

    def _open(self, terms: DeskTerms, event: SettingsActivated, sequence: int, at_ns: int) -> None:
        actor = Actor(event.received_at_ns, event.batch_first_sequence, "replay", "--limits")
        opened = actor.event(
            DeskOpened,
            desk=terms.desk,
            budget_microcents=terms.budget_microcents,
            max_reserved_microcents=terms.max_reserved_microcents,
            max_order_age_ms=UNSET if terms.max_order_age_ms is None else terms.max_order_age_ms,
        )
        self._apply(opened)
        self.note(terms.desk, sequence, at_ns)

    def _apply(self, event: Outcome) -> None:
        self.engine.apply_event(self.engine.next_sequence, event)
        if not isinstance(event, LossBreached):
            self._note_losses()

    def _note_losses(self) -> None:
        """What has lost more than it may here is latched, as it would have been."""
        state = self.engine.state
        while state.losses_due:
            event = due_breach(state, "what-if", state.next_sequence)
            assert event is not None  # as some are due
            self._apply(event)
