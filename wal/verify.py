"""Checks a whole log and says where its chain ends. Owns nothing on disk; writes nothing.

How it fails: as the reader does; with `WalDamage` for a log behind or against its anchor, and
`WalKeyMismatch` where anchor and key disagree on whether the log is keyed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head
from wal.log_pass import Dialect
from wal.map_records import fold_runs
from wal.verified_run import LocatedEntry, Run


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


class _Tally(NamedTuple):
    """What some runs hold."""

    record_count: int = 0
    segments: tuple[str, ...] = ()
    byte_count: int = 0
    first: bytes = b""
    last: LocatedEntry | None = None


def verify_chain(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    anchor: Anchor | None = None,
    start: Head | None = None,
    *,
    jobs: int = 1,
) -> ChainReport:
    """Verify every record of `source` (a directory or one file), and the anchor if given.

    `start`: verify from this head (a checkpoint's) on; records before it are not counted. `jobs`:
    how many processes may share the work; a log read from a start is read by one. Raises
    `WalDamage`, `WalKeyMismatch`, `WalStartMismatch`, `WalError`.
    """
    tallies = fold_runs(source, hasher, dialect, _tally, anchor=anchor, start=start, jobs=jobs)
    tally = reduce(_joined, tallies)
    last = tally.last
    return ChainReport(
        (start or EMPTY_HEAD) if last is None else last.head,
        tally.record_count,
        len(tally.segments),
        tally.byte_count,
        dialect.is_native_head(tally.first),
        last is not None and dialect.is_clean_close(last.data),
        last,
    )


def find_head(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    anchor: Anchor | None = None,
    start: Head | None = None,
) -> Head:
    """The verified head of `source`: `verify_chain` for who needs nothing else."""
    return verify_chain(source, hasher, dialect, anchor, start).head


def _tally(runs: Iterator[Run]) -> _Tally:
    record_count = byte_count = 0
    segments: list[str] = []
    first = b""
    last: Run | None = None
    for run in runs:
        first = first or run.data_of(run.head.sequence + 1)
        if run.segment not in segments[-1:]:
            segments.append(run.segment)
        record_count += run.record_count
        byte_count += run.end_offset - run.offset
        last = run
    entry = None if last is None else next(last.since(last.last.sequence).entries())
    return _Tally(record_count, tuple(segments), byte_count, first, entry)


def _joined(one: _Tally, other: _Tally) -> _Tally:
    return _Tally(
        one.record_count + other.record_count,
        one.segments + tuple(name for name in other.segments if name not in one.segments[-1:]),
        one.byte_count + other.byte_count,
        one.first or other.first,
        other.last or one.last,
    )
