"""Whether there is a log where one is expected, and whether a fresh one may begin there.

Owns that question. A directory without a log is no fresh log: its volume may not be mounted, its
path may be misspelt, and a guard that began anew there would have forgotten every hold and every
id. So a log begins only where `run --new-log` asks for it, and only where none has begun.

How it works: a log exists once its first batch is whole, whose records `log_opened` counts. What a
power cut inside that very batch leaves is no log, since nobody was told of it: `--new-log` sets it
aside and begins once more.

How it fails: `OptionNeededError` where a person has to decide; `WalDamage` for what is neither a
log nor the beginning of one.
"""

from pathlib import Path

from msgspec import UNSET

from guard.engine.events import LogOpened
from guard.record.codec import DIALECT, RecordError, decode_event
from guard.recovery.start_options import NEW_LOG_OPTION, OptionNeededError
from wal import (
    ChainHasher,
    CheckpointInfo,
    Cut,
    WalDamage,
    WalKeyMismatch,
    apply_repair,
    holds_files,
    list_segments,
    plan_emptying,
    plan_repair,
    read_entries,
    segment_name,
)


def check_presence(directory: Path, old_place: Path | None = None) -> None:
    """Raises OptionNeededError where `directory` holds nothing of a log. Changes nothing.

    `old_place`: where earlier versions would have looked for it; named if a log stands there.
    """
    if holds_files(directory):
        return
    problem = "holds no log" if directory.is_dir() else "is no directory"
    elsewhere = ""
    if old_place is not None and holds_files(old_place):
        elsewhere = (
            f" (one stands in {old_place.absolute()}: a path in the configuration is relative to "
            "the configuration's own directory, and no longer to the working directory)"
        )
    raise OptionNeededError(
        f"log directory {directory}: {problem}, and a log is expected there{elsewhere}; mount or "
        f"restore it, correct the path, or begin a fresh log with {NEW_LOG_OPTION}"
    )


def check_begun(directory: Path, hasher: ChainHasher) -> None:
    """Raises OptionNeededError where a log's first batch is not whole.

    For a log that is read from its first record on, and is whole or torn as a repair judges it.
    """
    found, needed = _first_batch(directory, hasher)
    if found < needed:
        there = f"{found} of the {needed} records" if found else "none of the records"
        raise OptionNeededError(
            f"log directory {directory}: {there} that a log begins with are whole: its first start "
            f"did not come to its end, and nobody was answered; {NEW_LOG_OPTION} sets them aside "
            "and begins it once more"
        )


def clear_for_new_log(
    directory: Path, hasher: ChainHasher, checkpoints: list[CheckpointInfo]
) -> list[Cut]:
    """Sets aside what was begun in `directory` and never came to be a log; what was set aside.

    The caller holds the log's lock. Raises OptionNeededError where there is a log; WalDamage.
    """
    filled = [path for path in list_segments(directory, archived=True) if path.stat().st_size]
    if not filled and not checkpoints:
        return []
    first = segment_name(1)
    if checkpoints or [path.name for path in filled] != [first]:
        raise _there_is_one(directory)
    plan_repair(directory, hasher, DIALECT)  # what is neither whole nor torn is damage
    found, needed = _first_batch(directory, hasher)
    if found >= needed:
        raise _there_is_one(directory)
    cut = plan_emptying(directory, first, "a first batch that was never whole")
    apply_repair(directory, cut)
    return [cut]


def _there_is_one(directory: Path) -> OptionNeededError:
    return OptionNeededError(
        f"{NEW_LOG_OPTION}: there is a log, or what is left of one, in {directory}; start without "
        "the option, or move that log away"
    )


def _first_batch(directory: Path, hasher: ChainHasher) -> tuple[int, int]:
    """How many records of its first batch a log has, and how many it had when it was begun.

    As many as are there, where its first record does not say it; earlier versions did not.
    """
    found, needed = 0, 1
    try:
        for entry in read_entries(directory, hasher, DIALECT):
            if entry.sequence == 1:
                needed = _opening_records(entry.data)
            elif DIALECT.batch_first_sequence(entry.data) != 1:
                return needed, needed  # of a later batch: the first one was durable
            found = entry.sequence
            if found >= needed:
                break
    except WalKeyMismatch:
        raise
    except WalDamage:
        return found, needed  # torn there, as the caller has found
    return found, needed


def _opening_records(data: bytes) -> int:
    try:
        opened = decode_event(data)
    except RecordError:
        return 1  # no log of ours, which the fold says
    if not isinstance(opened, LogOpened) or opened.opening_records is UNSET:
        return 1
    return opened.opening_records
