"""The one iterator over a log: verify, recovery, tail and replay all read through it.

Owns: what a valid log is (`FORMAT.md`, "Valid if and only if"). Must not: write, lock, or know
what a record means; what it has to ask about a record's data, the `Dialect` answers.

How it works: `wal.log_pass` turns the files into runs of verified records, which are handed out
whole or one record at a time. From a given head on, reading begins with the segment that holds it
(`wal.find_record`), and what stands there before it is verified and passed over.

How it fails: at the first bad line, with `WalDamage` naming segment, byte offset and the sequence
expected there; with `WalKeyMismatch` when the first record shows that only the key is wrong.
What was yielded before is verified all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from wal.anchor import Anchor
from wal.chain import EMPTY_HEAD, ChainHasher, Head, hashes_equal
from wal.errors import (
    WalAnchorMismatch,
    WalDamage,
    WalError,
    WalKeyMismatch,
    WalStartMismatch,
)
from wal.find_record import find_start
from wal.headfile import PublishedHead, read_published_head
from wal.log_pass import Dialect, Walk
from wal.segment import list_segments, segment_name
from wal.verified_run import LocatedEntry, Run


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
    Of a log that is being written, what its writer says is durable. `anchor`: the log must agree
    with it; where it lies before the start, the start stands for it.
    Raises `WalDamage`, `WalKeyMismatch`, `WalError`; `WalStartMismatch` where the log does not
    hold the start.
    """
    until = durable_head(source)
    return read_paths(paths_of(source, start), hasher, dialect, start, anchor, until)


def durable_head(source: Path) -> PublishedHead | None:
    """How far a log that is being written may be read; None where its files say that."""
    try:
        return read_published_head(source) if source.is_dir() else None
    except OSError as error:
        raise WalError(f"cannot read the head of {source}: {error}") from error


def paths_of(source: Path, start: Position | Head | None = None) -> list[Path]:
    """The files of a log: a directory's segments in order, or the one file."""
    from_later = start is not None and (
        isinstance(start, Position) or start.sequence > EMPTY_HEAD.sequence
    )
    return list_segments(source, archived=from_later) if source.is_dir() else [source]


def read_paths(
    paths: list[Path],
    hasher: ChainHasher,
    dialect: Dialect,
    start: Position | Head | None = None,
    anchor: Anchor | None = None,
    until: PublishedHead | None = None,
) -> Iterator[LocatedEntry]:
    """As `read_entries`, of these segments, up to `until`."""
    for run in read_runs(paths, hasher, dialect, start, anchor, until):
        yield from run.entries()


def read_runs(
    paths: list[Path],
    hasher: ChainHasher,
    dialect: Dialect,
    start: Position | Head | None = None,
    anchor: Anchor | None = None,
    until: PublishedHead | None = None,
    *,
    native: bool = True,
) -> Iterator[Run]:
    """The same records in runs: for who needs no object for each.

    `native`: whether a log read from a start is one of ours.
    """
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
    walk = Walk(hasher, dialect, head, native=None if wanted == 0 else native)
    if paths:
        walk.place = (paths[0].name, offset)
    paths = paths_until(paths, until)
    runs: Iterator[Run] = chain.from_iterable(
        walk.runs(
            path,
            offset if index == 0 else 0,
            None if until is None or path.name != until.segment else until.end_offset,
            is_last=index + 1 == len(paths),
        )
        for index, path in enumerate(paths)
    )
    if isinstance(start, Head) and head.sequence < wanted:
        runs, head = chain(_pass_over(runs, walk, start), runs), start
    if anchor is None:
        yield from runs
    else:
        yield from _anchored(runs, walk, head, anchor)


def paths_until(paths: list[Path], until: PublishedHead | None) -> list[Path]:
    """The segments that hold records up to `until`."""
    return paths if until is None else [path for path in paths if path.name <= until.segment]


def _pass_over(runs: Iterator[Run], walk: Walk, start: Head) -> tuple[Run, ...]:
    """Read up to the record `start`, which must be there; what was read behind it."""
    for run in runs:
        if run.last.sequence >= start.sequence:
            if not hashes_equal(run.hash_of(start.sequence), start.entry_hash):
                offset = run.since(start.sequence).offset
                reason = "the record is not the one that was given as the start"
                raise WalStartMismatch(run.segment, offset, start.sequence, reason)
            rest = run.since(start.sequence + 1)
            return (rest,) if rest.record_count else ()
    segment, offset = walk.place
    raise WalStartMismatch(
        segment,
        offset,
        walk.head.sequence + 1,
        f"the log ends before record {start.sequence}, which was given as the start",
    )


def _anchored(runs: Iterator[Run], walk: Walk, head: Head, anchor: Anchor) -> Iterator[Run]:
    """The records after `head` of a log that must agree with its anchor."""
    if anchor.keyed != walk.hasher.keyed:
        raise WalKeyMismatch(
            walk.place[0],
            0,
            1,
            f"the anchor is of {'a keyed' if anchor.keyed else 'an unkeyed'} log, "
            f"but {'a' if walk.hasher.keyed else 'no'} key was given",
        )
    if head.sequence == anchor.sequence:
        _check_anchored(head, anchor, *walk.place)
    for run in runs:
        if run.head.sequence < anchor.sequence <= run.last.sequence:
            found = Head(anchor.sequence, run.hash_of(anchor.sequence))
            _check_anchored(found, anchor, run.segment, run.since(anchor.sequence).offset)
        yield run
    if walk.head.sequence < anchor.sequence:
        reason = f"the log ends before its anchor, which is at record {anchor.sequence}"
        raise WalAnchorMismatch(*walk.place, walk.head.sequence + 1, reason)


def _check_anchored(head: Head, anchor: Anchor, segment: str, offset: int) -> None:
    if not hashes_equal(head.entry_hash, anchor.last_hash):
        reason = "the record is not the anchored one"
        raise WalAnchorMismatch(segment, offset, head.sequence, reason)
