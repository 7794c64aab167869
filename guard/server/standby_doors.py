"""The doors of a guard that stands by: questions about orders, and the feed, out of what it holds.

Owns how they open, when what is held here is known to be the cluster's, and close, when that
changes or the guard is to serve, which binds the same endpoints again. What is answered there is
`guard.server.standby_answers`'s, and the feed's door is the one of a guard that serves.

How it fails: an endpoint that cannot be bound now (its address may be another host's until this one
takes over) is an alarm, once, and tried again; the log is followed all the same.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from guard import __version__, clock
from guard.cluster.copying import LocalCopy
from guard.cluster.sight import Sight
from guard.engine.state import GuardState
from guard.feed.files import FeedReadError, find_place
from guard.feed.page import BrokenPageError, Place
from guard.process.line_forms import told
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.protocol.value_types import Behind
from guard.recovery.recover import Recovered
from guard.server.clients import Clients
from guard.server.connection import Received
from guard.server.door_proof import DoorError
from guard.server.doors import MissingLibraryError
from guard.server.endpoints import EndpointError
from guard.server.feed_door import FeedDoor
from guard.server.feed_service import bind_feed, greet
from guard.server.feed_supply import FeedSupply
from guard.server.few_messages import FewMessages, as_it_is
from guard.server.listener import Listener
from guard.server.orders_door import bind_orders
from guard.server.service import RunOptions
from guard.server.standby_answers import StandbyAnswers
from wal import Head, WalError

# A door that cannot be bound is tried again behind so much.
RETRY_NS: Final = 5 * NANOSECONDS_PER_SECOND
_LAST_SEGMENT: Final = 99_999_999
_NOT_NOW: Final = (
    *(EndpointError, DoorError, MissingLibraryError),
    *(FeedReadError, BrokenPageError, WalError, OSError),
)


class _CopyEnd:
    """How far a copy is durable. Where nothing was taken over yet, its end is looked for."""

    def __init__(self, options: RunOptions, copy: LocalCopy) -> None:
        self._copy = copy
        directory, head = options.log_directory, copy.head
        found = find_place(directory, head, Place(head, _LAST_SEGMENT, 0))
        self._begin = found.segment_number, found.offset

    @property
    def durable_head(self) -> Head:
        return self._copy.head

    @property
    def durable_place(self) -> tuple[int, int]:
        place = self._copy.place
        return place if place[0] else self._begin


class StandbyDoors:
    """Of one standby. All calls belong to the loop's thread."""

    def __init__(
        self,
        options: RunOptions,
        sight: Sight,
        *,
        say: Callable[[str], None],
        alarm: Callable[[str], None],
    ) -> None:
        self.is_open = False
        self._options = options
        self._sight = sight
        self._say, self._alarm = say, alarm
        self._orders: Listener | None = None
        self._messages: FewMessages | None = None
        self._feed: Listener | None = None
        self._feed_door: FeedDoor | None = None
        self._copy: LocalCopy | None = None
        self._retry_ns = 0
        self._is_alarmed = False

    def open(self, recovered: Recovered, copy: LocalCopy) -> None:
        """Opens them, unless that failed a moment ago."""
        if clock.monotonic_ns() < self._retry_ns:
            return
        clients = Clients.of(self._options.config.clients)
        try:
            self._orders = bind_orders(self._options, clients)
            self._feed = bind_feed(self._options, clients)
            end = _CopyEnd(self._options, copy)
        except _NOT_NOW as error:
            self.close()
            self._retry_ns = clock.monotonic_ns() + RETRY_NS
            if not self._is_alarmed:
                self._is_alarmed = True
                text = f"what is held here cannot be shown while standing by: {error}"
                self._alarm(told("standby_unbound", text))
            return
        self._copy = copy
        state = recovered.engine.state
        self._serve_orders(state, copy, clients)
        if self._feed is not None:
            self._serve_feed(self._feed, state, end, clients)
        self.is_open, self._is_alarmed = True, False
        endpoint = self._orders.endpoint
        feed = "" if self._feed is None else f", feed {self._feed.endpoint}"
        text = f"pretrade-guard standing by answers what it knows: {endpoint}{feed}"
        self._say(told("standby_shows", text, orders=endpoint, head_sequence=copy.head.sequence))

    def moved(self) -> None:
        """More is held, durably: whoever subscribed is told."""
        if self._feed_door is not None and self._copy is not None:
            self._feed_door.on_answered(self._copy.head)

    def close(self) -> None:
        """Ends all connections."""
        self.is_open = False
        if self._messages is not None:
            self._messages.stop()
        if self._feed_door is not None:
            self._feed_door.stop()
        for listener in (self._orders, self._feed):
            if listener is not None:
                listener.close()
        self._messages = self._feed_door = self._orders = self._feed = self._copy = None

    def _serve_orders(self, state: GuardState, copy: LocalCopy, clients: Clients | None) -> None:
        orders = self._orders
        assert orders is not None
        answers = StandbyAnswers(
            state,
            lambda: copy.head,
            self._sight,
            wall_ns=clock.wall_ns,
            monotonic_ns=clock.monotonic_ns,
            needs_permit=clients is not None,
        )

        def take(received: Received) -> None:
            peer, before, body, frame_count = received
            answer = answers.answer(body, frame_count, peer.permit)
            orders.send_all([(peer, before, answer)], as_it_is)

        self._messages = FewMessages(orders, take)
        self._messages.start()

    def _serve_feed(
        self, listener: Listener, state: GuardState, end: _CopyEnd, clients: Clients | None
    ) -> None:
        door = FeedDoor(
            listener,
            FeedSupply(end, self._options.log_directory),
            state.desks,
            log_id=state.log_id,
            software_version=__version__,
            when_durable=lambda tell: tell(end.durable_head),
            needs_permits=clients is not None,
            behind=partial(_behind, self._sight),
        )
        greet(listener, door, clients)
        door.start()
        self._feed_door = door


def _behind(sight: Sight) -> Behind:
    return sight.behind(clock.monotonic_ns())
