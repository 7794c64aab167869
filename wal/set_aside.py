"""Ends a log behind one of its records, and keeps a copy of what stood there.

Owns that step, for a log of which another one, that counts, holds other records from there on (a
cluster's). Must not: judge whether that is so, or do it without the log's lock, which the caller
holds. The checkpoints of what goes are the caller's to take off the manifest first.

How it works: the record is looked for before anything is changed; then from the last segment
backwards, so that a crash leaves a log that is whole and too long by less. What goes of a segment
is copied beside it, as a repair copies what it cuts; a segment of which nothing is left is removed.

How it fails: `WalError`; `WalStartMismatch` where the log does not hold the record.
"""

from __future__ import annotations

import os
from pathlib import Path

from wal.ahead import segment_end
from wal.chain import Head
from wal.entry import parse_line
from wal.errors import WalEntryError, WalError, WalStartMismatch
from wal.find_record import first_head
from wal.regularfile import open_to_read
from wal.repair import Cut, apply_repair, copy_name
from wal.segment import fsync_directory, list_segments


def set_aside(directory: Path, after: Head, reason: str) -> list[Cut]:
    """End the log in `directory` with `after`; what was cut, the last segment's first.

    Raises `WalStartMismatch`, `WalError`.
    """
    cuts: list[Cut] = []
    try:
        paths = list_segments(directory, archived=True)
        ends = _ends(paths, after)
        for path in reversed(paths):
            offset, first = ends.get(path, (0, after.sequence + 1))
            end = segment_end(path)
            if end > offset:
                cuts.append(_cut(directory, path, offset, end, first, reason))
            if not offset and after.sequence:
                os.unlink(path)
                fsync_directory(directory)
    except OSError as error:
        raise WalError(f"cannot end the log in {directory}: {error}") from error
    return cuts


def _ends(paths: list[Path], after: Head) -> dict[Path, tuple[int, int]]:
    """Where each segment that holds records is to end, and which is the first to go of it.

    Those before the last one that keeps something are as they are. Nothing has changed yet.
    """
    ends: dict[Path, tuple[int, int]] = {}
    for path in reversed(paths):
        head = first_head(path)
        if head is not None and head.sequence < after.sequence:
            ends[path] = (_end_of(path, head, after), after.sequence + 1)
            for before in paths[: paths.index(path)]:
                ends[before] = (segment_end(before), 0)
            return ends
        if head is not None:
            ends[path] = (0, head.sequence + 1)
    if after.sequence:
        name = paths[0].name if paths else ""
        raise WalStartMismatch(name, 0, after.sequence, "the log begins behind that record")
    return ends


def _cut(directory: Path, path: Path, offset: int, end: int, first: int, reason: str) -> Cut:
    with open_to_read(path) as file:
        file.seek(offset)
        data = file.read(end - offset)
    name = copy_name(directory, path.name, first, offset, data)
    cut = Cut(path.name, offset, first, len(data), reason, name)
    apply_repair(directory, cut)
    return cut


def _end_of(path: Path, head: Head, after: Head) -> int:
    """Where the record `after` ends in a segment that begins behind `head`."""
    with open_to_read(path) as file:
        last = b""
        for _ in range(after.sequence - head.sequence):
            last = file.readline()
        try:
            found = parse_line(last).head
        except WalEntryError:
            found = head
        if found != after:
            reason = "the log does not hold the record behind which it is to end"
            raise WalStartMismatch(path.name, file.tell() - len(last), after.sequence, reason)
        return file.tell()
