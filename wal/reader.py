"""The one iterator over a log: verify, recovery, tail and replay all read through it.

Owns: what a valid log is (`FORMAT.md`, "Valid if and only if"). Must not: write, lock, or know
what a record means; what it has to ask about a record's data, the `Dialect` answers.

How it works: files are read in chunks and cut at newlines. A line in our exact form that begins
as the line after the last record must begin is cut by position and hashed; every other line is
parsed in full. Memory is bounded by one chunk and one line. From a given head on, reading begins
with the segment that holds it (`locate`), and what stands there before it is verified and passed
over.

How it fails: at the first bad line, with `WalDamage` naming segment, byte offset and the sequence
expected there; with `WalKeyMismatch` when the first record shows that only the key is wrong.
What was yielded before is verified all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hmac import compare_digest
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, KEY_ID_UNKEYED, ChainHasher, Head, hashes_equal
from wal.entry import LINE_BYTES_MAX, Entry, line_opening, parse_line, split_line
from wal.errors import WalDamage, WalEntryError, WalError, WalKeyMismatch, WalStartMismatch
from wal.locate import find_start
from wal.segment import list_segments, segment_name

# Small enough to stay in a core's own cache: 1 MiB took 16 % longer per record.
CHUNK_BYTES: Final = 256 * 1024

_BLANK: Final = b" \t\r\n"


def _names_no_key(data: bytes) -> str | None:
    del data
    return None


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the log asks of whoever gives its records their meaning: pure functions of `data`.

    `is_native_head`: this first record begins a log of ours (blank lines are then damage).
    `batch_first_sequence`: the first sequence of the group-commit batch the record was written
    in, None where it does not say. `is_clean_close`: the record ends a session in good order.
    `named_key_id`: the key id that a first record names (`none` for unkeyed), None where it
    names none. They must not raise, whatever the bytes.
    """

    is_native_head: Callable[[bytes], bool]
    batch_first_sequence: Callable[[bytes], int | None]
    is_clean_close: Callable[[bytes], bool]
    named_key_id: Callable[[bytes], str | None] = _names_no_key


class LocatedEntry(Entry, frozen=True, gc=False):
    """A verified entry and where it stands: segment file name, byte offsets of its line."""

    segment: str
    offset: int
    end_offset: int


class Position(NamedTuple):
    """A place to read on from: the bytes of `segment` from `offset` continue after `head`."""

    segment: str
    offset: int
    head: Head


def position_after(entry: LocatedEntry) -> Position:
    """Where the record after `entry` will stand (or in the next segment, from its beginning)."""
    return Position(entry.segment, entry.end_offset, entry.head)


def read_entries(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    start: Position | Head | None = None,
    anchor: Anchor | None = None,
) -> Iterator[LocatedEntry]:
    """Every entry of `source` in order, each verified before it is yielded.

    `source`: a log's directory, or one file. `start`: where to begin instead of at the genesis: a
    `Position` within the log, or a `Head` (a checkpoint's), which the log must hold, or directly
    follow. A log read from a start is taken for one of ours; its older segments may be archived.
    `anchor`: the log must agree with it; where it lies before the start, the start stands for it.
    Raises `WalDamage`, `WalKeyMismatch`, `WalError`; `WalStartMismatch` where the log does not
    hold the start.
    """
    from_later = start is not None and (
        isinstance(start, Position) or start.sequence > EMPTY_HEAD.sequence
    )
    paths = list_segments(source, archived=from_later) if source.is_dir() else [source]
    return read_paths(paths, hasher, dialect, start, anchor)


def read_paths(
    paths: list[Path],
    hasher: ChainHasher,
    dialect: Dialect,
    start: Position | Head | None = None,
    anchor: Anchor | None = None,
) -> Iterator[LocatedEntry]:
    """As `read_entries`, of these segments."""
    offset = 0
    head = EMPTY_HEAD if start is None else start if isinstance(start, Head) else start.head
    wanted = head.sequence
    if isinstance(start, Position):
        names = [path.name for path in paths]
        if start.segment not in names:
            raise WalDamage(start.segment, 0, head.sequence + 1, "the segment is missing")
        paths, offset = paths[names.index(start.segment) :], start.offset
    elif start is not None and wanted > EMPTY_HEAD.sequence:
        if not paths:
            raise WalDamage(segment_name(1), 0, wanted + 1, "the log has no segment")
        index, head = find_start(paths, start)
        paths = paths[index:]
    reading = _Reading(hasher, dialect, head, native=None if wanted == 0 else True)
    entries = chain.from_iterable(
        reading.entries(path, offset if index == 0 else 0) for index, path in enumerate(paths)
    )
    if isinstance(start, Head) and head.sequence < wanted:
        _pass_over(entries, reading, start)
    if anchor is None:
        yield from entries
    else:
        yield from _anchored(entries, reading, anchor)


def _pass_over(entries: Iterator[LocatedEntry], reading: _Reading, start: Head) -> None:
    """Read up to the record `start`, which must be there."""
    for entry in entries:
        if entry.sequence == start.sequence:
            if hashes_equal(entry.entry_hash, start.entry_hash):
                return
            reason = "the record is not the one that was given as the start"
            raise WalStartMismatch(entry.segment, entry.offset, entry.sequence, reason)
    segment, offset = reading.place
    raise WalStartMismatch(
        segment,
        offset,
        reading.head.sequence + 1,
        f"the log ends before record {start.sequence}, which was given as the start",
    )


