"""The events of people who set right what the guard has stopped, and of what takes two. Pure.

A part of `guard.engine.events`, which names them all.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from guard.engine.administrative import Administrative
from guard.engine.latches import LatchKind, NotedKind
from guard.protocol.limits import LimitScope
from guard.protocol.ranges import (
    ActionId,
    DeskName,
    HexDigest,
    Microcents,
    ReceivedAtNs,
    ScopeName,
    SignedLots,
    Symbol,
)

ACTION_BYTES_MAX = 16 * 1024 * 1024  # the largest policy
MS_MAX = 31_536_000_000  # a year
Milliseconds: TypeAlias = Annotated[int, Meta(ge=1, le=MS_MAX)]
Person: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
ReasonWord: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z")]
LoosenedThing: TypeAlias = Literal["limits", "policy", "cap", "budget"]


class LatchSet(Administrative, tag="latch_set"):
    """A latch is set that no other record sets, and `why` says what for.

    Of a desk in a symbol; of the one that is named where the other is empty; of the firm where both
    are.
    """

    desk: ScopeName
    symbol: ScopeName
    latch: NotedKind


class LatchLifted(Administrative, tag="latch_lifted"):
    """A person lifted a latch (`guard.engine.latches`)."""

    desk: ScopeName
    symbol: ScopeName
    latch: LatchKind
    action_id: ActionId | UnsetType = UNSET


class Approval(Struct, forbid_unknown_fields=True):
    """The second person of a change: who approved which proposal, and why."""

    proposal: ActionId
    person: Person
    by: str
    why: str


class Approvable(Administrative, kw_only=True):
    """A change that may take two people (`guard.engine.people`): `by` and `why` are the first's.

    `until_ns`: from then on it is taken back, where it can be.
    """

    approval: Approval | UnsetType = UNSET
    until_ns: ReceivedAtNs | UnsetType = UNSET


class DeskCeiling(Struct, forbid_unknown_fields=True):
    """Up to which budget and cap of a desk one person may go; null: nowhere."""

    desk: DeskName
    budget_microcents: Microcents | None
    max_reserved_microcents: Microcents | None


class ApprovalsSet(Approvable, tag="approvals_set"):
    """From here on what loosens beyond the ceiling takes two people.

    A proposal is open for `proposal_ms`; what can be taken back holds `loosening_ms_max` at most.
    `ceiling`: of limits, as in `LimitsSet`.
    """

    proposal_ms: Milliseconds
    loosening_ms_max: Milliseconds
    ceiling: list[LimitScope]
    desks: list[DeskCeiling]
    action_id: ActionId | UnsetType = UNSET


class Proposed(Administrative, tag="proposed"):
    """A person asks for a change that takes another one's approval.

    `action`: as it was asked for (`guard.admin.messages`), in JSON; `event_digest_hex`: of what it
    would record; `beyond`: what of it is beyond the ceiling; `changes`: what it would change then.
    """

    person: Person
    action: Annotated[str, Meta(max_length=ACTION_BYTES_MAX)]
    event_digest_hex: HexDigest
    beyond: list[str]
    changes: list[str]
    expires_at_ns: ReceivedAtNs
    lasts_ms: Milliseconds
    action_id: ActionId


class ProposalWithdrawn(Administrative, tag="proposal_withdrawn"):
    """A person takes a proposal away."""

    proposal: ActionId
    action_id: ActionId | UnsetType = UNSET


class ProposalExpired(Administrative, tag="proposal_expired"):
    """Nobody has approved it in time, which ended at `due_ns`."""

    proposal: ActionId
    due_ns: ReceivedAtNs


class PositionOpened(Approvable, tag="position_opened"):
    """A desk has lots that no fill of this log has given it, below zero where it owes them.

    `cost_microcents`: what they were bought, or sold, for. Two people say so.
    """

    desk: DeskName
    symbol: Symbol
    lots: SignedLots
    cost_microcents: Microcents
    action_id: ActionId | UnsetType = UNSET


class OrderOverridden(Approvable, tag="order_overridden"):
    """One order passes these checks, until `until_ns`, once (`guard.engine.overrides`)."""

    desk: DeskName
    client_order_id: ActionId
    order_digest_hex: HexDigest
    checks: list[ReasonWord]
    action_id: ActionId | UnsetType = UNSET


class OverrideExpired(Administrative, tag="override_expired"):
    """The order has not come in time, which ended at `due_ns`."""

    order_digest_hex: HexDigest
    due_ns: ReceivedAtNs


class LooseningReverted(Administrative, tag="loosening_reverted"):
    """What was loosened until `due_ns` is as before.

    `lowered_microcents`: of a budget, what was taken back: what of it was neither held nor spent.
    """

    what: LoosenedThing
    desk: ScopeName
    due_ns: ReceivedAtNs
    lowered_microcents: Microcents | UnsetType = UNSET
