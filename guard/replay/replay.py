"""Replay: every decision of a log made again, and compared.

Owns the proof that a log tells the truth about its own rules. For each record, in order: the chain
holds (the reader), the record decodes, the request in it is one that may be sent, it is decided
again on the state so far, the bytes of that new record equal the recorded ones (decision, digests,
answer and all), and the event is applied. The log alone is enough: it holds its policies.

How it works: the log is read and verified in runs, with several jobs by other processes. This one
folds them, in order: what answers requests by `guard.replay.redecide`. A record that is not as it
should be is looked at the long way round, by msgspec's types, which says what is wrong with it.

How it fails: `WalDamage` from the reader, `ReplayMismatch` for the first record that the rules do
not give, naming what differs.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from guard.engine.engine import Engine
from guard.engine.events import LogOpened, Outcome
from guard.engine.order_group import OrderGroup
from guard.engine.request_events import REQUEST_EVENTS, AllOrNoneRecorded
from guard.engine.state import GuardState
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.request import Request
from guard.protocol.views import reply_of
from guard.record.codec import DIALECT, RecordError, decode_data, encode_event
from guard.record.order_groups import read_group, text_of
from guard.record.reader import RecordReader
from guard.record.rules import RecordRules
from guard.record.unusual import read_event
from guard.record.writer import RecordWriter
from guard.recovery.recover import load_checkpoint
from guard.replay.place import Place
from guard.replay.redecide import Redecider, Replayed
from kernel import InvariantError
from wal import (
    EMPTY_HEAD,
    Anchor,
    ChainHasher,
    CheckpointInfo,
    Head,
    Run,
    WalDamage,
    prepare_runs,
)

DIFFERENCE_CONTEXT_BYTES: Final = 60


# Told of each record once it is proven and applied: where it stands, what the rules give for it
# (its kernel rows hold the gate counts, which no record does), and the state after it. It must
# keep none of them and change nothing.
Observer: TypeAlias = Callable[[Place, Replayed, GuardState], None]


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


class PlaceInRun:
    """A `Place` of a run's record. All but its sequence is worked out when it is asked for."""

    __slots__ = ("run", "sequence")

    def __init__(self) -> None:
        self.sequence = 0
        self.run: Run

    @property
    def segment(self) -> str:
        """The name of its segment's file."""
        return self.run.segment

    @property
    def offset(self) -> int:
        """The byte of that file where its line begins."""
        return self.run.since(self.sequence).offset

    @property
    def entry_hash(self) -> str:
        """Its hash, as 64 lower-case hexadecimal characters."""
        return self.run.hash_of(self.sequence)

    @property
    def previous_hash(self) -> str:
        """The hash of the record before it."""
        head = self.run.head
        if self.sequence == head.sequence + 1:
            return head.entry_hash
        return self.run.hash_of(self.sequence - 1)


_IMPOSSIBLE: Final = (InvariantError, ValueError, KeyError)


def replay_log(
    source: Path,
    hasher: ChainHasher,
    *,
    beginning: CheckpointInfo | None = None,
    observe: Observer | None = None,
    anchor: Anchor | None = None,
    jobs: int = 1,
    on_bytes: Callable[[int], None] | None = None,
) -> ReplayReport:
    """Replays a log (a directory or one file) from its first record.

    `beginning`: replay from the state of this checkpoint on, which is taken as it is: for a log
    whose first segments are archived. `observe` is called after every record, in the log's order.
    `anchor`: the log must hold it. `jobs`: how many processes read and verify, beside this one
    where they are several. `on_bytes` is told now and then how many more bytes of the log are
    done. Raises WalDamage, WalKeyMismatch, ReplayMismatch, ForeignLogError, CheckpointDamage. An
    empty log gives a report of no records.
    """
    report = ReplayReport()
    start = None
    if beginning is not None:
        start = report.head = beginning.head.head
        report.engine = load_checkpoint(beginning, hasher.sole_key_id)
    replay = _Replay(report, observe, hasher.sole_key_id)
    for runs in prepare_runs(
        source, hasher, DIALECT, list,
        anchor=anchor, start=start, jobs=jobs, on_bytes=on_bytes,
    ):  # fmt: skip
        for run in runs:
            replay.fold(run)
    replay.finish()
    return report


