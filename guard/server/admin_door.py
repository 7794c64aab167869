"""The door of operators: actions that are recorded, and queries, beside the orders.

Owns the listener of the admin endpoint, who an operator is, and when a reply leaves. What an action
or a query means is `guard.admin`'s; an action's event takes the one way into log and state, between
two records, and whatever is shown or said is durable before it leaves.

How it works: a turn takes a few messages, so that a flood here holds up no order; a flood of orders
holds up nothing here, since each turn of theirs is short. On a unix socket the system says who the
peer is, and that name is recorded; on another one the request says it.

How it fails: what cannot be done is an `error` reply, and changes nothing. What the log cannot
record ends the service, as it does for an order.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from guard.admin.actions import done_before, plan
from guard.admin.bodies import is_json, request_id_of
from guard.admin.messages import (
    BODY_BYTES_MAX,
    Action,
    AdminError,
    AnyReply,
    Done,
    Health,
    HealthReply,
    Planned,
    Refused,
    Stats,
    Stop,
    decode_request,
    encode_reply,
)
from guard.admin.queries import answer
from guard.engine.actor import Actor
from guard.engine.state import GuardState
from guard.process.line_forms import told
from guard.protocol.messages import StatsReply
from guard.server.connection import Connection, Received
from guard.server.listener import Listener
from guard.server.pipeline import Pipeline
from guard.server.policy import MIB, Policy
from guard.server.session_records import name_of_user
from guard.server.zmtp import Limits
from wal import Head

Act: TypeAlias = Callable[[], None]

CONNECTIONS_MAX: Final = 64
MESSAGES_PER_TURN: Final = 4
FRAMES_MAX: Final = 8
BACKLOG_BYTES_MAX: Final = 32 * MIB


def admin_policy() -> Policy:
    """The bounds of an operator's connection; a socket's file is its owner's alone."""
    limits = Limits(BODY_BYTES_MAX, BODY_BYTES_MAX + MIB, FRAMES_MAX)
    return Policy(
        limits,
        CONNECTIONS_MAX,
        half_open_max=16,
        partial_bytes_max=2 * BODY_BYTES_MAX,
        ahead_bytes_max=BODY_BYTES_MAX,
        client_backlog_bytes_max=BACKLOG_BYTES_MAX,
        backlog_bytes_max=2 * BACKLOG_BYTES_MAX,
        visit_messages=1,
        backlog_connections=64,
    )


class AdminDoor:
    """Serves one admin endpoint. All calls belong to the loop's thread."""

    def __init__(
        self,
        listener: Listener,
        pipeline: Pipeline,
        state: GuardState,
        *,
        actor: Callable[[str, str], Actor],
        health: Callable[[], HealthReply],
        stats: Callable[[], StatsReply],
        acts: dict[type, Act],
        say: Callable[[str], None],
    ) -> None:
        """`actor`: of (by, why). `acts`: what an action has the daemon do once it is recorded."""
        self._listener = listener
        self._pipeline = pipeline
        self._state = state
        self._actor = actor
        self._health = health
        self._stats = stats
        self._acts = acts
        self._say = say
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Serves from now on."""
        self._listener.attach(self._loop, self._on_readable)

    def stop(self) -> None:
        """Takes no more; what was recorded is still answered."""
        self._listener.detach()

    def _on_readable(self) -> None:
        self._listener.begin_turn()
        for _ in range(MESSAGES_PER_TURN):
            received = self._listener.receive()
            if received is None:
                break
            self._take(received)
        self._listener.release_held()
        if self._listener.has_ready():
            self._loop.call_soon(self._on_more)

    def _on_more(self) -> None:
        if self._listener.has_ready():
            self._on_readable()

    def _take(self, received: Received) -> None:
        peer, before, body, frame_count = received
        if body is None or frame_count < 0:
            what = "one frame, or an empty one and it" if body is None else "a shorter message"
            reply: AnyReply = Refused("malformed", "", f"not a request; allowed: {what}")
            act_behind = None
        else:
            reply, act_behind = self._answer(peer, body)
        sealed = encode_reply(reply, body is not None and is_json(body))

        def send(_head: Head) -> None:
            self._listener.send_all([(peer, before, sealed)], _as_it_is)
            if act_behind is not None:
                act_behind()

        self._pipeline.when_durable(send)

    def _answer(self, peer: Connection, body: bytes) -> tuple[AnyReply, Act | None]:
        """The reply, and what is to be done once it is on its way."""
        try:
            request = decode_request(body)
        except AdminError as error:
            return Refused(error.code, error.field, str(error), request_id_of(body)), None
        act_behind = None
        try:
            if isinstance(request, Health):
                reply: Any = self._health()
            elif isinstance(request, Stats):
                reply = self._stats()
            elif isinstance(request, Action):
                reply = self._act(peer, request)
                if isinstance(request, Stop) and isinstance(reply, Done) and not reply.repeat:
                    act_behind = self._acts[Stop]
            else:
                reply = answer(self._state, request, self._actor("", "").received_at_ns)
        except AdminError as error:
            reply = Refused(error.code, error.field, str(error))
        reply.request_id = request.request_id
        return reply, act_behind

    def _act(self, peer: Connection, action: Any) -> AnyReply:
        actor = self._actor(_who(peer, action.by), action.why)
        before = done_before(self._state, action, actor)
        if before is not None:
            return Done(action.action_id, before.sequence, True, [])
        planned = plan(self._state, action, actor)
        if action.dry_run:
            return Planned(action.action_id, planned.changes)
        sequence = self._state.next_sequence
        self._pipeline.record(planned.event)
        if type(action) is not Stop and (act := self._acts.get(type(action))) is not None:
            act()
        self._say(
            told(
                "operator_action",
                f"{actor.by}: {'; '.join(planned.changes)} ({actor.why})",
                action=type(action).__struct_config__.tag,
                action_id=action.action_id,
                by=actor.by,
                why=actor.why,
                wal_sequence=sequence,
                changes=planned.changes,
            )
        )
        return Done(action.action_id, sequence, False, planned.changes)


def _as_it_is(reply: Any) -> bytes:
    raise TypeError(f"a reply of an operator is bytes already: {reply!r}")


def _who(peer: Connection, said: str | None) -> str:
    """Who acts: by the system's word on a unix socket, else by their own."""
    credentials = peer.credentials
    if credentials is None:
        if said is None:
            raise AdminError("missing", "by", "by: who acts must be said on this endpoint")
        return said
    name = name_of_user(credentials.user_id)
    return name if said is None or said == name else f"{said} (as {name})"
