"""Apply: an outcome → the state. Pure but for the state it changes.

Owns every change of the state, one function an event, found by a table. It follows what the
outcome says and decides nothing: recovery runs this alone, so that a corrected rule never changes a
recovered state. Live and replay run it after they decided.

How it fails: `InvariantError` where the outcome cannot follow from the state (another reservation
id, a hold that is not there): the log and the state are not of one history, nothing may go on.
"""

from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar

from msgspec import UNSET, structs

from guard.engine.events import (
    LOG_FORMAT_VERSION,
    RULES_VERSIONS,
    CheckpointTaken,
    DeskCapped,
    DeskOpened,
    DeskResumed,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    InstrumentDefined,
    KeyChanged,
    LogOpened,
    Outcome,
    PolicyActivated,
    RulesActivated,
    SessionClosed,
    SessionStarted,
    SettingsActivated,
    TradingHalted,
    TradingResumed,
)
from guard.engine.policy_content import PolicyContent
from guard.engine.request_events import (
    Event,
    FillRecorded,
    OrderDecided,
    OrderRefused,
    OrderReleased,
)
from guard.protocol.instruments import define_instrument
from guard.protocol.messages import I64_MAX, Admit, Order, Reject
from guard.protocol.reasons import NOT_REMEMBERED
from kernel import (
    Charged,
    InvariantError,
    KernelInputError,
    KernelModel,
    MissingReservation,
    PolicySnapshot,
    ToppedUp,
)
from reference.orders import OrderPhase, OrderState
from reference.orders_codec import fill_key, order_key
from reference.state import Desk, EntriesHalt, GuardState

_EARLY_FACTS: Final = 2  # the rules' version from which on they are kept


def apply_outcome(state: GuardState, sequence: int, outcome: Outcome) -> None:
    """Folds one event into the state; `sequence` is its place in the log."""
    if sequence != state.next_sequence:
        raise InvariantError(f"event {sequence} is applied where {state.next_sequence} is due")
    received_at_ns = outcome.received_at_ns
    state.forget_expired(received_at_ns)
    try:
        _APPLY[type(outcome)](state, outcome)
    except OverflowError as error:  # from the compiled forms, which count in 64 bits
        raise KernelInputError(f"record {sequence} holds an impossible integer: {error}") from error
    state.advance(sequence, received_at_ns)
    state.is_closed_cleanly = type(outcome) is SessionClosed


def build_policy(content: PolicyContent) -> PolicySnapshot:
    """The kernel's policy of a recorded or configured one. Raises PolicyError naming the field."""
    fields = {
        name: getattr(content, name) for name in content.__struct_fields__ if name != "models"
    }
    models = [
        KernelModel(**{name: getattr(model, name) for name in model.__struct_fields__})
        for model in content.models
    ]
    return PolicySnapshot(**fields, models=models)


def _expect(result: object, wanted: type, what: str) -> None:
    if not isinstance(result, wanted):
        raise InvariantError(f"{what}: the ledger answers {result!r}")


def _expires_at_ns(state: GuardState, order: Order, event: Event) -> int:
    return state.expires_at_ns(event.received_at_ns, order.sent_at_ns or 0)


AnswerT = TypeVar("AnswerT", Admit, Reject)


def _timed(state: GuardState, answer: AnswerT, event: Event) -> AnswerT:
    """The answer as it is remembered: by the second rules with when its order was received."""
    if state.rules_version < 2:
        return answer
    return structs.replace(answer, received_at_ns=event.received_at_ns)


def _remember_rejected(
    state: GuardState, order: Order, answer: Reject, event: OrderDecided | OrderRefused
) -> None:
    if answer.reason in NOT_REMEMBERED:
        return
    remembered = OrderState(order, _timed(state, answer, event), OrderPhase.REFUSED)
    state.orders.add(remembered)
    state.orders.close(remembered, OrderPhase.REFUSED, _expires_at_ns(state, order, event))


