"""Recovery: the log on disk → the engine's state.

Owns the order of it: lock, make durable what is there, verify and fold, repair a torn end where
that is what stopped the fold, fold again, rewrite the end that no sync has vouched for. It only
applies what the log says, and decides nothing.

How it fails: the `WalError` family, `WalDamage` for anything but a torn end, naming segment, offset
and sequence; `NotOurLogError` for a log that the guard did not write.
"""

from dataclasses import dataclass
from pathlib import Path

from guard.engine import Engine
from guard.journal import DIALECT, RecordError, decode_data
from guard.outcomes import LogOpened
from wal import (
    EMPTY_HEAD,
    Anchor,
    ChainHasher,
    Cut,
    Head,
    LogLock,
    WalDamage,
    WalError,
    apply_repair,
    create_directory,
    cuts_at_end,
    open_for_recovery,
    plan_repair,
    read_entries,
    rewrite_tail,
)


class NotOurLogError(WalError):
    """The directory holds a chained log, but not one that the guard can go on with."""


@dataclass(slots=True)
class Recovered:
    """A log that was found, folded and is held by `lock`. A fresh one has `EMPTY_HEAD`.

    `cuts`: what repairs have cut from its end and no record names yet, the oldest first.
    """

    engine: Engine
    head: Head
    lock: LogLock
    cuts: list[Cut]


def recover_log(directory: Path, hasher: ChainHasher, anchor: Anchor | None = None) -> Recovered:
    """Locks and folds the log in `directory`, which is created if it is not there.

    A log that does not hold its `anchor`'s record, or ends before it, is refused. Raises
    WalLocked, WalDamage, WalKeyMismatch, WalError, NotOurLogError; InvariantError where the
    records do not follow from each other.
    """
    create_directory(directory)
    lock = open_for_recovery(directory)
    cut = None
    try:
        try:
            engine, head = fold_log(directory, hasher, anchor)
        except WalDamage:
            anchored_sequence = anchor.sequence if anchor is not None else 0
            cut = plan_repair(directory, hasher, DIALECT, anchored_sequence)
            if cut is None:
                raise
            apply_repair(directory, cut)
            engine, head = fold_log(directory, hasher, anchor)
        # A start that failed after its repair has left copies that no record names yet.
        cuts = cuts_at_end(directory, head)
        if cut is not None:
            cuts = [each for each in cuts if each.copy_name != cut.copy_name] + [cut]
        # What an unclean stop left may stand in memory alone: write it anew before going on.
        rewrite_tail(directory, head, engine.state.is_closed_cleanly)
    except BaseException:
        lock.release()
        raise
    return Recovered(engine, head, lock, cuts)


def fold_log(
    directory: Path, hasher: ChainHasher, anchor: Anchor | None = None
) -> tuple[Engine, Head]:
    """Verifies the chain and applies every record in order."""
    engine = Engine()
    head = EMPTY_HEAD
    for entry in read_entries(directory, hasher, DIALECT, anchor=anchor):
        place = f"{entry.segment}, byte {entry.offset}, record {entry.sequence}"
        try:
            outcome = decode_data(entry.data).outcome
        except RecordError as error:
            raise NotOurLogError(f"{place}: {error}") from error
        if (entry.sequence == 1) != isinstance(outcome, LogOpened):
            raise NotOurLogError(f"{place}: a log begins with log_opened, once")
        engine.apply(entry.sequence, outcome)
        head = entry.head
    return engine, head
