"""Replay: every decision of a log made again, and compared.

Owns the proof that a log tells the truth about its own rules. For each record, in order: the chain
holds (the reader), the record decodes, the request in it is one that may be sent, it is decided
again on the state so far, the bytes of that new record equal the recorded ones (decision, digests,
answer and all), the event is applied, and the desk's ledger line still adds up. The log alone is
enough: it holds its policies.

How it works: the log is read and verified in parts (`guard.replay_parts`), with several jobs by
other processes, which also show of plain records what needs no state (`guard.record_rows`). This
one folds the parts, in order: those by `guard.replay_lane`, everything else by the engine's rules.
A record that is not as it should be is read again, verified again and looked at the long way round,
which says what is wrong with it: so the verdict and its words are the same, whatever the form and
the number of processes.

How it fails: `WalDamage` from the reader, `ReplayMismatch` for the first record that the rules do
not give, naming what differs.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeAlias

from guard import GUARD_FORM
from guard.engine.engine import Engine
from guard.record.codec import DIALECT, RecordError, decode_data, decode_event, encode_data
from guard.messages import Order
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
from guard.record_rows import RecordRows
from guard.recovery import load_checkpoint
from guard.replay_lane import ReplayLane, RowObserver
from guard.replay_parts import RAW, ROW_HEAD, Part, Place
from guard.engine.state import GuardState
from guard.wire import check_request
from kernel import InvariantError
from wal import (
    EMPTY_HEAD,
    Anchor,
    ChainHasher,
    CheckpointInfo,
    Head,
    Position,
    Run,
    WalDamage,
    paths_of,
    prepare_runs,
    read_runs,
)

DIFFERENCE_CONTEXT_BYTES: Final = 60

# Told of each record once it is proven and applied: where it stands, what the rules give for it
# (its kernel rows hold the gate counts, which no record does), and the state after it. It must
# keep none of them and change nothing.
Observer: TypeAlias = Callable[[Place, Decided, GuardState], None]


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


class PlaceInLog:
    """A `Place` of a part's record. All but its sequence is read again when it is asked for."""

    __slots__ = ("_hasher", "_part", "_paths", "_run", "sequence")

    def __init__(self, paths: list[Path], hasher: ChainHasher, part: Part) -> None:
        self.sequence = part.head.sequence
        self._paths = paths
        self._hasher = hasher
        self._part = part
        self._run: Run | None = None

    @property
    def segment(self) -> str:
        """The name of its segment's file."""
        return self._part.segment

    @property
    def offset(self) -> int:
        """The byte of that file where its line begins."""
        return self.run.since(self.sequence).offset

    @property
    def entry_hash(self) -> str:
        """Its hash, as 64 lower-case hexadecimal characters."""
        return self.run.hash_of(self.sequence)

    @property
    def data(self) -> bytes:
        """Its data."""
        return self.run.data_of(self.sequence)

    @property
    def run(self) -> Run:
        """Verified records of which it is one. Raises the `WalError` family."""
        run = self._run
        if run is None or not run.head.sequence < self.sequence <= run.last.sequence:
            position = Position(self._part.segment, self._part.offset, self._part.head)
            runs = read_runs(self._paths, self._hasher, DIALECT, position)
            run = next((run for run in runs if run.last.sequence >= self.sequence), None)
            if run is None:
                reason = "the record was there and is not any more"
                raise WalDamage(self._part.segment, self._part.offset, self.sequence, reason)
            self._run = run
        return run


# The events that answer a request, and where in them the request stands. All others are
# administrative: there is nothing to decide again.
_REQUEST_OF: Final[dict[type, Callable[[Any], Any]]] = {
    OrderDecided: attrgetter("order"),
    OrderRefused: attrgetter("order"),
    FillRecorded: attrgetter("fill"),
    OrderReleased: attrgetter("cancel"),
}
_IMPOSSIBLE: Final = (InvariantError, ValueError, KeyError)


def replay_log(
    source: Path,
    hasher: ChainHasher,
    *,
    beginning: CheckpointInfo | None = None,
    observe: Observer | None = None,
    observe_row: RowObserver | None = None,
    anchor: Anchor | None = None,
    jobs: int = 1,
    on_bytes: Callable[[int], None] | None = None,
) -> ReplayReport:
    """Replays a log (a directory or one file) from its first record.

    `beginning`: replay from the state of this checkpoint on, which is taken as it is: for a log
    whose first segments are archived. `observe` is called after every record, in the log's order;
    of those that were folded from their row `observe_row` instead, where it is given and spares the
    objects. `anchor`: the log must hold it. `jobs`: how many processes read and verify, beside this
    one where they are several. `on_bytes` is told now and then how many more bytes of the log are
    done. Raises WalDamage, WalKeyMismatch, ReplayMismatch, ForeignLogError, CheckpointDamage. An
    empty log gives a report of no records.
    """
    report = ReplayReport()
    start = None
    if beginning is not None:
        start = report.head = beginning.head.head
        report.engine = load_checkpoint(beginning)
    lane = ReplayLane(report.engine.state)
    paths = paths_of(source, start)
    for part in prepare_runs(
        source, hasher, DIALECT, _prepare,
        anchor=anchor, start=start, jobs=jobs, on_bytes=on_bytes,
    ):  # fmt: skip
        if part is not None:
            place = PlaceInLog(paths, hasher, part)
            _replay_part(report, part, place, lane, observe, observe_row)
    orders, fills = lane.order_count, lane.fills.record_count
    report.record_count += orders + fills
    report.decision_count += orders
    report.events += Counter(order=orders, fill=fills)
    report.reasons += lane.reasons()
    return report