def _apply_order(state: GuardState, event: OrderDecided) -> None:
    order, answer = event.order, event.answer
    if not isinstance(answer, Admit):
        _remember_rejected(state, order, answer, event)
        return
    ledger, orders = state.ledger, state.orders
    notional_microcents = answer.notional_microcents
    reservation_id = ledger.reserve_id(order.desk, notional_microcents)
    if reservation_id != answer.reservation_id:
        _refuse_reservation(state, order.desk, answer, reservation_id)
    timed = _timed(state, answer, event)
    orders.add(OrderState(order, timed, OrderPhase.OPEN, notional_microcents))
    state.facts.meet(order_key(order.desk, order.client_order_id))


def _refuse_reservation(
    state: GuardState, desk: str, answer: Admit, reservation_id: int
) -> NoReturn:
    """The record's hold is not the one that the ledger gave, or it gave none."""
    if reservation_id == 0:
        assessed = state.ledger.assess_reserve(desk, answer.notional_microcents)
        raise InvariantError(
            f"reserve for record {answer.wal_sequence}: the ledger answers {assessed!r}"
        )
    raise InvariantError(
        f"record {answer.wal_sequence} holds reservation {answer.reservation_id}, "
        f"the ledger gave {reservation_id}"
    )


def _apply_order_refused(state: GuardState, event: OrderRefused) -> None:
    _remember_rejected(state, event.order, event.answer, event)


def _apply_fill(state: GuardState, event: FillRecorded) -> None:
    fill, answer = event.fill, event.answer
    charged = 0 if "uncharged" in answer.flags else max(answer.fee_microcents, 0)
    collected = answer.collected_microcents or 0
    paid = charged - answer.unpaid_fee_microcents + collected
    if state.facts.due:
        state.orders.forget_early_fill(state.facts.due.pop(0))
    ledger, orders = state.ledger, state.orders
    order = orders.find(fill.desk, fill.client_order_id, event.received_at_ns)
    _check_freed(order, event)
    if order is None or order.phase is OrderPhase.REFUSED:
        expires_at_ns = state.orphan_expires_at_ns(event.received_at_ns)
        ids_max = state.remembered_orders_max
        key = fill_key(fill.desk, fill.client_order_id, fill.fill_id)
        if (
            order is None
            and state.rules_version >= _EARLY_FACTS
            and fill.desk in state.desks
            and state.facts.has_room_for_fill(order_key(fill.desk, fill.client_order_id))
        ):
            expires_at_ns = state.facts.keep_fill(key, expires_at_ns)
            orders.add_early_fill(fill, answer, expires_at_ns)
        else:
            orders.add_orphan_fill(fill, answer, expires_at_ns, ids_max)
        _charge(state, fill.desk, paid)
    elif order.phase is OrderPhase.OPEN and isinstance(order.answer, Admit):
        hold = order.answer.reservation_id
        if not ledger.settle_hold(hold, answer.released_microcents, paid):
            assessed = ledger.assess_settle(hold, answer.released_microcents, paid)
            raise InvariantError(
                f"settle of record {answer.wal_sequence}: the ledger answers {assessed!r}"
            )
        _note_fill(state, order, event)
        if answer.open_quantity == 0:
            expires_at_ns = _expires_at_ns(state, order.order, event)
            orders.close(order, OrderPhase.FILLED, expires_at_ns)
    else:
        _note_fill(state, order, event)
        _charge(state, fill.desk, paid)
    if event.halts_desk and fill.desk in state.desks:
        desk = state.desks[fill.desk]
        desk.is_halted = True
        desk.unpaid_fees_microcents += answer.unpaid_fee_microcents
    _collect(state, fill.desk, collected)


def _collect(state: GuardState, name: str, collected_microcents: int) -> None:
    """So much of a desk's debt was paid; it is halted no longer than it owes."""
    if collected_microcents:
        desk = state.desks[name]
        desk.unpaid_fees_microcents -= collected_microcents
        desk.is_halted = desk.unpaid_fees_microcents > 0


