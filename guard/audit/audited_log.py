"""The audited log: decisions that any program made, in a chained log that the reference replays.

Owns: opening such a log (found, verified, its torn end cut, as the guard's own start does it), the
fail-closed append, and when a record is synced. One record is one audited decision; the guard's own
log has other records too and is refused here.

How it works: `AuditedLog` syncs when it is told to; `AsyncAuditedLog` by its `SyncPolicy`, off the
loop, with one write and one fdatasync for all that is staged (group commit).

Fails: `ReplayMismatchError` for a decision that the policy does not give: nothing is written then;
`MetadataError`; the `WalError` family, as the writer raises it: its first failed write or sync is
the last, and a record that was not synced was never promised.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from guard import clock
from guard.audit.record_writer import RecordWriter
from guard.audit.spans import Attributes, spanned
from guard.record.codec import DIALECT
from kernel import KernelDecision, KernelInput, PolicySnapshot
from wal import (
    BATCH_BYTES_MAX,
    SEGMENT_BYTES_MAX,
    Anchor,
    ChainHasher,
    Cut,
    Head,
    LogLock,
    LogWriter,
    WalDamage,
    WalInputError,
    anchor_of,
    apply_repair,
    create_directory,
    holds_files,
    open_for_recovery,
    plan_repair,
    read_entries,
    rewrite_tail,
    verify_chain,
)
from wal.entry import ENVELOPE_BYTES_MAX

SYNC_EVERY_MAX: Final = 1_000_000  # records; a batch is bounded in bytes long before


class AuditedEntry(NamedTuple):
    """Where a record stands: what a receipt names of it."""

    sequence: int
    previous_hash: str
    entry_hash: str


class AuditedDecision(NamedTuple):
    """One decision to be logged."""

    policy: PolicySnapshot
    request: KernelInput
    decision: KernelDecision
    metadata: Any = None


@dataclass(frozen=True, slots=True)
class SyncPolicy:
    """When an async log syncs by itself.

    `every_records`: as soon as so many are staged; 1 is every batch: an append returns once its
    record is durable, and all that wait at the same time share a sync. None: only when told to.
    """

    every_records: int | None

    def __post_init__(self) -> None:
        every = self.every_records
        if every is not None and (type(every) is not int or not 1 <= every <= SYNC_EVERY_MAX):
            raise WalInputError(f"every_records is {every!r}; must be from 1 to {SYNC_EVERY_MAX}")


EVERY_BATCH: Final = SyncPolicy(1)
MANUAL: Final = SyncPolicy(None)


def every_records(count: int) -> SyncPolicy:
    """Sync as soon as `count` records are staged (1 to 1,000,000)."""
    return SyncPolicy(count)


def _place(entry: AuditedEntry, *_: object) -> Attributes:
    return {"wal_sequence": entry.sequence}


def _head(head: Head, *_: object) -> Attributes:
    return {"wal_sequence": head.sequence}


class _Log:
    """What both forms share: the open log, its heads and its end."""

    def __init__(self, writer: LogWriter, lock: LogLock, keyed: bool, cut: Cut | None) -> None:
        """Not to be called: see `open`."""
        self._writer = writer
        self._lock = lock
        self._keyed = keyed
        self._records = RecordWriter()
        self.cut: Final = cut

    @property
    def staged_head(self) -> Head:
        """The last record appended, durable or not."""
        return self._writer.staged_head

    @property
    def durable_head(self) -> Head:
        """The last record known to be on disk."""
        return self._writer.durable_head

    @property
    def unsynced_count(self) -> int:
        """Records appended that no sync has made durable yet."""
        return self._writer.staged_head.sequence - self._writer.durable_head.sequence

    def anchor(self) -> Anchor:
        """The anchor of the durable head, to be kept somewhere else."""
        return anchor_of(self._writer.durable_head, self._keyed)

    def _append(self, data: bytes) -> AuditedEntry:
        head = self._writer.staged_head
        entry_hash = self._writer.append(head.sequence + 1, data, is_encoded=True)
        return AuditedEntry(head.sequence + 1, head.entry_hash, entry_hash)

    def _close(self) -> None:
        self._writer.close()
        self._lock.release()


class AuditedLog(_Log):
    """The log for one thread. Synced when told to, and when it is closed in good order."""

    @classmethod
    def open(
        cls,
        directory: Path,
        key: bytes | None = None,
        *,
        anchor: Anchor | None = None,
        must_exist: bool = False,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> Self:
        """Open the log in `directory`, or begin one (the parent directory must exist).

        `key`: 32 bytes or more, or None for an unkeyed chain. `anchor`: the log must hold its
        record. `must_exist`: no log is begun; for every start but the first, since a directory that
        is empty may be a volume that is not mounted. `cut` then says what a repair cut off the end,
        if one did. Raises the `WalError` family; `WalInputError` for the guard's own log, and
        where one must be there and is not.
        """
        return cls(*_open(directory, ChainHasher(key), anchor, must_exist, segment_bytes_max))

    @spanned("wal", _place)
    def append_verified_audited(
        self,
        policy: PolicySnapshot,
        request: KernelInput,
        decision: KernelDecision,
        metadata: Any = None,
    ) -> AuditedEntry:
        """Decide again, and append the record only where the decision is the same.

        It is not durable before `sync` returns. Raises `ReplayMismatchError`, `MetadataError`, the
        `WalError` family; nothing is appended then.
        """
        return self._append(self._records.record(policy, request, decision, metadata))

    @spanned("wal", _head)
    def sync(self) -> Head:
        """Make every record durable; the durable head. Raises `WalPoisoned`."""
        return self._writer.sync_now()

    def close(self, *, sync: bool = True) -> None:
        """Sync, unless told otherwise, and give the log back. A second call does nothing."""
        try:
            if sync and self._lock.held and not self._writer.poisoned:
                self._writer.sync_now()
        finally:
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(sync=error is None)


class AsyncAuditedLog(_Log):
    """The log for one event loop, synced off the loop by its policy."""

    def __init__(
        self,
        writer: LogWriter,
        lock: LogLock,
        keyed: bool,
        cut: Cut | None,
        sync_policy: SyncPolicy,
    ) -> None:
        """Not to be called: see `open`."""
        super().__init__(writer, lock, keyed, cut)
        self._sync_policy = sync_policy

    @classmethod
    def open(
        cls,
        directory: Path,
        key: bytes | None = None,
        *,
        sync_policy: SyncPolicy = EVERY_BATCH,
        anchor: Anchor | None = None,
        must_exist: bool = False,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
    ) -> Self:
        """As `AuditedLog.open`. It reads the log in the calling thread: call it before serving."""
        parts = _open(directory, ChainHasher(key), anchor, must_exist, segment_bytes_max)
        return cls(*parts, sync_policy)

    @spanned("wal", _place)
    async def append_verified_audited(
        self,
        policy: PolicySnapshot,
        request: KernelInput,
        decision: KernelDecision,
        metadata: Any = None,
    ) -> AuditedEntry:
        """As `AuditedLog`'s, and then what the sync policy asks for."""
        entry = self._append(self._records.record(policy, request, decision, metadata))
        await self._sync_if_due()
        return entry

    @spanned("wal")
    async def append_batch(self, items: Iterable[AuditedDecision]) -> list[AuditedEntry]:
        """Append these in order, all or none, and then what the sync policy asks for.

        Every decision is verified before the first is appended.
        """
        records = [self._records.record(*item) for item in items]
        batch_bytes = sum(len(data) + ENVELOPE_BYTES_MAX for data in records)
        if self._writer.staged_bytes + batch_bytes > BATCH_BYTES_MAX:
            raise WalInputError(f"a batch has at most {BATCH_BYTES_MAX} bytes: sync first")
        entries = [self._append(data) for data in records]
        await self._sync_if_due()
        return entries

    @spanned("wal", _head)
    async def sync(self) -> Head:
        """Make every record durable; the durable head. Raises `WalPoisoned`."""
        return await self._writer.sync()

    async def close(self, *, sync: bool = True) -> None:
        """Sync, unless told otherwise, and give the log back. A second call does nothing."""
        try:
            if sync and self._lock.held and not self._writer.poisoned:
                await self._writer.sync()
        finally:
            self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(sync=error is None)

    async def _sync_if_due(self) -> None:
        every = self._sync_policy.every_records
        if every is not None and self._writer.staged_count >= every:
            await self._writer.sync()


