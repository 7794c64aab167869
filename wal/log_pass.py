"""One pass over the files of a log: bytes to verified runs of records.

Owns: the order of the checks on a line, and what is said of a bad one. Must not: choose the files
or know of anchors and starts (`wal.reader` does).

How it works: files are read in chunks and cut at the last newline. Lines in our exact form that
begin as the line after the last record must begin are taken at a stretch (`wal.scan`, compiled),
or cut by position and hashed one by one; every other line is parsed in full. Memory is bounded by
one chunk and one line.

How it fails: as `wal.reader` says; the records before the bad line are handed out first.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from typing import BinaryIO, Final

from forms import FORM as WAL_FORM
from wal.chain import KEY_ID_UNKEYED, ChainHasher, Head, hashes_equal
from wal.entry import LINE_BYTES_MAX, Entry, line_opening, parse_line, split_line
from wal.entryhash import EntryHash
from wal.errors import WalDamage, WalEntryError, WalError, WalKeyMismatch
from wal.keyring import KeyChange, KeyStepError, RingHasher
from wal.regularfile import open_to_read
from wal.scan import LineScanner
from wal.segment import segment_name
from wal.segment_keys import SegmentKeys
from wal.verified_run import BEFORE_DATA_LENGTH, HASH_LENGTH, SPANS_PER_LINE, Run, run_of_entry

# Small enough to stay in a core's own cache: 1 MiB took 16 % longer per record.
CHUNK_BYTES: Final = 256 * 1024
# More are never written ahead of the records: an earlier version's repair looks at no more bytes.
ZEROS_BYTES_MAX: Final = 64 * 1024 * 1024
# Bounds a run; the shortest records of ours stand some 500 to a chunk.
RUN_LINES_MAX: Final = 1024

_ZEROS: Final = "zeros stand where a record should"
_ZEROS_BEFORE_BYTES: Final = (
    f"{_ZEROS}, and other bytes behind them: damaged, or copied while it was written"
)
_BLANK: Final = b" \t\r\n\x0c"


def _names_no_key(data: bytes) -> str | None:
    del data
    return None


def _changes_no_key(data: bytes) -> KeyChange | None:
    del data
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the log asks of whoever gives its records their meaning: pure functions of `data`.

    `is_native_head`: this first record begins a log of ours (blank lines are then damage).
    `batch_first_sequence`: the first sequence of the group-commit batch the record was written
    in, None where it does not say. `is_clean_close`: the record ends a session in good order.
    `named_key_id`: the key id that a first record names (`none` for unkeyed), None where it
    names none. `key_change`: what a segment's first record says of the keys from there on, if
    anything. They must not raise, whatever the bytes.
    """

    is_native_head: Callable[[bytes], bool]
    batch_first_sequence: Callable[[bytes], int | None]
    is_clean_close: Callable[[bytes], bool]
    named_key_id: Callable[[bytes], str | None] = _names_no_key
    key_change: Callable[[bytes], KeyChange | None] = _changes_no_key


