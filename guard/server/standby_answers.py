"""What a guard that stands by answers: questions that its state can answer, each marked with how
far it may be behind. Changes nothing.

Owns which requests those are, and the words for all others: an order, or a fact, is refused with
`not_serving`, which names the guard that serves where that is known. Nothing of it is recorded.

How it fails: it does not; what is asked wrongly is an `error`.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from guard.cluster.sight import Sight
from guard.engine.state import GuardState
from guard.engine.status import answer_status
from guard.protocol.fields import BAD, KINDS, PING, POSITIONS, STATUS
from guard.protocol.messages import (
    PROTOCOL_VERSION,
    ErrorReply,
    Pong,
    PositionsReply,
    Reply,
    StatusReply,
)
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import ErrorCode
from guard.protocol.replies import reply_body
from guard.protocol.request import Request
from guard.protocol.request_reader import RequestReader
from guard.protocol.wire import JSON, MESSAGEPACK
from guard.server.denials import error_of
from guard.server.permits import NOBODY, Permit, words_of_denial
from guard.server.questions import position_answer
from guard.server.request_path import LOCAL_CLIENT
from wal import Head

ANSWERED: Final = (STATUS, PING, POSITIONS)
_decode_status: Final = msgspec.msgpack.Decoder(StatusReply).decode


class StandbyAnswers:
    """Of one state, while it is folded. All calls belong to the loop's thread."""

    def __init__(
        self,
        state: GuardState,
        head: Callable[[], Head],
        sight: Sight,
        *,
        wall_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
        needs_permit: bool,
    ) -> None:
        """`head`: the record that the state has come to."""
        self._state = state
        self._head = head
        self._sight = sight
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._needs_permit = needs_permit
        self._reader = RequestReader(LOCAL_CLIENT)
        self._outcome = Outcome()

    def answer(self, body: bytes | None, frame_count: int, permit: Permit | None) -> bytes:
        """The answer to a message; the arguments are those of `guard.server.request_path`."""
        reader = self._reader
        if self._needs_permit and permit is None:
            permit = NOBODY
        reader.read(body, frame_count, self._state.currency)
        if reader.is_together:  # one answer to all of them
            reader.requests[0].set_text("echo", reader.together_echo)
        replies = [self._answer_one(index, permit) for index in range(reader.count)]
        form = JSON if reader.is_json else MESSAGEPACK
        return form.encode(replies if reader.is_array else replies[0])

    def _answer_one(self, index: int, permit: Permit | None) -> Any:
        request = self._reader.requests[index]
        if request.kind == BAD:
            return self._reader.errors[index]
        echo, request.echo_bytes = request.echo(), 0
        reply: Any = self._reply_to(request, permit)
        if echo:
            reply.request_id = Raw(echo)
        return reply

    def _reply_to(self, request: Request, permit: Permit | None) -> Reply:
        if request.kind not in ANSWERED:
            return self._not_serving(request)
        if permit is not None and permit.refusal(request):
            return error_of(request, ErrorCode.NOT_PERMITTED, *words_of_denial(permit, request))
        reply = self._shown(request)
        if not isinstance(reply, ErrorReply):
            reply.behind_records, reply.behind_ns = self._sight.behind(self._monotonic_ns())
        return reply

    def _shown(self, request: Request) -> StatusReply | Pong | PositionsReply | ErrorReply:
        state = self._state
        if request.kind == PING:
            return Pong(*self._head(), state.log_id, PROTOCOL_VERSION)
        if request.kind == POSITIONS:
            return position_answer(state, sorted(state.instruments), request)
        request.received_at_ns = max(self._wall_ns(), state.last_received_at_ns)
        answer_status(state, request, self._outcome)
        shown = _decode_status(reply_body(request, self._outcome))
        assert isinstance(shown, StatusReply)
        return shown

    def _not_serving(self, request: Request) -> ErrorReply:
        where = self._sight.serves_at
        words = (
            f"type: {KINDS[request.kind]} is not taken by a guard that stands by, which answers "
            f"status, positions and ping; it goes to the guard that serves: "
            f"{where or 'where that is, is not known here'}"
        )
        reply = error_of(request, ErrorCode.NOT_SERVING, "type", words)
        if where:
            reply.serving = where
        return reply
