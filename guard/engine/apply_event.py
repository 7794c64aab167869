"""Apply an administrative event: what a person, a start-up or the disk did → the state. Pure.

Owns every change of the state that no request asked for, one function an event, found by a table.
It follows what the event says and decides nothing: see `guard.engine.apply`.

How it fails: `InvariantError` where the event cannot follow from the state: the log and the state
are not of one history, nothing may go on.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.engine.events import (
    LOG_FORMAT_VERSION,
    RULES_VERSION,
    CheckpointTaken,
    DeskCapped,
    DeskOpened,
    DeskResumed,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    InstrumentDefined,
    LogOpened,
    PolicyActivated,
    PolicyContent,
    SessionClosed,
    SessionStarted,
    SettingsActivated,
)
from guard.engine.state import Desk, EntriesHalt, GuardState
from guard.protocol.instruments import define_instrument
from kernel import InvariantError, KernelInputError, KernelModel, PolicySnapshot, ToppedUp


def apply_event(state: GuardState, sequence: int, event: Any) -> None:
    """Folds one event into the state; `sequence` is its place in the log."""
    if sequence != state.next_sequence:
        raise InvariantError(f"event {sequence} is applied where {state.next_sequence} is due")
    received_at_ns = event.received_at_ns
    try:
        state.orders.forget_expired(received_at_ns)
        _APPLY[type(event)](state, event)
        state.advance(sequence, received_at_ns)
    except OverflowError as error:  # from the compiled forms, which count in 64 bits
        raise KernelInputError(f"record {sequence} holds an impossible integer: {error}") from error
    state.is_closed_cleanly = type(event) is SessionClosed


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


def _apply_log_opened(state: GuardState, event: LogOpened) -> None:
    if event.format_version != LOG_FORMAT_VERSION:
        raise InvariantError(f"the log's format is version {event.format_version}, unknown here")
    if event.rules_version != RULES_VERSION:
        raise InvariantError(f"the log's rules are version {event.rules_version}, unknown here")
    state.log_id = event.log_id
    state.key_id = event.key_id
    state.epoch = event.epoch
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
    state.define(define_instrument(event.symbol, event.tick_size, event.lot_size, event.multiplier))


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
    if not isinstance(result, ToppedUp):
        raise InvariantError(f"top-up of {event.desk}: the ledger answers {result!r}")


def _apply_desk_capped(state: GuardState, event: DeskCapped) -> None:
    _desk_of(state, event.desk)
    state.ledger.set_max_reserved_microcents(event.desk, event.max_reserved_microcents or 0)


def _apply_desk_resumed(state: GuardState, event: DeskResumed) -> None:
    desk = _desk_of(state, event.desk)
    desk.is_halted = False
    desk.unpaid_fees_microcents = 0


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


def _apply_session_closed(_state: GuardState, _event: SessionClosed) -> None:
    """Nothing but the mark that `apply_event` sets."""


_APPLY: Final[dict[type, Callable[[GuardState, Any], None]]] = {
    LogOpened: _apply_log_opened,
    SettingsActivated: _apply_settings,
    PolicyActivated: _apply_policy,
    InstrumentDefined: _apply_instrument,
    DeskOpened: _apply_desk_opened,
    DeskToppedUp: _apply_desk_topped_up,
    DeskCapped: _apply_desk_capped,
    DeskResumed: _apply_desk_resumed,
    EntriesHalted: _apply_halt,
    EntriesResumed: _apply_resume,
    CheckpointTaken: _apply_checkpoint,
    SessionStarted: _apply_session_started,
    SessionClosed: _apply_session_closed,
}
