"""What an action would do on a state: the event that does it, and the differences in words. Pure.

Owns the conditions of every action, one function each, found by a table. Nothing is changed here:
the event takes effect where it is recorded and applied, as every event does.

How it fails: `AdminError` for what cannot be done on this state, in words that name the field, the
value and what is allowed.
"""

from collections.abc import Callable
from typing import Any, Final

from guard.admin import messages as asked
from guard.admin.account_actions import account_set, plan_account
from guard.admin.day_name import check_day
from guard.admin.fill_actions import AMENDING, amended, plan_amendment
from guard.admin.latch_actions import lift_changes, lifted
from guard.admin.locate_actions import (
    locate_added,
    locate_removed,
    plan_addition,
    plan_removal,
)
from guard.admin.messages import AdminError, close_action_id
from guard.admin.override_actions import overridden, plan_override
from guard.admin.people_actions import (
    check_not_ended,
    plan_approval,
    plan_opening,
    plan_terms,
    plan_withdrawal,
    position_opened,
    propose,
    terms_set,
    withdrawn,
)
from guard.admin.plans import Plan as Plan
from guard.admin.plans import named
from guard.admin.trading_actions import (
    halted,
    plan_halt,
    plan_reducing,
    plan_resume,
    reduced,
    resumed,
)
from guard.config.limits import check_tree, check_venues, tree_differences
from guard.config.policy_difference import epochs_problem, policy_changes
from guard.engine.actor import Actor
from guard.engine.amendments import FillName, collected_by
from guard.engine.apply_event import (
    action_digest_hex,
    approve_digest_hex,
    asked_digest_hex,
    build_policy,
)
from guard.engine.day_close import closed_event
from guard.engine.events import (
    BudgetLowered,
    DeskCapped,
    DeskOpened,
    DeskToppedUp,
    HoldFreed,
    InstrumentDefined,
    LimitsSet,
    OperatorActed,
    PolicyActivated,
)
from guard.engine.people import beyond_ceiling
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import ActionDone, GuardState
from guard.protocol.instruments import define_instrument, money_text
from guard.protocol.limits import digest_hex, normalized
from guard.protocol.request import Request
from kernel import Lowered, PolicyError, ToppedUp
from kernel.ledger_lines import Tenant

DESKS_MAX: Final = 10_000
SYMBOLS_MAX: Final = 16_384


Planner = Callable[[GuardState, Any, Actor], Plan]


def plan(state: GuardState, action: asked.AnyAction, actor: Actor) -> Plan:
    """What the action would do now: where that takes two people, propose it. Raises AdminError
    where it cannot be done.
    """
    planned = _planned(state, action, actor)
    if isinstance(action, asked.Approve):
        return planned
    beyond = beyond_ceiling(state, planned.event)
    return propose(state, action, planned, beyond, actor) if beyond else planned


def _planned(state: GuardState, action: asked.AnyAction, actor: Actor) -> Plan:
    """The same, whoever has to approve it."""
    planner: Planner = PLANNERS[type(action)]
    return planner(state, action, actor)


def _plan_approval(state: GuardState, action: asked.Approve, actor: Actor) -> Plan:
    return plan_approval(state, action, actor, asked.decode_request, _planned)


def _approved(state: GuardState, action: asked.Approve, actor: Actor) -> Any:
    return _plan_approval(state, action, actor).event


def done_before(state: GuardState, action: asked.AnyAction, actor: Actor) -> ActionDone | None:
    """The record of an action that was done already, or that waits for approval. Raises AdminError
    where the id is another's, or a proposal's that nobody has approved.

    What was asked for then and now is compared, not what it would do now.
    """
    done = state.actions.get(action.action_id)
    if done is None:
        return None
    if not _is_same(state, action, actor, done):
        raise AdminError(
            "action_id_reused",
            "action_id",
            f"action_id {action.action_id!r} was another action, record {done.sequence}; allowed: "
            "an id that no action has had",
        )
    return done


