"""Records counted: what was decided, why, and what came of it. Pure.

Owns the counts since the observer began, and the newest refused orders and halts as they were
recorded. Reads of each record only what it counts, since there may be 100,000 a second.

Bounded: reasons and events of a later version are counted by their word up to `WORDS_MAX`, further
ones together.

How it fails: a line that is no record is counted as `unreadable`, and nothing else is done.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

WORDS_MAX: Final = 200
REJECTS_KEPT: Final = 50
HALTS_KEPT: Final = 50
OTHER: Final = "other"
STAGES: Final = ("order", "kernel", "ledger")
# Events that stop or let on entries: kept whole, for who and why.
HALT_EVENTS: Final = frozenset(
    {
        *("trading_halted", "trading_resumed", "desk_halted", "desk_halt_ended"),
        *("desk_resumed", "halt", "resume"),
    }
)


class _Answer(msgspec.Struct, gc=False):
    type: str = ""
    stage: str = ""
    reason: str = ""
    flags: list[str] = []
    substituted: bool = False


class _Order(msgspec.Struct, gc=False):
    sent_at_ns: int | None = None


class _Event(msgspec.Struct, gc=False):
    event: str = ""
    received_at_ns: int = 0
    order: _Order | None = None
    answer: _Answer | None = None
    halts_desk: bool = False


class _Data(_Event, gc=False):
    metadata: _Event | None = None
    records: list[msgspec.Raw] = []  # of orders that stand or fall together, each its own


class _Record(msgspec.Struct, gc=False):
    sequence: int
    data: _Data


# What one record was: a column of the series, when it came, when it was sent.
Counted: TypeAlias = tuple[int, int, int | None]

# What is counted a second: the columns of the series.
ADMITTED: Final = 0
REJECTED: Final = {stage: 1 + at for at, stage in enumerate(STAGES)}
FILLS: Final = 4
CANCELS: Final = 5
OTHERS: Final = 6
COLUMNS: Final = ("admitted", *(f"rejected_{stage}" for stage in STAGES), "fills", "cancels")

_decode = msgspec.json.Decoder(_Record).decode
_decode_part = msgspec.json.Decoder(_Data).decode


class Tally:
    """The counts; all since the observer began."""

    def __init__(self) -> None:
        self.orders: dict[tuple[str, str, str], int] = {}  # verdict, stage, reason
        self.substituted = 0
        self.fills = 0
        self.fill_flags: dict[str, int] = {}
        self.cancels = 0
        self.events: dict[str, int] = {}
        # Records before this one are from before the observer began: remembered, not counted.
        self.counted_from = 0
        self.records = 0
        self.unreadable = 0
        self.last_sequence = 0
        self.last_received_at_ns = 0
        self.rejects: deque[bytes] = deque(maxlen=REJECTS_KEPT)
        self.halts: deque[bytes] = deque(maxlen=HALTS_KEPT)

    def take(self, lines: Iterable[bytes]) -> list[Counted]:
        """Takes up records, in their order."""
        found: list[Counted] = []
        for line in lines:
            try:
                record = _decode(line)
                parts = _parts_of(record, line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                self.unreadable += 1
                continue
            is_counted = record.sequence >= self.counted_from
            self.records += is_counted
            self.last_sequence = record.sequence
            for part, text in parts:
                event: _Event = part.metadata or part
                column = self._column_of(event, text, is_counted)
                self.last_received_at_ns = event.received_at_ns
                sent = event.order.sent_at_ns if event.order is not None else None
                found.append((column, event.received_at_ns, sent))
        return found

    def _column_of(self, event: _Event, line: bytes, is_counted: bool) -> int:
        answer, kind = event.answer, event.event
        if answer is None:
            if kind in HALT_EVENTS:
                self.halts.append(line)
            _count(self.events, kind, is_counted)
            return OTHERS
        if kind in ("order", "order_refused"):
            if answer.type == "admit":
                self._count_order(("admit", "kernel", answer.reason), is_counted)
                self.substituted += is_counted and answer.substituted
                return ADMITTED
            self.rejects.append(line)
            self._count_order(("reject", answer.stage, answer.reason), is_counted)
            return REJECTED.get(answer.stage, REJECTED["order"])
        if kind == "fill":
            self.fills += is_counted
            for flag in answer.flags:
                _count(self.fill_flags, flag, is_counted)
            if event.halts_desk:
                self.halts.append(line)
            return FILLS
        if kind == "release":
            self.cancels += is_counted
            return CANCELS
        _count(self.events, kind, is_counted)
        return OTHERS

    def _count_order(self, key: tuple[str, str, str], is_counted: bool) -> None:
        if key not in self.orders and len(self.orders) >= WORDS_MAX:
            key = (key[0], key[1] if key[1] in STAGES else OTHER, OTHER)
        self.orders[key] = self.orders.get(key, 0) + is_counted


def _parts_of(record: _Record, line: bytes) -> list[tuple[_Data, bytes]]:
    """A record with its line; of orders that it has together each as if it were one."""
    if record.data.event != "all_or_none":
        return [(record.data, line)]
    texts = [bytes(part) for part in record.data.records]
    return [
        (_decode_part(text), b'{"sequence":%d,"data":%b}\n' % (record.sequence, text))
        for text in texts
    ]


def _count(counts: dict[str, int], word: str, is_counted: bool) -> None:
    if word not in counts and len(counts) >= WORDS_MAX:
        word = OTHER
    counts[word] = counts.get(word, 0) + is_counted
