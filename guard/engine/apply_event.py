"""Apply an administrative event: what a person, a start-up or the disk did → the state. Pure.

Owns every change of the state that no request asked for, one function an event, found by a table.
It follows what the event says and decides nothing: see `guard.engine.apply`.

How it fails: `InvariantError` where the event cannot follow from the state: the log and the state
are not of one history, nothing may go on.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.engine import locating
from guard.engine.amendments import apply_accepted, apply_busted, apply_corrected, pay_debt
from guard.engine.apply import apply_release
from guard.engine.apply_accounts import APPLY_ACCOUNTS
from guard.engine.apply_locates import APPLY_LOCATES
from guard.engine.apply_people import APPLY_PEOPLE
from guard.engine.apply_trading import APPLY_TRADING
from guard.engine.building import build_policy as build_policy
from guard.engine.cancel_all import apply_canceled_all
from guard.engine.day_close import statement_digest_hex
from guard.engine.day_loss import LOSS
from guard.engine.events import (
    LOG_FORMAT_VERSION,
    RULES_VERSIONS,
    BudgetLowered,
    CheckpointTaken,
    ClockAccepted,
    DayClosed,
    DeskCapped,
    DeskFeeBounded,
    DeskOpened,
    DeskOrderAgeLimited,
    DeskResumed,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    FillAccepted,
    FillBusted,
    FillCorrected,
    HoldFreed,
    InstrumentDefined,
    KeyChanged,
    LimitsSet,
    LogOpened,
    OperatorActed,
    PolicyActivated,
    Revalued,
    RulesActivated,
    SessionClosed,
    SessionStarted,
    SettingsActivated,
)
from guard.engine.forgetting import forget_expired, forget_some
from guard.engine.found import NO_FEE_BOUND, Desk
from guard.engine.latches import OF_ALL, is_place
from guard.engine.loss_events import LossBreached
from guard.engine.people import after_change, before_change, note_lowered
from guard.engine.people_events import LatchLifted, LatchSet, Proposed
from guard.engine.positioning import note_open_orders
from guard.engine.positions import POSITIONS_SINCE_RULES
from guard.engine.remembered_whole import end_waiting, split
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.shares import SHARES_SINCE_RULES
from guard.engine.state import ACTIONS_REMEMBERED_MAX, ActionDone, EntriesHalt, GuardState
from guard.protocol.instruments import define_instrument
from guard.protocol.limits import REQUIRE_RECONCILIATION, digest_hex
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel import (
    InvariantError,
    KernelInputError,
    Lowered,
    ToppedUp,
)

# The fields of an action that whoever asks does not choose.
_NOT_ASKED: Final = frozenset(
    {
        "received_at_ns",
        "client",
        "batch_first_sequence",
        "by",
        "why",
        "action_id",
        "released_microcents",
        "collected_microcents",
        "unpaid_fee_microcents",
        "returned_microcents",
        "charged_microcents",
        "approval",
        "until_ns",
    }
)
# Of what is said of a fill it is the fill that is asked for: the rest may be the fill's own.
_OF_FILLS: Final = _NOT_ASKED | {"fill_sequence", "quantity", "price", "fee_microcents"}
_NOT_ASKED_OF: Final = {
    "day_closed": _NOT_ASKED | {"closes_sequence", "statement_digest_hex"},
    "fill_accepted": _OF_FILLS,
    "fill_busted": _OF_FILLS,
    "fill_corrected": _OF_FILLS,
}


def apply_event(state: GuardState, sequence: int, event: Any) -> None:
    """Folds one event into the state; `sequence` is its place in the log."""
    if sequence != state.next_sequence:
        raise InvariantError(f"event {sequence} is applied where {state.next_sequence} is due")
    received_at_ns = event.received_at_ns
    try:
        if not state.orders.shares.is_split:
            forget_expired(state.orders, received_at_ns)
        if state.has_facts:
            state.forget_facts(received_at_ns)
        change = None
        if state.people.terms is not None or getattr(event, "approval", UNSET) is not UNSET:
            change = before_change(state, event, action_digest_hex(event))
        surplus = state.positions.surpluses()
        _APPLY[type(event)](state, event)
        state.latch_surplus(surplus)
        if change is not None or state.people.terms is not None:
            after_change(state, event, change)
        if getattr(event, "action_id", UNSET) is not UNSET:
            _note_action(state, sequence, event)
        if state.orders.shares.is_split:
            other = sequence % len(state.orders.shares.all)
            share = state.orders.shares.of(other)
            forget_some(state.orders, share, sequence, received_at_ns)
        state.advance(sequence, received_at_ns)
    except OverflowError as error:  # from the compiled forms, which count in 64 bits
        raise KernelInputError(f"record {sequence} holds an impossible integer: {error}") from error
    state.is_closed_cleanly = type(event) is SessionClosed


def _note_action(state: GuardState, sequence: int, event: Any) -> None:
    actions = state.actions
    if event.action_id in actions:
        raise InvariantError(f"action {event.action_id} is done twice")
    if len(actions) == ACTIONS_REMEMBERED_MAX:
        del actions[next(iter(actions))]
    actions[event.action_id] = ActionDone(sequence, _digest_noted(event))


def _digest_noted(event: Any) -> str:
    """Of a proposal, what was proposed; of what was approved, which proposal."""
    if isinstance(event, Proposed):
        return event.event_digest_hex
    approval = getattr(event, "approval", UNSET)
    if approval is not UNSET:
        return approve_digest_hex(approval.proposal)
    return action_digest_hex(event)


def approve_digest_hex(proposal: str) -> str:
    """What an approval asks for."""
    return asked_digest_hex("approve", {"proposal": proposal})


def action_digest_hex(event: Any) -> str:
    """What was asked for, whoever asked and whenever: equal only for equal actions."""
    tag = event.__struct_config__.tag
    not_asked = _NOT_ASKED_OF.get(tag, _NOT_ASKED)
    asked = {
        name: getattr(event, name)
        for name in event.__struct_fields__
        if name not in not_asked and getattr(event, name) is not UNSET
    }
    return asked_digest_hex(tag, asked)


def asked_digest_hex(tag: str, asked: dict[str, Any]) -> str:
    """The same of an event's tag and of the fields that were asked for, in their order."""
    return hashlib.sha256(msgspec.json.encode([tag, asked])).hexdigest()


