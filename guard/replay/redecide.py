# cython: annotation_typing=False, nonecheck=True
"""Records decided again, one after another, while the rules give the very text recorded. Pure.

Owns the quick way of a replay through the records that answer requests: the request is read from
the record's text, decided on the state so far, what was decided is written again, and where these
are the same bytes it is applied. What the record says beside its request is not looked at: it shows
in the bytes.

Must not: refuse anything. Where any of this is not so nothing has changed, and
`guard.replay.replay` looks at the record whole, and says what is wrong with it if anything is.

How it fails: `InvariantError` where an outcome that the rules gave cannot be applied.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from guard.engine import decide as deciding
from guard.engine.early import is_in_turn
from guard.engine.engine import Engine
from guard.engine.events import Decided, KernelRows, Outcome
from guard.engine.order_group import OrderGroup
from guard.engine.state import GuardState
from guard.protocol import json_reader
from guard.protocol.fields import REASON_WORDS
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.outcome import OutcomeKind
from guard.protocol.request import Request
from guard.record.codec import decode_own_event
from guard.record.reader import RecordReader
from guard.record.rules import RecordRules
from guard.record.writer import RecordWriter

_ADMITTED, _REJECTED, _REFUSED, _FILLED, _RELEASED = map(int, list(OutcomeKind)[:5])
_REDUCED = int(OutcomeKind.REDUCED)
_EXECUTED = int(OutcomeKind.EXECUTED)
_REPLACED, _REPLACE_REJECTED = int(OutcomeKind.REPLACED), int(OutcomeKind.REPLACE_REJECTED)
# The tags of the events that a record of each kind of outcome is.
_EVENTS = {
    _ADMITTED: "order",
    _REJECTED: "order",
    _REFUSED: "order_refused",
    _FILLED: "fill",
    _RELEASED: "release",
    _REDUCED: "reduce",
    _EXECUTED: "execution",
    _REPLACED: "replaced",
    _REPLACE_REJECTED: "replace_rejected",
}


class Replayed:
    """A record that was decided again: what observers of a replay are told of.

    Of a request `request` and `answer` are its fields and its outcome's; they are None for an
    administrative event. `event` and `kernel` are objects, made when they are asked for. Of orders
    that stand or fall together each is told of as if it were the record, one behind the other, with
    the state behind all of them; `group` then is all of them, None else, and `place` its own.
    """

    def __init__(self, writer: RecordWriter) -> None:
        self._writer = writer
        self._event: Outcome | None = None
        self._request, self._answer = Request(), RequestOutcome()
        self._of_one = (self._request, self._answer)
        self.is_request = False
        self._policy_digest_hex = ""
        self.group: OrderGroup | None = None
        self.place = 0

    @property
    def request(self) -> Request | None:
        """The request that it answers."""
        return self._request if self.is_request else None

    @property
    def answer(self) -> RequestOutcome | None:
        """What was decided."""
        return self._answer if self.is_request else None

    @property
    def outcome(self) -> Any:
        """The event, as `guard.engine.events` has it."""
        if self._event is None:
            self._event = decode_own_event(self._writer.event(self._request, self._answer))
        return self._event

    @property
    def kernel(self) -> KernelRows | None:
        """What the kernel was asked and answered, where it was."""
        if not self.is_request or self._answer.kind > _REJECTED:
            return None
        return KernelRows(*self._answer.kernel_rows(), self._policy_digest_hex)

    @property
    def received_at_ns(self) -> int:
        """When it was received."""
        if self.is_request:
            return self._request.received_at_ns
        at_ns: int = self.outcome.received_at_ns
        return at_ns

    def take_event(self, event: Outcome) -> None:
        """It is this administrative event."""
        self._event = event
        self.is_request = False

    def take_order(self, group: OrderGroup, place: int, policy_digest_hex: str) -> None:
        """It is that one of orders that stand or fall together."""
        self.group, self.place = group, place
        self._request, self._answer = group.requests[place], group.outcomes[place]
        self._event, self.is_request = None, True
        self._policy_digest_hex = policy_digest_hex

    def end_group(self) -> None:
        """All of them were told of."""
        self.group, self.place = None, 0
        self._request, self._answer = self._of_one

    def decided(self) -> Decided:
        """All of it as objects that stay."""
        return Decided(self.outcome, self.kernel)


class Redecider:
    """Decides the records of one log again. `order_count` and others: how many of what."""

    def __init__(self, engine: Engine, rules: RecordRules) -> None:
        """`rules`: those that the log's records keep with each other."""
        self._engine = engine
        self._rules = rules
        self._state = engine.state
        self._reader = RecordReader()
        self._writer = RecordWriter()
        self.replayed = Replayed(self._writer)
        self._kind_counts = [0] * 16
        self._reason_counts = [0] * len(REASON_WORDS)

    def fold(
        self, block: bytes, spans: Any, first: int, count: int, tell: Callable[[], None] | None
    ) -> int:
        """Folds the records from index `first` on; the index of the first one that it does not.

        `block` and `spans` are a run's (`wal.Run`), of which records up to `count` are meant. After
        each, `tell` is called, if it is given.
        """
        places = spans
        if not (0 <= first <= count and 3 * count <= len(places)):
            raise ValueError(f"records {first} to {count} are not within {len(places) // 3}")
        for index in range(first, count):
            at = places[3 * index]
            end = places[3 * index + 1]
            if not self.take(block[at:end]):
                return index
            if tell is not None:
                tell()
        return count

    def take(self, data: bytes) -> bool:
        """Whether the record is what the rules give; it is then applied."""
        if not self.decide_again(data):
            return False
        self.apply()
        return True

    def decide_again(self, data: bytes) -> bool:
        """Whether the record is what the rules give, byte for byte. Changes nothing yet."""
        state, replayed = self._state, self.replayed
        request = replayed._request
        if not self._reader.read_request(data, request):
            return False
        return self._rules.takes(request) and self._gives(state, request, data)

    def _gives(self, state: GuardState, request: Request, data: bytes) -> bool:
        replayed = self.replayed
        answer = replayed._answer
        if state.has_facts and not is_in_turn(state, request):
            return False
        deciding.decide(state, request, answer)
        if not deciding.is_recorded(answer):
            return False
        size = self._writer.write(request, answer, state.policy_digest_hex)
        if size != len(data) or not json_reader.is_same(data, 0, size, self._writer.buffer, size):
            return False
        replayed._event = None
        replayed.is_request = True
        replayed._policy_digest_hex = state.policy_digest_hex
        return True

    def apply(self) -> int:
        """Applies what was decided again, and counts it."""
        answer = self.replayed._answer
        self._engine.apply(self.replayed._request, answer)
        self._rules.note_batch(self.replayed._request.batch_first_sequence)
        self._kind_counts[answer.kind] += 1
        if answer.kind <= _REFUSED:
            self._reason_counts[answer.reason] += 1
        return 0

    def apply_group(self, group: OrderGroup) -> int:
        """The same of orders that stand or fall together, which were decided again."""
        self._engine.apply_group(group)
        for outcome in group.outcomes[: len(group.requests)]:
            self._kind_counts[outcome.kind] += 1
            self._reason_counts[outcome.reason] += 1
        return 0

    @property
    def decision_count(self) -> int:
        """How many orders the kernel was asked about."""
        return self._kind_counts[_ADMITTED] + self._kind_counts[_REJECTED]

    def events(self) -> Counter[str]:
        """How many records of requests there were, by event."""
        counts: Counter[str] = Counter()
        for kind, event in _EVENTS.items():
            counts[event] += self._kind_counts[kind]
        return +counts

    def reasons(self) -> Counter[str]:
        """How many orders had which reason."""
        return +Counter(
            {word: self._reason_counts[code] for code, word in enumerate(REASON_WORDS) if word}
        )
