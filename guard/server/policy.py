"""What an endpoint serves, and what its peers may make us hold.

Owns the bounds as values; each listener has a set of its own. Where each is held to,
`guard.server.listener` and `guard.server.connection` say; `guard/PROTOCOL.md` 10 lists them.
"""

from dataclasses import dataclass
from typing import Final

from guard.server.mechanisms import MechanismFactory, NullMechanism
from guard.server.zmtp import Limits

MIB: Final = 1024 * 1024
# Of the orders socket. Longer messages, and such of more frames, end their connection.
MESSAGE_BYTES_MAX: Final = 4 * MIB
FRAMES_MAX: Final = 4_096
CONNECTIONS_MAX: Final = 16_384
# Replies that were not fetched yet. The first is several times what one batch may gather
# (`guard.server.pipeline`), so that who reads loses nothing.
CLIENT_BACKLOG_BYTES_MAX: Final = 64 * MIB
BACKLOG_BYTES_MAX: Final = 256 * MIB
REQUESTERS: Final = frozenset((b"DEALER", b"REQ"))


def null_router() -> NullMechanism:
    """A ROUTER to whoever asks for no proof of who is who."""
    return NullMechanism(b"ROUTER", REQUESTERS)


@dataclass(frozen=True, slots=True)
class Policy:
    """Of one listener. A tick is a second in which the loop was awake (`Listener.tick`)."""

    limits: Limits
    connections_max: int
    mechanism: MechanismFactory = null_router
    # Peers that have not finished their handshake: a stock client takes milliseconds. When one more
    # comes, the one that has been at it longest makes room.
    half_open_max: int = 512
    handshake_ticks: int = 10
    # A message that has begun is whole by then, or its peer is ended: 4 MiB at half a megabit.
    message_ticks: int = 60
    # Of bodies that are not whole yet, all peers together. Beyond it the one that has been at its
    # message longest is ended.
    partial_bytes_max: int = 64 * MIB
    # Of bodies that stand in line, the next of each peer. Beyond it who comes is read in its turn.
    ahead_bytes_max: int = 64 * MIB
    client_backlog_bytes_max: int = CLIENT_BACKLOG_BYTES_MAX
    backlog_bytes_max: int = BACKLOG_BYTES_MAX
    # A peer that says nothing is asked, and ended when it never answers; by TCP, too, which knows
    # of hosts that vanished, and of peers whose window stays shut.
    ping_ticks: int = 10
    silence_ticks: int = 120
    # A turn takes so many messages of a peer, at most, before the next one's.
    visit_messages: int = 16
    socket_mode: int = 0o600  # of an ipc endpoint's socket file
    backlog_connections: int = 1_024  # that wait to be accepted
