"""The door of operators: actions that are recorded, and queries, beside the orders.

Owns the listener of the admin endpoint, who an operator is, and when a reply leaves. What an action
or a query means is `guard.admin`'s; an action's event takes the one way into log and state, between
two records, and whatever is shown or said is durable before it leaves.

How it works: a turn takes a few messages (`guard.server.few_messages`); a flood of orders holds up
nothing here, since each turn of theirs is short. On a unix socket the system says who the
peer is, and that name is recorded; on another one the request says it.

How it fails: what cannot be done is an `error` reply, and changes nothing. What the log cannot
record ends the service, as it does for an order.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from msgspec import structs

from guard.admin.actions import done_before, plan
from guard.admin.bodies import is_json, request_id_of
from guard.admin.day_name import repeat_words
from guard.admin.messages import (
    BODY_BYTES_MAX,
    Action,
    AdminError,
    AnyReply,
    Approve,
    CloseDay,
    Done,
    Health,
    HealthReply,
    PendingApproval,
    Planned,
    Refused,
    Stats,
    Stop,
    Withdraw,
    decode_request,
    encode_reply,
)
from guard.admin.people_actions import pending_approval
from guard.admin.queries import answer
from guard.engine.actor import Actor
from guard.engine.people_events import Proposed
from guard.engine.state import GuardState
from guard.process.line_forms import told
from guard.protocol.messages import StatsReply
from guard.server.closing import DayCloser
from guard.server.connection import Connection, Received
from guard.server.few_messages import FewMessages, as_it_is, words_of_no_request
from guard.server.listener import Listener
from guard.server.permits import NOBODY, Permit
from guard.server.pipeline import Pipeline
from guard.server.policy import MIB, Policy
from guard.server.session_records import name_of_user
from guard.server.zmtp import Limits
from wal import Head

Act: TypeAlias = Callable[[], None]

CONNECTIONS_MAX: Final = 64
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
        closer: DayCloser,
        say: Callable[[str], None],
        needs_roles: bool = False,
    ) -> None:
        """`actor`: of (by, why). `acts`: what an action has the daemon do once it is recorded."""
        self._closer = closer
        self._listener = listener
        self._pipeline = pipeline
        self._state = state
        self._actor = actor
        self._health = health
        self._stats = stats
        self._acts = acts
        self._needs_roles = needs_roles
        self._say = say
        self._messages = FewMessages(listener, self._take)

    def start(self) -> None:
        """Serves from now on."""
        self._messages.start()

    def stop(self) -> None:
        """Takes no more; what was recorded is still answered."""
        self._messages.stop()

    def _take(self, received: Received) -> None:
        peer, before, body, frame_count = received
        as_json = body is not None and is_json(body)
        if body is None or frame_count < 0:
            reply: AnyReply = Refused("malformed", "", words_of_no_request(body))
            act_behind = None
        else:
            later = partial(self._send, peer, before, as_json)
            found = self._answer(peer, body, later)
            if found is None:
                return
            reply, act_behind = found
        self._send(peer, before, as_json, reply, act_behind)

    def _send(
        self, peer: Connection, before: Any, as_json: bool, reply: AnyReply, act_behind: Act | None
    ) -> None:
        """Has the reply leave when all that is staged is durable, and the act follow it."""
        sealed = encode_reply(reply, as_json)

        def send(_head: Head) -> None:
            self._listener.send_all([(peer, before, sealed)], as_it_is)
            if act_behind is not None:
                act_behind()

        self._pipeline.when_durable(send)

    def _answer(
        self, peer: Connection, body: bytes, later: Callable[[AnyReply, Act | None], None]
    ) -> tuple[AnyReply, Act | None] | None:
        """The reply, and what is to be done once it is on its way; None where it comes `later`."""
        try:
            request = decode_request(body)
        except AdminError as error:
            return Refused(error.code, error.field, str(error), request_id_of(body)), None
        act_behind = None
        try:
            if self._needs_roles:
                _check_role(peer.permit or NOBODY, request)
            if isinstance(request, Health):
                reply: Any = self._health()
            elif isinstance(request, CloseDay):
                return self._close(peer, request, later)
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

    def _close(
        self, peer: Connection, action: CloseDay, later: Callable[[AnyReply, Act | None], None]
    ) -> tuple[AnyReply, Act | None] | None:
        by = _who(peer, action.by)
        if (repeated := self._repeat_of(action, self._actor(by, action.why))) is not None:
            repeated.request_id = action.request_id
            return repeated, None

        def answer(reply: AnyReply) -> None:
            is_done = isinstance(reply, Done)
            if isinstance(reply, Done) and not reply.repeat:
                self._tell(action, by, reply.wal_sequence, reply.changes)
            sent = structs.replace(reply, request_id=action.request_id)
            later(sent, self._acts[CloseDay] if is_done else None)

        if action.dry_run:
            self._closer.plan(action, self._actor(by, action.why), answer)
            return None
        self._closer.close(action, lambda: self._actor(by, action.why), answer)
        return None

    def _repeat_of(self, action: Any, actor: Actor) -> Done | PendingApproval | None:
        before = done_before(self._state, action, actor)
        if before is None:
            return None
        proposal = self._state.people.pending.get(action.action_id)
        if proposal is not None:
            return pending_approval(proposal, before.sequence, is_repeat=True)
        is_close = isinstance(action, CloseDay)
        said = [repeat_words(self._state, action.day, before)] if is_close else []
        return Done(action.action_id, before.sequence, True, said)

    def _act(self, peer: Connection, action: Any) -> AnyReply:
        made = self._actor(_who(peer, action.by), action.why)
        actor = replace(made, person=_person(peer, made.by))
        if (repeated := self._repeat_of(action, actor)) is not None:
            return repeated
        planned = plan(self._state, action, actor)
        if action.dry_run:
            return Planned(action.action_id, planned.changes)
        sequence = self._state.next_sequence
        self._pipeline.record(planned.event)
        if type(action) is not Stop and (act := self._acts.get(type(action))) is not None:
            act()
        self._tell(action, actor.by, sequence, planned.changes)
        if isinstance(planned.event, Proposed):
            return pending_approval(planned.event, sequence, is_repeat=False)
        return Done(action.action_id, sequence, False, planned.changes)

    def _tell(self, action: Any, by: str, sequence: int, changes: list[str]) -> None:
        self._say(
            told(
                "operator_action",
                f"{by}: {'; '.join(changes)} ({action.why})",
                action=type(action).__struct_config__.tag,
                action_id=action.action_id,
                by=by,
                why=action.why,
                wal_sequence=sequence,
                changes=changes,
            )
        )


def _check_role(permit: Permit, request: Any) -> None:
    """Raises AdminError for what the peer's roles do not let it ask or do."""
    needed = "operate" if isinstance(request, Action) else "view"
    if isinstance(request, Approve):
        needed = "approve"
    elif isinstance(request, Withdraw) and "approve" in permit.roles:
        return
    if needed not in permit.roles:
        raise AdminError(
            "not_permitted",
            "type",
            f"type: {request.__struct_config__.tag} needs the role {needed!r}, which client "
            f"{permit.name!r} has not",
        )


def _who(peer: Connection, said: str | None) -> str:
    """Who acts: by their key, by the system's word on a unix socket, else by their own."""
    if peer.key is not None and peer.permit is not None:
        person = peer.permit.person
        return person if said is None or said == person else f"{said} (as {person})"
    credentials = peer.credentials
    if credentials is None:
        if said is None:
            raise AdminError("missing", "by", "by: who acts must be said on this endpoint")
        return said
    name = name_of_user(credentials.user_id)
    return name if said is None or said == name else f"{said} (as {name})"


def _person(peer: Connection, by: str) -> str:
    """Who acts, whatever they say of it: whoever their key stands for, or the system names."""
    if peer.permit is not None and peer.permit is not NOBODY:
        return peer.permit.person
    if peer.credentials is not None:
        return name_of_user(peer.credentials.user_id)
    return by