def _open(
    directory: Path,
    hasher: ChainHasher,
    anchor: Anchor | None,
    must_exist: bool,
    segment_bytes_max: int,
) -> tuple[LogWriter, LogLock, bool, Cut | None]:
    """Lock, verify, cut a torn end, write the last batch anew, and open the writer."""
    if must_exist and not holds_files(directory):
        raise WalInputError(f"{directory} holds no log, and one must be there")
    create_directory(directory)
    lock = open_for_recovery(directory)
    cut: Cut | None = None
    try:
        _refuse_native(directory, hasher)
        try:
            report = verify_chain(directory, hasher, DIALECT, anchor)
        except WalDamage:
            protected_sequence = 0 if anchor is None else anchor.sequence
            cut = plan_repair(directory, hasher, DIALECT, protected_sequence)
            if cut is None:
                raise
            apply_repair(directory, cut)
            report = verify_chain(directory, hasher, DIALECT, anchor)
        rewrite_tail(directory, report.head, hasher, DIALECT)
        writer = LogWriter.open(
            directory,
            hasher,
            report.head,
            monotonic_ns=clock.monotonic_ns,
            lock=lock,
            segment_bytes_max=segment_bytes_max,
        )
    except BaseException:
        lock.release()
        raise
    return writer, lock, hasher.keyed, cut


def _refuse_native(directory: Path, hasher: ChainHasher) -> None:
    """Refuse the guard's own log before anything is repaired in it."""
    try:
        first = next(read_entries(directory, hasher, DIALECT), None)
    except WalDamage:
        return  # whatever it is: the chain check says so next
    if first is not None and DIALECT.is_native_head(first.data):
        raise WalInputError(f"{directory} holds the guard's own log: the guard alone writes it")
