"""The admin endpoint of a service: where it is bound, and what its actions have the daemon do.

Owns the connection of `guard.server.admin_door` to the parts that it speaks for.

How it fails: an endpoint that was configured and cannot be bound is a `StartError`'s cause, as the
orders' is; the one beside the log, which nobody asked for, is an alarm, and orders are served.
"""

from collections.abc import Callable
from dataclasses import replace

from guard.admin.messages import CloseDay, HealthReply, Rotate, Stop, TakeCheckpoint
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from guard.engine.actor import Actor
from guard.process.line_forms import told
from guard.process.operator_lines import alarm, say
from guard.recovery.checkpoint_schedule import Checkpointer
from guard.server.admin_door import AdminDoor, admin_policy
from guard.server.clients import Clients
from guard.server.closing import DayCloser
from guard.server.doors import open_door, secured
from guard.server.endpoints import EndpointError
from guard.server.health import health_of
from guard.server.listener import Listener
from guard.server.pipeline import Pipeline
from guard.server.service import RunOptions, Service


def bind_admin(options: RunOptions, clients: Clients | None = None) -> Listener | None:
    """The admin endpoint's listener; None where there is to be none. Raises EndpointError.

    Where any client has a role, whoever has none may do nothing there; with a key, it is CURVE.
    """
    configured = options.config.endpoints.admin
    endpoint = admin_endpoint(configured, str(options.log_directory))
    if endpoint is None:
        return None
    operators = clients if clients is not None and clients.has_operators() else None
    admits = None if operators is None else operators.operates
    try:
        policy = secured(admin_policy(), options.curve_key, admits)
        if operators is not None and options.curve_key is None:
            # Each of them has a user of their own, and the system says whose a connection is.
            policy = replace(policy, socket_mode=0o666)
        return open_door(endpoint, policy, operators)
    except EndpointError as error:
        text = f"admin endpoint {endpoint!r} cannot be bound: {error}"
        if configured != BESIDE_LOG:
            raise EndpointError(text) from error
        text = f"{text}; orders are served without; endpoints.admin may name another place"
        alarm(told("admin_unbound", text, endpoint=endpoint))
        return None


def make_admin_door(
    service: Service,
    pipeline: Pipeline,
    checkpointer: Checkpointer,
    releases: Callable[[], bool],
) -> AdminDoor | None:
    """The door of the service's admin endpoint, if it has one. `releases`: see `DayCloser`."""
    if service.admin is None:
        return None
    writer = service.writer

    def actor(by: str, why: str) -> Actor:
        made = service.actor(writer.staged_count, why)
        pipeline.catch_up(made.received_at_ns)
        return replace(made, by=by)

    def health() -> HealthReply:
        return health_of(service, pipeline, checkpointer, not pipeline.is_stopping)

    def end_day() -> None:
        checkpointer.rotate()
        checkpointer.request()

    return AdminDoor(
        service.admin,
        pipeline,
        service.engine.state,
        needs_roles=service.clients is not None and service.clients.has_operators(),
        actor=actor,
        health=health,
        stats=pipeline.stats,
        acts={
            TakeCheckpoint: checkpointer.request,
            Rotate: checkpointer.rotate,
            Stop: pipeline.stop,
            CloseDay: end_day,
        },
        closer=DayCloser(service.engine.state, pipeline, releases),
        say=say,
    )
