"""What a log that does not verify has: a torn end that the next start mends, or damage.

Owns that question for the tools, which only read. Must not: change anything, or judge by itself
what a torn write leaves: `wal.plan_repair` does, for a start and here, told of the same anchors and
checkpoints.

How it fails: with `None`, for damage, wherever it is not certain that a start would cut the end;
with the `WalError` family where the environment fails.
"""

from dataclasses import dataclass
from pathlib import Path

from guard.record.codec import DIALECT
from guard.recovery.archived_start import find_beginning
from guard.recovery.presence import check_begun
from guard.recovery.start_options import NEW_LOG_OPTION, OptionNeededError
from wal import (
    SEGMENT_NAME,
    Anchor,
    ChainHasher,
    Cut,
    WalAnchorMismatch,
    WalDamage,
    WalStartMismatch,
    durable_head,
    plan_repair,
    read_checkpoints,
    read_entries,
)


class StillWrittenError(ValueError):
    """The file is a segment that a daemon is writing, and ends in a batch that is under way."""


@dataclass(frozen=True, slots=True)
class TornEnd:
    """`cut`: what a start cuts; `remedy`: how that comes about, in words."""

    cut: Cut
    remedy: str


def find_torn_end(
    source: Path,
    hasher: ChainHasher,
    damage: WalDamage,
    anchor: Anchor | None = None,
    named_sequence: int = 0,
) -> TornEnd | None:
    """The torn end of `source` (a directory or one file), as which `damage` shows; None for damage.

    `named_sequence`: of a record that the log must hold, besides those that its anchor and the
    checkpoints beside it name. Raises StillWrittenError, WalError.
    """
    if isinstance(damage, WalStartMismatch | WalAnchorMismatch):
        return None
    source = source.resolve()  # a segment's neighbours are not those of a link to it
    is_segment = not source.is_dir() and SEGMENT_NAME.fullmatch(source.name) is not None
    directory = source.parent if is_segment else source
    try:
        beginning = find_beginning(source, hasher)
        start = None if beginning is None else beginning.head.head
        if start is None and not _begins_as_ours(source, hasher):
            return None
        infos = read_checkpoints(directory, hasher) if directory.is_dir() else []
        vouched = [info.head.sequence for info in infos if info.head.entry_hash]
        protected = max(named_sequence, 0 if anchor is None else anchor.sequence, *vouched, 0)
        cut = plan_repair(source, hasher, DIALECT, protected, start)
    except WalDamage:
        return None
    is_running = durable_head(directory) is not None
    if is_running and is_segment:
        _refuse_running(source, damage, cut)
    if cut is None or is_running or _place(damage) != (cut.first_sequence_lost, cut.offset):
        return None  # such as a record before the torn end that the rules do not give
    return TornEnd(cut, _remedy(source, hasher, is_begun=bool(infos)))


def _begins_as_ours(source: Path, hasher: ChainHasher) -> bool:
    """Whether its first record is whole, and one of the guard's. Raises WalDamage, WalError."""
    first = next(read_entries(source, hasher, DIALECT), None)
    return first is not None and DIALECT.is_native_head(first.data)


def _place(damage: WalDamage) -> tuple[int, int]:
    return damage.sequence, damage.offset


def _refuse_running(source: Path, damage: WalDamage, cut: Cut | None) -> None:
    """Raises StillWrittenError unless what does not verify is no end of what is being written."""
    if cut is None or _place(damage) == (cut.first_sequence_lost, cut.offset):
        raise StillWrittenError(
            f"{source}: a daemon is writing it, and a batch was under way; give its directory, "
            "which is read as far as it is durable"
        )


def _remedy(source: Path, hasher: ChainHasher, *, is_begun: bool) -> str:
    try:
        if not is_begun:
            check_begun(source, hasher)
    except OptionNeededError:
        return (
            "not all records that a log begins with are whole, and nobody was answered: a start "
            f"with {NEW_LOG_OPTION} sets them aside, and begins the log once more"
        )
    return "the next start cuts them off, keeps a copy, and goes on"
