"""Security mechanisms: who a peer is, settled before its first message. Pure.

Owns the handshake behind the greeting. A mechanism is an object of one connection: it is given the
peer's commands one by one and says what to answer and whether the peer is in. NULL lets in whoever
says that it is a socket of a type that the endpoint serves; it proves nothing. CURVE, which proves
keys, is `guard.server.curve`'s.

How it fails: `CommandError`, whose words the peer is sent in an ERROR command.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

from guard.server.commands import CommandError, Metadata, metadata_of, ready
from guard.server.sealing import Sealer

SHOWN_BYTES_MAX: Final = 32  # of what the peer calls itself, in an error


class Step(NamedTuple):
    """What a command of the handshake has led to."""

    to_send: bytes
    metadata: Metadata | None  # the peer is in when there is one
    key: bytes | None = None  # which it has proven to have
    sealer: Sealer | None = None  # of what follows


class Mechanism(Protocol):
    """One connection's."""

    name: bytes
    is_server: bool  # as the greeting tells it

    def take(self, command_name: bytes, data: bytes) -> Step:
        """The peer's next command. Raises CommandError."""
        ...


MechanismFactory: TypeAlias = Callable[[], Mechanism]


class NullMechanism:
    """The peer says READY, and so do we."""

    name = b"NULL"
    is_server = False

    def __init__(self, own_type: bytes, peer_types: frozenset[bytes]) -> None:
        self._own_type = own_type
        self._peer_types = peer_types

    def take(self, command_name: bytes, data: bytes) -> Step:
        """As `Mechanism.take`."""
        if command_name != b"READY":
            raise CommandError("the NULL mechanism expects READY")
        return Step(ready(self._own_type), served_metadata(data, self._peer_types))


def served_metadata(data: bytes, peer_types: frozenset[bytes]) -> Metadata:
    """What a peer says of itself, if it is of a type that is served. Raises CommandError."""
    metadata = metadata_of(data)
    if metadata.socket_type not in peer_types:
        told = repr(metadata.socket_type[:SHOWN_BYTES_MAX])[1:]
        allowed = " or ".join(name.decode() for name in sorted(peer_types))
        raise CommandError(f"Socket-Type: {told} is not served here; allowed: {allowed}")
    return metadata
