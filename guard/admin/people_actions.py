"""What takes two people: proposals, their approval, and what waits. Pure.

A part of `guard.admin.actions`, whose tables name these actions with all others. What needs an
approval and what that must be, `guard.engine.people` says; here an action that needs one becomes a
proposal, and an approval the change that was proposed.

How it fails: `AdminError` for what cannot be.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import msgspec
from msgspec import UNSET, structs

from guard.admin.errors import AdminError
from guard.admin.message_base import Action
from guard.admin.people_messages import (
    Approve,
    ListPending,
    LoosenedLine,
    OpenPosition,
    PendingApproval,
    PendingLine,
    PendingReply,
    SetApprovals,
    Withdraw,
)
from guard.admin.plans import Plan, named
from guard.config.limits import check_names
from guard.engine.actor import Actor
from guard.engine.apply_event import action_digest_hex
from guard.engine.people import (
    NS_PER_MS,
    PROPOSAL_ENDS,
    PROPOSALS_MAX,
    ended_digest_hex,
    until_of,
)
from guard.engine.people_events import (
    Approval,
    ApprovalsSet,
    PositionOpened,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.positions import NO_POSITION
from guard.engine.state import ActionDone, GuardState
from guard.protocol.instruments import money_text
from guard.protocol.limits import normalized

MS_PER_S: Final = 1_000
# Of an action, what its approval says anew.
_OF_THE_ASKING: Final = ("action_id", "why", "by", "dry_run", "request_id")


def propose(
    state: GuardState, action: Action, planned: Plan, beyond: list[str], actor: Actor
) -> Plan:
    """The proposal of an action that is beyond the ceiling: its record in place of the change's."""
    terms = state.people.terms
    assert terms is not None
    if len(state.people.pending) >= PROPOSALS_MAX:
        words = f"{PROPOSALS_MAX} proposals wait already; allowed: once one is approved or gone"
        raise AdminError("too_many", "type", words)
    longest = terms.loosening_ms_max
    lasts_s = getattr(action, "lasts_s", None)
    lasts_ms = longest if lasts_s is None else lasts_s * MS_PER_S
    if lasts_ms > longest:
        words = f"lasts_s is {lasts_s}; allowed: at most {longest // MS_PER_S}"
        raise AdminError("too_much", "lasts_s", words)
    event = actor.event(
        Proposed,
        person=actor.person,
        action=asked_text(action),
        event_digest_hex=action_digest_hex(planned.event),
        beyond=beyond,
        changes=planned.changes,
        expires_at_ns=actor.received_at_ns + terms.proposal_ms * NS_PER_MS,
        lasts_ms=lasts_ms,
        action_id=action.action_id,
    )
    places = ", ".join(beyond)
    words = f"proposal {action.action_id}: another person has to approve it: it loosens {places}"
    return Plan(event, [words, *planned.changes])


def pending_approval(event: Proposed, sequence: int, *, is_repeat: bool) -> PendingApproval:
    """The reply to who has proposed it."""
    return PendingApproval(
        event.action_id, sequence, is_repeat, event.beyond, event.changes, event.expires_at_ns
    )


def asked_text(action: Action) -> str:
    """What was asked for, without who, why and under which id."""
    said = msgspec.to_builtins(action)
    for name in _OF_THE_ASKING:
        said.pop(name, None)
    return msgspec.json.encode(said).decode()


def pending_of(state: GuardState, proposal: str) -> Proposed:
    """The proposal of that name. Raises AdminError where none is pending."""
    found = state.people.pending.get(proposal)
    if found is None:
        waiting = ", ".join(state.people.pending) or "none"
        words = f"proposal {proposal!r} is not pending; pending: {waiting}"
        raise AdminError("not_pending", "proposal", words)
    return found


def check_not_ended(action: Action, digest_hex: str, done: ActionDone) -> None:
    """Raises AdminError where the action was a proposal that nobody has approved. `digest_hex`:
    of what it asks for.
    """
    for how in PROPOSAL_ENDS.values():
        if ended_digest_hex(how, digest_hex) == done.digest_hex:
            words = f"proposal {action.action_id} {how}; propose it under another id"
            raise AdminError("not_pending", "action_id", words)


