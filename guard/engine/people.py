"""What takes two people: proposals that wait for another one, and what lasts but for a time. Pure.

Owns, in a state, the terms under which people act (`ApprovalsSet`), the proposals that nobody has
approved yet, and what was loosened beyond the ceiling and reverts. Whether an event loosens,
`guard.engine.loosening` says; here is when one of them needs an approval, what that must be, and
what is due by time.

How it works: without terms one person does whatever an operator may. With them an event that
loosens beyond the ceiling carries an `Approval`: it names a proposal that is pending, of the same
content, made by another person. What can be taken back holds `until_ns`, and reverts to what was in
force before (`base`); meanwhile that, and not what is in force, is what a change is compared with,
so that nobody goes on from a loosening. A change that is within it ends the loosening.

What is due (a proposal that expires, a loosening that reverts) is a record, written before
whatever else is decided behind its time: `GuardState.due_at_ns` is the first of them.

How it fails: `InvariantError` for an event that loosens and carries no such approval: no guard
writes that.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from guard.engine.account_events import AccountSet
from guard.engine.actor import Actor
from guard.engine.events import (
    DeskCapped,
    DeskOpened,
    DeskToppedUp,
    InstrumentDefined,
    LimitsSet,
    PolicyActivated,
)
from guard.engine.facts import NEVER
from guard.engine.loosening import limit_loosenings, policy_loosenings
from guard.engine.people_events import (
    ApprovalsSet,
    DeskCeiling,
    LooseningReverted,
    OrderOverridden,
    OverrideExpired,
    PositionOpened,
    ProposalExpired,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.people_kept import Loosened
from guard.engine.policy_content import PolicyContent
from guard.engine.state import ActionDone, GuardState
from guard.protocol.ranges import TIME_NS_MAX
from kernel import InvariantError

NS_PER_MS: Final = 1_000_000
PROPOSALS_MAX: Final = 64
PEOPLE_SINCE_RULES: Final = 3
_NO_CEILING: Final = DeskCeiling("-", None, None)


def is_looser_cap(before: int, after: int | None) -> bool:
    """Is the cap `after` wider? 0 or None: no cap."""
    if not before:
        return False
    return not after or after > before


# What may be loosened for a time, and of which desk: `limits`, `policy`, `cap` or `budget`.


def thing_of(event: Any) -> tuple[str, str] | None:
    """What the event changes that may be taken back; None for all else."""
    what = _THINGS.get(type(event))
    return None if what is None else (what, getattr(event, "desk", ""))


_THINGS: Final[dict[type, str]] = {
    LimitsSet: "limits",
    PolicyActivated: "policy",
    DeskCapped: "cap",
    DeskToppedUp: "budget",
}


def base_of(state: GuardState, what: str, desk: str) -> Any:
    """What a change of it is compared with: as it was before it was loosened, or as it is.

    Of a budget: how much of the grant is but for a time.
    """
    loosened = state.people.loosened.get((what, desk))
    if loosened is not None:
        return loosened.base
    if what == "limits":
        return state.limits.tree
    if what == "policy":
        return _policy_content(state)
    return 0 if what == "budget" else state.ledger.max_reserved_microcents(desk) or 0


def _policy_content(state: GuardState) -> PolicyContent | None:
    if state.policy is None:
        return None
    return msgspec.convert(state.policy.as_dict(), PolicyContent)


# What of an event is beyond the ceiling, by place.


def _limits_beyond(state: GuardState, event: LimitsSet) -> list[str]:
    terms = state.people.terms
    assert terms is not None
    return limit_loosenings(base_of(state, "limits", ""), event.limits, terms.ceiling)


def _policy_beyond(state: GuardState, event: PolicyActivated) -> list[str]:
    return policy_loosenings(base_of(state, "policy", ""), event.policy)


def _cap_beyond(state: GuardState, event: DeskCapped) -> list[str]:
    cap = event.max_reserved_microcents
    if not is_looser_cap(base_of(state, "cap", event.desk), cap):
        return []
    return _of_desk(state, event.desk, None, cap)


def _budget_beyond(state: GuardState, event: DeskToppedUp) -> list[str]:
    granted = state.ledger.initial_microcents(event.desk) or 0
    most = _ceiling(state, event.desk).budget_microcents
    is_within = most is not None and granted + event.amount_microcents <= most
    return [] if is_within else [f"desks.{event.desk}.budget"]


def _desk_beyond(state: GuardState, event: DeskOpened) -> list[str]:
    return _of_desk(state, event.desk, event.budget_microcents, event.max_reserved_microcents)


def _of_desk(state: GuardState, desk: str, budget: int | None, cap: int | None) -> list[str]:
    ceiling, found = _ceiling(state, desk), []
    most, most_held = ceiling.budget_microcents, ceiling.max_reserved_microcents
    if budget is not None and (most is None or budget > most):
        found.append(f"desks.{desk}.budget")
    if most_held is None or cap is None or cap > most_held:
        found.append(f"desks.{desk}.exposure_cap")
    return found


def _ceiling(state: GuardState, desk: str) -> DeskCeiling:
    terms = state.people.terms
    assert terms is not None
    return next((each for each in terms.desks if each.desk == desk), _NO_CEILING)


def _instrument_beyond(_state: GuardState, event: InstrumentDefined) -> list[str]:
    return [f"instruments.{event.symbol}"]


def _account_beyond(_state: GuardState, event: AccountSet) -> list[str]:
    return [f"accounts.{event.account}"]


def _terms_beyond(_state: GuardState, _event: ApprovalsSet) -> list[str]:
    return ["approvals"]


def _position_beyond(_state: GuardState, event: PositionOpened) -> list[str]:
    return [f"positions.{event.desk}.{event.symbol}"]


def _order_beyond(_state: GuardState, event: OrderOverridden) -> list[str]:
    return [f"orders.{event.desk}.{event.client_order_id}"]


_BEYOND: Final[dict[type, Callable[[GuardState, Any], list[str]]]] = {
    LimitsSet: _limits_beyond,
    PolicyActivated: _policy_beyond,
    DeskCapped: _cap_beyond,
    DeskToppedUp: _budget_beyond,
    DeskOpened: _desk_beyond,
    InstrumentDefined: _instrument_beyond,
    AccountSet: _account_beyond,
    ApprovalsSet: _terms_beyond,
    PositionOpened: _position_beyond,
    OrderOverridden: _order_beyond,
}


def beyond_ceiling(state: GuardState, event: Any) -> list[str]:
    """What of the event takes two people, by place; nothing where one may do it."""
    rule = _BEYOND.get(type(event))
    return [] if rule is None or state.people.terms is None else rule(state, event)


# The life of a change.


class Change(NamedTuple):
    """What stood before an event that may be taken back."""

    thing: tuple[str, str]
    base: Any


def before_change(state: GuardState, event: Any, digest_hex: str) -> Change | None:
    """To be called before the event is applied. InvariantError where nobody has approved it."""
    if state.people.terms is None:
        if getattr(event, "approval", UNSET) is not UNSET:
            raise InvariantError("it is approved where nothing asks for that")
        return None
    _check_approval(state, event, digest_hex)
    thing = thing_of(event)
    return None if thing is None else Change(thing, base_of(state, *thing))


def _check_approval(state: GuardState, event: Any, digest_hex: str) -> None:
    approval = getattr(event, "approval", UNSET)
    if approval is UNSET:
        if beyond := beyond_ceiling(state, event):
            raise InvariantError(f"it loosens {', '.join(beyond)}, and nobody has approved it")
        return
    proposal = state.people.pending.get(approval.proposal)
    if proposal is None:
        raise InvariantError(f"proposal {approval.proposal!r} is approved, and is not pending")
    if approval.person == proposal.person:
        raise InvariantError(f"{approval.person} approves what {proposal.person} proposed")
    if digest_hex != proposal.event_digest_hex:
        raise InvariantError(f"proposal {approval.proposal!r} was another change than this one")
    wanted = until_of(event, proposal, event.received_at_ns)
    if event.until_ns != wanted:
        raise InvariantError(f"it holds until {event.until_ns}; proposed was until {wanted}")


def until_of(event: Any, proposal: Proposed, approved_at_ns: int) -> Any:
    """Until when a change holds that is approved then; UNSET for what stays."""
    if thing_of(event) is None and not isinstance(event, OrderOverridden):
        return UNSET
    return min(approved_at_ns + proposal.lasts_ms * NS_PER_MS, TIME_NS_MAX)


def after_change(state: GuardState, event: Any, change: Change | None) -> None:
    """To be called once it is applied."""
    people = state.people
    approval = getattr(event, "approval", UNSET)
    if approval is not UNSET:
        del people.pending[approval.proposal]
    if change is not None:
        what = change.thing[0]
        if event.until_ns is not UNSET:
            base = change.base
            if what == "budget":
                base += event.amount_microcents
            people.loosened[change.thing] = Loosened(event.until_ns, base)
        elif what != "budget":  # what is within the base ends the loosening of it
            people.loosened.pop(change.thing, None)
    note_due(state)


def note_proposed(state: GuardState, event: Proposed) -> None:
    """A proposal waits from now on."""
    people = state.people
    if people.terms is None or len(people.pending) >= PROPOSALS_MAX:
        raise InvariantError(f"proposal {event.action_id!r} is made where none may be")
    if event.expires_at_ns <= event.received_at_ns:
        raise InvariantError(f"proposal {event.action_id!r} expires before it is made")
    people.pending[event.action_id] = event


def forget_proposal(state: GuardState, event: Any) -> None:
    """It waits no more."""
    proposal = state.people.pending.pop(event.proposal, None)
    if proposal is None:
        raise InvariantError(f"proposal {event.proposal!r} goes, and is not pending")
    if isinstance(event, ProposalExpired) and event.due_ns != proposal.expires_at_ns:
        raise InvariantError(f"proposal {event.proposal!r} expires at {proposal.expires_at_ns}")
    done = state.actions.get(event.proposal)
    if done is not None:
        ended = ended_digest_hex(PROPOSAL_ENDS[type(event)], done.digest_hex)
        state.actions[event.proposal] = ActionDone(done.sequence, ended)


# How a proposal ends that nobody approves.
PROPOSAL_ENDS: Final[dict[type, str]] = {
    ProposalExpired: "expired",
    ProposalWithdrawn: "was withdrawn",
}


def ended_digest_hex(how: str, digest_hex: str) -> str:
    """What is remembered of a proposal that has ended so, in place of its action's digest: under
    its id nothing was done.
    """
    return hashlib.sha256(f"guardend\0{how}\0{digest_hex}".encode()).hexdigest()


def note_lowered(state: GuardState, desk: str, amount_microcents: int) -> None:
    """A budget was lowered: as much of what was granted but for a time is gone."""
    thing = ("budget", desk)
    loosened = state.people.loosened.get(thing)
    if loosened is None:
        return
    left = loosened.base - amount_microcents
    if left > 0:
        state.people.loosened[thing] = Loosened(loosened.until_ns, left)
    else:
        del state.people.loosened[thing]
    note_due(state)


# What is due.


def note_due(state: GuardState) -> None:
    """Works out when the next thing is due."""
    due = _next_due(state)
    state.due_at_ns = NEVER if due is None else due[0]


def _next_due(state: GuardState) -> tuple[int, str, tuple[str, str]] | None:
    people = state.people
    found = [(each.expires_at_ns, "proposal", (name, "")) for name, each in people.pending.items()]
    found += [(each.until_ns, "loosening", thing) for thing, each in people.loosened.items()]
    found += [
        (each.event.until_ns, "override", (digest, "")) for digest, each in people.overrides.items()
    ]
    return min(found, default=None)


def due_event(state: GuardState, actor: Actor) -> Any:
    """The event of what is due first, in that actor's name; None where nothing is yet."""
    due = _next_due(state)
    if due is None or due[0] > actor.received_at_ns:
        return None
    due_ns, kind, (what, desk) = due
    if kind == "proposal":
        return actor.event(ProposalExpired, proposal=what, due_ns=due_ns)
    if kind == "override":
        return actor.event(OverrideExpired, order_digest_hex=what, due_ns=due_ns)
    lowered: Any = UNSET
    if what == "budget":
        free = state.ledger.remaining_microcents(desk) or 0
        lowered = min(state.people.loosened[what, desk].base, free)
    return actor.event(
        LooseningReverted, what=what, desk=desk, due_ns=due_ns, lowered_microcents=lowered
    )