def _check_freed(order: OrderState | None, event: FillRecorded) -> None:
    """What a fill leaves open and held is what there was, less what it fills and frees."""
    answer = event.answer
    held = open_quantity = 0
    if order is not None and order.phase is OrderPhase.OPEN:
        held = order.hold_microcents
        open_quantity = max(order.open_quantity - event.fill.quantity, 0)
    if answer.open_quantity != open_quantity or (
        held - answer.released_microcents != answer.hold_microcents
    ):
        raise InvariantError(
            f"record {answer.wal_sequence} frees {answer.released_microcents} microcents and "
            f"leaves {answer.hold_microcents} and {answer.open_quantity} lots, of {held} held and "
            f"with {open_quantity} lots left"
        )


def _note_fill(state: GuardState, order: OrderState, event: FillRecorded) -> None:
    orders = state.orders
    orders.add_fill(order, event.fill, event.answer)
    # Overfills may add up without end; what a reply can carry is bounded.
    order.filled_quantity = min(order.filled_quantity + event.fill.quantity, I64_MAX)
    order.hold_microcents = event.answer.hold_microcents
    orders.save(order)


def _charge(state: GuardState, desk: str, paid_microcents: int) -> None:
    """A fee that no hold stands behind."""
    if paid_microcents > 0:
        _expect(state.ledger.charge(desk, paid_microcents), Charged, f"fee of {desk}")


def _apply_release(state: GuardState, event: OrderReleased) -> None:
    cancel, answer = event.cancel, event.answer
    ledger, orders = state.ledger, state.orders
    order = orders.find(cancel.desk, cancel.client_order_id, event.received_at_ns)
    key = order_key(cancel.desk, cancel.client_order_id)
    if order is None and answer.flags is not UNSET:
        expires_at_ns = state.expires_at_ns(event.received_at_ns, 0)
        state.facts.keep_cancel(key, answer.wal_sequence, expires_at_ns)
        return
    if order is None or not isinstance(order.answer, Admit):
        raise InvariantError(f"record {answer.wal_sequence} releases an order that is not open")
    if answer.released_microcents != order.hold_microcents:
        raise InvariantError(
            f"record {answer.wal_sequence} releases {answer.released_microcents} microcents of an "
            f"order that holds {order.hold_microcents}"
        )
    if ledger.release_hold(order.answer.reservation_id) < 0:
        raise InvariantError(
            f"release of record {answer.wal_sequence}: the ledger answers {MissingReservation()!r}"
        )
    order.hold_microcents = 0
    order.release = answer
    expires_at_ns = _expires_at_ns(state, order.order, event)
    orders.close(order, OrderPhase.CANCELED, expires_at_ns)
    if answer.collected_microcents:
        _charge(state, cancel.desk, answer.collected_microcents)
        _collect(state, cancel.desk, answer.collected_microcents)
        state.facts.keep_collected(key, answer.collected_microcents, order.expires_at_ns)


def _apply_log_opened(state: GuardState, event: LogOpened) -> None:
    if event.format_version != LOG_FORMAT_VERSION:
        raise InvariantError(f"the log's format is version {event.format_version}, unknown here")
    _check_rules_version(event.rules_version)
    state.log_id = event.log_id
    state.key_id = event.key_id
    state.epoch = event.epoch
    state.rules_version = event.rules_version


def _check_rules_version(version: int) -> None:
    if version not in RULES_VERSIONS:
        raise InvariantError(f"the log's rules are version {version}, unknown here")


def _apply_rules(state: GuardState, event: RulesActivated) -> None:
    _check_rules_version(event.rules_version)
    state.rules_version = event.rules_version


def _apply_settings(state: GuardState, event: SettingsActivated) -> None:
    state.currency = event.currency
    state.remembered_orders_max = event.remembered_orders_max
    state.remembered_order_window_ns = event.remembered_order_window_ns


