"""The doors of a service: a listener each, with the mechanism that settles who a peer is.

Owns the connection of listener, mechanism and clients. With a secret key a door speaks CURVE, and
serves nobody before it has shown whom it turns away (`guard.server.door_proof`).

How it fails: `EndpointError`, `DoorError`, and `MissingLibraryError` where CURVE is asked for and
PyNaCl is not there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from guard.clock import monotonic_ns
from guard.process.operator_lines import say
from guard.server.clients import Clients
from guard.server.connection import Connection
from guard.server.curve import COMMANDS_PER_S, CurveDoor, HandshakeRate
from guard.server.door_proof import DoorError, prove
from guard.server.listener import Listener
from guard.server.policy import REQUESTERS, Policy

OWN_TYPE: Final = b"ROUTER"


class MissingLibraryError(RuntimeError):
    """PyNaCl is not installed."""


def secured(
    policy: Policy,
    secret_key: bytes | None,
    admits: Callable[[bytes], bool] | None,
    peer_types: frozenset[bytes] = REQUESTERS,
) -> Policy:
    """The policy, with CURVE where there is a key. Raises MissingLibraryError."""
    if secret_key is None or admits is None:
        return policy
    try:
        rate = HandshakeRate(COMMANDS_PER_S, monotonic_ns)
        door = CurveDoor(secret_key, OWN_TYPE, peer_types, admits, rate)
    except ImportError as error:
        raise MissingLibraryError(
            "endpoints.curve_secret_key_file: CURVE needs PyNaCl: pip install "
            "'pretrade-guard[curve]'"
        ) from error
    return replace(policy, mechanism=door)


def _never(_body: bytes) -> bool:
    return False


def open_door(
    endpoint: str,
    policy: Policy,
    clients: Clients | None,
    *,
    is_urgent: Callable[[bytes], bool] = _never,
) -> Listener:
    """A listener whose connections have their permits, proven where it speaks CURVE."""
    on_connected: Callable[[Connection], None] | None = None
    if clients is not None:
        on_connected = clients.bind
    listener = Listener([endpoint], policy, is_urgent=is_urgent, on_connected=on_connected, say=say)
    if clients is not None:
        clients.watch(listener)
    if isinstance(policy.mechanism, CurveDoor):
        assert clients is not None
        try:
            prove(listener, policy.mechanism, clients.admit_probe)
        except OSError as error:
            listener.close()
            text = f"endpoint {endpoint!r} cannot be reached from this very machine: {error}"
            raise DoorError(text) from error
        except DoorError as error:
            listener.close()
            raise DoorError(f"endpoint {endpoint!r} is not safe to serve: {error}") from error
    return listener