def _apply_log_opened(state: GuardState, event: LogOpened) -> None:
    if event.format_version != LOG_FORMAT_VERSION:
        raise InvariantError(f"the log's format is version {event.format_version}, unknown here")
    _check_rules_version(event.rules_version)
    state.log_id = event.log_id
    state.key_id = event.key_id
    state.epoch = event.epoch
    state.rules_version = event.rules_version
    state.orders.shares.is_split = event.rules_version >= SHARES_SINCE_RULES
    if event.rules_version >= POSITIONS_SINCE_RULES:
        state.begin_positions(state.next_sequence)


def _check_rules_version(version: int) -> None:
    if version not in RULES_VERSIONS:
        raise InvariantError(
            f"from here on the log's rules are version {version}, and this software knows versions "
            f"{RULES_VERSIONS[0]} to {RULES_VERSIONS[-1]}: the log takes newer software"
        )


def _apply_rules(state: GuardState, event: RulesActivated) -> None:
    _check_rules_version(event.rules_version)
    if state.rules_version < SHARES_SINCE_RULES <= event.rules_version:
        orders = state.orders
        orders.shares.is_split = True
        for desk in state.desks.values():
            desk.share = orders.shares.open_desk()
        numbers = {name: desk.share for name, desk in state.desks.items()}
        split(orders, numbers, state.session_clock_ns or event.received_at_ns)
    if state.rules_version < POSITIONS_SINCE_RULES <= event.rules_version:
        state.begin_positions(state.next_sequence)
        note_open_orders(state)
    state.rules_version = event.rules_version
    state.session_clock_ns = 0


def _apply_settings(state: GuardState, event: SettingsActivated) -> None:
    state.currency = event.currency
    state.remembered_orders_max = event.remembered_orders_max
    state.remembered_order_window_ns = event.remembered_order_window_ns
    state.orders.shares.set_ids_max(event.remembered_orders_max)
    state.refuses_unknown_venues = event.refuses_unknown_venues is True


def _apply_policy(state: GuardState, event: PolicyActivated) -> None:
    policy = build_policy(event.policy)
    if policy.digest.hex() != event.policy_digest_hex:
        raise InvariantError(
            f"the policy's digest is {policy.digest.hex()}, recorded as {event.policy_digest_hex}"
        )
    state.policy = policy
    state.policy_digest_hex = event.policy_digest_hex


def _apply_instrument(state: GuardState, event: InstrumentDefined) -> None:
    state.define(define_instrument(event.symbol, event.tick_size, event.lot_size, event.multiplier))


def _desk_of(state: GuardState, name: str) -> Desk:
    desk = state.desks.get(name)
    if desk is None:
        raise InvariantError(f"desk {name} was never opened")
    return desk


