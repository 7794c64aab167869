"""Checks a whole log and says where its chain ends. Owns nothing on disk; writes nothing.

How it fails: as the reader does; with `WalDamage` for a log behind or against its anchor, and
`WalKeyMismatch` where anchor and key disagree on whether the log is keyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head, hashes_equal
from wal.errors import WalDamage, WalKeyMismatch
from wal.reader import Dialect, LocatedEntry, read_entries


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a verified log holds.

    `head`: its last record (0 and `genesis` when it has none); `record_count`; `segment_count`:
    segments that hold records; `byte_count` of their lines, blank lines excluded;
    `native`: the first record is ours; `closed_cleanly`: the last one ends its session;
    `last`: the last record itself, None when there is none.
    """

    head: Head
    record_count: int
    segment_count: int
    byte_count: int
    native: bool
    closed_cleanly: bool
    last: LocatedEntry | None


def verify_chain(
    source: Path, hasher: ChainHasher, dialect: Dialect, anchor: Anchor | None = None
) -> ChainReport:
    """Verify every record of `source` (a directory or one file), and the anchor if given.

    The log may have grown beyond its anchor; it must hold the anchored record, unchanged.
    An empty source gives a report of no records: whether that is an error is the caller's to say.
    """
    if anchor is not None and anchor.keyed != hasher.keyed:
        raise WalKeyMismatch(
            source.name,
            0,
            1,
            f"the anchor is of {'a keyed' if anchor.keyed else 'an unkeyed'} log, "
            f"but {'a' if hasher.keyed else 'no'} key was given",
        )
    record_count = segment_count = byte_count = 0
    native = False
    last: LocatedEntry | None = None
    for entry in read_entries(source, hasher, dialect):
        if last is None:
            native = dialect.is_native_head(entry.data)
        if last is None or last.segment != entry.segment:
            segment_count += 1
        record_count += 1
        byte_count += entry.end_offset - entry.offset
        last = entry
        if anchor is not None and entry.sequence == anchor.sequence:
            _check_anchored(entry, anchor)
    head = EMPTY_HEAD if last is None else last.head
    if anchor is not None and head.sequence < anchor.sequence:
        raise WalDamage(
            source.name if last is None else last.segment,
            0 if last is None else last.end_offset,
            head.sequence + 1,
            f"the log ends before its anchor, which is at record {anchor.sequence}",
        )
    closed = last is not None and dialect.is_clean_close(last.data)
    return ChainReport(head, record_count, segment_count, byte_count, native, closed, last)


def find_head(
    source: Path, hasher: ChainHasher, dialect: Dialect, anchor: Anchor | None = None
) -> Head:
    """The verified head of `source`: `verify_chain` for who needs nothing else."""
    return verify_chain(source, hasher, dialect, anchor).head


def _check_anchored(entry: LocatedEntry, anchor: Anchor) -> None:
    if not hashes_equal(entry.entry_hash, anchor.last_hash):
        raise WalDamage(
            entry.segment, entry.offset, entry.sequence, "the record is not the anchored one"
        )
