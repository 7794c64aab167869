"""Planted bugs: the proof that the simulator can fail.

Each is a patch of the product, in force within its `with`. `find` plays seeds until one fails; a
mutation that survives `SEEDS_MAX` seeds shows a hole in the simulator, not in the product. Compiled
classes cannot be patched, so bugs are planted where the source runs (PRETRADE_GUARD_PURE=1).
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import guard.recovery.recover
import guard.server.pipeline
import wal.publish
import wal.rewrite_end
from guard.engine import apply, apply_event, settling
from guard.engine.checks import CHECKS_BEFORE_KERNEL, CHECKS_BEHIND_KERNEL, Check
from guard.engine.events import EntriesHalted, RulesActivated
from guard.engine.remembered import RememberedOrders
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.engine.worth import Worth
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import OutcomeKind
from guard.protocol.reasons import Refusal
from guard.protocol.wire import JSON, MESSAGEPACK
from guard.record.applying import RecordFolder
from guard.server import pipeline as pipelines
from guard.server.batch import Gathering
from guard.server.pipeline import Pipeline
from guard.server.request_path import RequestPath
from kernel.ledger import BudgetEngine
from sim.account_mutations import ACCOUNT_MUTATIONS, NAMES_BLIND
from sim.admin_mutations import ADMIN_MUTATIONS
from sim.checkpoint_mutations import CHECKPOINT_MUTATIONS
from sim.drop_copy_mutations import DROP_COPY_MUTATIONS
from sim.fact_mutations import FACT_MUTATIONS
from sim.limit_mutations import LIMIT_MUTATIONS, LIMITS_BLIND
from sim.locate_mutations import LOCATE_MUTATIONS
from sim.request_mutations import REQUEST_MUTATIONS
from sim.seeds import FailureError, run_seed
from wal import LogWriter
from wal.commit import Batch, CommitError, SegmentAppender

SEEDS_MAX = 400  # the rarest shows in about one of fifty, not in the same ones everywhere

Patch = AbstractContextManager[Any]


def reply_before_sync() -> Patch:
    """Replies leave, then the batch goes to the disk."""

    real = Pipeline._take_batch

    def take(self: Pipeline) -> pipelines.Batch:
        batch = real(self)
        self._send(batch, self._writer.durable_head)
        self._batch = batch._replace(answers=[], told=[])
        return self._batch

    return patch.object(Pipeline, "_take_batch", take)


def query_before_sync() -> Patch:
    """A message that changes nothing is answered at once, whatever it has seen."""
    real = Gathering.take_in

    def take_in(self: Gathering, received: Any) -> None:
        before = self._staging.record_count
        real(self, received)
        if self._staging.record_count == before and isinstance(self.answers[-1][2], bytes):
            self._gateway.send(*self.answers.pop())

    return patch.object(Gathering, "take_in", take_in)


def replies_in_wrong_order() -> Patch:
    """The replies to an array are turned round."""
    real = RequestPath._answer_each

    def answer_each(self: RequestPath, count: int) -> bytes:
        body = real(self, count)
        if not self._reader.is_array:
            return body
        form = JSON if self._reader.is_json else MESSAGEPACK
        return form.encode(form.decode_loosely(body)[::-1])  # type: ignore[index]

    return patch.object(RequestPath, "_answer_each", answer_each)


def second_sync() -> Patch:
    """A sync that failed is tried again, and believed."""
    real = SegmentAppender.commit

    def commit(self: SegmentAppender, batch: Batch) -> None:
        try:
            real(self, batch)
        except CommitError as error:
            if error.stage != "fdatasync" or not isinstance(error.__cause__, OSError):
                raise
            assert self._descriptor is not None
            # Not through the simulated disk, which would object to the call itself.
            os.fdatasync(self._descriptor)

    return patch.object(SegmentAppender, "commit", commit)


def short_write_believed() -> Patch:
    """A write that took a part of the batch is taken for a whole one."""

    def commit(self: SegmentAppender, batch: Batch) -> None:
        if batch.begins_segment:
            self._begin(batch.segment_number)
        assert self._descriptor is not None
        try:
            self._files.write(self._descriptor, batch.lines)
            self._files.fdatasync(self._descriptor)
        except OSError as error:
            raise CommitError("write", 0) from error

    return patch.object(SegmentAppender, "commit", commit)


def no_sync() -> Patch:
    """The batch is written and never synced."""

    def commit(self: SegmentAppender, batch: Batch) -> None:
        if batch.begins_segment:
            self._begin(batch.segment_number)
        assert self._descriptor is not None
        view = batch.lines
        try:
            while view:
                view = view[self._files.write(self._descriptor, view) :]
        except OSError as error:
            raise CommitError("write", 0) from error

    return patch.object(SegmentAppender, "commit", commit)


def release_keeps_hold() -> Patch:
    """A cancel is answered, and its hold stays."""
    held = BudgetEngine.hold_microcents
    return patch.object(BudgetEngine, "release_hold", lambda self, number: held(self, number) or -1)


def fill_counted_again() -> Patch:
    """A fill that is sent again is another fill."""
    return patch.object(RememberedOrders, "find_fill", lambda *_: NO_ROW)


def share_rounded_up() -> Patch:
    """A fill frees its share rounded up."""

    def hold_after(first_microcents: int, filled: int, quantity: int) -> int:
        if filled >= quantity:
            return 0
        return first_microcents + -first_microcents * filled // quantity

    return patch.object(settling, "hold_after", hold_after)


def notional_rounded_down() -> Patch:
    """An order's notional loses its fraction of a microcent."""

    def notional(self: Worth, quantity_lots: int, price_ticks: int) -> int:
        of = self._instrument
        return min(quantity_lots * price_ticks * of.numerator // of.denominator, I64_MAX)

    return patch.object(Worth, "notional_microcents", notional)


def id_forgotten_early() -> Patch:
    """The id of a closed order is forgotten after a tenth of the window."""
    return patch.object(
        GuardState,
        "_window_behind",
        lambda self, since_ns, _more_ns: since_ns + self.remembered_order_window_ns // 10,
    )


def refused_not_remembered() -> Patch:
    """A refused order leaves no trace, and has another try."""
    return patch.object(apply, "apply_rejected", lambda *_: 0)


def content_not_compared() -> Patch:
    """Another order under a known id gets the first one's answer."""
    return patch.object(settling, "first_difference", lambda *_: settling.SAME)


def late_fee_not_charged() -> Patch:
    """A fee that no hold stands behind is recorded and not paid."""
    return patch.object(apply, "_charge", lambda *_: 0)


def halt_forgotten() -> Patch:
    """An unpaid fee does not halt the desk."""
    real = apply._apply_fill

    def apply_fill(state: Any, request: Any, outcome: Any) -> int:
        real(state, request, outcome)
        if request.desk in state.desks:
            state.desks[request.desk].is_halted = False
        return 0

    return patch.object(apply, "_apply_fill", apply_fill)


def _blind(check: Check) -> Patch:
    """That check lets everything pass; what it looks up it still looks up."""
    real = check.function  # type: ignore[attr-defined]

    def function(*given: Any) -> bool:
        real(*given)
        return False

    return patch.object(check, "function", function)


def check_blind(reason: Refusal) -> Callable[[], Patch]:
    """A mutation: the first check with that reason, behind the kernel if it has one there."""
    checks = [*CHECKS_BEHIND_KERNEL, *CHECKS_BEFORE_KERNEL]
    check = next(check for check in checks if check.number == reason)

    def mutation() -> Patch:
        return _blind(check)

    mutation.__name__ = f"{reason.word}_unseen"
    mutation.__doc__ = f"No order is refused as {reason.word}."
    return mutation


def repair_cuts_one_more() -> Patch:
    """A torn end is cut, and the whole record before it."""
    real = guard.recovery.recover.plan_repair

    def plan(directory: Path, *arguments: Any) -> Any:
        cut = real(directory, *arguments)
        if cut is None or cut.offset == 0:
            return cut
        before = (directory / cut.segment).read_bytes()[: cut.offset]
        offset = before.rfind(b"\n", 0, -1) + 1
        return dataclasses.replace(
            cut,
            offset=offset,
            bytes_cut=cut.bytes_cut + cut.offset - offset,
            first_sequence_lost=cut.first_sequence_lost - 1,
        )

    return patch.object(guard.recovery.recover, "plan_repair", plan)


def recovery_skips_last() -> Patch:
    """Recovery does not see the log's last record."""
    real = guard.recovery.recover.read_entries

    def read(*arguments: Any, **options: Any) -> Iterator[Any]:
        entries = list(real(*arguments, **options))
        yield from entries[:-1] if len(entries) > 1 else entries

    return patch.object(guard.recovery.recover, "read_entries", read)


def recovery_without_refused() -> Patch:
    """Recovery passes over what refused orders have left."""
    real = RecordFolder.apply

    def apply_(self: RecordFolder, sequence: int, event: Any) -> None:
        if event is None and self.outcome.kind == OutcomeKind.REFUSED:
            self._engine.state.advance(sequence, self.request.received_at_ns)
            return
        real(self, sequence, event)

    return patch.object(RecordFolder, "apply", apply_)


def tail_not_rewritten() -> Patch:
    """What a failed sync left in memory alone is built upon."""
    return patch.object(guard.recovery.recover, "rewrite_tail", lambda *_: None)


def closed_tail_not_rewritten() -> Patch:
    """A session that seems to have been closed is believed to have synced that."""
    real = guard.recovery.recover.rewrite_tail

    def rewrite(directory: Path, *arguments: Any) -> Any:
        contents = [path.read_bytes() for path in sorted(directory.glob("*.jsonl"))]
        lines = b"".join(contents).splitlines()
        if lines and b'"event":"session_closed"' in lines[-1]:
            return None
        return real(directory, *arguments)

    return patch.object(guard.recovery.recover, "rewrite_tail", rewrite)


def rewrite_not_synced() -> Patch:
    """The last batch is written anew, and never synced."""

    class Calls:
        fsync = staticmethod(lambda _descriptor: None)

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    return patch.object(wal.rewrite_end, "os", Calls())


def reply_before_anchor() -> Patch:
    """Replies do not wait for the anchor that is to go before them."""
    real = Pipeline.__init__

    def init(self: Pipeline, *arguments: Any, **options: Any) -> None:
        real(self, *arguments, **options | {"confirm": None})

    return patch.object(Pipeline, "__init__", init)


def disk_low_forgotten() -> Patch:
    """Entries are let in though the disk is short of space."""
    return patch.dict(apply_event._APPLY, {EntriesHalted: lambda *_: None})


def rules_not_activated() -> Patch:
    """Older rules go on deciding behind the record that says that they do not."""
    return patch.dict(apply_event._APPLY, {RulesActivated: lambda *_: None})


def full_disk_written_to() -> Patch:
    """What the disk has no space for is recorded all the same."""
    return patch.object(RequestPath, "_is_refused", lambda *_: False)


def closed_segment_continued() -> Patch:
    """A session goes on in the segment that the one before has closed."""
    real = LogWriter.open.__func__  # type: ignore[attr-defined]

    def open_(cls: type[LogWriter], *arguments: Any, **options: Any) -> LogWriter:
        writer: LogWriter = real(cls, *arguments, **options | {"fresh_segment": False})
        return writer

    return patch.object(LogWriter, "open", classmethod(open_))


MUTATIONS: tuple[Callable[[], Patch], ...] = (
    reply_before_sync,
    query_before_sync,
    replies_in_wrong_order,
    second_sync,
    short_write_believed,
    no_sync,
    release_keeps_hold,
    fill_counted_again,
    share_rounded_up,
    notional_rounded_down,
    id_forgotten_early,
    refused_not_remembered,
    content_not_compared,
    late_fee_not_charged,
    halt_forgotten,
    check_blind(Refusal.IDEMPOTENCY_WINDOW_FULL),
    check_blind(Refusal.DESK_HALTED),
    check_blind(Refusal.EXPOSURE_LIMIT_EXCEEDED),
    repair_cuts_one_more,
    recovery_skips_last,
    recovery_without_refused,
    tail_not_rewritten,
    closed_tail_not_rewritten,
    rewrite_not_synced,
    reply_before_anchor,
    disk_low_forgotten,
    rules_not_activated,
    full_disk_written_to,
    closed_segment_continued,
    *CHECKPOINT_MUTATIONS,
    *FACT_MUTATIONS,
    *map(check_blind, LIMITS_BLIND),
    *LIMIT_MUTATIONS,
    *REQUEST_MUTATIONS,
    *ADMIN_MUTATIONS,
    *DROP_COPY_MUTATIONS,
    *LOCATE_MUTATIONS,
    *map(check_blind, NAMES_BLIND),
    *ACCOUNT_MUTATIONS,
)


def find(mutation: Callable[[], Patch], seeds_max: int = SEEDS_MAX) -> tuple[int, str] | None:
    """The first seed that catches the mutation, and the last line of its trace; None where none."""
    with mutation():
        for seed in range(seeds_max):
            try:
                run_seed(seed)
            except FailureError as failure:
                return seed, str(failure).rpartition("\n")[2]
    return None