def _prepare(runs: Iterator[Run]) -> Part | None:
    """These runs of one segment as a part; None where there is no record."""
    first = last = None
    rows = RecordRows() if GUARD_FORM == "compiled" else None
    raw_rows = bytearray()
    for run in runs:
        first, last = first or run, run
        if rows is not None:
            rows.add(run.block, run.spans, run.first, run.count, run.head.sequence + 1)
            continue
        for data in run.datas():
            raw_rows += ROW_HEAD.pack(RAW, len(data))
            raw_rows += data
    if first is None or last is None:
        return None
    if rows is None:
        return Part(first.segment, first.offset, first.head, last.last, bytes(raw_rows))
    currency = rows.currency().decode()
    return Part(first.segment, first.offset, first.head, last.last, rows.take(), currency)


def _replay_part(
    report: ReplayReport,
    part: Part,
    place: PlaceInLog,
    lane: ReplayLane,
    observe: Observer | None,
    observe_row: RowObserver | None,
) -> None:
    engine = report.engine
    rows, at = part.rows, 0
    tell: Callable[[Decided], None] | None = None
    if observe is not None:
        told = observe

        def tell(decided: Decided) -> None:
            place.sequence = engine.next_sequence - 1
            told(place, decided, engine.state)

    while True:
        if part.currency in ("", engine.state.currency):
            at = lane.fold(rows, at, tell, observe_row)
        if at == len(rows):
            break
        kind, length = ROW_HEAD.unpack_from(rows, at)
        at += ROW_HEAD.size
        place.sequence = engine.next_sequence
        # What the lane has left is read again, to be looked at whole.
        decided = _replay_record(
            report, place, rows[at : at + length] if kind == RAW else place.data
        )
        if tell is not None:
            tell(decided)
        at += length
    report.head = part.last


def _replay_record(report: ReplayReport, place: PlaceInLog, data: bytes) -> Decided:
    """Replays one record by the engine's rules; what they give for it."""
    engine, sequence = report.engine, place.sequence
    if sequence == 1 and not DIALECT.is_native_head(data):
        raise ForeignLogError(
            f"{place.segment} does not begin with log_opened: it holds no policy to replay"
        )
    decided = _replay_plain(engine, sequence, data) or _replay_entry(engine, place)
    outcome = decided.outcome
    try:
        engine.apply(sequence, outcome)
    except _IMPOSSIBLE as error:
        raise _mismatch(place, f"the event cannot follow: {error}") from error
    _check_conservation(engine, place, outcome)
    report.record_count += 1
    report.decision_count += decided.kernel is not None
    report.events[type(outcome).__struct_config__.tag] += 1  # type: ignore[index]
    if isinstance(outcome, OrderDecided | OrderRefused):
        report.reasons[outcome.answer.reason] += 1
    return decided


def _replay_plain(engine: Engine, sequence: int, data: bytes) -> Decided | None:
    """What the rules give for a record, which has the same bytes; None where anything is unusual.

    Only the event is decoded: that the rest of a decision record is right shows in the bytes that
    the rules give.
    """
    try:
        outcome = decode_event(data)
        decided = _decide_again(engine, outcome)
        is_same = encode_data(decided) == data
    except _IMPOSSIBLE:
        return None
    return decided if is_same and (sequence == 1 or type(outcome) is not LogOpened) else None


def _replay_entry(engine: Engine, place: PlaceInLog) -> Decided:
    """The same the long way round, with the reason where it is not as recorded."""
    data = place.data
    try:
        outcome = decode_data(data).outcome
    except RecordError as error:
        raise _mismatch(place, str(error)) from error
    if isinstance(outcome, LogOpened) and place.sequence != 1:
        raise _mismatch(place, "log_opened stands in the middle of the log")
    try:
        decided = _decide_again(engine, outcome)
        again = encode_data(decided)
    except _IMPOSSIBLE as error:
        raise _mismatch(place, f"the event cannot follow: {error}") from error
    if again != data:
        raise _mismatch(place, _first_difference(again, data))
    return decided


def _decide_again(engine: Engine, outcome: Outcome) -> Decided:
    """What the rules give for the recorded request, or the administrative event as it is."""
    request_of = _REQUEST_OF.get(type(outcome))
    if request_of is None:
        return Decided(outcome)
    origin = Origin(outcome.received_at_ns, outcome.client, outcome.batch_first_sequence)
    request = request_of(outcome)
    _check_request(request, engine.state.currency)
    decided = engine.decide(request, origin)
    if not isinstance(decided, Decided):
        raise InvariantError(f"the rules answer it without a record: {decided!r}")
    return decided


def _check_request(request: Any, currency: str) -> None:
    """Refuse what no client can have been answered: the rules have an error for it, no record."""
    is_unsaid = isinstance(request, Order) and request.currency is None
    check_request(request, currency)
    if is_unsaid:
        request.currency = None  # as it is recorded; the check says what that means


def _check_conservation(engine: Engine, place: PlaceInLog, outcome: Outcome) -> None:
    """The ledger line of the desk that the event touched must still add up."""
    request_of = _REQUEST_OF.get(type(outcome))
    request = outcome if request_of is None else request_of(outcome)
    desk: str | None = getattr(request, "desk", None)
    if desk is None or desk not in engine.state.desks:
        return
    ledger = engine.state.ledger
    initial = ledger.initial_microcents(desk)
    remaining = ledger.remaining_microcents(desk) or 0
    reserved = ledger.reserved_microcents(desk) or 0
    parts = remaining + reserved + (ledger.committed_microcents(desk) or 0)
    if parts != initial or remaining < 0:
        reason = f"the ledger of {desk} does not add up: {parts} of {initial}"
        raise _mismatch(place, reason)


def _mismatch(place: PlaceInLog, reason: str) -> ReplayMismatch:
    return ReplayMismatch(place.segment, place.offset, place.sequence, reason)


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