def _apply_desk_opened(state: GuardState, event: DeskOpened) -> None:
    if event.desk in state.desks:
        raise InvariantError(f"desk {event.desk} is opened twice")
    max_order_age_ms = 0 if event.max_order_age_ms is UNSET else event.max_order_age_ms
    desk = state.desks[event.desk] = Desk(
        event.desk,
        max_order_age_ms=max_order_age_ms,
        share=state.orders.shares.open_desk(),
        limit_class=state.limits.desk_class(event.desk),
    )
    state.bound_desk(desk)
    state.bound_losses_of(desk)
    if event.fee_bound_bps is not UNSET:
        desk.fee_bound_bps = event.fee_bound_bps
        desk.fee_minimum_microcents = event.fee_minimum_microcents or 0
    state.ledger.ensure_tenant(event.desk, event.budget_microcents)
    state.ledger.set_max_reserved_microcents(event.desk, event.max_reserved_microcents or 0)


def _apply_limits(state: GuardState, event: LimitsSet) -> None:
    found = digest_hex(event.limits)
    if found != event.limits_digest_hex:
        raise InvariantError(
            f"the limits' digest is {found}, recorded as {event.limits_digest_hex}"
        )
    state.set_limits(event.limits, found)


def _apply_revalued(state: GuardState, event: Revalued) -> None:
    if event.symbol not in state.instruments:
        raise InvariantError(f"symbol {event.symbol} was never defined")
    state.elapsed_ns = max(state.elapsed_ns, event.elapsed_ns)
    state.revalue(event.symbol, event.price, event.elapsed_ns)


def _apply_loss_breached(state: GuardState, event: LossBreached) -> None:
    if not is_place(event.desk, event.symbol, state.desks, state.instruments):
        raise InvariantError(f"loss_breached: {event.desk}/{event.symbol} is no desk, or no symbol")
    state.latch(event.desk, event.symbol, LOSS)


def _apply_desk_topped_up(state: GuardState, event: DeskToppedUp) -> None:
    result = state.ledger.top_up_tenant(event.desk, event.amount_microcents)
    if not isinstance(result, ToppedUp):
        raise InvariantError(f"top-up of {event.desk}: the ledger answers {result!r}")
    pay_debt(state, _desk_of(state, event.desk), event.collected_microcents or 0)


def _apply_desk_capped(state: GuardState, event: DeskCapped) -> None:
    _desk_of(state, event.desk)
    state.ledger.set_max_reserved_microcents(event.desk, event.max_reserved_microcents or 0)


def _apply_desk_order_age(state: GuardState, event: DeskOrderAgeLimited) -> None:
    _desk_of(state, event.desk).max_order_age_ms = event.max_order_age_ms or 0


def _apply_desk_fee_bounded(state: GuardState, event: DeskFeeBounded) -> None:
    desk = _desk_of(state, event.desk)
    desk.fee_bound_bps = NO_FEE_BOUND if event.fee_bound_bps is None else event.fee_bound_bps
    desk.fee_minimum_microcents = event.fee_minimum_microcents or 0


def _apply_desk_resumed(state: GuardState, event: DeskResumed) -> None:
    desk = _desk_of(state, event.desk)
    desk.is_halted = desk.is_stopped = desk.is_reducing = False
    desk.unpaid_fees_microcents = 0


def _apply_budget_lowered(state: GuardState, event: BudgetLowered) -> None:
    result = state.ledger.lower_tenant(event.desk, event.amount_microcents)
    if not isinstance(result, Lowered):
        raise InvariantError(f"lowering of {event.desk}: the ledger answers {result!r}")
    note_lowered(state, event.desk, event.amount_microcents)


def _apply_latch_set(state: GuardState, event: LatchSet) -> None:
    if not is_place(event.desk, event.symbol, state.desks, state.instruments):
        raise InvariantError(f"latch_set: {event.desk}/{event.symbol} is no desk, or no symbol")
    state.latch(event.desk, event.symbol, event.latch)


def _apply_latch_lifted(state: GuardState, event: LatchLifted) -> None:
    state.latches.lift(event.desk, event.symbol, event.latch)
    state.note_latches()


def _apply_hold_freed(state: GuardState, event: HoldFreed) -> None:
    request, outcome = Request(), Outcome()
    request.set_text("desk", event.desk.encode())
    request.set_text("client_order_id", event.client_order_id.encode())
    request.received_at_ns = event.received_at_ns
    outcome.sequence = state.next_sequence
    outcome.released_microcents = event.released_microcents
    outcome.collected_microcents = event.collected_microcents or 0
    row = state.orders.find(request, request.received_at_ns)
    located = locating.used_by(state, row) if state.has_locates else 0
    apply_release(state, request, outcome)
    if located:
        locating.note_change(state, row, located)


