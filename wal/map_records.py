"""Something made of every record of a log, by one process or by several at once.

Owns: that the outcome is the same whatever the number of processes. Must not: know what is made.
What each record gives alone is folded (`fold_runs`); what has to be taken in order by one process
is made ready for it by the others (`prepare_runs`).

How it works: stretches of the log are read in processes of their own, each from the head that its
first line claims to follow; the claims are then held against what the stretch before has proven.
Where a stretch does not check out, everything from the proven head on is read again by this
process, which then says what is wrong, as it would have alone.

How it fails: as the reader does, and as what is made fails: with a `WalError`, for all that
depends on the records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head, hashes_equal
from wal.errors import WalError
from wal.headfile import PublishedHead
from wal.log_pass import Dialect, Walk
from wal.parallel import Stretch, claimed_head, cut_stretches, map_forked
from wal.reader import Position, durable_head, paths_of, paths_until, read_runs
from wal.verified_run import Run

Part = TypeVar("Part")

# What this process makes of the runs that it reads itself.
Rest: TypeAlias = Callable[[Iterator[Run]], Iterator[Part]]


def fold_runs(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    fold: Callable[[Iterator[Run]], Part],
    *,
    anchor: Anchor | None = None,
    start: Head | None = None,
    jobs: int = 1,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[Part]:
    """What `fold` makes of the records of `source`: of all, or of each stretch, in order.

    `fold` must take every run that it is given, and gets none where there is no record. With
    several jobs its parts must pickle. A log read from a `start` is read by one process.
    `on_bytes` is told now and then how many more bytes are done. Raises `WalDamage`,
    `WalKeyMismatch`, `WalStartMismatch`, `WalError`.
    """

    def rest(runs: Iterator[Run]) -> Iterator[Part]:
        yield fold(runs)

    yield from _parts(source, hasher, dialect, fold, rest, anchor, start, jobs, on_bytes)


def prepare_runs(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    prepare: Callable[[Iterator[Run]], Part],
    *,
    anchor: Anchor | None = None,
    start: Head | None = None,
    jobs: int = 1,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[Part]:
    """As `fold_runs`, for who takes the parts one by one, in order, while the next are made.

    What this process has to read itself is prepared a run at a time, so that all that stands
    before damage is handed out before it is raised, and memory is bounded. `prepare` may get no
    run at all.
    """

    def rest(runs: Iterator[Run]) -> Iterator[Part]:
        for run in runs:
            yield prepare(iter((run,)))

    yield from _parts(source, hasher, dialect, prepare, rest, anchor, start, jobs, on_bytes)


def _parts(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    make: Callable[[Iterator[Run]], Part],
    rest: Rest[Part],
    anchor: Anchor | None,
    start: Head | None,
    jobs: int,
    on_bytes: Callable[[int], None] | None,
) -> Iterator[Part]:
    told = on_bytes or _tell_nobody
    until = durable_head(source)
    paths = paths_until(paths_of(source, start), until)
    end = None if until is None else until.end_offset
    stretches = cut_stretches(paths, end=end) if jobs > 1 and start is None else []
    if len(stretches) > 1:
        yield from _stretches(
            paths, stretches, until, hasher, dialect, make, rest, anchor, jobs, told
        )
    else:
        runs = read_runs(paths, hasher, dialect, start, anchor, until)
        yield from rest(_telling(runs, told))


def _tell_nobody(_byte_count: int) -> None:
    """Nobody asked."""


def _telling(runs: Iterator[Run], told: Callable[[int], None]) -> Iterator[Run]:
    for run in runs:
        yield run
        told(run.end_offset - run.offset)


def _stretches(
    paths: list[Path],
    stretches: list[Stretch],
    until: PublishedHead | None,
    hasher: ChainHasher,
    dialect: Dialect,
    make: Callable[[Iterator[Run]], Part],
    rest: Rest[Part],
    anchor: Anchor | None,
    jobs: int,
    told: Callable[[int], None],
) -> Iterator[Part]:
    first = next(read_runs(paths, hasher, dialect, None, anchor), None)
    native = first is not None and dialect.is_native_head(first.data_of(1))

    def work(stretch: Stretch) -> tuple[Head, Part, Head] | None:
        if stretch == stretches[0]:
            walk = Walk(hasher, dialect, EMPTY_HEAD, native=None)
        else:
            claimed = claimed_head(stretch)
            if claimed is None:
                return None
            walk = Walk(hasher, dialect, claimed, native=native)
        head = walk.head
        try:
            is_last = stretch.path == paths[-1]
            runs = walk.runs(stretch.path, stretch.offset, stretch.end, is_last=is_last)
            return head, make(_held_against(anchor, runs)), walk.head
        except WalError:
            return None

    proven = EMPTY_HEAD
    for stretch, made in zip(stretches, map_forked(work, stretches, jobs), strict=True):
        if made is None or made[0] != proven:
            position = Position(stretch.path.name, stretch.offset, proven)
            runs = read_runs(paths, hasher, dialect, position, anchor, until, native=native)
            yield from rest(_telling(runs, told))
            return
        yield made[1]
        proven = made[2]
        told(stretch.end - stretch.offset)
    # Nothing is left to read but whether the anchor is there.
    end = Position(stretches[-1].path.name, stretches[-1].end, proven)
    yield from rest(read_runs(paths, hasher, dialect, end, anchor, until, native=native))


def _held_against(anchor: Anchor | None, runs: Iterable[Run]) -> Iterator[Run]:
    """The runs, up to one that disagrees with the anchor."""
    for run in runs:
        if anchor is not None and run.head.sequence < anchor.sequence <= run.last.sequence:
            _check_anchored(run, anchor)
        yield run


def _check_anchored(run: Run, anchor: Anchor) -> None:
    if not hashes_equal(run.hash_of(anchor.sequence), anchor.last_hash):
        raise WalError("the record is not the anchored one")
