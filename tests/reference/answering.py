"""The way of a message through the reference: parsed into types, decided, recorded, applied."""

from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Struct

from guard.engine.events import Decided, Outcome
from guard.protocol.messages import (
    Admit,
    ErrorReply,
    Fill,
    Filled,
    Pong,
    Reject,
    Reply,
    StatsReply,
    StatusReply,
)
from guard.protocol.ranges import LOCAL_CLIENT
from guard.protocol.wire import (
    Message,
    Parsed,
    framing_error,
    parse_message,
)
from guard.server.counters import Counters
from reference.engine import Engine
from reference.journal import encode_data
from reference.origin import Origin
from reference.replying import encode_replies
from wal import LogWriter
from wal.failpoint import reach

LATE_TYPES: Final = frozenset((Pong, StatsReply))  # their replies are known only when they leave


class LateReplies(Struct, gc=False):
    """Replies to one message, of which one is known only when it leaves (`LATE_TYPES`)."""

    message: Message
    replies: list[Reply]


def record_outcome(engine: Engine, writer: LogWriter, decided: Decided) -> None:
    """Stages an outcome's record, then applies it."""
    sequence = engine.next_sequence
    writer.append(sequence, encode_data(decided), is_encoded=True)
    reach("append.after")
    engine.apply(sequence, decided.outcome)
    reach("apply.after")


class Answering:
    """Answers the messages of one pipeline. All calls belong to the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        writer: LogWriter,
        counters: Counters,
        wall_ns: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._state = engine.state
        self._writer = writer
        self._staging = writer.staging
        self._counters = counters
        self.requests = 0  # taken in since the start
        self._wall_ns = wall_ns

    def answer(self, body: bytes | None, frame_count: int) -> bytes | LateReplies:
        """Decides all that the message asks for, stages its records, and gives its answer.

        `body`: None where the number of frames, `frame_count`, is wrong.
        """
        state = self._state
        received_at_ns = max(self._wall_ns(), state.last_received_at_ns)
        batch_first_sequence = state.next_sequence - self._staging.record_count
        if body is None:
            message = framing_error(frame_count)
        else:
            message = parse_message(body, state.currency)
        origin = Origin(received_at_ns, LOCAL_CLIENT, batch_first_sequence)
        replies = [self._answer(request, origin) for request in message.requests]
        self.requests += len(replies)
        if LATE_TYPES.isdisjoint(map(type, replies)):
            return encode_replies(message, replies)
        return LateReplies(message, replies)

    def _answer(self, request: Parsed, origin: Origin) -> Reply:
        counters = self._counters
        if isinstance(request, ErrorReply):
            counters.request_errors += 1
            return request
        # The request id belongs to this sending, not to the request: it is neither compared
        # nor recorded.
        request_id = request.request_id
        request.request_id = UNSET
        reach("decide.before")
        decided = self._engine.decide(request, origin)
        reach("decide.after")
        if isinstance(decided, Decided):
            record_outcome(self._engine, self._writer, decided)
            counters.records += 1
            reply = answer_of(decided.outcome)
            self._note_uncharged(reply)
            self._record_due(origin)
            if type(reply) is Reject:
                counters.rejects += 1
                counters.full_windows += reply.reason == "idempotency_window_full"
        else:
            reply = decided
            if type(reply) is ErrorReply:
                counters.request_errors += 1
        # The reply was made for this request, and its record is encoded: nobody else looks at it.
        said = reply.answer if isinstance(reply, StatusReply) else reply
        if isinstance(said, Admit | Reject | ErrorReply):
            said.desk = request.desk  # type: ignore[union-attr]
        if isinstance(reply, Admit | Reject) and isinstance(decided, Decided):
            reply.received_at_ns = origin.received_at_ns
        if isinstance(reply, ErrorReply):
            reply.client_order_id = request.client_order_id  # type: ignore[union-attr]
            reply.fill_id = request.fill_id if isinstance(request, Fill) else UNSET
        reply.request_id = request_id
        return reply

    def _record_due(self, origin: Origin) -> None:
        """What came of an admitted order's fills before it."""
        facts, orders = self._state.facts, self._state.orders
        while facts.due:
            decided = self._engine.decide(orders.early_fill(facts.due[0]), origin)
            assert isinstance(decided, Decided)
            record_outcome(self._engine, self._writer, decided)
            self._counters.records += 1
            self._note_uncharged(answer_of(decided.outcome))

    def _note_uncharged(self, reply: Reply) -> None:
        self._counters.uncharged_fees += isinstance(reply, Filled) and "uncharged" in reply.flags


def answer_of(outcome: Outcome) -> Reply:
    """The reply that an outcome of a request carries."""
    return outcome.answer  # type: ignore[union-attr]