def _apply_operator_acted(_state: GuardState, _event: OperatorActed) -> None:
    """What the operator had done shows in what follows."""


def _apply_day_closed(state: GuardState, event: DayClosed) -> None:
    """What it states has to be so; from here on profit counts in the next day."""
    if event.closes_sequence != state.next_sequence - 1:
        raise InvariantError(
            f"closes_sequence: {event.closes_sequence} is not allowed; allowed: "
            f"{state.next_sequence - 1}, the record before"
        )
    digest_hex = statement_digest_hex(state, event.day)
    if event.statement_digest_hex != digest_hex:
        raise InvariantError(
            f"the statement of day {event.day} has the digest {digest_hex}, recorded as "
            f"{event.statement_digest_hex}"
        )
    if state.positions.is_kept:
        state.turn_day()


def _apply_halt(state: GuardState, event: EntriesHalted) -> None:
    state.entries_halt = EntriesHalt(event.reason, event.free_bytes, event.reserve_bytes)


def _apply_resume(state: GuardState, _event: EntriesResumed) -> None:
    state.entries_halt = None


def _apply_checkpoint(state: GuardState, event: CheckpointTaken) -> None:
    """Says what became of an earlier state; changes nothing of this one."""
    if event.checkpoint_sequence >= state.next_sequence:
        raise InvariantError(
            f"a checkpoint of record {event.checkpoint_sequence} is recorded before that record"
        )


def _apply_session_started(state: GuardState, event: SessionStarted) -> None:
    state.epoch = event.epoch
    if state.rules_version < SHARES_SINCE_RULES and event.clock_ns is not UNSET:
        state.session_clock_ns = event.clock_ns
    if event.key is not UNSET:
        state.key_id = event.key.key_id
    if state.limits.has_drop_copy:
        _require_reconciliation(state)


def _require_reconciliation(state: GuardState) -> None:
    """What may have happened meanwhile is to be looked at before desks enter orders again."""
    for desk in state.desks.values():
        limits = state.limits.effective(desk.limit_class, 0)
        if limits.value(REQUIRE_RECONCILIATION) == 1:
            state.latch(desk.name, OF_ALL, "reconciliation")


def _apply_key_changed(state: GuardState, event: KeyChanged) -> None:
    state.key_id = event.key.key_id


def _apply_clock_accepted(state: GuardState, event: ClockAccepted) -> None:
    """The one event behind which the log's time is an earlier one."""
    end_waiting(state.orders, event.received_at_ns, state.remembered_order_window_ns)
    state.last_received_at_ns = event.received_at_ns


def _apply_session_closed(_state: GuardState, _event: SessionClosed) -> None:
    """Nothing but the mark that `apply_event` sets."""


_APPLY: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    LogOpened: _apply_log_opened,
    RulesActivated: _apply_rules,
    SettingsActivated: _apply_settings,
    PolicyActivated: _apply_policy,
    InstrumentDefined: _apply_instrument,
    DeskOpened: _apply_desk_opened,
    LimitsSet: _apply_limits,
    Revalued: _apply_revalued,
    LossBreached: _apply_loss_breached,
    DeskToppedUp: _apply_desk_topped_up,
    DeskCapped: _apply_desk_capped,
    DeskOrderAgeLimited: _apply_desk_order_age,
    DeskFeeBounded: _apply_desk_fee_bounded,
    FillAccepted: apply_accepted,
    FillBusted: apply_busted,
    FillCorrected: apply_corrected,
    DeskResumed: _apply_desk_resumed,
    BudgetLowered: _apply_budget_lowered,
    LatchSet: _apply_latch_set,
    LatchLifted: _apply_latch_lifted,
    HoldFreed: _apply_hold_freed,
    CanceledAllRecorded: apply_canceled_all,
    OperatorActed: _apply_operator_acted,
    DayClosed: _apply_day_closed,
    EntriesHalted: _apply_halt,
    EntriesResumed: _apply_resume,
    CheckpointTaken: _apply_checkpoint,
    SessionStarted: _apply_session_started,
    KeyChanged: _apply_key_changed,
    ClockAccepted: _apply_clock_accepted,
    SessionClosed: _apply_session_closed,
    **APPLY_PEOPLE,
    **APPLY_LOCATES,
    **APPLY_ACCOUNTS,
    **APPLY_TRADING,
}
