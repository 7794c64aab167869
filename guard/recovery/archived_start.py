"""Where a log is read from that lacks its first segments: the tools' side of archiving.

Owns the choice of the checkpoint to begin with, and up to where segments may be archived. The tools
read from the oldest checkpoint that the log still holds, so that as much as possible is checked; a
start reads from the newest (`guard.recovery.recover`). Changes nothing on disk.

How it fails: `WalError` where no checkpoint is of use; `WalKeyMismatch`, since a wrong key is no
damage; the `WalDamage` of the reader.
"""

from pathlib import Path

from guard.record.codec import DIALECT
from guard.recovery.recover import load_checkpoint
from guard.recovery.wrong_key import check_key
from wal import (
    ChainHasher,
    CheckpointDamage,
    CheckpointHead,
    CheckpointInfo,
    WalError,
    list_segments,
    read_checkpoints,
    segment_name,
    verify_chain,
)


def find_beginning(source: Path, hasher: ChainHasher) -> CheckpointInfo | None:
    """The checkpoint that a tool reads `source` from; None where its first segment is there.

    None, too, where there is no checkpoint of use: then the reader says what is missing. Raises
    WalKeyMismatch.
    """
    if not source.is_dir():
        return None
    segments = list_segments(source, archived=True)
    if not segments or segments[0].name == segment_name(1):
        return None
    usable = [info for info in read_checkpoints(source, hasher) if info.problem is None]
    if not usable:
        check_key(segments, hasher)
    return usable[-1] if usable else None


def find_archivable(directory: Path, hasher: ChainHasher) -> CheckpointHead:
    """The oldest checkpoint that a start may fall back to: up to its record segments may go.

    Every checkpoint is read to its end, and the log is verified from the oldest one on: what is
    archived is not there any more when one of them turns out to be of no use. Raises WalError,
    WalKeyMismatch.
    """
    check_key(list_segments(directory, archived=True), hasher)
    oldest: CheckpointHead | None = None
    for info in read_checkpoints(directory, hasher):
        problem = info.problem
        if problem is None:
            try:
                load_checkpoint(info, hasher.sole_key_id)
                oldest = info.head
            except CheckpointDamage as error:
                problem = str(error)
        if problem is not None:
            raise WalError(f"nothing is archived while {info.path.name} is of no use: {problem}")
    if oldest is None:
        raise WalError(
            f"{directory} has no checkpoint, and segments are archived only up to one: let the "
            "daemon take one (SIGUSR2)"
        )
    verify_chain(directory, hasher, DIALECT, start=oldest.head)
    return oldest
