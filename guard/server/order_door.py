"""The orders' endpoint of a service: where it is bound, and who is let in.

Owns the connection of listener, mechanism and clients. With a secret key the door speaks CURVE, and
nothing is served before it has shown whom it turns away (`guard.server.door_proof`).

How it fails: `EndpointError`, `DoorError`, and `MissingLibraryError` where CURVE is asked for and
PyNaCl is not there.
"""

from collections.abc import Callable
from typing import Final

from guard.clock import monotonic_ns
from guard.process.operator_lines import say
from guard.server.clients import Clients
from guard.server.curve import COMMANDS_PER_S, CurveDoor, HandshakeRate
from guard.server.door_proof import DoorError, prove
from guard.server.listener import Listener
from guard.server.mechanisms import MechanismFactory
from guard.server.policy import REQUESTERS, Policy, null_router
from guard.server.priority import frees

OWN_TYPE: Final = b"ROUTER"


class MissingLibraryError(RuntimeError):
    """PyNaCl is not installed."""


def mechanism_of(secret_key: bytes | None, admits: Callable[[bytes], bool]) -> MechanismFactory:
    """How a door settles who a peer is. Raises MissingLibraryError."""
    if secret_key is None:
        return null_router
    try:
        rate = HandshakeRate(COMMANDS_PER_S, monotonic_ns)
        return CurveDoor(secret_key, OWN_TYPE, REQUESTERS, admits, rate)
    except ImportError as error:
        raise MissingLibraryError(
            "endpoints.curve_secret_key_file: CURVE needs PyNaCl: pip install "
            "'pretrade-guard[curve]'"
        ) from error


def bind_orders(endpoint: str, policy: Policy, clients: Clients | None) -> Listener:
    """A listener whose connections have their permits, proven where it speaks CURVE."""
    on_connected = None if clients is None else clients.bind
    listener = Listener([endpoint], policy, is_urgent=frees, on_connected=on_connected, say=say)
    if isinstance(policy.mechanism, CurveDoor):
        assert clients is not None
        try:
            prove(listener, policy.mechanism, clients.admit_probe)
        except OSError as error:
            listener.close()
            raise DoorError(f"it cannot be reached from this very machine: {error}") from error
        except BaseException:
            listener.close()
            raise
    return listener
