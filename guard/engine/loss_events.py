"""The event of a loss beyond its limit, which no request asks for and no person causes. Pure.

A part of `guard.engine.events`, which names them all.
"""

from guard.engine.request_events import Event
from guard.protocol.ranges import Microcents, MicrocentsAboveZero, ScopeName


class LossBreached(Event, tag="loss_breached", gc=False):
    """A place has lost more since the day's turn than it may, and may but reduce from here on.

    Of a desk in a symbol; of the one that is named where the other is empty; of the firm where both
    are. It sets the latch `loss`.
    """

    desk: ScopeName
    symbol: ScopeName
    loss_microcents: MicrocentsAboveZero
    limit_microcents: Microcents
