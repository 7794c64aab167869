# cython: annotation_typing=False, nonecheck=True
"""The way of every request: read, decided, recorded, applied, answered.

Owns what happens between the messages of `guard.server` and the batches of `guard.server.pipeline`,
and the one way into log and state: of what clients send, and of what no client sent
(`record_event`). It syncs nothing: an answer must not leave before its records are on disk.

How it works: a message's requests are read (`guard.protocol.request_reader`), and then taken one by
one. A request and its outcome are filled anew for each; no object is made for any but the answer's
bytes.

How it fails: what writer, ledger and kernel raise comes through, and must end the pipeline.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw

from guard.engine import decide as deciding
from guard.engine.early import put_due
from guard.engine.engine import Engine
from guard.engine.replacing import complete_ahead
from guard.protocol import fields, replies
from guard.protocol.errors import error_about, error_reply
from guard.protocol.messages import (
    PROTOCOL_VERSION,
    ErrorReply,
    Pong,
    Reply,
    StatsReply,
    marked_reply,
)
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.ranges import CLOCK_TOLERANCE_NS, TIME_NS_MAX
from guard.protocol.reasons import ErrorCode, Refusal
from guard.protocol.replies import REPLY_BYTES_MAX
from guard.protocol.request import Request
from guard.protocol.request_reader import RequestReader
from guard.protocol.wire import JSON, MESSAGEPACK
from guard.record.codec import encode_event
from guard.record.writer import RecordWriter
from guard.server.canceling import canceled_all
from guard.server.counters import Counters, held_counters
from guard.server.denials import Denials
from guard.server.disk_reserve import Refused
from guard.server.hello import Greeter
from guard.server.late_replies import LateReplies
from guard.server.marks import Marks
from guard.server.noted import Noted
from guard.server.order_groups import GroupPath
from guard.server.permits import NOBODY, Permit
from guard.server.questions import answer_question, mark_error
from guard.server.recording import record_due as record_due
from guard.server.recording import record_event as record_event
from guard.server.recording import record_losses, record_what_is_due
from guard.server.revaluing import Revaluing
from kernel import little_endian as le
from wal import LogWriter
from wal.failpoint import is_armed, reach

LOCAL_CLIENT: Final = "local"
# Where the pipeline fills in the durable head: it is known only when the reply leaves.
HEAD_UNKNOWN: Final = 0

_REPLY_BYTES_MAX = REPLY_BYTES_MAX
_REPLIES_BYTES = 64 * 1024  # to begin with: more than the replies to 256 admitted orders
_BAD = fields.BAD
_FILL, _CANCEL = fields.FILL, fields.CANCEL
_REDUCE, _EXECUTION, _CANCEL_ALL = fields.REDUCE, fields.EXECUTION, fields.CANCEL_ALL
_REPLACE, _REPLACED, _REPLACE_REJECTED = fields.REPLACE, fields.REPLACED, fields.REPLACE_REJECTED
_ORDER, _PING, _STATS, _HELLO = fields.ORDER, fields.PING, fields.STATS, fields.HELLO
_MARK, _LIMITS, _POSITIONS = fields.MARK, fields.LIMITS, fields.POSITIONS
_MARKS_SINCE = 3  # of the rules
_EVERYTHING = int(Refused.EVERYTHING)
_ADMITTED, _REJECTED, _REFUSED, _FILLED, _ERROR, _EXECUTED = map(
    int,
    (
        OutcomeKind.ADMITTED,
        OutcomeKind.REJECTED,
        OutcomeKind.REFUSED,
        OutcomeKind.FILLED,
        OutcomeKind.ERROR,
        OutcomeKind.EXECUTED,
    ),
)
_UNCHARGED = fields.UNCHARGED
_OF_NO_ORDER = fields.EXECUTION_UNKNOWN
_FULL, _FILLS_FULL = int(Refusal.IDEMPOTENCY_WINDOW_FULL), int(ErrorCode.FILL_WINDOW_FULL)
_CLOCK_TOLERANCE_NS, _TIME_NS_MAX = CLOCK_TOLERANCE_NS, TIME_NS_MAX
_COMMA, _ARRAY_END = 0x2C, 0x5D


class RequestPath:
    """Answers the messages of one pipeline. All calls belong to the loop's thread."""

    def __init__(
        self,
        engine: Engine,
        writer: LogWriter,
        counters: Counters,
        wall_ns: Callable[[], int],
        client: str = LOCAL_CLIENT,
        system_ns: Callable[[], int] | None = None,
        needs_permit: bool = False,
    ) -> None:
        """`client`: whom the records name as the requests' sender, where that has no permit.

        `needs_permit`: clients are configured: whoever has none may do nothing.
        `system_ns`: the clock that an order's age is judged by; None: that of the records.
        """
        self._engine = engine
        self._state = engine.state
        self._staging = writer.staging
        self._writer = writer
        self._counters = counters
        self._wall_ns = wall_ns
        self._system_ns = system_ns
        self.messages = self.requests = 0  # taken in since the start
        self.refused = 0  # which requests get an error where they would need a record: `Refused`
        self._reader = RequestReader(client)
        self._outcome = Outcome()
        self._due_request, self._due_outcome = Request(), Outcome()
        self._due_request.set_text("client", client.encode())
        self.noted = Noted()
        self._needs_permit = needs_permit
        self._permit: Permit | None = None
        self._denials = Denials()
        self._refusal = 0
        self._record = RecordWriter()
        self._greeter = Greeter(engine.state)
        self._groups = GroupPath(engine, writer)
        self._replies = bytearray(_REPLIES_BYTES)
        self._is_watched = False
        self._records = self._rejects = 0
        self._elapsed_ns = self._last_wall_ns = self._wall_now_ns = 0
        self.marks = Marks()
        self._revaluing = Revaluing(engine.state, self.marks)

    def answer(
        self, body: bytes | None, frame_count: int, permit: Permit | None = None
    ) -> bytes | LateReplies:
        """Decides all that the message asks for, stages its records, and gives its answer.

        `body`: None where the number of frames, `frame_count`, is wrong; its first byte alone where
        it is too long, and `frame_count` then minus its bytes. `permit`: its sender's.
        """
        state, reader = self._state, self._reader
        if self._needs_permit and permit is None:
            permit = NOBODY
        self._permit = permit
        self.messages += 1
        wall_ns = self._wall_now_ns = self._wall_ns()
        received_at_ns = max(wall_ns, state.last_received_at_ns)
        elapsed_ns = self._elapsed_at(wall_ns) if state.has_limits else 0
        counts_facts = state.limits.counts_facts
        clock_ns = 0 if self._system_ns is None else self._other_clock_ns(received_at_ns)
        if received_at_ns >= state.due_at_ns:
            self._records += record_what_is_due(self._engine, self._writer, received_at_ns)
        batch_first_sequence = state.next_sequence - self._staging.record_count
        reader.read(body, frame_count, state.currency)
        count = reader.count
        self._is_watched = is_armed()
        is_late = False
        for index in range(count):
            request = reader.requests[index]
            request.received_at_ns = received_at_ns
            request.clock_ns = clock_ns
            request.mark_price = request.mark_age_ns = request.mark_jump = request.elapsed_ns = 0
            if request.kind in (_ORDER, _REPLACE) or (counts_facts and is_fact(request.kind)):
                request.elapsed_ns = elapsed_ns
            request.batch_first_sequence = batch_first_sequence
            if permit is not None:
                request.put_client(permit.client)
            if request.kind == _PING or request.kind == _STATS:
                is_late = True
        answer: bytes | LateReplies
        if reader.is_together:
            answer = self._answer_together(count)
        else:
            answer = self._answer_late(count) if is_late else self._answer_each(count)
        self.requests += count
        counters = self._counters
        if self._records:
            counters.records += self._records
            self._records = 0
        if self._rejects:
            counters.rejects += self._rejects
            self._rejects = 0
        return answer

    def _elapsed_at(self, wall_ns: int) -> int:
        """The log's count of time: it goes on from what the log says, and never back.

        What passes while no guard runs does not count.
        """
        if self._last_wall_ns == 0:
            self._elapsed_ns = self._state.elapsed_ns + 1
        elif wall_ns > self._last_wall_ns:
            self._elapsed_ns += wall_ns - self._last_wall_ns
        self._last_wall_ns = wall_ns
        return self._elapsed_ns

    def _other_clock_ns(self, received_at_ns: int) -> int:
        """What the system's clock says, where that is another time; else 0."""
        assert self._system_ns is not None
        system_ns = self._system_ns()
        if abs(system_ns - received_at_ns) <= _CLOCK_TOLERANCE_NS:
            return 0
        return system_ns if 1 < system_ns < _TIME_NS_MAX else 1

    def _answer_each(self, count: int) -> bytes:
        """The answer to the requests that were read, in one piece."""
        reader = self._reader
        at = 0
        if reader.is_array:
            at = replies.put_array_head(self._replies, count, reader.is_json)
        for index in range(count):
            self._make_room(at + _REPLY_BYTES_MAX)
            if index > 0 and reader.is_json:
                self._replies[at] = _COMMA
                at += 1
            at = self._answer_one(index, at)
        if reader.is_array and reader.is_json:
            self._make_room(at + 1)
            self._replies[at] = _ARRAY_END
            at += 1
        return le.bytes_of(self._replies, at)

    def _answer_late(self, count: int) -> LateReplies:
        """The same where a reply is known only when it leaves."""
        reader = self._reader
        parts: list[Any] = []
        for index in range(count):
            request = reader.requests[index]
            if request.kind == _STATS and self._refuses(request):
                parts.append(Raw(le.bytes_of(self._replies, self._put_denial(request, 0))))
                continue
            if request.kind == _PING:
                if self._permit is not None:
                    self._permit.pings += 1
                parts.append(Pong(HEAD_UNKNOWN, "", self._state.log_id, PROTOCOL_VERSION))
            elif request.kind == _STATS:
                parts.append(StatsReply(self.decided_counters(index + 1), []))
            else:
                parts.append(Raw(le.bytes_of(self._replies, self._answer_one(index, 0))))
                continue
            self._echo(request, parts[index])
        return LateReplies(reader.is_json, reader.is_array, parts)

    def decided_counters(self, taken: int = 0) -> dict[str, int]:
        """What is counted and held now, for `stats`: each figure that a decision changes.

        None of it is ahead of what is durable once all that is staged now is. `taken`: how many
        requests of the message that is being answered are counted with it.
        """
        return {
            "messages": self.messages,
            "requests": self.requests + taken,
            **held_counters(self._state, self._counters),
            "rejects": self._counters.rejects + self._rejects,
            "records": self._counters.records + self._records,
            "marks_received": self.marks.received,
            "marked_symbols": len(self.marks),
        }

    def _answer_one(self, index: int, at: int) -> int:
        """Puts the reply to one request at `at`; the offset behind it."""
        reader = self._reader
        request = reader.requests[index]
        if request.kind == _BAD:
            return self._put_error(reader.errors[index], at)
        if self._permit is not None and self._refuses(request):
            return self._put_denial(request, at)
        if request.kind == _HELLO:
            desks = None if self._permit is None else self._permit.desks
            hello = self._greeter.answer(request.symbol, request.desk, request.venue, desks)
            self._echo(request, hello)
            return self._put_message(hello, at)
        if request.kind == _MARK:
            return self._take_mark(request, at)
        if request.kind == _LIMITS or request.kind == _POSITIONS:
            return self._answer_question(request, at)
        if request.kind == _CANCEL_ALL:
            return self._cancel_all(request, at)
        if request.kind == _REPLACE:
            complete_ahead(self._state, request)
        if request.kind in (_ORDER, _REPLACE) and self._state.rules_version >= _MARKS_SINCE:
            self._say_mark(request)
        outcome = self._outcome
        if self._is_watched:
            reach("decide.before")
        deciding.decide(self._state, request, outcome)
        if self._is_watched:
            reach("decide.after")
        if outcome.kind == _ERROR:
            if outcome.error == _FILLS_FULL:
                self._counters.full_fill_windows += 1
            reply = error_reply(request, outcome)
            self._echo(request, reply)
            return self._put_error(reply, at)
        if deciding.is_recorded(outcome):
            if self._is_refused(request):
                return self._refuse_for_disk(request, at)
            self._take(request, outcome)
        return replies.put_reply(self._replies, at, request, outcome, reader.is_json)

    def _say_mark(self, order: Request) -> int:
        """An order says its symbol's mark; what is due of that is recorded before it."""
        self.marks.say(order, self._wall_now_ns)
        if self.marks.waiting:
            self._revaluing.settle(order, self._wall_now_ns)
        if self._state.prices.is_kept and self.refused == 0 and self._revaluing.is_due(order):
            self._revalue(order)
        return 0

    def _answer_together(self, count: int) -> bytes:
        """The answer to orders that stand or fall together; the first one names their desk."""
        reader, groups = self._reader, self._groups
        first = reader.requests[0]
        first.set_text("echo", reader.together_echo)
        if self._permit is not None and self._refuses(first, count):
            return le.bytes_of(self._replies, self._put_denial(first, 0))
        if not groups.is_known():
            return le.bytes_of(self._replies, self._put_error(groups.unknown(first), 0))
        for index in range(count):
            self._say_mark(reader.requests[index])
        if groups.decide(reader.requests[:count]):
            if self._is_refused(first):
                return le.bytes_of(self._replies, self._refuse_for_disk(first, 0))
            self._take_together(first)
        first.echo_bytes = 0
        answer = groups.answer(self._put_raw)
        first.set_text("echo", reader.together_echo)
        self._echo(first, answer)
        return le.bytes_of(self._replies, self._put_message(answer, 0))

    def _put_raw(self, request: Request, outcome: Outcome) -> Raw:
        """One order's answer, as it stands among others."""
        at = replies.put_reply(self._replies, 0, request, outcome, self._reader.is_json)
        return Raw(le.bytes_of(self._replies, at))

    def _take_together(self, first: Request) -> None:
        """Stages the record of orders that were decided together, and what is due behind it."""
        group = self._groups.group
        self._groups.take()
        self._records += 1
        if self._state.has_facts and self._state.facts.due:
            self._take_due(first)
        if not group.is_admitted:
            self._rejects += len(group.requests)
            self._counters.full_windows += group.outcomes[group.refused_index].reason == _FULL

    def _refuses(self, request: Request, orders: int = 1) -> bool:
        """Does its sender's permit not let it through, or so many? The state is not asked."""
        permit = self._permit
        if permit is None:
            return False
        self._refusal = permit.refusal(request, orders)
        return self._refusal != 0

    def _put_denial(self, request: Request, at: int) -> int:
        """Puts the error of a request that its sender's permit does not let through."""
        assert self._permit is not None
        self._counters.not_permitted += 1
        reply = self._denials.reply(self._permit, request, self._refusal)
        self._echo(request, reply)
        return self._put_error(reply, at)

    def take_denied(self) -> list[str]:
        """What was not permitted since this was asked last, the first few."""
        return self._denials.take()

    def _take_mark(self, mark: Request, at: int) -> int:
        """Takes a symbol's mark, and puts what it is answered."""
        if self._state.worth_of(mark) is None or (mark.bid > mark.ask and mark.ask != 0):
            error = mark_error(self._state, mark)
            self._echo(mark, error)
            return self._put_error(error, at)
        in_force = self._revaluing.take_mark(mark, self._wall_now_ns)
        reply = marked_reply(mark.symbol, mark.price, in_force)
        self._echo(mark, reply)
        return self._put_message(reply, at)

    def _answer_question(self, request: Request, at: int) -> int:
        """Puts the answer to a question about limits or positions."""
        reply = answer_question(self._state, self._greeter.symbols(), request)
        self._echo(request, reply)
        is_error = isinstance(reply, ErrorReply)
        return self._put_error(reply, at) if is_error else self._put_message(reply, at)

    def _is_refused(self, request: Request) -> bool:
        """Whether the log's disk takes no record of such a request now."""
        return self.refused == _EVERYTHING or (
            self.refused != 0 and request.kind in (_ORDER, _REPLACE)
        )

    def _refuse_for_disk(self, request: Request, at: int) -> int:
        """Puts the error of a request that the log's disk takes no record of now."""
        self._counters.refused_disk_full += 1
        words = "the log's disk takes no such record now; nothing has changed, send it again later"
        reply = error_about(request, ErrorCode.DISK_FULL, "", words)
        self._echo(request, reply)
        return self._put_error(reply, at)

    def _take(self, request: Request, outcome: Outcome) -> int:
        """Stages an outcome's record, then applies it."""
        record = self._record
        size = record.write(request, outcome, self._state.policy_digest_hex)
        self._staging.append_text(outcome.sequence, record.buffer, size)
        if self._is_watched:
            reach("append.after")
        self._engine.apply(request, outcome)
        if self._is_watched:
            reach("apply.after")
        self._records += 1
        if self._state.losses_due:
            self._records += record_losses(self._engine, self._writer)
        if outcome.kind == _FILLED and outcome.flags & _UNCHARGED:
            self._counters.uncharged_fees += 1
            self.noted.note_uncharged(request)
        if outcome.kind == _EXECUTED and outcome.flags & _OF_NO_ORDER:
            self.noted.note_stray(request)
        if outcome.kind == _ADMITTED and self._state.has_facts and self._state.facts.due:
            self._take_due(request)
        if outcome.kind == _REJECTED or outcome.kind == _REFUSED:
            self._rejects += 1
            if outcome.reason == _FULL:
                self._counters.full_windows += 1
        return 0

    def _revalue(self, order: Request) -> None:
        """Records the prices that are due before an order is decided, in the batch of its own."""
        for event in self._revaluing.take_due(order, self._wall_now_ns):
            data = encode_event(event)
            self._staging.append_text(self._state.next_sequence, data, len(data))
            if self._is_watched:
                reach("append.after")
            self._engine.apply_event(self._state.next_sequence, event)
            if self._is_watched:
                reach("apply.after")
            self._records += 1
            if self._state.losses_due:
                self._records += record_losses(self._engine, self._writer)

    def _cancel_all(self, request: Request, at: int) -> int:
        """Records what ends many orders, and puts the reply."""
        found: Any = canceled_all(self._state, request)
        if isinstance(found, ErrorReply):
            self._echo(request, found)
            return self._put_error(found, at)
        if self._is_refused(request):
            return self._refuse_for_disk(request, at)
        self._records += 1 + record_event(self._engine, self._writer, found)
        self._echo(request, found.answer)
        return self._put_message(found.answer, at)

    def _take_due(self, order: Request) -> None:
        """Records what came of an order's fills before it, in the batch of its own record."""
        request, outcome = self._due_request, self._due_outcome
        while put_due(self._state, request):
            request.received_at_ns, request.clock_ns = order.received_at_ns, order.clock_ns
            request.elapsed_ns = order.elapsed_ns if self._state.limits.counts_facts else 0
            request.batch_first_sequence = order.batch_first_sequence
            deciding.decide(self._state, request, outcome)
            self._take(request, outcome)

    def _put_error(self, reply: Reply | None, at: int) -> int:
        """Puts an error, and counts it."""
        self._counters.request_errors += 1
        return self._put_message(reply, at)

    def _put_message(self, reply: Reply | None, at: int) -> int:
        """Puts a reply, as msgspec writes it."""
        body = (JSON if self._reader.is_json else MESSAGEPACK).encode(reply)
        self._make_room(at + len(body) + _REPLY_BYTES_MAX)
        le.store_bytes(self._replies, at, body)
        return at + len(body)

    def _echo(self, request: Request, reply: Any) -> None:
        """Gives a reply its request's id, which stands as it is to be written."""
        if request.echo_bytes:
            reply.request_id = Raw(request.echo())

    def _make_room(self, end: int) -> None:
        while end > len(self._replies):
            self._replies.extend(bytes(_REPLIES_BYTES))


def is_fact(kind: int) -> bool:
    """Does a request of this type say what happened, so that it may count in a rate?"""
    return kind in (_FILL, _CANCEL, _REDUCE, _EXECUTION, _REPLACED, _REPLACE_REJECTED)
