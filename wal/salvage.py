"""Saves what can be proved of a damaged log into a new directory. Offline, and only when told to.

Owns: that copy. Must not: touch the old directory in any way (no lock file, no repair), write into
one that holds anything, or guess: only the records that follow from the log's beginning (or from a
checkpoint's head) without a flaw are taken, whatever may still be readable behind the damage.

How it works: the segments are read up to the first damage; each is then written anew, as far as it
was verified, under its own name, in a directory beside the destination; the new log is verified,
and must end with the same head; then the directory, durable by now, gets its name. Everything else
is listed: where it stands, and how many bytes.

How it fails: `WalKeyMismatch`, since under another key nothing could be saved; `WalInputError` for
a destination that is not new; `WalError` for what the system refuses. There is no new log then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wal.ahead import segment_end
from wal.chain import EMPTY_HEAD, ChainHasher, Head
from wal.copying import copy_beginning, filled_directory
from wal.errors import WalDamage, WalError, WalInputError, WalKeyMismatch, WalStartMismatch
from wal.find_record import find_start
from wal.log_pass import Dialect
from wal.reader import read_paths
from wal.segment import SEGMENT_NAME
from wal.verify import find_head


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Bytes that were not taken: all of `segment` from `offset` on.

    `first_sequence`: of the first record not taken, where this is known (only of the place of the
    damage); `reason`: why.
    """

    segment: str
    offset: int
    byte_count: int
    first_sequence: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What was saved, up to `head`, and what was not. `damage`: the first, None for a whole log."""

    head: Head
    record_count: int
    byte_count: int
    damage: WalDamage | None
    left_out: tuple[LeftOut, ...]


def salvage_log(
    source: Path,
    destination: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    start: Head | None = None,
) -> SalvageReport:
    """Copy the whole beginning of the log `source` (a directory or one file) to `destination`.

    `start`: for a log without its oldest segments, the head of a checkpoint; then the copy is read
    from there as well, and holds the segments from that record on. Raises `WalError`,
    `WalKeyMismatch`, `WalStartMismatch`, `WalInputError`.
    """
    try:
        paths, gap = _segments(source, start)
        _check_new(source, destination)
        ends, count, head, damage = _verified_ends(paths, hasher, dialect, start)
        if damage is None and gap is not None:
            damage = WalDamage(gap.segment, 0, head.sequence + 1, gap.reason)
        left_out = list(_left_out(source, paths, ends, damage))
        with filled_directory(destination) as filled:
            for path in paths:
                if path.name in ends:
                    copy_beginning(path, filled / path.name, ends[path.name], follows_links=True)
            made = filled if source.is_dir() else filled / source.name
            found = find_head(made, hasher, dialect, start=start) if ends else head
            if found != head:
                raise WalError(f"what was written to {filled} ends with record {found.sequence}")
    except OSError as error:
        raise WalError(f"cannot salvage {source}: {error}") from error
    return SalvageReport(head, count, sum(ends.values()), damage, tuple(left_out))


def _segments(source: Path, start: Head | None) -> tuple[list[Path], WalDamage | None]:
    """The segments in order up to the first gap, and that gap."""
    if not source.is_dir():
        return [source], None
    names = sorted(name for name in os.listdir(source) if SEGMENT_NAME.fullmatch(name))
    if not names:
        raise WalInputError(f"{source} holds no segment: there is nothing to salvage")
    number = int(names[0][:8]) if start is not None and start.sequence > 0 else 1
    paths: list[Path] = []
    for name in names:
        if int(name[:8]) != number:
            gap = f"{number:08d}.jsonl"
            return paths, WalDamage(gap, 0, 0, f"the segment is missing, though {name} is there")
        if not stat.S_ISREG((source / name).lstat().st_mode):
            return paths, WalDamage(name, 0, 0, "the segment is not a regular file")
        paths.append(source / name)
        number += 1
    return paths, None


def _check_new(source: Path, destination: Path) -> None:
    origin = source if source.is_dir() else source.parent
    if destination.resolve().is_relative_to(origin.resolve()):
        raise WalInputError(f"{destination} lies in what is to be salvaged")
    is_there = os.path.lexists(destination)
    if is_there and (not destination.is_dir() or os.listdir(destination)):
        raise WalInputError(f"{destination} exists and is not an empty directory")
    if not destination.resolve().parent.is_dir():
        raise WalError(f"cannot salvage to {destination}: its parent is no directory")


def _verified_ends(
    paths: list[Path], hasher: ChainHasher, dialect: Dialect, start: Head | None
) -> tuple[dict[str, int], int, Head, WalDamage | None]:
    """How far each segment is good, the records, the head, and the first damage."""
    ends: dict[str, int] = {}
    count, head = 0, start or EMPTY_HEAD
    damage: WalDamage | None = None
    begin = find_start(paths, head).segment_index if head.sequence and paths else 0
    try:
        for entry in read_paths(paths, hasher, dialect, start):
            ends[entry.segment] = entry.end_offset
            count, head = count + 1, entry.head
    except (WalKeyMismatch, WalStartMismatch):
        raise
    except WalDamage as found:
        damage = found
    for path in paths[begin:]:
        if damage is not None and path.name == damage.segment:
            break
        ends[path.name] = segment_end(path)  # blank lines at its end, or no line at all
    return ends, count, head, damage


def _left_out(
    source: Path, paths: list[Path], ends: dict[str, int], damage: WalDamage | None
) -> Iterator[LeftOut]:
    """What of the segments is not copied: the rest of the damaged one, and all behind it."""
    taken = {path.name for path in paths}
    everything = list(paths)
    if source.is_dir():
        everything += sorted(
            path
            for path in source.iterdir()
            if SEGMENT_NAME.fullmatch(path.name) and path.name not in taken
        )
    for path in everything:
        size, end = path.lstat().st_size, ends.get(path.name, 0)
        if path.name in ends and end in (size, segment_end(path)):
            continue
        if damage is not None and path.name == damage.segment:
            yield LeftOut(path.name, end, size - end, damage.sequence, damage.reason)
        elif ends and path.name < min(ends):
            yield LeftOut(path.name, end, size - end, None, "it ends before the start")
        else:
            yield LeftOut(path.name, end, size - end, None, "it stands behind the damage")
