"""What the log says of trading that people stop and let on: one type an event. Pure.

A part of `guard.engine.events`, which names them all.
"""

from msgspec import UNSET, UnsetType

from guard.engine.administrative import Administrative
from guard.protocol.ranges import ActionId, HaltScope, ScopeName


class TradingHalted(Administrative, tag="trading_halted"):
    """A person stopped the orders of all desks (`firm`, without a name), of a desk or a symbol."""

    scope: HaltScope
    name: ScopeName
    action_id: ActionId | UnsetType = UNSET


class TradingReduced(Administrative, tag="trading_reduced"):
    """A person lets positions there be reduced, and no more; a halt of a person's is lifted."""

    scope: HaltScope
    name: ScopeName
    action_id: ActionId | UnsetType = UNSET


class TradingResumed(Administrative, tag="trading_resumed"):
    """A person lifted a halt that a person had set, or that positions be but reduced."""

    scope: HaltScope
    name: ScopeName
    action_id: ActionId | UnsetType = UNSET