class Walk:
    """One pass over a log: the chain's head so far and what is known of the log's kind."""

    def __init__(
        self, hasher: ChainHasher, dialect: Dialect, head: Head, native: bool | None
    ) -> None:
        self.hasher = hasher
        self._entry_hash = EntryHash(hasher)
        self._keys = None
        if isinstance(hasher, RingHasher):
            self._keys = SegmentKeys(hasher, dialect.key_change)
        self._is_proven = False  # the file's bytes are, so that no hash is looked at
        self.dialect = dialect
        self.head = head
        self.native = native  # None until the first record has said it
        self.first_blank: tuple[str, int] | None = None
        self.place = (segment_name(1), 0)  # the end of what was read last

    def runs(
        self, path: Path, offset: int, end: int | None = None, *, is_last: bool = False
    ) -> Iterator[Run]:
        """The records of one file, from `offset` on; up to `end`, where a line begins, if given.

        Whole runs at a time: `head` is then the last record of the run that was handed out last.
        `is_last`: the file may end in zeros that were written ahead.
        """
        self.place = (path.name, offset)
        try:
            self._take_key(path)
            for block in self._blocks(path, offset, end, is_last):
                yield from self.runs_of_block(block, path, offset)
                offset += len(block)
        except OSError as error:
            raise WalError(f"cannot read {path}: {error}") from error
        self.place = (path.name, offset)

    def _take_key(self, path: Path) -> None:
        """From here on the records of that file are read under its own key."""
        if self._keys is None:
            return
        try:
            found = self._keys.take(path)
        except KeyStepError as error:
            kind = WalKeyMismatch if error.is_unknown else WalDamage
            raise kind(path.name, 0, self.head.sequence + 1, error.reason) from None
        self._is_proven = found is None
        if found is not None and found is not self.hasher:
            self.hasher = found
            self._entry_hash = EntryHash(found)

    def damage(self, segment: str, offset: int, reason: str) -> WalDamage:
        """Damage at `offset`, where the next record was expected."""
        return WalDamage(segment, offset, self.head.sequence + 1, reason)

    def _blocks(self, path: Path, offset: int, end: int | None, is_last: bool) -> Iterator[bytes]:
        """The file's bytes from `offset` on, in blocks of whole lines."""
        rest = b""
        with open_to_read(path, 0, follows_links=True) as file:
            file.seek(offset)
            while True:
                wanted = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - file.tell())
                chunk = file.read(wanted)
                if not chunk:
                    break
                buffer = rest + chunk if rest else chunk
                cut = buffer.rfind(b"\n", len(rest)) + 1
                if cut:
                    yield buffer if cut == len(buffer) else buffer[:cut]
                    offset += cut
                rest = buffer[cut:]
                if rest.startswith(b"\0"):
                    self._check_zeros(path.name, offset, rest, file, is_last)
                    return
                if len(rest) > LINE_BYTES_MAX:
                    raise self.damage(path.name, offset, f"no newline in {LINE_BYTES_MAX} bytes")
        if rest:
            raise self.damage(path.name, offset, "the last line has no newline")

    def _check_zeros(
        self, segment: str, offset: int, rest: bytes, file: BinaryIO, is_last: bool
    ) -> None:
        """Zeros where a line would begin: they are no damage if nothing but zeros follows them."""
        count = 0
        while not rest.strip(b"\0"):
            count += len(rest)
            if count > ZEROS_BYTES_MAX:
                raise self.damage(segment, offset, f"more than {ZEROS_BYTES_MAX} zeros stand there")
            rest = file.read(CHUNK_BYTES) or b""
            if not rest:
                if is_last and self.native is not False:
                    return
                raise self.damage(segment, offset, _ZEROS)
        raise self.damage(segment, offset, _ZEROS_BEFORE_BYTES)

    def runs_of_block(self, block: bytes, path: Path, offset: int) -> Iterator[Run]:
        """The records of whole lines, which stand in a file from `offset` on."""
        take_plain = self._scan if WAL_FORM == "compiled" else self._cut
        at, size = 0, len(block)
        while at < size:
            if self.native is not None and not self._is_proven:
                run = take_plain(block, at, path.name, offset)
                if run is not None:
                    yield run
                    at = run.end_offset - offset
                    if at == size or run.count == RUN_LINES_MAX:
                        continue
            end = block.index(b"\n", at) + 1
            entry = self._examine(block[at:end], path, offset + at)
            if entry is not None:
                self.head = entry.head
                yield run_of_entry(entry, path.name, offset + at, offset + end)
            at = end

    def _scan(self, block: bytes, at: int, segment: str, offset: int) -> Run | None:
        """The plain lines from `at` on, by the compiled scanner."""
        head = self.head
        scanner = LineScanner(self._entry_hash, head.sequence, head.entry_hash.encode())
        spans = array("q", bytes(8 * SPANS_PER_LINE * RUN_LINES_MAX))
        count = scanner.scan(block, at, spans, RUN_LINES_MAX)
        if count == 0:
            return None
        self.head = Head(scanner.sequence, scanner.entry_hash.decode())
        end_offset = offset + scanner.stopped_at
        return Run(segment, offset + at, end_offset, head, self.head, block, spans, at, 0, count)

    def _cut(self, block: bytes, at: int, segment: str, offset: int) -> Run | None:
        """The same, line by line."""
        sequence, previous_hash = head = self.head
        line_at, spans, count = at, array("q"), 0
        while count < RUN_LINES_MAX and (end := block.find(b"\n", at) + 1) > 0:
            opening = line_opening(sequence + 1, previous_hash)
            split = split_line(block[at:end], opening)
            if split is None:
                break
            found, data = split
            entry_hash = self.hasher.entry_hash(previous_hash, data)
            if not compare_digest(found, entry_hash.encode()):
                break
            hash_at = at + len(opening)
            data_at = hash_at + HASH_LENGTH + BEFORE_DATA_LENGTH
            spans.extend((data_at, data_at + len(data), hash_at))
            sequence, previous_hash, at, count = sequence + 1, entry_hash, end, count + 1
        if count == 0:
            return None
        self.head = Head(sequence, previous_hash)
        return Run(
            segment, offset + line_at, offset + at, head, self.head, block, spans, line_at, 0, count
        )  # fmt: skip

    def _examine(self, line: bytes, path: Path, offset: int) -> Entry | None:
        """The entry of a line, by the long way round; None for a blank line that may pass."""
        name, head = path.name, self.head
        if not line.strip(_BLANK):
            if self.native:
                raise self.damage(name, offset, "the line is blank")
            self.first_blank = self.first_blank or (name, offset)
            return None
        try:
            entry = parse_line(line)
        except WalEntryError as error:
            raise self.damage(name, offset, _said_of(line, error)) from None
        if entry.sequence != head.sequence + 1:
            raise self.damage(name, offset, f"the record says that it is {entry.sequence}")
        if not hashes_equal(entry.previous_hash, head.entry_hash):
            raise self.damage(name, offset, "previous_hash is not the hash of the record before")
        if not self._is_proven and not hashes_equal(
            self.hasher.entry_hash(head.entry_hash, entry.data), entry.entry_hash
        ):
            if entry.sequence == 1:
                end = offset + len(line)
                _refuse_key(self.hasher, self.dialect, entry, path, offset, end)
            change = self.dialect.key_change(entry.data)
            if change is not None and change.key_id != self.hasher.key_id:
                reason = f"from here on the log is under key {change.key_id}, which was not given"
                raise WalKeyMismatch(name, offset, entry.sequence, reason)
            raise self.damage(name, offset, "entry_hash does not match the record's bytes")
        if self.native is None:
            self.native = self.dialect.is_native_head(entry.data)
            if self.native and self.first_blank is not None:
                raise WalDamage(*self.first_blank, 1, "the line is blank")
        return entry