def _is_same(state: GuardState, action: asked.AnyAction, actor: Actor, done: ActionDone) -> bool:
    """Does the action ask for what was done, whether or not it could be done again? Raises
    AdminError where that was proposed, and nobody has approved it.
    """
    if isinstance(action, asked.Approve):
        return approve_digest_hex(action.proposal) == done.digest_hex
    if isinstance(action, asked.AcceptFill | asked.BustFill | asked.CorrectFill):
        name = FillName(action.desk, action.client_order_id, action.fill_id)
        tag = AMENDING[type(action)].__struct_config__.tag
        if asked_digest_hex(tag, name._asdict()) != done.digest_hex:
            return False
        return not isinstance(action, asked.CorrectFill) or not _says_more(state, action, actor)
    digest_hex = action_digest_hex(EVENTS[type(action)](state, action, actor))
    check_not_ended(action, digest_hex, done)
    return digest_hex == done.digest_hex


def _says_more(state: GuardState, action: asked.CorrectFill, actor: Actor) -> bool:
    """Would the correction change the fill as it is now?"""
    try:
        return amended(state, action, actor) is not None
    except AdminError:
        return False  # it is forgotten, or busted since


# The events, each from what is asked for.


def _topped_up(state: GuardState, action: asked.TopUp, actor: Actor) -> Any:
    amount = action.amount_microcents
    collected = collected_by(state, action.desk, amount)
    return named(
        actor,
        DeskToppedUp,
        action,
        desk=action.desk,
        amount_microcents=amount,
        collected_microcents=collected,
    )


def _lowered(_state: GuardState, action: asked.LowerBudget, actor: Actor) -> Any:
    amount = action.amount_microcents
    return named(actor, BudgetLowered, action, desk=action.desk, amount_microcents=amount)


def _capped(_state: GuardState, action: asked.SetCap, actor: Actor) -> Any:
    cap = asked.cap_microcents(action.max_reserved_microcents)
    return named(actor, DeskCapped, action, desk=action.desk, max_reserved_microcents=cap)


def _opened(_state: GuardState, action: asked.OpenDesk, actor: Actor) -> Any:
    return named(
        actor,
        DeskOpened,
        action,
        desk=action.desk,
        budget_microcents=action.budget_microcents,
        max_reserved_microcents=asked.cap_microcents(action.max_reserved_microcents),
    )


def _defined(_state: GuardState, action: asked.DefineInstrument, actor: Actor) -> Any:
    return named(
        actor,
        InstrumentDefined,
        action,
        symbol=action.symbol,
        tick_size=action.tick_size,
        lot_size=action.lot_size,
        multiplier=action.multiplier,
    )


def _activated(_state: GuardState, action: asked.ActivatePolicy, actor: Actor) -> Any:
    try:
        digest_hex = build_policy(action.policy).digest.hex()
    except PolicyError as error:
        raise AdminError("invalid", "policy", f"policy: {error}") from error
    return named(actor, PolicyActivated, action, policy=action.policy, policy_digest_hex=digest_hex)


def _limited(state: GuardState, action: asked.SetLimits, actor: Actor) -> Any:
    try:
        tree = normalized(action.limits)
        check_tree(tree, state.desks, state.instruments, state.accounts.customers())
        models = () if state.policy is None else state.policy.models
        check_venues(tree, {model.model_id for model in models})
    except ValueError as error:
        raise AdminError("invalid", "limits", str(error)) from error
    return named(actor, LimitsSet, action, limits=tree, limits_digest_hex=digest_hex(tree))


def _freed(state: GuardState, action: asked.FreeHold, actor: Actor) -> Any:
    row = _row_of(state, action, actor)
    held = 0 if row == NO_ROW else state.orders.hold_microcents(row)
    return named(
        actor,
        HoldFreed,
        action,
        desk=action.desk,
        client_order_id=action.client_order_id,
        released_microcents=held,
        collected_microcents=collected_by(state, action.desk, held),
    )


def _day_closed(state: GuardState, action: asked.CloseDay, actor: Actor) -> Any:
    return closed_event(state, actor, action.day, action.action_id)


def _acted(_state: GuardState, action: asked.AnyAction, actor: Actor) -> Any:
    word = type(action).__struct_config__.tag
    return named(actor, OperatorActed, action, action=word)


def _row_of(state: GuardState, action: asked.FreeHold, actor: Actor) -> int:
    request = Request()
    request.set_text("desk", action.desk.encode())
    request.set_text("client_order_id", action.client_order_id.encode())
    return state.orders.find(request, actor.received_at_ns)


# What each would do.


def _plan_top_up(state: GuardState, action: asked.TopUp, actor: Actor) -> Plan:
    line = _line_of(state, action.desk)
    result = state.ledger.assess_top_up(action.desk, action.amount_microcents)
    if not isinstance(result, ToppedUp):
        raise _too_much(action.amount_microcents, 2**63 - 1 - line.initial)
    changes = [_grant_change(action.desk, line.initial, result.new_initial_microcents)]
    return Plan(_topped_up(state, action, actor), changes)


