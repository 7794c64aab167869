"""The messages of what takes two people. Pure.

A part of `guard.admin.messages`, which names them all.
"""

from typing import Annotated, TypeAlias

from msgspec import UNSET, Meta, Struct

from guard.admin.message_base import Action, Query
from guard.engine.people_events import MS_MAX, DeskCeiling, Milliseconds, ReasonWord
from guard.protocol.limits import LimitScope
from guard.protocol.messages import Order, RequestId
from guard.protocol.ranges import ActionId, DeskName, Microcents, SignedLots, Symbol

LastsSeconds: TypeAlias = Annotated[int, Meta(ge=1, le=MS_MAX // 1_000)]


class Loosening(Action, kw_only=True):
    """What an action says that may loosen: for how long, where that takes two people.

    None: as long as the terms allow.
    """

    lasts_s: LastsSeconds | None = None


class SetApprovals(Action, tag="set_approvals"):
    """Other terms of what takes two people; where there were any, this does, too."""

    proposal_ms: Milliseconds
    loosening_ms_max: Milliseconds
    ceiling: list[LimitScope]
    desks: list[DeskCeiling]


class OpenPosition(Action, tag="open_position"):
    """A desk has lots that no fill has given it; below zero it owes them. Takes two people."""

    desk: DeskName
    symbol: Symbol
    lots: SignedLots
    cost_microcents: Microcents


class OverrideOrder(Loosening, tag="override"):
    """One order passes checks that refuse it, once. Takes two people; `lasts_s`: until it came."""

    order: Order
    checks: list[ReasonWord]


class Approve(Action, tag="approve"):
    """Have done what another person has proposed."""

    proposal: ActionId


class Withdraw(Action, tag="withdraw"):
    """Take a proposal away."""

    proposal: ActionId


class ListPending(Query, tag="pending"):
    """What waits for a second person, and what was loosened for a time."""


class PendingLine(Struct):
    """A proposal: whose, why, what of it is beyond the ceiling, what it would change."""

    proposal: str
    person: str
    by: str
    why: str
    beyond: list[str]
    changes: list[str]
    expires_at_ns: int
    lasts_s: int


class LoosenedLine(Struct):
    """What is looser until then: `limits`, `policy`, a desk's `cap` or `budget`."""

    what: str
    desk: str
    until_ns: int


class PendingReply(Struct, tag="pending", tag_field="type"):
    """What waits, the first that expires first; what was loosened."""

    proposals: list[PendingLine]
    loosened: list[LoosenedLine]
    head_sequence: int
    request_id: RequestId = UNSET


class PendingApproval(Struct, tag="pending_approval", tag_field="type"):
    """The action is recorded as a proposal, `wal_sequence`; another person has to approve it.

    `repeat`: it had been proposed before.
    """

    proposal: str
    wal_sequence: int
    repeat: bool
    beyond: list[str]
    changes: list[str]
    expires_at_ns: int
    request_id: RequestId = UNSET
