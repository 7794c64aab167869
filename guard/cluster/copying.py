"""A local log that takes over the cluster's rows: byte for byte on the disk, and folded.

Owns that each line is what the key makes of it, follows what is there, and ends where its row says.
Must not: fold a row that is not known to be on the quorum (the caller's to know), or go on behind
an error.

How it works: each record is read and applied as recovery does it, and staged with the log's own
writer, which hashes it; the line must come out as the row has it. Records that were one batch
become durable together, in one write, as a repair and a start's rewrite of the last batch expect.

How it fails: `Diverged` where a row does not follow from what the local log holds, `ClusterError`
for a row that no guard can have written, `WalError` of the local log.
"""

from pathlib import Path

from guard import clock
from guard.cluster.errors import ClusterError, Diverged
from guard.cluster.lines import BatchRow, entries_of
from guard.engine.events import Outcome
from guard.record.applying import RecordFolder
from guard.recovery.recover import Recovered
from kernel import InvariantError
from wal import ChainHasher, Head, LogWriter, encode_line


class LocalCopy:
    """The local log of who takes over rows. Belongs to one thread; `recovered` holds the lock."""

    def __init__(
        self, directory: Path, hasher: ChainHasher, recovered: Recovered, segment_bytes_max: int
    ) -> None:
        """Raises WalError."""
        self._recovered = recovered
        self._folder = RecordFolder(recovered.engine, hasher.sole_key_id)
        self._head = recovered.head
        self._writer = LogWriter.open(
            directory,
            hasher,
            recovered.head,
            monotonic_ns=clock.monotonic_ns,
            lock=recovered.lock,
            segment_bytes_max=segment_bytes_max,
            fresh_segment=True,
        )

    @property
    def head(self) -> Head:
        """The last record that was taken over, and is durable here."""
        return self._head

    @property
    def place(self) -> tuple[int, int]:
        """The segment of that record, and the byte behind it; (0, 0) where nothing was taken."""
        return self._writer.durable_place

    def take(self, row: BatchRow) -> None:
        """Takes over what of a row is not here yet. Raises Diverged, ClusterError, WalError."""
        writer, head = self._writer, self._head
        for line, entry in entries_of(row):
            if entry.sequence <= head.sequence:
                if entry.sequence == head.sequence and entry.entry_hash != head.entry_hash:
                    raise self._diverged(row)
                continue
            if entry.sequence != head.sequence + 1 or entry.previous_hash != head.entry_hash:
                raise self._diverged(row)
            event = self._read(entry.sequence, entry.data, entry.previous_hash)
            if self._batch_first_of(event) == entry.sequence and writer.staged_count:
                writer.sync_now()
            entry_hash = writer.append(entry.sequence, entry.data, is_encoded=True)
            if line != encode_line(entry.sequence, entry.previous_hash, entry_hash, entry.data):
                raise ClusterError(
                    f"record {entry.sequence} of the cluster's log is not what the key "
                    f"{'makes' if entry_hash == entry.entry_hash else 'proves'}"
                )
            self._folder.apply(entry.sequence, event)
            head = entry.head
        if head != row.head:
            raise ClusterError(f"the cluster's row does not end with its head {row.last_sequence}")
        writer.sync_now()
        self._head = self._recovered.head = head

    def publish(self) -> None:
        """Tells readers of the local log. Raises WalError."""
        self._writer.publish()

    def close(self) -> None:
        """Ends the segment with its records; the lock is still the caller's. Raises WalError."""
        try:
            # Of a row that was refused in its middle nothing is written.
            if not self._writer.poisoned and not self._writer.staged_count:
                self._writer.seal()
        finally:
            self._writer.close()

    def _read(self, sequence: int, data: bytes, previous_hash: str) -> Outcome | None:
        try:
            return self._folder.read(sequence, data, previous_hash)
        except (InvariantError, ValueError, LookupError) as error:
            raise ClusterError(f"record {sequence} of the cluster's log: {error}") from error

    def _batch_first_of(self, event: Outcome | None) -> int:
        if event is None:
            return self._folder.request.batch_first_sequence
        return event.batch_first_sequence

    def _diverged(self, row: BatchRow) -> Diverged:
        return Diverged(
            f"the cluster's records {row.first_sequence} to {row.last_sequence} do not follow the "
            f"local log's record {self._head.sequence}"
        )
