"""Whether the damaged end of a log is what a torn write leaves. Pure.

Owns: the judgement alone, over the bytes from the first damaged line to the end of the last
segment. Must not: touch files (`repair` does), or be generous: what is not proved torn is damage.

How it works: a torn write of the final batch leaves its end missing, or some of its 512-byte
sectors zero, or both; every other byte is as written. Zeros at the end of the file were written
ahead, or never written: what stands before them is judged, as if the file ended there. JSON holds
no NUL, so a run of NULs is a hole if it begins at a sector boundary (or where the batch begins, in
a sector shared with older bytes) and ends at one. Every line without a hole must then be an entry
whose own hash is right, and those behind the first hole must say that their batch is the one the
hole is in. A record behind the hole that belongs to a later batch shows that the hole's batch had
been synced: then a sector was lost, and records that were answered with it.

How it fails: `NotTornError` with the reason, which repair turns into `WalDamage`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from wal.chain import ChainHasher, Head, hashes_equal
from wal.entry import Entry, line_opening, parse_line
from wal.errors import WalEntryError
from wal.jsonprefix import is_object_beginning
from wal.log_pass import Dialect

SECTOR_BYTES: Final = 512  # the smallest unit that disks write as a whole

_HOLE: Final = re.compile(rb"\x00+")
_CONTROL: Final = re.compile(rb"[\x01-\x09\x0b-\x1f]")
_ANY_OPENING: Final = b'{"sequence":'
_BEHIND_HASH: Final = b'","data":'
_HASH_LENGTH: Final = 64
_HASH_BEGINNING: Final = re.compile(rb"[0-9a-f]{0,64}")


class NotTornError(Exception):
    """The damage is not a torn write. `offset` is where in the file that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(offset, reason)
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log from its first damaged line on, and what stands before it.

    `data`: up to the last byte that is not zero. `offset`: of `data` in its segment. `head`: the
    last whole record before it. `last_batch_first_sequence`: the first sequence of that record's
    batch, None if it says none.
    """

    data: bytes
    offset: int
    head: Head
    last_batch_first_sequence: int | None


def judge(tail: Tail, hasher: ChainHasher, dialect: Dialect) -> str:
    """What a torn write did to `tail`, in words. Raises `NotTornError`."""
    return _Judgement(tail, hasher, dialect).run()


class _Judgement:
    """One pass over the lines of a tail."""

    def __init__(self, tail: Tail, hasher: ChainHasher, dialect: Dialect) -> None:
        self.tail = tail
        self.hasher = hasher
        self.dialect = dialect
        # The head that the next line must follow; None behind a hole, which swallowed it.
        self.head: Head | None = tail.head
        self.sequence_seen = tail.head.sequence + 1  # the first damaged record counts as seen
        self.batch_first_sequence: int | None = None

    def run(self) -> str:
        data = self.tail.data
        begins_with_batch = self._check_holes()
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            self._line(data[at:end], at)
            at = end
        if at < len(data):
            self._unfinished(data[at:], at)
        first = self.batch_first_sequence
        if begins_with_batch and first not in (None, self.tail.head.sequence + 1):
            raise NotTornError(self.tail.offset, "a hole begins inside a sector and a batch")
        if b"\x00" not in data:
            return "the last line is unfinished"
        return "zero-filled sectors" if at == len(data) else "zero-filled sectors and a missing end"

    def _check_holes(self) -> bool:
        """Check that each run of NULs has the shape of sectors.

        True if the first one has it only provided that a batch begins where the tail does.
        """
        begins_with_batch = False
        for hole in _HOLE.finditer(self.tail.data):
            start, end = self.tail.offset + hole.start(), self.tail.offset + hole.end()
            if start % SECTOR_BYTES and start != self.tail.offset:
                raise NotTornError(start, "NUL bytes that do not begin at a sector")
            if end % SECTOR_BYTES:
                raise NotTornError(end, "NUL bytes that do not end at a sector")
            begins_with_batch = begins_with_batch or start % SECTOR_BYTES != 0
        return begins_with_batch

    def _line(self, line: bytes, at: int) -> None:
        """Judge a line that has its newline."""
        if b"\x00" in line:
            self._holed(line, at)
            return
        entry = self._whole(line)
        if at == 0 or entry is None:
            raise NotTornError(self.tail.offset + at, "a whole line has wrong bytes")
        self._accept(entry, at)

    def _unfinished(self, rest: bytes, at: int) -> None:
        """Judge the end of the file where it is not the end of a line."""
        if b"\x00" in rest:
            self._holed(rest, at)
            return
        entry = self._whole(rest + b"\n")
        if entry is not None:
            self._accept(entry, at, finished=False)
        elif self._whole(rest[:-1] + b"\n") is not None:
            raise NotTornError(self.tail.offset + at, "the newline of a whole record was changed")
        else:
            self._check_beginning(rest, at)

    def _holed(self, line: bytes, at: int) -> None:
        """Judge a line with holes: what stands before the first and behind the last of them."""
        if _CONTROL.search(line):
            raise NotTornError(self.tail.offset + at, "control characters in a damaged line")
        self._check_beginning(line[: line.index(b"\x00")], at)
        self.head = None
        behind = line.rindex(b"\x00") + 1
        rest = line[behind:] if line.endswith(b"\n") else line[behind:] + b"\n"
        # Where a hole ends just at the beginning of a record, the record is part of this line.
        entry = self._whole(rest)
        if entry is not None:
            self._accept(entry, at + behind, finished=line.endswith(b"\n"))
        elif line.endswith(b"\n") and line[-2:-1] not in (b"}", b"\x00"):
            raise NotTornError(self.tail.offset + at, "a damaged line does not end as a record")

    def _whole(self, line: bytes) -> Entry | None:
        """The entry of a line whose own hash is right; None for anything else."""
        try:
            entry = parse_line(line)
        except WalEntryError:
            return None
        for hasher in self.hasher.likely():
            right = hasher.entry_hash(entry.previous_hash, entry.data)
            if hashes_equal(right, entry.entry_hash):
                return entry
        return None

    def _accept(self, entry: Entry, at: int, finished: bool = True) -> None:
        """Check that a whole record of the tail stands in the final batch, with the hole."""
        where = self.tail.offset + at
        if self.head is None:
            if entry.sequence <= self.sequence_seen:
                raise NotTornError(where, f"record {entry.sequence} stands too late")
        elif (entry.sequence, entry.previous_hash) != (
            self.head.sequence + 1,
            self.head.entry_hash,
        ):
            raise NotTornError(where, f"record {entry.sequence} does not follow the one before")
        first = self.dialect.batch_first_sequence(entry.data)
        lost = self.tail.head.sequence + 1
        if first is None:
            if at == 0:  # nothing stands behind the damage: the file ends with this record
                return
            raise NotTornError(where, f"record {entry.sequence} does not say its batch")
        if first > lost and at != 0:
            raise NotTornError(
                where,
                f"record {entry.sequence} is of a later batch, so the damaged one had been synced",
            )
        if first not in (lost, self.tail.last_batch_first_sequence):
            raise NotTornError(where, f"record {entry.sequence} names a batch that is none")
        if self.batch_first_sequence not in (None, first):
            raise NotTornError(where, "two batches stand behind the damage")
        if finished and self.dialect.is_clean_close(entry.data):
            raise NotTornError(where, "the session was closed in good order")
        self.batch_first_sequence = first
        self.head = entry.head
        self.sequence_seen = entry.sequence

    def _check_beginning(self, fragment: bytes, at: int) -> None:
        """Check that `fragment` could be the beginning of the line that belongs here."""
        opening = _ANY_OPENING
        if self.head is not None:
            opening = line_opening(self.head.sequence + 1, self.head.entry_hash)
        length = len(opening)
        right = fragment[:length] == opening[: len(fragment)]
        if right and self.head is not None and len(fragment) > length:
            entry_hash = fragment[length : length + _HASH_LENGTH]
            behind = fragment[length + _HASH_LENGTH :][: len(_BEHIND_HASH)]
            right = (
                bool(_HASH_BEGINNING.fullmatch(entry_hash))
                and behind == _BEHIND_HASH[: len(behind)]
            )
        if not right or not is_object_beginning(fragment):
            raise NotTornError(
                self.tail.offset + at, "an unfinished line is not the beginning of the next record"
            )