def _said_of(line: bytes, error: WalEntryError) -> str:
    """What is wrong with a line that is no entry."""
    if line.startswith(b"\0"):
        return _ZEROS_BEFORE_BYTES
    if b"\0" in line:
        return f"{error}; there are zeros in it: damaged, or copied while it was written"
    return str(error)


def _refuse_key(
    hasher: ChainHasher, dialect: Dialect, first: Entry, path: Path, offset: int, next_offset: int
) -> None:
    """Raise `WalKeyMismatch` if the first record failed for its key; return if it cannot be told.

    Evidence, in order: a second record that verifies under this key (so the first was altered); a
    hash that is right without a key; the key id that the record names; a second record that
    follows the first and fails as it does.
    """
    second_verifies = _second_verifies(hasher, first, path, next_offset)
    named = dialect.named_key_id(first.data)
    unkeyed_hash = ChainHasher(None).entry_hash(first.previous_hash, first.data)
    if second_verifies:
        return
    if hasher.keyed and (hashes_equal(unkeyed_hash, first.entry_hash) or named == KEY_ID_UNKEYED):
        reason = "a key was given but the log is unkeyed"
    elif named == hasher.key_id or (named is None and second_verifies is None):
        return
    elif hasher.keyed:
        reason = "the key is not the one that the log was written with"
    else:
        reason = "the log is keyed and no key was given"
    raise WalKeyMismatch(path.name, offset, 1, reason)


def _second_verifies(hasher: ChainHasher, first: Entry, path: Path, offset: int) -> bool | None:
    """Whether the record at `offset` has the right hash under this key; None if none follows."""
    try:
        with open_to_read(path, follows_links=True) as file:
            file.seek(offset)
            second = parse_line(file.readline(LINE_BYTES_MAX + 1))
    except (OSError, WalEntryError):
        return None  # then the damage of the first record is what gets reported
    if second.sequence != 2 or not hashes_equal(second.previous_hash, first.entry_hash):
        return None
    right = hasher.entry_hash(second.previous_hash, second.data)
    return hashes_equal(right, second.entry_hash)
