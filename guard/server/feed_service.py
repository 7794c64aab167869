"""The feed endpoint of a service: where it is bound, and its connection to log and pipeline.

How it fails: an endpoint that was configured and cannot be bound is a `StartError`'s cause, as the
orders' is. Where none is configured there is nothing of the feed at all.
"""

from functools import partial
from pathlib import Path
from typing import Final

from guard import __version__
from guard.config.endpoint import NO_ENDPOINT
from guard.feed.messages import BODY_BYTES_MAX
from guard.server.clients import Clients
from guard.server.connection import Connection
from guard.server.doors import open_door, secured
from guard.server.endpoints import EndpointError
from guard.server.feed_door import FeedDoor
from guard.server.feed_supply import FeedSupply
from guard.server.listener import Listener
from guard.server.mechanisms import NullMechanism
from guard.server.pipeline import Pipeline
from guard.server.policy import MIB, Policy
from guard.server.service import RunOptions, Service
from guard.server.zmtp import Limits
from wal import LINE_BYTES_MAX

SUBSCRIBERS: Final = frozenset((b"DEALER",))
CONNECTIONS_MAX: Final = 64
FRAMES_MAX: Final = 8
# Of all subscribers, whatever they do. It must hold a message of the longest line.
BACKLOG_BYTES_MAX: Final = 2 * LINE_BYTES_MAX


def feed_policy() -> Policy:
    """The bounds of a subscriber's connection; a socket's file is its owner's alone."""
    return Policy(
        Limits(BODY_BYTES_MAX, BODY_BYTES_MAX + MIB, FRAMES_MAX),
        CONNECTIONS_MAX,
        mechanism=partial(NullMechanism, b"ROUTER", SUBSCRIBERS),
        half_open_max=16,
        partial_bytes_max=CONNECTIONS_MAX * BODY_BYTES_MAX,
        ahead_bytes_max=CONNECTIONS_MAX * BODY_BYTES_MAX,
        client_backlog_bytes_max=BACKLOG_BYTES_MAX,
        backlog_bytes_max=BACKLOG_BYTES_MAX,
        visit_messages=1,
        backlog_connections=64,
    )


def bind_feed(options: RunOptions, clients: Clients | None = None) -> Listener | None:
    """The feed endpoint's listener; None where there is to be none. Raises EndpointError."""
    endpoint = options.config.endpoints.feed
    if endpoint == NO_ENDPOINT:
        return None
    admits = None if clients is None else clients.subscribes
    try:
        policy = secured(feed_policy(), options.curve_key, admits, SUBSCRIBERS)
        return open_door(endpoint, policy, clients)
    except EndpointError as error:
        raise EndpointError(f"feed endpoint {endpoint!r} cannot be bound: {error}") from error


def make_feed_door(service: Service, pipeline: Pipeline) -> FeedDoor | None:
    """The door of the service's feed endpoint, if it has one."""
    listener = service.feed
    if listener is None:
        return None
    state, pages = service.engine.state, service.options.config.endpoints.feed_proofs
    supply = FeedSupply(service.writer, service.options.log_directory)
    door = FeedDoor(
        listener,
        supply,
        state.desks,
        log_id=state.log_id,
        software_version=__version__,
        when_durable=pipeline.when_durable,
        needs_permits=service.clients is not None,
        proofs=None if pages is None else Path(pages),
    )
    greet(listener, door, service.clients)
    pipeline.on_answered = door.on_answered
    return door


def greet(listener: Listener, door: FeedDoor, clients: Clients | None) -> None:
    """Has the door meet who connects, and forget who goes."""
    listener.tell(door.welcome if clients is None else partial(_meet, clients, door), door.forget)


def _meet(clients: Clients, door: FeedDoor, peer: Connection) -> None:
    clients.bind(peer)
    door.welcome(peer)
