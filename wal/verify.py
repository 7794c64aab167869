"""Checks a whole log and says where its chain ends. Owns nothing on disk; writes nothing.

How it works: one pass of runs, or stretches of the log in several processes, each checked from the
head that its first line claims to follow; the claims are then held against what the stretch
before has proven. Where a stretch does not check out, it is read again from the proven head on, so
that the verdict is the same whatever the number of processes.

How it fails: as the reader does; with `WalDamage` for a log behind or against its anchor, and
`WalKeyMismatch` where anchor and key disagree on whether the log is keyed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head, hashes_equal
from wal.errors import WalError
from wal.parallel import Stretch, claimed_head, cut_stretches, map_forked
from wal.reader import Position, paths_of, read_runs
from wal.run import LocatedEntry, Run
from wal.walk import Dialect, Walk


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
    """What some runs hold: the heads before and after, and their last record."""

    head: Head
    record_count: int = 0
    segments: tuple[str, ...] = ()
    byte_count: int = 0
    native: bool = False
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
    paths = paths_of(source, start)
    stretches = cut_stretches(paths) if jobs > 1 and start is None else []
    if len(stretches) > 1:
        tally = _tally_together(paths, stretches, hasher, dialect, anchor, jobs)
    else:
        tally = _tally(read_runs(paths, hasher, dialect, start, anchor), dialect, start)
    closed = tally.last is not None and dialect.is_clean_close(tally.last.data)
    return ChainReport(
        tally.head if tally.last is None else tally.last.head,
        tally.record_count,
        len(tally.segments),
        tally.byte_count,
        tally.native,
        closed,
        tally.last,
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


def _tally(runs: Iterable[Run], dialect: Dialect, start: Head | None) -> _Tally:
    record_count = byte_count = 0
    segments: list[str] = []
    native = False
    last: Run | None = None
    for run in runs:
        if last is None:
            native = dialect.is_native_head(run.data_of(run.head.sequence + 1))
        if run.segment not in segments[-1:]:
            segments.append(run.segment)
        record_count += run.record_count
        byte_count += run.end_offset - run.offset
        last = run
    entry = None if last is None else next(last.since(last.last.sequence).entries())
    head = start or EMPTY_HEAD
    return _Tally(head, record_count, tuple(segments), byte_count, native, entry)


def _tally_together(
    paths: list[Path],
    stretches: list[Stretch],
    hasher: ChainHasher,
    dialect: Dialect,
    anchor: Anchor | None,
    jobs: int,
) -> _Tally:
    """The same by several processes."""
    first = next(read_runs(paths, hasher, dialect, None, anchor), None)
    native = first is not None and dialect.is_native_head(first.data_of(1))

    def check(stretch: Stretch) -> _Tally | None:
        if stretch == stretches[0]:
            walk = Walk(hasher, dialect, EMPTY_HEAD, native=None)
        else:
            claimed = claimed_head(stretch)
            if claimed is None:
                return None
            walk = Walk(hasher, dialect, claimed, native=native)
        try:
            runs = walk.runs(stretch.path, stretch.offset, stretch.end)
            return _tally(_held_against(anchor, runs), dialect, walk.head)
        except WalError:
            return None

    whole = _Tally(EMPTY_HEAD, native=native)
    proven = EMPTY_HEAD
    for stretch, tally in zip(stretches, map_forked(check, stretches, jobs), strict=True):
        if tally is None or tally.head != proven:
            position = Position(stretch.path.name, stretch.offset, proven)
            rest = read_runs(paths, hasher, dialect, position, anchor, native=native)
            return _joined(whole, _tally(rest, dialect, proven))
        whole = _joined(whole, tally)
        proven = proven if tally.last is None else tally.last.head
    # Nothing is left to read but whether the anchor is there.
    end = Position(stretches[-1].path.name, stretches[-1].end, proven)
    return _joined(whole, _tally(read_runs(paths, hasher, dialect, end, anchor), dialect, proven))


def _held_against(anchor: Anchor | None, runs: Iterable[Run]) -> Iterable[Run]:
    """The runs, up to one that disagrees with the anchor."""
    for run in runs:
        if anchor is None or not run.head.sequence < anchor.sequence <= run.last.sequence:
            yield run
            continue
        if not hashes_equal(run.hash_of(anchor.sequence), anchor.last_hash):
            raise WalError("the record is not the anchored one")
        yield run


def _joined(one: _Tally, other: _Tally) -> _Tally:
    new_segments = tuple(name for name in other.segments if name not in one.segments[-1:])
    return _Tally(
        one.head,
        one.record_count + other.record_count,
        one.segments + new_segments,
        one.byte_count + other.byte_count,
        one.native,
        other.last or one.last,
    )
