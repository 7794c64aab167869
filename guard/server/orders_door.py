"""The orders' endpoint: where it is bound, and what its peers may make us hold.

How it fails: EndpointError where nobody can listen there, DoorError where it is not safe to, and
MissingLibraryError for CURVE without its library.
"""

from typing import Final

from guard.process.descriptors import connections_max, open_count, raise_limit
from guard.protocol.wire import BODY_BYTES_MAX
from guard.server.clients import Clients
from guard.server.doors import open_door, secured
from guard.server.endpoints import EndpointError
from guard.server.listener import Listener
from guard.server.policy import CONNECTIONS_MAX, FRAMES_MAX, MESSAGE_BYTES_MAX, Policy
from guard.server.priority import frees
from guard.server.service import RunOptions
from guard.server.zmtp import Limits

# What a session opens between here and its first order: segments, pipes, spares.
DESCRIPTORS_TO_COME: Final = 24


def bind_orders(options: RunOptions, clients: Clients | None) -> Listener:
    """The orders' listener. Raises EndpointError, DoorError, MissingLibraryError."""
    endpoint = options.orders_endpoint
    limits = Limits(BODY_BYTES_MAX, MESSAGE_BYTES_MAX, FRAMES_MAX)
    room = connections_max(raise_limit(), open_count() + DESCRIPTORS_TO_COME)
    policy = Policy(limits, max(1, min(room, CONNECTIONS_MAX)))
    admits = None if clients is None else clients.trades
    policy = secured(policy, options.curve_key, admits)
    try:
        return open_door(endpoint, policy, clients, is_urgent=frees)
    except EndpointError as error:
        raise EndpointError(f"orders endpoint {endpoint!r} cannot be bound: {error}") from error
