"""Checks a whole log and says where its chain ends. Owns nothing on disk; writes nothing.

How it fails: as the reader does; with `WalDamage` for a log behind or against its anchor, and
`WalKeyMismatch` where anchor and key disagree on whether the log is keyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head
from wal.reader import Dialect, LocatedEntry, read_entries


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a verified log holds.

    `head`: its last record (0 and `genesis` when it has none); `record_count`; `segment_count`:
    segments that hold records; `byte_count` of their lines, blank lines excluded;
    `native`: the first record begins a log of ours (never told from a later start);
    `closed_cleanly`: the last one ends its session; `last`: the last record itself, None when
    there is none.
    """

    head: Head
    record_count: int
    segment_count: int
    byte_count: int
    native: bool
    closed_cleanly: bool
    last: LocatedEntry | None


def verify_chain(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    anchor: Anchor | None = None,
    start: Head | None = None,
) -> ChainReport:
    """Verify every record of `source` (a directory or one file), and the anchor if given.

    `start`: verify from this head (a checkpoint's) on; records before it are not counted. Raises
    `WalDamage`, `WalKeyMismatch`, `WalStartMismatch`, `WalError`.
    """
    record_count = segment_count = byte_count = 0
    native = False
    last: LocatedEntry | None = None
    for entry in read_entries(source, hasher, dialect, start, anchor):
        if last is None:
            native = dialect.is_native_head(entry.data)
        if last is None or last.segment != entry.segment:
            segment_count += 1
        record_count += 1
        byte_count += entry.end_offset - entry.offset
        last = entry
    head = (start or EMPTY_HEAD) if last is None else last.head
    closed = last is not None and dialect.is_clean_close(last.data)
    return ChainReport(head, record_count, segment_count, byte_count, native, closed, last)


def find_head(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    anchor: Anchor | None = None,
    start: Head | None = None,
) -> Head:
    """The verified head of `source`: `verify_chain` for who needs nothing else."""
    return verify_chain(source, hasher, dialect, anchor, start).head
