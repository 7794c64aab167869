"""Copies a log, also while it is written: what was durable when the copy began, and no more.

Owns: which files make a whole log, and how far the last segment is taken. Must not: take the lock,
change anything in the log, or write over anything.

How it works: the manifest and the checkpoints that stand beside it are copied until the manifest
has stayed the same meanwhile; then the writer's durable head is read (`headfile`), and the segments
up to it are copied, the last one up to its very byte. All of it is synced, in a directory beside
the destination, which then gets its name. A log that nobody writes is copied to the end of its
records. Whether the copy verifies is for whoever has the key to say.

How it fails: `WalInputError` for a destination that is not new; `WalError` where a file went away
meanwhile (segments were archived) or the system refuses. There is no copy then.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wal.ahead import segment_end
from wal.copying import copy_beginning, filled_directory
from wal.errors import WalError, WalInputError
from wal.manifest import MANIFEST_BYTES_MAX
from wal.reader import durable_head, paths_until
from wal.regularfile import read_regular
from wal.segment import (
    CHECKPOINT_NAME,
    MANIFEST_NAME,
    list_segments,
    open_new,
    write_all,
)

# A checkpoint is made every few seconds at most, and copied in less.
ATTEMPTS_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Backup:
    """What was copied: how many segments and checkpoints, and the bytes of both."""

    segment_count: int
    checkpoint_count: int
    byte_count: int


def backup_log(source: Path, destination: Path) -> Backup:
    """Copies the log in `source` into the new directory `destination`, durably.

    Raises `WalInputError`, `WalDamage` for a gap between the segments, `WalError`.
    """
    if destination.resolve().is_relative_to(source.resolve()):
        raise WalInputError(f"{destination} lies in the log that is to be copied")
    try:
        if not list_segments(source, archived=True):
            raise WalInputError(f"{source} holds no segment: there is nothing to copy")
        if os.path.lexists(destination):
            raise WalInputError(f"{destination} exists: a copy is made in a new directory")
        if not destination.resolve().parent.is_dir():
            raise WalError(f"cannot create {destination}: its parent is no directory")
        with filled_directory(destination) as filled:
            return _fill(source, filled)
    except OSError as error:
        raise WalError(f"cannot copy {source} to {destination}: {error}") from error


def _fill(source: Path, filled: Path) -> Backup:
    checkpoints = _copy_checkpoints(source, filled)
    until = durable_head(source)
    paths = paths_until(list_segments(source, archived=True), until)
    copied = 0
    for path in paths:
        is_last = until is not None and path.name == until.segment
        end = until.end_offset if until is not None and is_last else segment_end(path)
        copy_beginning(path, filled / path.name, end)
        copied += end
    return Backup(len(paths), len(checkpoints), copied + sum(checkpoints))


def _copy_checkpoints(source: Path, destination: Path) -> list[int]:
    """The sizes of what was copied: the checkpoints, and the manifest with which they go."""
    for _ in range(ATTEMPTS_MAX):
        try:
            manifest = read_regular(source / MANIFEST_NAME, MANIFEST_BYTES_MAX)
        except FileNotFoundError:
            return []
        sizes = []
        try:
            for name in sorted(os.listdir(source)):
                if CHECKPOINT_NAME.fullmatch(name):
                    path = source / name
                    size = path.stat().st_size
                    copy_beginning(path, destination / name, size)
                    sizes.append(size)
            is_same = read_regular(source / MANIFEST_NAME, MANIFEST_BYTES_MAX) == manifest
        except FileNotFoundError:
            is_same = False  # the oldest one went when a new one came
        if is_same:
            descriptor = open_new(destination / MANIFEST_NAME)
            try:
                write_all(descriptor, manifest)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            return sizes
        for path in destination.iterdir():
            path.unlink()
    raise WalError(f"the checkpoints of {source} changed in each of {ATTEMPTS_MAX} attempts")