def plan_approval(
    state: GuardState,
    action: Approve,
    actor: Actor,
    decode: Callable[[bytes], Any],
    plan: Callable[[GuardState, Any, Actor], Plan],
) -> Plan:
    """The change that was proposed, with who approves it. `decode` reads an action, `plan` says
    what it would do now, which must be what was proposed.
    """
    proposal = pending_of(state, action.proposal)
    if proposal.person == actor.person:
        words = f"{actor.person} proposed it; allowed: another person"
        raise AdminError("same_person", "proposal", words)
    asked = {
        **msgspec.json.decode(proposal.action),
        "action_id": action.action_id,
        "why": proposal.why,
    }
    first = replace(actor, by=proposal.by, why=proposal.why)
    planned = plan(state, decode(msgspec.json.encode(asked)), first)
    if action_digest_hex(planned.event) != proposal.event_digest_hex:
        words = "what it would do now is not what was proposed; allowed: to propose it anew"
        raise AdminError("changed_since", "proposal", words)
    until_ns = until_of(planned.event, proposal, actor.received_at_ns)
    approval = Approval(action.proposal, actor.person, actor.by, action.why)
    event = structs.replace(planned.event, approval=approval, until_ns=until_ns)
    changes = [*planned.changes, f"proposed by {proposal.by}: {proposal.why}"]
    if until_ns is not UNSET:
        changes.append(f"taken back in {proposal.lasts_ms // MS_PER_S:,} s")
    return Plan(event, changes)


def plan_withdrawal(state: GuardState, action: Withdraw, actor: Actor) -> Plan:
    """A proposal is taken away."""
    proposal = pending_of(state, action.proposal)
    changes = [f"proposal {action.proposal} of {proposal.by}: withdrawn"]
    return Plan(withdrawn(state, action, actor), changes)


def withdrawn(_state: GuardState, action: Withdraw, actor: Actor) -> Any:
    """The event of that."""
    return named(actor, ProposalWithdrawn, action, proposal=action.proposal)


def plan_terms(state: GuardState, action: SetApprovals, actor: Actor) -> Plan:
    """Other terms."""
    event = terms_set(state, action, actor)
    return Plan(event, [f"approvals: {terms_words(event)}"])


def terms_set(state: GuardState, action: SetApprovals, actor: Actor) -> Any:
    """The event of that. Raises AdminError."""
    try:
        ceiling = normalized(action.ceiling)
        check_names(ceiling, state.desks, state.instruments, state.accounts.customers())
    except ValueError as error:
        raise AdminError("invalid", "ceiling", f"ceiling: {error}") from error
    for each in action.desks:
        if each.desk not in state.desks:
            raise AdminError("unknown_desk", "desks", f"desks: there is no desk {each.desk!r}")
    return named(
        actor,
        ApprovalsSet,
        action,
        proposal_ms=action.proposal_ms,
        loosening_ms_max=action.loosening_ms_max,
        ceiling=ceiling,
        desks=action.desks,
    )


def plan_opening(state: GuardState, action: OpenPosition, actor: Actor) -> Plan:
    """A position that no fill has given. Raises AdminError."""
    if state.people.terms is None:
        words = "a position is opened by two people alone; allowed: with [approvals] configured"
        raise AdminError("not_permitted", "type", words)
    known: Any = (("desk", action.desk, state.desks), ("symbol", action.symbol, state.instruments))
    for field, name, names in known:
        if name not in names:
            raise AdminError(f"unknown_{field}", field, f"there is no {field} {name!r}")
    if not action.lots:
        raise AdminError("invalid", "lots", "lots is 0; allowed: any other number")
    desk, number = state.desks[action.desk], state.positions.symbols[action.symbol]
    row = state.positions.find(desk.share, number)
    had = 0 if row == NO_POSITION else state.positions.position(row)
    change = f"desk {action.desk} in {action.symbol}: position {had} -> {had + action.lots} lots"
    cost = money_text(action.cost_microcents, ",")
    return Plan(position_opened(state, action, actor), [f"{change}, for {cost}"])


def position_opened(_state: GuardState, action: OpenPosition, actor: Actor) -> Any:
    """The event of that."""
    return named(
        actor,
        PositionOpened,
        action,
        desk=action.desk,
        symbol=action.symbol,
        lots=action.lots,
        cost_microcents=action.cost_microcents,
    )


def terms_words(terms: ApprovalsSet) -> str:
    """The terms, for people."""
    return (
        f"a proposal is open for {terms.proposal_ms // MS_PER_S:,} s, a loosening holds "
        f"{terms.loosening_ms_max // MS_PER_S:,} s at most; ceilings of {len(terms.desks)} desks "
        f"and {len(terms.ceiling)} scopes of limits"
    )


def pending_reply(state: GuardState, _query: ListPending, _now_ns: int) -> PendingReply:
    """What waits, and what was loosened."""
    people = state.people
    proposals = sorted(people.pending.values(), key=lambda each: each.expires_at_ns)
    return PendingReply(
        [
            PendingLine(
                each.action_id,
                each.person,
                each.by,
                each.why,
                each.beyond,
                each.changes,
                each.expires_at_ns,
                each.lasts_ms // MS_PER_S,
            )
            for each in proposals
        ],
        [
            LoosenedLine(what, desk, each.until_ns)
            for (what, desk), each in sorted(people.loosened.items())
        ],
        state.next_sequence - 1,
    )
