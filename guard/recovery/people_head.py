"""What a checkpoint's head says of what people proposed and loosened, as types. Pure.

A part of `guard.recovery.state_head`; `guard.recovery.people_state` gives them their meaning.
"""

from msgspec import UNSET, Struct, UnsetType

from guard.engine.people_events import ApprovalsSet, LoosenedThing, OrderOverridden, Proposed
from guard.engine.policy_content import PolicyContent
from guard.protocol.limits import LimitScope
from guard.protocol.ranges import Microcents, ReceivedAtNs, ScopeName


class LoosenedHeld(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What was loosened until then, and what it reverts to (`guard.engine.people_kept`)."""

    what: LoosenedThing
    desk: ScopeName
    until_ns: ReceivedAtNs
    limits: list[LimitScope] | UnsetType = UNSET
    policy: PolicyContent | UnsetType = UNSET
    microcents: Microcents | UnsetType = UNSET


class PeopleState(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The terms, the proposals in the order of their records, what is loosened by its name."""

    terms: ApprovalsSet
    pending: list[Proposed] = []
    loosened: list[LoosenedHeld] = []
    overrides: list[OrderOverridden] = []