def _plan_lower(state: GuardState, action: asked.LowerBudget, actor: Actor) -> Plan:
    line = _line_of(state, action.desk)
    result = state.ledger.assess_lower(action.desk, action.amount_microcents)
    if not isinstance(result, Lowered):
        raise _too_much(action.amount_microcents, line.remaining)
    changes = [_grant_change(action.desk, line.initial, result.new_initial_microcents)]
    return Plan(_lowered(state, action, actor), changes)


def _plan_cap(state: GuardState, action: asked.SetCap, actor: Actor) -> Plan:
    line = _line_of(state, action.desk)
    cap = asked.cap_microcents(action.max_reserved_microcents)
    before, after = _cap_words(line.cap or None), _cap_words(cap)
    if before == after:
        words = f"desk {action.desk}: its exposure cap is {after} already"
        raise AdminError("already_so", "max_reserved_microcents", words)
    changes = [f"desk {action.desk}: exposure cap {before} -> {after}"]
    if cap is not None and cap < line.reserved:
        held = _money(line.reserved)
        changes.append(f"desk {action.desk}: {held} are held already; entries wait until less is")
    return Plan(_capped(state, action, actor), changes)


def _plan_open(state: GuardState, action: asked.OpenDesk, actor: Actor) -> Plan:
    if action.desk in state.desks:
        raise AdminError("desk_exists", "desk", f"desk {action.desk!r} is open already")
    if len(state.desks) >= DESKS_MAX:
        raise AdminError("too_many", "desk", f"{DESKS_MAX} desks are open; no more are allowed")
    budget = _money(action.budget_microcents)
    cap = _cap_words(asked.cap_microcents(action.max_reserved_microcents))
    changes = [f"desk {action.desk}: opened, budget {budget}, exposure cap {cap}"]
    return Plan(_opened(state, action, actor), changes)


def _plan_instrument(state: GuardState, action: asked.DefineInstrument, actor: Actor) -> Plan:
    if action.symbol in state.instruments:
        raise AdminError("symbol_exists", "symbol", f"symbol {action.symbol!r} is defined already")
    if len(state.instruments) >= SYMBOLS_MAX:
        raise AdminError("too_many", "symbol", f"{SYMBOLS_MAX} symbols are defined; no more may be")
    try:
        define_instrument(action.symbol, action.tick_size, action.lot_size, action.multiplier)
    except ValueError as error:
        raise AdminError("invalid", str(error).partition(":")[0], str(error)) from error
    sizes = f"tick {action.tick_size}, lot {action.lot_size}, multiplier {action.multiplier}"
    return Plan(_defined(state, action, actor), [f"symbol {action.symbol}: defined, {sizes}"])


def _plan_policy(state: GuardState, action: asked.ActivatePolicy, actor: Actor) -> Plan:
    event: Any = _activated(state, action, actor)
    if event.policy_digest_hex == state.policy_digest_hex:
        return Plan(event, [f"policy: {event.policy_digest_hex}, as it is in force already"])
    if problem := epochs_problem(state.policy, action.policy, "the one in force"):
        raise AdminError("invalid", "policy", problem)
    changes = [f"policy: {state.policy_digest_hex} -> {event.policy_digest_hex}"]
    changes += [
        f"{place}: {before or 'none'} -> {after or 'none'}"
        for place, before, after in policy_changes(state.policy, action.policy, state.currency)
    ]
    return Plan(event, changes)


def _plan_limits(state: GuardState, action: asked.SetLimits, actor: Actor) -> Plan:
    event = _limited(state, action, actor)
    changes = tree_differences(state.limits.tree, event.limits)
    return Plan(event, changes or ["limits: as they are in force already"])


def _plan_free(state: GuardState, action: asked.FreeHold, actor: Actor) -> Plan:
    row = _row_of(state, action, actor)
    name = f"{action.desk}/{action.client_order_id}"
    if row == NO_ROW:
        raise AdminError("unknown_order", "client_order_id", f"order {name} is not remembered")
    if state.orders.phase(row) != OrderPhase.OPEN:
        raise AdminError("order_not_open", "client_order_id", f"order {name} is not open any more")
    held = _money(state.orders.hold_microcents(row))
    return Plan(_freed(state, action, actor), [f"order {name}: closed, {held} are free again"])


