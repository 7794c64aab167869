"""Reads a log while it is written: each durable line, in order, as soon as its writer tells of it.

Owns: where a follower stands, the check of each line against the one before, and how a follower
learns that the writer is gone. Must not: show a line that is not durable, or wait in any way that
the writer notices.

How it works: the writer tells of its durable head in a small file (`headfile`). What stands between
the follower's place and that head is read, checked and handed out; then the file is looked at again
after a pause. Without the log's key only the links are checked (each line names the hash of the
line before), with it every hash. A log that nobody writes is read to its end.

How it fails: `WalDamage` at the line where the chain breaks, `WalStartMismatch` where the log does
not hold the record to begin with, `WalError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from wal.ahead import segment_end
from wal.chain import EMPTY_HEAD, ChainHasher, hashes_equal
from wal.entry import LINE_BYTES_MAX, Entry, parse_line
from wal.errors import WalDamage, WalEntryError, WalError, WalKeyMismatch, WalStartMismatch
from wal.find_record import first_head
from wal.headfile import PublishedHead, read_published_head
from wal.keyring import KeyStepError, RingHasher
from wal.regularfile import open_to_read
from wal.segment import list_segments, segment_name
from wal.segment_keys import ChangeOf, SegmentKeys

CHUNK_BYTES: Final = 256 * 1024


class LogState(Enum):
    """What a follower that has handed out everything there is can say of the log."""

    LIVE = "live"  # more may come
    ENDED = "ended"  # nobody writes it: everything up to its end was handed out


class Follower:
    """One reader of one log. `head`: of the line handed out last, or that it began behind."""

    def __init__(
        self,
        directory: Path,
        hasher: ChainHasher | None = None,
        change_of: ChangeOf | None = None,
    ) -> None:
        """Stands before the first record that the directory holds. `hasher`: None without the key.

        `change_of`: what a record says of keys (a `Dialect`'s `key_change`), where the hasher has
        several. Raises `WalError`.
        """
        self._directory = directory
        self._hasher = hasher
        self._keys = None
        if isinstance(hasher, RingHasher) and change_of is not None:
            self._keys = SegmentKeys(hasher, change_of)
        self._keyed_segment = ""  # the one that `_hasher` is of
        self._segment = ""
        self._offset = 0
        self.has_torn_end = False  # nobody writes the log, and it ends inside a line
        self.head = EMPTY_HEAD
        self.last: Entry | None = None  # the record that was read last, if any was
        paths = list_segments(directory, archived=True)
        if paths:
            self._segment = paths[0].name
            self.head = first_head(paths[0]) or EMPTY_HEAD

    @property
    def segment(self) -> str:
        """The name of the segment in which the record stands that was read last."""
        return self._segment

    def skip_to_sequence(self, sequence: int) -> None:
        """Begins with record `sequence`. Raises `WalStartMismatch` where the log begins later."""
        if sequence <= self.head.sequence:
            raise WalStartMismatch(
                self._segment, 0, sequence, f"the log begins with record {self.head.sequence + 1}"
            )
        for path in reversed(list_segments(self._directory, archived=True)):
            head = first_head(path)
            if head is not None and head.sequence < sequence:
                self._segment, self._offset, self.head = path.name, 0, head
                break
        while self.head.sequence < sequence - 1:
            if next(self._lines(self._published()), None) is None:
                reason = f"the log ends before record {sequence}, with {self.head.sequence}"
                raise WalStartMismatch(self._segment, self._offset, sequence, reason)

    def skip_to_end(self) -> None:
        """Begins behind what is durable now."""
        published = self._published()
        if published is not None:
            self.head, self._segment, self._offset = published
            return
        for _ in self._lines(None):
            pass

    def poll(self) -> Iterator[bytes]:
        """The lines, newline included, that have become durable since; none where there are none.

        Raises `WalDamage`, `WalError`.
        """
        return self._lines(self._published())

    def state(self) -> LogState:
        """Whether anybody writes the log now."""
        return LogState.ENDED if self._published() is None else LogState.LIVE

    def _published(self) -> PublishedHead | None:
        try:
            return read_published_head(self._directory)
        except OSError as error:
            raise WalError(f"cannot read the head of {self._directory}: {error}") from error

    def _lines(self, until: PublishedHead | None) -> Iterator[bytes]:
        """What stands between here and `until` (None: the end of the files)."""
        while True:
            for line in self._lines_of_segment(self._end_of_segment(until)):
                if until is None and not line.endswith(b"\n"):
                    self.has_torn_end = True
                    return
                self._check(line)
                self._offset += len(line)  # before it is handed out: who takes it may stop there
                yield line
            if not self._go_to_next(until):
                return

    def _end_of_segment(self, until: PublishedHead | None) -> int:
        if not self._segment:
            return 0
        if until is not None and until.segment == self._segment:
            return until.end_offset
        try:
            return segment_end(self._directory / self._segment)
        except OSError as error:
            raise WalError(f"cannot read {self._segment}: {error}") from error

    def _go_to_next(self, until: PublishedHead | None) -> bool:
        """To the beginning of the segment behind this one, if it is to be read, too."""
        if until is not None and self._segment >= until.segment:
            return False
        following = self._next_segment()
        if not following or (until is not None and following > until.segment):
            return False
        self._segment, self._offset = following, 0
        return True

    def _next_segment(self) -> str:
        """Its name; empty where there is none. Where it is there, nothing is listed: of a day's
        twenty thousand segments that takes as long as to read one.
        """
        if self._segment:
            name = segment_name(int(self._segment.partition(".")[0]) + 1)
            path = self._directory / name
            if path.is_file() and not path.is_symlink():
                return name
        names = [path.name for path in list_segments(self._directory, archived=True)]
        return next((name for name in names if name > self._segment), "")

    def _lines_of_segment(self, end: int) -> Iterator[bytes]:
        if self._offset >= end:
            return
        path = self._directory / self._segment
        try:
            with open_to_read(path, CHUNK_BYTES, follows_links=True) as file:
                file.seek(self._offset)
                while self._offset < end:
                    line = file.readline(min(LINE_BYTES_MAX + 1, end - self._offset))
                    yield line
        except OSError as error:
            raise WalError(f"cannot read {path}: {error}") from error

    def _check(self, line: bytes) -> None:
        try:
            entry = parse_line(line)
        except WalEntryError as error:
            raise self._damage(str(error)) from None
        if entry.sequence != self.head.sequence + 1:
            raise self._damage(f"the record says that it is {entry.sequence}")
        if not hashes_equal(entry.previous_hash, self.head.entry_hash):
            raise self._damage("previous_hash is not the hash of the record before")
        if self._keys is not None and self._keyed_segment != self._segment:
            self._take_key(self._keys)
        if self._hasher is not None and not self._is_right(self._hasher, entry):
            raise self._damage("entry_hash does not match the record's bytes")
        self.head, self.last = entry.head, entry

    def _take_key(self, keys: SegmentKeys) -> None:
        """The key of the segment that is being read."""
        try:
            self._hasher = keys.take(self._directory / self._segment)
        except KeyStepError as error:
            kind = WalKeyMismatch if error.is_unknown else WalDamage
            raise kind(self._segment, 0, self.head.sequence + 1, error.reason) from None
        except OSError as error:
            raise WalError(f"cannot read {self._segment}: {error}") from error
        self._keyed_segment = self._segment

    @staticmethod
    def _is_right(hasher: ChainHasher, entry: Entry) -> bool:
        return hashes_equal(hasher.entry_hash(entry.previous_hash, entry.data), entry.entry_hash)

    def _damage(self, reason: str) -> WalDamage:
        return WalDamage(self._segment, self._offset, self.head.sequence + 1, reason)
