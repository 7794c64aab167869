"""Where in a log's segments the record after a given head stands. Reads beginnings of files only.

Owns: finding the segment to begin with when a log is read from a checkpoint on. Must not: trust
what it finds: it only chooses where the reader starts, and the reader verifies from there that the
chain leads to the very head that was given.

How it works: the first line of a segment names its sequence and the hash before it. Reading starts
with the last segment that begins at or before the record after the head. A segment whose first
line cannot be read (empty, torn, damaged) is no place to start; the reader comes to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wal.chain import Head
from wal.entry import ENVELOPE_BYTES_MAX, parse_opening
from wal.errors import WalDamage, WalError, WalStartMismatch
from wal.regularfile import open_to_read


class StartPlace(NamedTuple):
    """Read from the beginning of segment `segment_index` (from 0) of the list, after `head`.

    `head.sequence` is below the one that was looked for where the segment also holds records up
    to it.
    """

    segment_index: int
    head: Head


def first_head(path: Path) -> Head | None:
    """The head that the first record of a segment says it follows; None where that is not told.

    Raises `WalError`.
    """
    try:
        with open_to_read(path, follows_links=True) as file:
            return parse_opening(file.read(ENVELOPE_BYTES_MAX))
    except OSError as error:
        raise WalError(f"cannot read {path}: {error}") from error


def find_start(paths: list[Path], start: Head) -> StartPlace:
    """Where to begin reading `paths` (not empty) to get to the record after `start`.

    Raises `WalStartMismatch` where the log begins later, or its record there follows another
    head; `WalError`.
    """
    earliest: StartPlace | None = None
    for index in range(len(paths) - 1, -1, -1):
        head = first_head(paths[index])
        if head is None:
            continue
        if head.sequence < start.sequence:
            return StartPlace(index, head)
        if head.sequence == start.sequence:
            if head.entry_hash != start.entry_hash:
                reason = f"the record follows another record {start.sequence} than the one given"
                raise WalStartMismatch(paths[index].name, 0, start.sequence + 1, reason)
            return StartPlace(index, head)
        earliest = StartPlace(index, head)
    if earliest is None:
        return StartPlace(0, start)
    if earliest.segment_index > 0:
        name = paths[earliest.segment_index - 1].name
        raise WalDamage(name, 0, start.sequence + 1, "the first line of the segment is damaged")
    reason = f"the log begins with record {earliest.head.sequence + 1}, after the given start"
    raise WalStartMismatch(paths[0].name, 0, start.sequence + 1, reason)