def _anchored(
    entries: Iterator[LocatedEntry], reading: _Reading, anchor: Anchor
) -> Iterator[LocatedEntry]:
    """The entries of a log that must agree with its anchor."""
    if anchor.keyed != reading.hasher.keyed:
        raise WalKeyMismatch(
            reading.place[0],
            0,
            1,
            f"the anchor is of {'a keyed' if anchor.keyed else 'an unkeyed'} log, "
            f"but {'a' if reading.hasher.keyed else 'no'} key was given",
        )
    if reading.head.sequence == anchor.sequence:
        _check_anchored(reading.head, anchor, *reading.place)
    for entry in entries:
        if entry.sequence == anchor.sequence:
            _check_anchored(entry.head, anchor, entry.segment, entry.offset)
        yield entry
        if entry.sequence >= anchor.sequence:
            break
    yield from entries
    if reading.head.sequence < anchor.sequence:
        raise reading.damage(
            *reading.place,
            f"the log ends before its anchor, which is at record {anchor.sequence}",
        )


def _check_anchored(head: Head, anchor: Anchor, segment: str, offset: int) -> None:
    if not hashes_equal(head.entry_hash, anchor.last_hash):
        reason = "the record is not the anchored one"
        raise WalDamage(segment, offset, head.sequence, reason)


class _Reading:
    """One pass over a log: the chain's head so far and what is known of the log's kind."""

    def __init__(
        self, hasher: ChainHasher, dialect: Dialect, head: Head, native: bool | None
    ) -> None:
        self.hasher = hasher
        self.dialect = dialect
        self.head = head
        self.native = native  # None until the first record has said it
        self.first_blank: tuple[str, int] | None = None
        self.place = (segment_name(1), 0)  # the end of the file that was read last

    def entries(self, path: Path, offset: int) -> Iterator[LocatedEntry]:
        """The entries of one file, from `offset` on."""
        name = path.name
        self.place = (name, offset)
        entry_hash_of = self.hasher.entry_hash
        for line in _lines(path, offset, self):
            sequence, previous_hash = self.head
            end_offset = offset + len(line)
            split = split_line(line, line_opening(sequence + 1, previous_hash))
            if split is not None and self.native is not None:
                found, data = split
                entry_hash = entry_hash_of(previous_hash, data)
                if compare_digest(found, entry_hash.encode()):
                    sequence += 1
                    self.head = Head(sequence, entry_hash)
                    yield LocatedEntry(
                        sequence, previous_hash, entry_hash, data, name, offset, end_offset
                    )
                    offset = end_offset
                    continue
            entry = self._examine(line, path, offset)
            if entry is not None:
                self.head = entry.head
                yield LocatedEntry(
                    entry.sequence, entry.previous_hash, entry.entry_hash, entry.data,
                    name, offset, end_offset,
                )  # fmt: skip
            offset = end_offset
        self.place = (name, offset)

    def damage(self, segment: str, offset: int, reason: str) -> WalDamage:
        """Damage at `offset`, where the next record was expected."""
        return WalDamage(segment, offset, self.head.sequence + 1, reason)

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
            raise self.damage(name, offset, str(error)) from None
        if entry.sequence != head.sequence + 1:
            raise self.damage(name, offset, f"the record says that it is {entry.sequence}")
        if not hashes_equal(entry.previous_hash, head.entry_hash):
            raise self.damage(name, offset, "previous_hash is not the hash of the record before")
        if not hashes_equal(self.hasher.entry_hash(head.entry_hash, entry.data), entry.entry_hash):
            if entry.sequence == 1:
                end = offset + len(line)
                _refuse_key(self.hasher, self.dialect, entry, path, offset, end)
            raise self.damage(name, offset, "entry_hash does not match the record's bytes")
        if self.native is None:
            self.native = self.dialect.is_native_head(entry.data)
            if self.native and self.first_blank is not None:
                raise WalDamage(*self.first_blank, 1, "the line is blank")
        return entry


def _lines(path: Path, offset: int, reading: _Reading) -> Iterator[bytes]:
    """The lines of a file from `offset` on, each with its newline."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            yield from _cut_lines(file, path.name, offset, reading)
    except OSError as error:
        raise WalError(f"cannot read {path}: {error}") from error


def _cut_lines(file: BinaryIO, name: str, offset: int, reading: _Reading) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(CHUNK_BYTES):
        searched = len(rest)
        buffer = rest + chunk if rest else chunk
        start = 0
        while (end := buffer.find(b"\n", max(start, searched)) + 1) > 0:
            yield buffer[start:end]
            start = end
        offset += start
        rest = buffer[start:]
        if len(rest) > LINE_BYTES_MAX:
            raise reading.damage(name, offset, f"no newline in {LINE_BYTES_MAX} bytes")
    if rest:
        raise reading.damage(name, offset, "the last line has no newline")


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
        with path.open("rb") as file:
            file.seek(offset)
            second = parse_line(file.readline(LINE_BYTES_MAX + 1))
    except (OSError, WalEntryError):
        return None  # then the damage of the first record is what gets reported
    if second.sequence != 2 or not hashes_equal(second.previous_hash, first.entry_hash):
        return None
    right = hasher.entry_hash(second.previous_hash, second.data)
    return hashes_equal(right, second.entry_hash)
