"""The trading day as a log in segments, with checkpoints beside it."""

import itertools
from pathlib import Path

from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard_day_support import trading_day
from guard_support import KEY, fold
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    CheckpointInfo,
    Head,
    LogWriter,
    read_checkpoints,
    write_checkpoint,
)

HASHER = ChainHasher(KEY)
DAY = trading_day()
RECORDS = DAY.records
DIGEST_HEX = state_digest_hex(DAY.state)
OLDER, NEWER = 20, 33
HEADS = [EMPTY_HEAD]
for _data in RECORDS:
    HEADS.append(Head(len(HEADS), HASHER.entry_hash(HEADS[-1].entry_hash, _data)))  # of each record


def write_segments(directory: Path, counts: tuple[int, ...], records: list[bytes]) -> None:
    """A log of these records whose segments end after these ones."""
    directory.mkdir(exist_ok=True)
    ticks = itertools.count()
    with LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=lambda: next(ticks)) as writer:
        for sequence, data in enumerate(records, 1):
            writer.append(sequence, data)
            if sequence in counts:
                writer.sync_now()
                writer.rotate()
        writer.sync_now()


def checkpoint(directory: Path, count: int) -> CheckpointInfo:
    state = fold(RECORDS[:count]).state
    digest_hex = state_digest_hex(state)
    return write_checkpoint(directory, HEADS[count], digest_hex, encode_state(state), HASHER)


def write_day(directory: Path) -> Path:
    """The day in four segments, with two checkpoints: one inside a segment, one at its end."""
    write_segments(directory, (9, 25, 33), RECORDS)
    checkpoint(directory, OLDER)
    checkpoint(directory, NEWER)
    return directory


def path_of(directory: Path, sequence: int) -> Path:
    return directory / f"checkpoint-{sequence:020d}.ckpt"


def listed(directory: Path) -> list[int]:
    """The sequences of the checkpoints that are there, the newest first."""
    return [info.head.sequence for info in read_checkpoints(directory, HASHER)]


def flip(path: Path, at: int = 1_000) -> None:
    """One bit of it."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