def _apply_policy(state: GuardState, event: PolicyActivated) -> None:
    policy = build_policy(event.policy)
    if policy.digest.hex() != event.policy_digest_hex:
        raise InvariantError(
            f"the policy's digest is {policy.digest.hex()}, recorded as {event.policy_digest_hex}"
        )
    state.policy = policy
    state.policy_digest_hex = event.policy_digest_hex


def _apply_instrument(state: GuardState, event: InstrumentDefined) -> None:
    state.instruments[event.symbol] = define_instrument(
        event.symbol, event.tick_size, event.lot_size, event.multiplier
    )


def _desk_of(state: GuardState, name: str) -> Desk:
    desk = state.desks.get(name)
    if desk is None:
        raise InvariantError(f"desk {name} was never opened")
    return desk


def _apply_desk_opened(state: GuardState, event: DeskOpened) -> None:
    if event.desk in state.desks:
        raise InvariantError(f"desk {event.desk} is opened twice")
    state.desks[event.desk] = Desk(event.desk)
    state.ledger.ensure_tenant(event.desk, event.budget_microcents)
    state.ledger.set_max_reserved_microcents(event.desk, event.max_reserved_microcents or 0)


def _apply_desk_topped_up(state: GuardState, event: DeskToppedUp) -> None:
    result = state.ledger.top_up_tenant(event.desk, event.amount_microcents)
    _expect(result, ToppedUp, f"top-up of {event.desk}")


def _apply_desk_capped(state: GuardState, event: DeskCapped) -> None:
    _desk_of(state, event.desk)
    state.ledger.set_max_reserved_microcents(event.desk, event.max_reserved_microcents or 0)


def _apply_desk_resumed(state: GuardState, event: DeskResumed) -> None:
    desk = _desk_of(state, event.desk)
    desk.is_halted = False
    desk.unpaid_fees_microcents = 0


def _apply_trading_halted(state: GuardState, event: TradingHalted) -> None:
    _stop(state, event, True)


def _apply_trading_resumed(state: GuardState, event: TradingResumed) -> None:
    _stop(state, event, False)


def _stop(state: GuardState, event: TradingHalted | TradingResumed, is_stopped: bool) -> None:
    if event.scope == "firm":
        state.is_firm_stopped = is_stopped
    elif event.scope == "desk":
        _desk_of(state, event.name).is_stopped = is_stopped
    elif is_stopped:
        state.stopped_symbols.add(event.name)
    else:
        state.stopped_symbols.discard(event.name)


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
    if event.key is not UNSET:
        state.key_id = event.key.key_id


def _apply_key_changed(state: GuardState, event: KeyChanged) -> None:
    state.key_id = event.key.key_id


def _apply_session_closed(_state: GuardState, _event: SessionClosed) -> None:
    """Nothing but the mark that `apply_outcome` sets."""


_APPLY: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    OrderDecided: _apply_order,
    OrderRefused: _apply_order_refused,
    FillRecorded: _apply_fill,
    OrderReleased: _apply_release,
    LogOpened: _apply_log_opened,
    RulesActivated: _apply_rules,
    SettingsActivated: _apply_settings,
    PolicyActivated: _apply_policy,
    InstrumentDefined: _apply_instrument,
    DeskOpened: _apply_desk_opened,
    DeskToppedUp: _apply_desk_topped_up,
    DeskCapped: _apply_desk_capped,
    DeskResumed: _apply_desk_resumed,
    TradingHalted: _apply_trading_halted,
    TradingResumed: _apply_trading_resumed,
    EntriesHalted: _apply_halt,
    EntriesResumed: _apply_resume,
    CheckpointTaken: _apply_checkpoint,
    SessionStarted: _apply_session_started,
    KeyChanged: _apply_key_changed,
    SessionClosed: _apply_session_closed,
}
