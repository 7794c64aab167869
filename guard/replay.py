"""Replay: every decision of a log made again, and compared.

Owns the proof that a log tells the truth about its own rules. For each record, in order: the chain
holds (the reader), the record decodes, the request in it is decided again on the state so far, the
bytes of that new record equal the recorded ones (decision, digests, answer and all), the event is
applied, and the desk's ledger line still adds up. The log alone is enough: it holds its policies.

How it fails: `WalDamage` from the reader, `ReplayMismatch` for the first record that the rules do
not give, naming what differs.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from guard.engine import Engine
from guard.journal import DIALECT, RecordError, decode_data, encode_data
from guard.messages import Admit, Reject
from guard.outcomes import (
    Decided,
    FillRecorded,
    LogOpened,
    OrderDecided,
    OrderRefused,
    OrderReleased,
    Origin,
    Outcome,
)
from guard.state import GuardState
from kernel import InvariantError
from wal import EMPTY_HEAD, ChainHasher, Head, LocatedEntry, WalDamage, read_entries

DIFFERENCE_CONTEXT_BYTES: Final = 60

# Told of each record once it is proven and applied: the record, what the rules give for it (its
# kernel rows hold the gate counts, which no record does), and the state after it. It must keep
# neither the state nor change it.
Observer: TypeAlias = Callable[[LocatedEntry, Decided, GuardState], None]


class ReplayMismatch(WalDamage):
    """A record that chains well, and that the rules do not give."""


class ForeignLogError(ValueError):
    """The log does not begin with `log_opened`: the guard has no policy to replay it under."""


@dataclass(slots=True)
class ReplayReport:
    """What was replayed: the head, and how many of what."""

    head: Head = EMPTY_HEAD
    record_count: int = 0
    decision_count: int = 0
    events: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    engine: Engine = field(default_factory=Engine)


# The events that answer a request, and where in them the request stands. All others are
# administrative: there is nothing to decide again.
_REQUEST_OF: Final[dict[type, Callable[[Any], Any]]] = {
    OrderDecided: lambda outcome: outcome.order,
    OrderRefused: lambda outcome: outcome.order,
    FillRecorded: lambda outcome: outcome.fill,
    OrderReleased: lambda outcome: outcome.cancel,
}


def replay_log(
    source: Path, hasher: ChainHasher, *, observe: Observer | None = None
) -> ReplayReport:
    """Replays a log (a directory or one file) from its first record.

    `observe` is called after every record, in the log's order. Raises WalDamage, WalKeyMismatch,
    ReplayMismatch, ForeignLogError. An empty log gives a report of no records.
    """
    report = ReplayReport()
    for entry in read_entries(source, hasher, DIALECT):
        if entry.sequence == 1 and not DIALECT.is_native_head(entry.data):
            raise ForeignLogError(
                f"{entry.segment} does not begin with log_opened: it holds no policy to replay"
            )
        decided = _replay_entry(report, entry)
        if observe is not None:
            observe(entry, decided, report.engine.state)
    return report


def _replay_entry(report: ReplayReport, entry: LocatedEntry) -> Decided:
    engine = report.engine
    try:
        recorded = decode_data(entry.data)
    except RecordError as error:
        raise _mismatch(entry, str(error)) from error
    outcome = recorded.outcome
    if isinstance(outcome, LogOpened) and entry.sequence != 1:
        raise _mismatch(entry, "log_opened stands in the middle of the log")
    try:
        again = _decide_again(engine, outcome)
        data = encode_data(again)
        if data != entry.data:
            raise _mismatch(entry, _first_difference(data, entry.data))
        engine.apply(entry.sequence, outcome)
    except (InvariantError, ValueError, KeyError) as error:
        raise _mismatch(entry, f"the event cannot follow: {error}") from error
    _check_conservation(engine, entry, outcome)
    report.head = entry.head
    report.record_count += 1
    report.decision_count += recorded.kernel is not None
    report.events[outcome.__struct_config__.tag] += 1  # type: ignore[index]
    answer = getattr(outcome, "answer", None)
    if isinstance(answer, Admit | Reject):
        report.reasons[answer.reason] += 1
    return again


def _decide_again(engine: Engine, outcome: Outcome) -> Decided:
    """What the rules give for the recorded request, or the administrative event as it is."""
    request_of = _REQUEST_OF.get(type(outcome))
    if request_of is None:
        return Decided(outcome)
    origin = Origin(outcome.received_at_ns, outcome.client, outcome.batch_first_sequence)
    decided = engine.decide(request_of(outcome), origin)
    if not isinstance(decided, Decided):
        raise InvariantError(f"the rules answer it without a record: {decided!r}")
    return decided


def _check_conservation(engine: Engine, entry: LocatedEntry, outcome: Outcome) -> None:
    """The ledger line of the desk that the event touched must still add up."""
    request = getattr(outcome, "answer", None) and _REQUEST_OF[type(outcome)](outcome)
    desk: str | None = getattr(request, "desk", None) or getattr(outcome, "desk", None)
    if desk is None or desk not in engine.state.desks:
        return
    ledger = engine.state.ledger
    initial = ledger.initial_microcents(desk)
    remaining = ledger.remaining_microcents(desk) or 0
    reserved = ledger.reserved_microcents(desk) or 0
    parts = remaining + reserved + (ledger.committed_microcents(desk) or 0)
    if parts != initial or remaining < 0:
        raise _mismatch(entry, f"the ledger of {desk} does not add up: {parts} of {initial}")


def _mismatch(entry: LocatedEntry, reason: str) -> ReplayMismatch:
    return ReplayMismatch(entry.segment, entry.offset, entry.sequence, reason)


def _first_difference(again: bytes, recorded: bytes) -> str:
    at = next(
        (i for i, (a, b) in enumerate(zip(again, recorded, strict=False)) if a != b),
        min(len(again), len(recorded)),
    )
    start = max(0, at - DIFFERENCE_CONTEXT_BYTES // 2)
    end = at + DIFFERENCE_CONTEXT_BYTES // 2
    return (
        f"decided again it differs from byte {at} of its data on: recorded "
        f"…{recorded[start:end]!r}…, decided again …{again[start:end]!r}…"
    )
