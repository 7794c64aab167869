"""The answer to `hello`: what is spoken here, up to which bounds, and what is traded.

Owns the names of the bounds in it and the pages of its lists (`guard/PROTOCOL.md` 7.3). A client
with two pages in hand may have seen two states: nothing is kept from one request to the next but
the order of the names.
"""

from bisect import bisect_left
from operator import attrgetter
from typing import Any, Final

from guard import __version__
from guard.engine.state import GuardState
from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.all_or_none_messages import TYPE as ALL_OR_NONE
from guard.protocol.messages import (
    PROTOCOL_VERSION,
    REQUEST_TYPES,
    AllOrNone,
    HelloReply,
    InstrumentSizes,
    VenueOffered,
)
from guard.protocol.wire import BODY_BYTES_MAX, REQUEST_ID_LENGTH_MAX, REQUESTS_PER_MESSAGE_MAX
from guard.server.commands import IDENTITY_BYTES_MAX
from guard.server.policy import CONNECTIONS_MAX, FRAMES_MAX, MESSAGE_BYTES_MAX, Policy
from guard.server.zmtp import COMMAND_BYTES_MAX, Limits
from kernel.policy import PolicySnapshot

# Of each list in one reply: an array of 256 such replies stays far below what a client may hold.
LISTED_MAX: Final = 100

_POLICY: Final = Policy(Limits(BODY_BYTES_MAX, MESSAGE_BYTES_MAX, FRAMES_MAX), CONNECTIONS_MAX)
_LIMITS: Final = {
    "body_bytes_max": BODY_BYTES_MAX,
    "requests_per_message_max": REQUESTS_PER_MESSAGE_MAX,
    "orders_together_max": ORDERS_MAX,
    "message_bytes_max": MESSAGE_BYTES_MAX,
    "frames_max": FRAMES_MAX,
    "request_id_characters_max": REQUEST_ID_LENGTH_MAX,
    "routing_id_bytes_max": IDENTITY_BYTES_MAX,
    "command_bytes_max": COMMAND_BYTES_MAX,
    "connections_max": CONNECTIONS_MAX,
    "connections_half_open_max": _POLICY.half_open_max,
    "handshake_s": _POLICY.handshake_ticks,
    "message_s": _POLICY.message_ticks,
    "silence_s": _POLICY.silence_ticks,
    "partial_bytes_max": _POLICY.partial_bytes_max,
    "ahead_bytes_max": _POLICY.ahead_bytes_max,
    "client_backlog_bytes_max": _POLICY.client_backlog_bytes_max,
    "backlog_bytes_max": _POLICY.backlog_bytes_max,
    "listed_max": LISTED_MAX,
}
_REQUESTS: Final = {
    word: list(kind.__struct_fields__)
    for word, kind in (*REQUEST_TYPES.items(), (ALL_OR_NONE, AllOrNone))
}
_VENUE_ID: Final = attrgetter("venue")


class Greeter:
    """Answers `hello` from a state."""

    def __init__(self, state: GuardState) -> None:
        self._state = state
        self._symbols: list[str] = []
        self._desks: list[str] = []
        self._policy: PolicySnapshot | None = None
        self._venues: list[VenueOffered] = []

    def symbols(self) -> list[str]:
        """All of them, in ascending order."""
        if len(self._symbols) != len(self._state.instruments):
            self._symbols = sorted(self._state.instruments)
        return self._symbols

    def answer(
        self,
        from_symbol: str,
        from_desk: str,
        from_venue: int,
        granted: frozenset[str] | None = None,
    ) -> HelloReply:
        """The pages that begin there; "" and 0: at the lists' beginnings.

        `granted`: the desks that who asks may know of; None for all.
        """
        state = self._state
        # Neither desks nor instruments are ever taken away.
        if len(self._desks) != len(state.desks):
            self._desks = sorted(state.desks)
        if state.policy is not self._policy:
            self._policy, self._venues = state.policy, _venues_of(state.policy)
        symbols, next_symbol = _page(self.symbols(), from_symbol)
        known = self._desks
        if granted is not None:
            known = [desk for desk in known if desk in granted]
        desks, next_desk = _page(known, from_desk)
        venues, next_venue = _page(self._venues, from_venue, _VENUE_ID)
        instruments = [state.instruments[symbol] for symbol in symbols]
        return HelloReply(
            PROTOCOL_VERSION,
            __version__,
            state.log_id,
            state.currency,
            _REQUESTS,
            _LIMITS
            | {
                "remembered_orders_max": state.remembered_orders_max,
                "remembered_order_window_ns": state.remembered_order_window_ns,
            },
            [
                InstrumentSizes(one.symbol, one.tick_size, one.lot_size, one.multiplier)
                for one in instruments
            ],
            desks,
            venues,
            next_symbol,
            next_desk,
            None if next_venue is None else next_venue.venue,
        )


def _venues_of(policy: PolicySnapshot | None) -> list[VenueOffered]:
    """All of them, in ascending order."""
    return [
        VenueOffered(model.model_id, model.provider_id, model.enabled != 0)
        for model in (() if policy is None else policy.models)
    ]


def _page(items: list[Any], first: Any, key: Any = None) -> tuple[list[Any], Any]:
    """The items from that one on, and the first one behind them; None where there is none."""
    at = bisect_left(items, first, key=key)
    end = at + LISTED_MAX
    return items[at:end], items[end] if end < len(items) else None