class _Replay:
    """One replay under way."""

    def __init__(self, report: ReplayReport, observe: Observer | None, key_id: str | None) -> None:
        self._report = report
        self._engine = report.engine
        self._place = PlaceInRun()
        self._rules = RecordRules(report.engine.state, key_id)
        self._redecider = Redecider(report.engine, self._rules)
        self._observe = observe
        self._tell = None if observe is None else self._tell_observer
        self._administrative: Counter[str] = Counter()

    def fold(self, run: Run) -> None:
        """Replays the records of a run."""
        place, report = self._place, self._report
        place.run = run
        index, first_sequence = run.first, run.head.sequence + 1 - run.first
        while index < run.count:
            index = self._redecider.fold(run.block, run.spans, index, run.count, self._tell)
            if index < run.count:
                place.sequence = first_sequence + index
                group = self._replay_record(run.data_of(place.sequence))
                if self._tell is not None:
                    self._tell_each(group)
                index += 1
        report.record_count += run.record_count
        report.head = run.last

    def finish(self) -> None:
        """Says what was counted."""
        report, redecider = self._report, self._redecider
        report.decision_count = redecider.decision_count
        report.events = redecider.events() + self._administrative
        report.reasons = redecider.reasons()

    def _tell_observer(self) -> None:
        self._place.sequence = self._engine.next_sequence - 1
        assert self._observe is not None
        self._observe(self._place, self._redecider.replayed, self._engine.state)

    def _tell_each(self, group: OrderGroup | None) -> None:
        """Tells of a record; of orders that stand or fall together of each by itself."""
        if group is None:
            self._tell_observer()
            return
        replayed, digest_hex = self._redecider.replayed, self._engine.state.policy_digest_hex
        for place in range(len(group.requests)):
            replayed.take_order(group, place, digest_hex)
            self._tell_observer()
        replayed.end_group()

    def _replay_record(self, data: bytes) -> OrderGroup | None:
        """Replays one record that is administrative, of several orders, or not as it should be.

        The orders that it has, where these are several.
        """
        place = self._place
        if place.sequence == 1 and not DIALECT.is_native_head(data):
            raise ForeignLogError(
                f"{place.segment} does not begin with log_opened: it holds no policy to replay"
            )
        try:
            event = decode_data(data).outcome
        except RecordError as error:
            raise _mismatch(place, str(error)) from error
        if isinstance(event, LogOpened) and place.sequence != 1:
            raise _mismatch(place, "log_opened stands in the middle of the log")
        try:
            self._rules.check(place.sequence, event, place.previous_hash)
            group = OrderGroup() if isinstance(event, AllOrNoneRecorded) else None
            again = self._decide_again(event, data, group)
            if again != data:
                raise _mismatch(place, _first_difference(again, data))
            if group is not None:
                self._redecider.apply_group(group)
                self._note(event)
            elif isinstance(event, REQUEST_EVENTS):
                self._redecider.apply()
            else:
                self._engine.apply_event(place.sequence, event)
                self._redecider.replayed.take_event(event)
                self._note(event)
        except _IMPOSSIBLE as error:
            raise _mismatch(place, f"the event cannot follow: {error}") from error
        return group

    def _note(self, event: Outcome) -> None:
        self._rules.note(self._place.sequence, event)
        self._administrative[event.__struct_config__.tag] += 1  # type: ignore[index]

    def _decide_again(self, event: Outcome, data: bytes, group: OrderGroup | None) -> bytes:
        """The record that the rules give for a recorded request; of another event its text."""
        if group is not None:
            assert isinstance(event, AllOrNoneRecorded)
            read_group(RecordReader(), event, group)
            group.begin(group.requests)
            if not self._engine.decide_group(group):
                raise InvariantError("the rules answer it without a record: it is a repeat")
            return text_of(RecordWriter(), group, self._engine.state.policy_digest_hex)
        if not isinstance(event, REQUEST_EVENTS):
            return encode_event(event)
        state = self._engine.state
        if self._redecider.decide_again(data):
            return data
        request, outcome = Request(), RequestOutcome()
        read_event(RecordReader(), event, request, outcome)
        if not self._engine.decide(request, outcome):
            reply = reply_of(request, outcome)
            raise InvariantError(f"the rules answer it without a record: {reply!r}")
        return RecordWriter().data(request, outcome, state.policy_digest_hex)


def _mismatch(place: Place, reason: str) -> ReplayMismatch:
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
