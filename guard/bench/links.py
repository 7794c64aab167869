"""The connections of one generator process, and when what was sent on each.

Owns sockets and buffers. Replies come in the order of a client's requests, so that the n-th reply
belongs to the n-th message: its latency is counted from when that one was due.
"""

import select
import socket
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

from guard.bench.frames import LinkError
from guard.bench.replies import Replies
from guard.bench.timeline import Slowest, note_slowest
from guard.bench.workload import Workload

RECEIVE_BYTES: Final = 262_144
_PART: Final = memoryview(bytearray(RECEIVE_BYTES))  # where each receive puts what it gets


class Link:
    """One client. Times are of the monotonic clock, in nanoseconds."""

    def __init__(self, connection: socket.socket, workload: Workload, replies: Replies) -> None:
        """`connection` is connected and blocking; it is made non-blocking."""
        self.workload = workload
        self.replies = replies
        self.descriptor = connection.fileno()
        # Messages under way, in the order sent: how many, and when they were due.
        self.under_way: deque[tuple[int, int]] = deque()
        self.messages_sent = 0
        # For a trace: the slowest message of each of its slices.
        self.slowest: Slowest | None = None
        self._connection = connection
        self._received = bytearray()
        self._outgoing = bytearray()
        connection.setblocking(False)

    def send(self, count: int) -> None:
        """Makes and sends the next `count` messages; the caller has noted them in `under_way`."""
        self.messages_sent += count
        self.send_bytes(self.workload.frames(count))

    def send_bytes(self, data: bytes) -> None:
        """Sends, or keeps what the socket does not take now."""
        if self._outgoing:
            self._outgoing += data
            return
        try:
            sent = self._connection.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._outgoing += data[sent:]

    @property
    def has_backlog(self) -> bool:
        """Is anything kept that the socket did not take?"""
        return bool(self._outgoing)

    def flush(self) -> None:
        """Sends what was kept, as far as the socket takes it."""
        try:
            del self._outgoing[: self._connection.send(self._outgoing)]
        except BlockingIOError:
            return

    def receive(self) -> int:
        """Takes in what has arrived; returns how many messages that answered."""
        try:
            size = self._connection.recv_into(_PART)
        except BlockingIOError:
            return 0
        if not size:
            raise LinkError("the other side closed the connection")
        received, replies = self._received, self.replies
        received += _PART[:size]
        before = replies.messages
        del received[: replies.take(received)]
        if replies.outgoing:
            self.send_bytes(bytes(replies.outgoing))
            replies.outgoing.clear()
        return replies.messages - before

    def settle(self, answered: int, now_ns: int, from_ns: int, latencies_ns: "array[int]") -> None:
        """Notes the latency of each of the `answered` oldest messages that was due by `from_ns`."""
        under_way = self.under_way
        while answered:
            if not under_way:
                raise LinkError("more replies than messages")
            count, due_ns = under_way[0]
            if count <= answered:
                under_way.popleft()
            else:
                under_way[0] = (count - answered, due_ns)
                count = answered
            answered -= count
            if due_ns >= from_ns:
                latency_ns = now_ns - due_ns
                if self.slowest is not None:
                    note_slowest(self.slowest, due_ns - from_ns, count, latency_ns)
                if count == 1:
                    latencies_ns.append(latency_ns)
                else:
                    latencies_ns.extend(array("q", (latency_ns,)) * count)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


class Poller:
    """Waits for any of the links, to the microsecond (epoll's own wait counts milliseconds)."""

    def __init__(self, links: list[Link]) -> None:
        self._links = {link.descriptor: link for link in links}
        self._epoll = select.epoll()
        self._blocked: set[int] = set()
        for descriptor in self._links:
            self._epoll.register(descriptor, select.EPOLLIN)

    def watch(self, link: Link) -> None:
        """Waits for room too while a link has a backlog. To be called after every send."""
        is_blocked = link.descriptor in self._blocked
        if link.has_backlog and not is_blocked:
            self._blocked.add(link.descriptor)
            self._epoll.modify(link.descriptor, select.EPOLLIN | select.EPOLLOUT)
        elif is_blocked and not link.has_backlog:
            self._blocked.discard(link.descriptor)
            self._epoll.modify(link.descriptor, select.EPOLLIN)

    def wait(self, timeout_s: float, on_input: Callable[[Link], None]) -> bool:
        """Calls `on_input` for each link with input; False when nothing came within the time."""
        ready, _, _ = select.select([self._epoll], [], [], max(timeout_s, 0.0))
        if not ready:
            return False
        for descriptor, events in self._epoll.poll(0):
            link = self._links[descriptor]
            if events & select.EPOLLOUT:
                link.flush()
                self.watch(link)
            if events & ~select.EPOLLOUT:
                on_input(link)
        return True

    def close(self) -> None:
        """Stops waiting; the links stay open."""
        self._epoll.close()
