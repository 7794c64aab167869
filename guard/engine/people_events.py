"""The events of people who set right what the guard has stopped, and of what they have to. Pure.

A part of `guard.engine.events`, which names them all.
"""

from msgspec import UNSET, UnsetType

from guard.engine.administrative import Administrative
from guard.engine.latches import LatchKind, NotedKind
from guard.protocol.ranges import ActionId, ScopeName


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