def _plan_close(state: GuardState, action: asked.CloseDay, actor: Actor) -> Plan:
    named = close_action_id(action.day)
    if action.action_id != named:
        words = f"action_id is {action.action_id!r}; allowed for day {action.day}: {named!r}"
        raise AdminError("invalid", "action_id", f"{words}, since a day is closed once")
    check_day(state, action.day, actor)
    held = state.ledger.active_reservations
    return Plan(_day_closed(state, action, actor), [f"day {action.day}: closed, {held} holds stay"])


def _plan_act(state: GuardState, action: asked.AnyAction, actor: Actor) -> Plan:
    return Plan(_acted(state, action, actor), [_ACTS[type(action)]])


_ACTS: Final[dict[type, str]] = {
    asked.TakeCheckpoint: "a checkpoint begins",
    asked.Rotate: "the next batch begins a new segment of the log",
    asked.Stop: "what has arrived is answered, the log is closed, the daemon ends",
}


def _line_of(state: GuardState, desk: str) -> Tenant:
    line = state.ledger.line(desk) if desk in state.desks else None
    if line is None:
        raise AdminError("unknown_desk", "desk", f"there is no desk {desk!r}")
    return line


def _too_much(amount: int, most: int) -> AdminError:
    words = f"amount_microcents is {amount}; allowed: at most {most} ({_money(most)})"
    return AdminError("too_much", "amount_microcents", words)


def _grant_change(desk: str, before: int, after: int) -> str:
    return f"desk {desk}: budget {_money(before)} -> {_money(after)}"


def _money(microcents: int) -> str:
    return money_text(microcents, ",")


def _cap_words(microcents: int | None) -> str:
    return "none" if microcents is None else _money(microcents)


# One row an action: what it would do, and its event alone.
PLANNERS: Final[dict[type, Planner]] = {
    asked.Halt: plan_halt,
    asked.Reducing: plan_reducing,
    asked.Resume: plan_resume,
    asked.TopUp: _plan_top_up,
    asked.LowerBudget: _plan_lower,
    asked.SetCap: _plan_cap,
    asked.OpenDesk: _plan_open,
    asked.DefineInstrument: _plan_instrument,
    asked.ActivatePolicy: _plan_policy,
    asked.SetLimits: _plan_limits,
    asked.LiftLatch: lambda *of: Plan(lifted(*of), lift_changes(*of[:2])),
    asked.FreeHold: _plan_free,
    asked.AcceptFill: plan_amendment,
    asked.BustFill: plan_amendment,
    asked.CorrectFill: plan_amendment,
    asked.TakeCheckpoint: _plan_act,
    asked.Rotate: _plan_act,
    asked.Stop: _plan_act,
    asked.CloseDay: _plan_close,
    asked.SetApprovals: plan_terms,
    asked.OpenPosition: plan_opening,
    asked.OverrideOrder: plan_override,
    asked.Approve: _plan_approval,
    asked.Withdraw: plan_withdrawal,
    asked.AddLocate: plan_addition,
    asked.RemoveLocate: plan_removal,
    asked.SetAccount: plan_account,
}
EVENTS: Final[dict[type, Callable[[GuardState, Any, Actor], Any]]] = {
    asked.Halt: halted,
    asked.Reducing: reduced,
    asked.Resume: resumed,
    asked.TopUp: _topped_up,
    asked.LowerBudget: _lowered,
    asked.SetCap: _capped,
    asked.OpenDesk: _opened,
    asked.DefineInstrument: _defined,
    asked.ActivatePolicy: _activated,
    asked.SetLimits: _limited,
    asked.LiftLatch: lifted,
    asked.FreeHold: _freed,
    asked.AcceptFill: amended,
    asked.BustFill: amended,
    asked.CorrectFill: amended,
    asked.TakeCheckpoint: _acted,
    asked.Rotate: _acted,
    asked.Stop: _acted,
    asked.CloseDay: _day_closed,
    asked.SetApprovals: terms_set,
    asked.OpenPosition: position_opened,
    asked.OverrideOrder: overridden,
    asked.Approve: _approved,
    asked.Withdraw: withdrawn,
    asked.AddLocate: locate_added,
    asked.RemoveLocate: locate_removed,
    asked.SetAccount: account_set,
}
