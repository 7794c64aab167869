# cython: annotation_typing=False, nonecheck=True
"""A message's body to its answer: parse, decide, record, apply, encode.

Owns what happens between the frames of `guard.gateway` and the batches of `guard.pipeline`, and the
one way into log and state. It syncs nothing: an answer must not leave before its records are on
disk.

How it works: a MessagePack body is taken request by request. A plain order that is admitted goes
down the short lane (`guard.order_lane`) where the order path is compiled; everything else, and all
of it elsewhere, is parsed into types (`guard.wire`) and asked of the engine. Both ways give the
same records, replies and state. It runs as it stands, or compiled with the types of
`answering.pxd` beside it.

How it fails: what writer, ledger and kernel raise comes through, and must end the pipeline.
"""

from collections.abc import Callable
from typing import Final

from msgspec import UNSET, Struct

from guard import packing
from guard.counters import Counters
from guard.disk_reserve import Refused
from guard.elements import Elements
from guard.engine import Engine
from guard.journal import encode_data
from guard.messages import ErrorReply, Order, Pong, Reject, Reply, StatsReply
from guard.order_lane import OrderLane
from guard.order_pieces import REPLY_BYTES_MAX
from guard.outcomes import Decided, Origin, Outcome
from guard.reasons import ErrorCode
from guard.wire import (
    MESSAGEPACK,
    Message,
    Parsed,
    encode_replies,
    framing_error,
    parse_message,
    parse_request,
)
from kernel import little_endian as le
from wal import LogWriter
from wal.failpoint import reach

LOCAL_CLIENT: Final = "local"
LATE_TYPES: Final = frozenset((Pong, StatsReply))  # their replies are known only when they leave

_REPLY_BYTES_MAX = REPLY_BYTES_MAX
_REPLIES_BYTES = 64 * 1024  # to begin with: more than the replies to 256 admitted orders


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
        has_lane: bool,
    ) -> None:
        """`has_lane`: whether plain orders take the short one; the answers are the same."""
        self._engine = engine
        self._state = engine.state
        self._writer = writer
        self._staging = writer.staging
        self._counters = counters
        self.requests = 0  # taken in since the start
        self.refused = 0  # which requests get an error where they would need a record: `Refused`
        self._wall_ns = wall_ns
        self._has_lane = has_lane
        self._lane = OrderLane(engine, writer, LOCAL_CLIENT)
        self._elements = Elements()
        self._replies = bytearray(_REPLIES_BYTES)

    def answer(self, body: bytes | None, frame_count: int) -> bytes | LateReplies:
        """Decides all that the message asks for, stages its records, and gives its answer.

        `body`: None where the number of frames, `frame_count`, is wrong.
        """
        state = self._state
        received_at_ns = max(self._wall_ns(), state.last_received_at_ns)
        batch_first_sequence = state.next_sequence - self._staging.record_count
        if self._has_lane and body is not None:
            count = self._elements.split(body)
            if count > 0:
                self.requests += count
                return self._answer_each(body, count, received_at_ns, batch_first_sequence)
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

    def _answer_each(
        self, body: bytes, count: int, received_at_ns: int, batch_first_sequence: int
    ) -> bytes:
        """As `answer`, of a body that `_elements` has split into so many requests."""
        elements, lane = self._elements, self._lane
        reply_at = packing.put_array_head(self._replies, 0, count) if elements.is_array else 0
        origin: Origin | None = None
        lane.begin_message(received_at_ns, batch_first_sequence)
        records = 0
        at = elements.first_at
        for index in range(count):
            end = elements.ends[index]
            self._make_room(reply_at + _REPLY_BYTES_MAX)
            if self.refused == 0 and lane.admit(body, at, end, self._replies, reply_at):
                records += 1
                reply_at = lane.reply_end
            else:
                if origin is None:
                    origin = Origin(received_at_ns, LOCAL_CLIENT, batch_first_sequence)
                request = parse_request(MESSAGEPACK, body[at:end], self._state.currency)
                reply = MESSAGEPACK.encode(self._answer(request, origin))
                self._make_room(reply_at + len(reply))
                le.store_bytes(self._replies, reply_at, reply)
                reply_at += len(reply)
            at = end
        self._counters.records += records
        return le.bytes_of(self._replies, reply_at)

    def _make_room(self, end: int) -> None:
        while end > len(self._replies):
            self._replies.extend(bytes(_REPLIES_BYTES))

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
        if isinstance(decided, Decided) and self.refused and self._is_refused(request):
            counters.request_errors += 1
            counters.refused_disk_full += 1
            reply: Reply = _disk_full()
        elif isinstance(decided, Decided):
            record_outcome(self._engine, self._writer, decided)
            counters.records += 1
            reply = answer_of(decided.outcome)
            if type(reply) is Reject:
                counters.count_reject(reply.reason)
        else:
            reply = decided
            if type(reply) is ErrorReply:
                counters.request_errors += 1
        # The reply was made for this request, and its record is encoded: nobody else looks at it.
        reply.request_id = request_id
        return reply

    def _is_refused(self, request: Parsed) -> bool:
        return self.refused == Refused.EVERYTHING or isinstance(request, Order)


def _disk_full() -> ErrorReply:
    words = "the log's disk takes no such record now; nothing has changed, send it again later"
    return ErrorReply(ErrorCode.DISK_FULL.word, "", words)


def answer_of(outcome: Outcome) -> Reply:
    """The reply that an outcome of a request carries."""
    return outcome.answer  # type: ignore[union-attr]
