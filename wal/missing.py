"""What of a log's sealed files is gone while it is being written. Reads names and beginnings only.

Owns: that question, for whoever looks after a running log: the next start would ask it too late.
Must not: change anything, verify what is there, or look at the segment being written (`standing`).

How it works: a segment may be gone only where `archive` may have taken it: at the beginning, and
only records that the oldest checkpoint of the manifest stands for. So there is no gap, and the
first segment that is left begins at or before the record after that checkpoint.

How it fails: `WalError` where it cannot be found out.
"""

from __future__ import annotations

import os
from pathlib import Path

from wal.chain import ChainHasher
from wal.checkpoint import read_checkpoints
from wal.errors import WalError
from wal.find_record import first_head
from wal.segment import MANIFEST_NAME, SEGMENT_NAME, segment_name


def find_missing(directory: Path, hasher: ChainHasher, with_checkpoints: bool) -> list[str]:
    """What is gone that a start would look for, in words; empty where nothing is.

    `with_checkpoints`: one has been taken, or begun with, so that there must be some. A child that
    is writing one may be between two of its steps: what counts is what is found twice. Raises
    `WalError`.
    """
    try:
        numbers = sorted(
            int(name[:8]) for name in os.listdir(directory) if SEGMENT_NAME.fullmatch(name)
        )
    except OSError as error:
        raise WalError(f"cannot list {directory}: {error}") from error
    infos = read_checkpoints(directory, hasher)
    # What the manifest does not list may be a checkpoint that is being made.
    listed = [info for info in infos if info.head.entry_hash]
    missing = [f"{info.path.name}: {info.problem}" for info in listed if info.problem is not None]
    oldest = min((info.head.sequence for info in infos if info.problem is None), default=0)
    if with_checkpoints and not (directory / MANIFEST_NAME).exists():
        missing.append(f"{MANIFEST_NAME}: the file is missing")
    elif with_checkpoints and not oldest:
        missing.append("no checkpoint is left that a start could begin with")
    if not numbers:
        return [*missing, "the directory holds no segment"]
    present = set(numbers)
    gaps = [number for number in range(numbers[0], numbers[-1]) if number not in present]
    if gaps:
        missing.append(f"{segment_name(gaps[0])}: the file is missing ({len(gaps)} segments are)")
    if numbers[0] > 1:
        head = first_head(directory / segment_name(numbers[0]))
        if head is not None and head.sequence > oldest:
            missing.append(
                f"{segment_name(numbers[0] - 1)} and older: the files are missing, and the oldest "
                f"checkpoint stands for records up to {oldest} alone"
            )
    return missing
