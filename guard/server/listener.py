# cython: annotation_typing=False, nonecheck=True
"""All peers of an endpoint: whose turn it is, and when one must end.

Owns the connections, the lines in which they wait, and the one descriptor (an epoll set of its own)
by which a loop learns that any of them can be read or written. What a message says is the caller's;
`is_urgent` tells which may go first. Nothing here blocks, and nothing a peer does ends it.

How it works: `receive` gives one message after the other. Who can be read stands in a line with its
first message read already, and nothing more; a visit takes a few of its messages (each read when it
is wanted), then it stands at the end again. One whose first message is urgent stands in a line of
its own, which goes first: behind so many urgent ones, an ordinary one gets its turn. A peer that
has as much in a batch as its share is put aside (`hold`) until `release_held`: it is not read, TCP
tells it so, nobody else notices.

How it fails: OSError where the system fails; a peer's end is counted by its reason (`gone`).
"""

import asyncio
import select
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

from guard.server import connection as peers
from guard.server import rawio
from guard.server.arrivals import Arrivals
from guard.server.commands import ping
from guard.server.connection import Backlog, Connection, Received
from guard.server.endpoints import Endpoint
from guard.server.policy import Policy

EVENTS_MAX: Final = 128  # looked at in one go
FETCHES_MAX: Final = 128  # in one turn, of peers whose next message is not whole: bounds its time
URGENT_RUN_MAX: Final = 48  # urgent messages in a row, while others wait
TICK_S: Final = 1.0

_EVENTS_MAX, _FETCHES_MAX, _URGENT_RUN_MAX = EVENTS_MAX, FETCHES_MAX, URGENT_RUN_MAX
_FRONT, _MORE, _GONE = peers.FRONT, peers.MORE, peers.GONE
_WRITABLE: Final = select.EPOLLOUT
_HUNG_UP: Final = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_WATCHED: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_BY_UNSENT: Final = attrgetter("unsent_bytes")
_PING: Final = ping(0)  # ours asks for a PONG, not to be watched over


def _never(_body: bytes) -> bool:
    return False


