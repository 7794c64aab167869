"""Accepting connections, and the bounds on how many there are.

Owns the listening sockets of a listener and the peers that have not finished their handshake. What
is accepted is a `Connection`, greeted, whose options are set; what becomes of it is the listener's.

How it works: above the bound for all a peer is accepted and closed at once, so that it knows.
Above the bound for those half open the one that has been at it longest makes room. Where the system
gives no further descriptor, or no memory, nothing is accepted until the next tick.

How it fails: it does not for what a peer does; OSError for whatever else `accept` may say.
"""

import errno
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from guard.process.line_forms import told
from guard.server.connection import Backlog, Connection, Credentials
from guard.server.endpoints import Endpoint
from guard.server.policy import Policy
from guard.server.zmtp import ServerProtocol

ACCEPTS_MAX: Final = 64  # at a time, before those who are in get their turn
KEEPALIVE_IDLE_S: Final = 30
KEEPALIVE_INTERVAL_S: Final = 10
KEEPALIVE_PROBES: Final = 9
# Longer than a stall of the disk that the service manager's watchdog lets pass.
USER_TIMEOUT_MS: Final = 120_000
_CREDENTIALS: Final = struct.Struct("3i")
# accept(2): the system is out of something; and errors of a connection that is gone already.
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_GONE: Final = {
    *(errno.ECONNABORTED, errno.EPERM, errno.EINTR, errno.ENETDOWN, errno.EPROTO),
    *(errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH),
    *(errno.EOPNOTSUPP, errno.ENETUNREACH),
}


class Arrivals:
    """The listening sockets of one listener."""

    def __init__(
        self,
        endpoints: list[Endpoint],
        policy: Policy,
        backlog: Backlog,
        poller: select.epoll,
        say: Callable[[str], None],
    ) -> None:
        self.endpoints = endpoints
        self.half_open: dict[Connection, None] = {}  # in the order in which they came
        self.accepted = 0
        self.refused = 0  # above the bound for all
        self.pauses = 0
        self._policy = policy
        self._backlog = backlog
        self._poller = poller
        self._say = say
        self._is_accepting = False
        self.descriptors = frozenset(endpoint.socket.fileno() for endpoint in endpoints)

    def begin(self) -> None:
        """Accepts from now on."""
        if not self._is_accepting:
            self._is_accepting = True
            for endpoint in self.endpoints:
                self._poller.register(endpoint.socket.fileno(), select.EPOLLIN)

    def pause(self) -> None:
        """Accepts nothing, until `begin`; who connects waits."""
        if self._is_accepting:
            self._is_accepting = False
            for endpoint in self.endpoints:
                self._poller.unregister(endpoint.socket.fileno())

    def close(self) -> None:
        """Listens no more: who connects is refused by the system."""
        self.pause()
        for endpoint in self.endpoints:
            endpoint.close()
        self.endpoints = []
        self.descriptors = frozenset()

    def accept(self, open_count: int) -> list[Connection]:
        """Who has come: at most so many that the bound for all holds with those that are open."""
        arrived: list[Connection] = []
        for endpoint in self.endpoints:
            for _ in range(ACCEPTS_MAX):
                accepted = self._accept_one(endpoint)
                if accepted is None:
                    break
                if open_count + len(arrived) >= self._policy.connections_max:
                    self.refused += 1
                    accepted.close()
                    continue
                self.accepted += 1
                arrived.append(self._welcome(accepted))
        return arrived

    def _accept_one(self, endpoint: Endpoint) -> socket.socket | None:
        while True:
            try:
                accepted, _ = endpoint.socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _GONE:
                    continue
                if error.errno not in _EXHAUSTED:
                    raise
                self.pauses += 1
                text = (
                    f"{endpoint.text}: nobody is let in for a second: {error.strerror}; "
                    "who is connected is served"
                )
                self._say(told("arrivals_paused", text, endpoint=endpoint.text))
                self.pause()
                return None
            accepted.setblocking(False)
            return accepted

    def _welcome(self, accepted: socket.socket) -> Connection:
        credentials = None
        if accepted.family == socket.AF_UNIX:
            said = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            credentials = Credentials(*_CREDENTIALS.unpack(said))
            address = f"process {credentials.process_id} of user {credentials.user_id}"
        else:
            address = _prepare_tcp(accepted)
        protocol = ServerProtocol(self._policy.limits, self._policy.mechanism())
        return Connection(accepted, protocol, self._backlog, address, credentials)


def _prepare_tcp(accepted: socket.socket) -> str:
    """Sets its options; the peer's address, empty where it is gone already."""
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS),
    ):
        accepted.setsockopt(level, option, value)
    try:
        host, port = accepted.getpeername()[:2]
    except OSError:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