class Listener:
    """One endpoint's peers under one policy. All calls belong to the loop's thread."""

    def __init__(
        self,
        endpoints: list[str],
        policy: Policy,
        *,
        is_urgent: Callable[[bytes], bool] = _never,
        on_connected: Callable[[Connection], None] | None = None,
        on_gone: Callable[[Connection], None] | None = None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Binds. Raises EndpointError. `on_gone`: `why` says why; not for who never got in."""
        self._policy = policy
        self._is_urgent = is_urgent
        self._on_connected = on_connected
        self._on_gone = on_gone
        self.backlog = Backlog(policy.client_backlog_bytes_max, policy.backlog_bytes_max)
        bound: list[Endpoint] = []
        try:
            for text in endpoints:
                bound.append(Endpoint(text, policy.backlog_connections, policy.socket_mode))
        except OSError:
            for endpoint in bound:
                endpoint.close()
            raise
        self.endpoint = ", ".join(endpoint.text for endpoint in bound)
        self._epoll = select.epoll()
        self._poller = rawio.open_poller(self._epoll)
        self.descriptor = self._epoll.fileno()
        self._arrivals = Arrivals(bound, policy, self.backlog, self._epoll, say)
        self._arrivals.begin()
        self._is_closing = False
        self._connections: dict[int, Connection] = {}  # by descriptor
        self._partial: dict[Connection, None] = {}  # whose long body is not whole, oldest first
        self._partial_bytes = 0
        self._ahead_bytes = 0  # of bodies that stand in line
        self._ahead_bytes_max = policy.ahead_bytes_max
        self._scratch = bytearray(peers.READ_BYTES)
        self._ready: deque[Connection] = deque()
        self._urgent: deque[Connection] = deque()
        self._held: list[Connection] = []
        self._visited: Connection | None = None
        self._visit_messages = policy.visit_messages
        self._visit_left = 0
        self._urgent_run = 0
        self._fetches_left = FETCHES_MAX
        self._has_looked = False
        self._tick = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.holds = 0
        self.hears_pings = False  # does any peer ask for signs of life?
        self.gone: dict[str, int] = {}  # how many connections, by why

    def tell(
        self, on_connected: Callable[[Connection], None], on_gone: Callable[[Connection], None]
    ) -> None:
        """Calls these from now on, instead of those that it was made with."""
        self._on_connected = on_connected
        self._on_gone = on_gone

    # What a pipeline asks for.

    def attach(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Has the loop call when there may be something to `receive`, and keeps its own time."""
        self._loop = loop
        loop.add_reader(self.descriptor, on_readable)
        self._timer = loop.call_later(TICK_S, self._on_tick)

    def detach(self) -> None:
        """Calls no more, and lets nobody in. Who is connected can still be read and answered."""
        if self._loop is not None:
            self._loop.remove_reader(self.descriptor)
            self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._arrivals.endpoints:
            self._accept()  # who had come before
            self._arrivals.close()

    def begin_turn(self) -> None:
        """Sees who can be read by now; the bounds of a turn begin anew."""
        self._fetches_left = _FETCHES_MAX
        if self._has_looked:
            self._has_looked = False
        else:
            self._look()

    def has_ready(self) -> bool:
        """Is somebody in line? Asks nobody."""
        return self._visited is not None or len(self._ready) > 0 or len(self._urgent) > 0

    def has_input(self) -> bool:
        """Is somebody in line, or can be read by now?"""
        if not self.has_ready():
            self._look()
            self._has_looked = self.has_ready()
            return self._has_looked
        return True

    def look(self) -> None:
        """Sees who can be read and written by now; takes no message."""
        self._look()

    def receive(self) -> Received | None:
        """The next message; None when there is none, or at the bounds of a turn (`has_ready`)."""
        while True:
            if len(self._urgent) > 0 and self._urgent_run < _URGENT_RUN_MAX:
                peer = self._urgent.popleft()
                if self._may_visit(peer):
                    self._urgent_run += 1
                    received = self._take(peer)
                    self._queue_next(peer)
                    return received
                continue
            visited = self._visited
            if visited is None:
                self._urgent_run = 0
                if len(self._ready) == 0:
                    if len(self._urgent) == 0:
                        return None
                    continue
                peer = self._ready.popleft()
                if not self._may_visit(peer):
                    continue
                self._visited = peer
                self._visit_left = self._visit_messages
            elif self._may_visit(visited):
                peer = visited
            else:
                self._visited = None
                continue
            if peer.front is None:
                if self._fetches_left <= 0:
                    return None
                found = self._fetch(peer)
                if found != _FRONT:
                    self._fetches_left -= 1
                    self._visited = None
                    if found == _MORE:
                        self._ready.append(peer)
                    else:
                        peer.is_queued = False
                    continue
            if self._visit_left == 0:
                self._visited = None
                self._queue(peer)
                continue
            self._visit_left -= 1
            self._urgent_run = 0
            return self._take(peer)

    def hold(self, peer: Connection) -> None:
        """Takes no more from it until `release_held`."""
        if not peer.is_held and peer.is_open:
            self.holds += 1
            peer.is_held = True
            self._held.append(peer)

    def release_held(self) -> None:
        """They stand in line again."""
        if len(self._held) == 0:
            return
        held, self._held = self._held, []
        for peer in held:
            peer.is_held = False
            if peer.is_parked:
                peer.is_parked = False
                self._ready.append(peer)

    def send_all(
        self,
        answers: Iterable[tuple[Connection, bytes, Any]],
        encode_late: Callable[[Any], bytes],
        after_each: Callable[[], None] | None = None,
    ) -> None:
        """Sends replies, in order; those for one peer leave together, a few before many.

        `encode_late` makes the body of a reply that holds something else than bytes, when its turn
        has come. With `after_each` each reply leaves by itself, and is followed by that call.
        """
        touched: list[Connection] = []
        for peer, envelope, body in answers:
            if type(body) is not bytes:
                body = encode_late(body)
            if not peer.put(envelope, body):
                self._flush(peer)
            elif not peer.is_touched:
                peer.is_touched = True
                touched.append(peer)
            if after_each is not None:
                self._flush(peer)
                after_each()
        if len(touched) > 1:
            touched.sort(key=_BY_UNSENT)
        for peer in touched:
            peer.is_touched = False
            if peer.unsent_bytes > 0:
                self._flush(peer)

    def send_rest(self, peer: Connection, rest: bytes) -> None:
        """Sends the end of a message that has left so far by another way, and alone."""
        peer.put_rest(rest)
        self._flush(peer)

    def discard(self, messages_max: int) -> int:
        """Reads what is waiting and forgets it, at most so many messages; returns how many."""
        self.release_held()
        self.begin_turn()
        for count in range(messages_max):
            if self.receive() is None:
                return count
        return messages_max

    def close(self) -> None:
        """Ends all connections. What the system has taken of replies still leaves."""
        self.detach()
        self._is_closing = True
        for peer in self.peers():
            self._end(peer, "stop")
        self._epoll.close()

    def counts(self) -> dict[str, int]:
        """What has passed here, and what is now, by name."""
        arrivals = self._arrivals
        return {
            "connections": len(self._connections),
            "connections_half_open": len(arrivals.half_open),
            "connections_accepted": arrivals.accepted,
            "connections_refused": arrivals.refused,
            "accept_pauses": arrivals.pauses,
            "holds": self.holds,
            "replies_dropped_slow": self.backlog.dropped_slow,
            "replies_dropped_gone": self.backlog.dropped_gone,
            "backlog_bytes": self.backlog.bytes,
            **{f"gone_{why}": self.gone.get(why, 0) for why in REASONS},
        }

    def end(self, peer: Connection, why: str) -> None:
        """Ends one, whatever is under way."""
        self._end(peer, why)

    def peers(self) -> list[Connection]:
        """All that are connected now."""
        return list(self._connections.values())

    # The peers.

    def _look(self) -> None:
        events = rawio.wait(self._poller, _EVENTS_MAX)
        if events is None:
            return
        has_arrivals = False
        for descriptor, mask in events:
            peer = self._connections.get(descriptor)
            if peer is None:
                has_arrivals = True
                continue
            if mask & _WRITABLE:
                self._flush(peer)
            if mask & ~_WRITABLE and peer.is_open:
                peer.is_readable = True
                if mask & _HUNG_UP:
                    peer.has_hung_up = True
                if not peer.is_queued:
                    self._queue_next(peer)
        if has_arrivals:
            self._accept()

    def _accept(self) -> None:
        arrivals = self._arrivals
        for peer in arrivals.accept(len(self._connections)):
            try:
                self._epoll.register(peer.descriptor, _WATCHED)
            except OSError:  # the system watches as many as it may
                arrivals.refused += 1
                peer.close()
                continue
            peer.accepted_tick = peer.heard_tick = self._tick
            self._connections[peer.descriptor] = peer
            arrivals.half_open[peer] = None
            peer.greet()
            if len(arrivals.half_open) > self._policy.half_open_max:
                self._end(next(iter(arrivals.half_open)), "half_open")

    def _may_visit(self, peer: Connection) -> bool:
        if peer.is_held and peer.is_open:
            peer.is_parked = True
            return False
        return peer.is_open

    def _take(self, peer: Connection) -> Received:
        self._ahead_bytes -= peer.front_bytes
        return peer.take_front()

    def _queue_next(self, peer: Connection) -> None:
        """Into a line, if there is something to take."""
        # Where enough was read ahead nothing more is, before its turn has come.
        found = self._fetch(peer) if self._ahead_bytes < self._ahead_bytes_max else _MORE
        if found == _FRONT:
            self._queue(peer)
        elif found == _MORE:
            peer.is_queued = True
            self._ready.append(peer)
        else:
            peer.is_queued = False

    def _queue(self, peer: Connection) -> None:
        """Into its line, by its first message; who is alone needs none of its own."""
        peer.is_queued = True
        if self.has_ready() and self._is_front_urgent(peer):
            self._urgent.append(peer)
        else:
            self._ready.append(peer)

    def _is_front_urgent(self, peer: Connection) -> bool:
        assert peer.front is not None
        body = peer.front[2]
        return body is not None and self._is_urgent(body)

    def _fetch(self, peer: Connection) -> int:
        was_ready = peer.is_ready
        peer.heard_tick = self._tick
        found = peer.fetch(self._scratch)
        if peer.protocol.has_pinged:
            self.hears_pings = True
        if not was_ready and peer.is_ready:
            self._arrivals.half_open.pop(peer, None)
            if self._on_connected is not None:
                self._on_connected(peer)
        if found == _FRONT:
            self._ahead_bytes += peer.front_bytes
        if found == _GONE:
            self._end(peer, peer.why)
        elif found == _FRONT or not peer.protocol.is_inside_message():
            peer.begun_tick = -1
            if peer.place_bytes > 0:
                self._count_partial(peer)
        else:
            if peer.begun_tick < 0:
                peer.begun_tick = self._tick
            self._count_partial(peer)
        return found if peer.is_open else _GONE

    def _count_partial(self, peer: Connection) -> None:
        place = peer.protocol.place
        size = 0 if place is None else len(place)
        self._partial_bytes += size - peer.place_bytes
        peer.place_bytes = size
        if size == 0:
            self._partial.pop(peer, None)
        else:
            self._partial.setdefault(peer)
            while self._partial_bytes > self._policy.partial_bytes_max:
                self._end(next(iter(self._partial)), "partial_bytes")

    def _flush(self, peer: Connection) -> None:
        if not peer.is_open:
            return
        left = peer.flush()
        if left == _GONE:
            self._end(peer, peer.why)
        elif (left == _MORE) != peer.is_writing_watched:
            peer.is_writing_watched = left == _MORE
            watched = _WATCHED | _WRITABLE if left == _MORE else _WATCHED
            self._epoll.modify(peer.descriptor, watched)

    def _end(self, peer: Connection, why: str) -> None:
        if not peer.is_open:
            return
        peer.why = why
        del self._connections[peer.descriptor]
        self._epoll.unregister(peer.descriptor)
        self._arrivals.half_open.pop(peer, None)
        self._partial.pop(peer, None)
        self._partial_bytes -= peer.place_bytes
        peer.place_bytes = 0
        if peer.front is not None:
            self._ahead_bytes -= peer.front_bytes
        peer.close()
        self.gone[why] = self.gone.get(why, 0) + 1
        if peer.is_ready and self._on_gone is not None:
            self._on_gone(peer)

    # Time.

    def _on_tick(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(TICK_S, self._on_tick)
        self.tick()

    def tick(self) -> None:
        """A second in which the loop was awake has passed: who has been silent or slow too long?

        Seconds are counted here, not read off a clock: while the disk held the loop up, nobody
        could be heard.
        """
        self._tick += 1
        if not self._is_closing:
            self._arrivals.begin()
        peers = self.peers()
        self.hears_pings = any(peer.protocol.has_pinged for peer in peers)
        for peer in peers:
            # Who stands in line, or is put aside, is not silent; we are busy.
            is_waiting = peer.is_queued or peer.is_readable or peer.is_held
            if peer.is_open and not is_waiting:
                why = self._judge(peer)
                if why:
                    self._end(peer, why)

    def _judge(self, peer: Connection) -> str:
        """Why its time is over, or nothing."""
        policy, protocol, now = self._policy, peer.protocol, self._tick
        if not peer.is_ready:
            return "handshake_time" if now - peer.accepted_tick > policy.handshake_ticks else ""
        if peer.begun_tick >= 0 and now - peer.begun_tick > policy.message_ticks:
            return "message_time"
        silent = now - peer.heard_tick
        if protocol.ttl_tenths and silent > 1 + protocol.ttl_tenths // 10:
            return "silence"
        # A 3.0 peer need not know PING, unless it has sent one itself.
        if silent < policy.ping_ticks or not (protocol.minor_version or protocol.has_pinged):
            return ""
        if silent > policy.silence_ticks:
            return "silence"
        if now - peer.pinged_tick >= policy.ping_ticks:
            peer.pinged_tick = now
            if not peer.ping(_PING):
                return "reset"
        return ""


# Why a connection has ended: by the peer, by what it is, by what it sent, by time, by bounds.
REASONS: Final = (
    *("closed", "reset", "peer_error"),
    *("stranger", "old_version", "mechanism", "refused", "protocol"),
    *("forged", "denied", "handshake_rate", "revoked"),
    *("frames", "message_bytes", "handshake_time", "message_time", "silence"),
    *("half_open", "partial_bytes", "stop"),
)
