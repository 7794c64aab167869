"""Recovery: the log on disk → the engine's state.

Owns the order of it: lock, make durable what is there, load the newest checkpoint that holds,
verify and fold what follows it, repair a torn end where that is what stopped the fold, fold again,
rewrite the end that no sync has vouched for. It applies what the log says, and decides nothing.

How it works: a checkpoint that is damaged, of another log, or of a future that the log does not
hold is passed over with an alarm; the one before it is tried, and last the log alone. The state is
the same from each. What was passed over is taken off the manifest once the log is whole.

How it fails: the `WalError` family, `WalDamage` for anything but a torn end, naming segment, offset
and sequence; `NotOurLogError` for a record that the guard did not write, naming the field, too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from guard.checkpoint import Reader, StateError, decode_policy, decode_state
from guard.engine.engine import Engine
from guard.engine.state import GuardState
from guard.record.codec import DIALECT
from guard.record.fold import RecordFolder
from guard.record.words import refusal
from kernel import InvariantError, PolicySnapshot
from wal import (
    EMPTY_HEAD,
    Anchor,
    ChainHasher,
    CheckpointDamage,
    CheckpointError,
    CheckpointHead,
    CheckpointInfo,
    Cut,
    Head,
    LocatedEntry,
    LogLock,
    WalDamage,
    WalError,
    WalStartMismatch,
    apply_repair,
    create_directory,
    cuts_at_end,
    keep_checkpoints,
    open_checkpoint,
    open_for_recovery,
    plan_repair,
    read_checkpoints,
    read_entries,
    rewrite_tail,
)


class NotOurLogError(WalError):
    """The directory holds a chained log, but not one that the guard can go on with."""


Content = TypeVar("Content")


@dataclass(slots=True)
class Recovered:
    """A log that was found, folded and is held by `lock`. A fresh one has `EMPTY_HEAD`.

    `cuts`: what repairs have cut from its end and no record names yet, the oldest first.
    `checkpoint`: the one that the fold began with, None where it began with the first record.
    `alarms`: why each checkpoint that was passed over was, for the operator.
    """

    engine: Engine
    head: Head
    lock: LogLock
    cuts: list[Cut]
    checkpoint: CheckpointHead | None = None
    alarms: list[str] = field(default_factory=list)


def recover_log(directory: Path, hasher: ChainHasher, anchor: Anchor | None = None) -> Recovered:
    """Locks and folds the log in `directory`, which is created if it is not there.

    A log that does not hold its `anchor`'s record, or ends before it, is refused. Raises
    WalLocked, WalDamage, WalKeyMismatch, WalError, NotOurLogError.
    """
    create_directory(directory)
    lock = open_for_recovery(directory)
    try:
        infos = read_checkpoints(directory, hasher)
        recovery = _Recovery(directory, hasher, anchor, infos)
        cut = recovery.run()
        engine, head = recovery.engine, recovery.head
        # A start that failed after its repair has left copies that no record names yet.
        cuts = cuts_at_end(directory, head)
        if cut is not None:
            cuts = [each for each in cuts if each.copy_name != cut.copy_name] + [cut]
        # What an unclean stop left may stand in memory alone: write it anew before going on.
        rewrite_tail(directory, head, engine.state.is_closed_cleanly)
        recovery.unlist_failed()
    except BaseException:
        lock.release()
        raise
    return Recovered(engine, head, lock, cuts, recovery.checkpoint, recovery.alarms)


def _place(entry: LocatedEntry) -> str:
    return f"{entry.segment}, byte {entry.offset}, record {entry.sequence}"


def fold_log(
    directory: Path,
    hasher: ChainHasher,
    anchor: Anchor | None = None,
    checkpoint: CheckpointInfo | None = None,
) -> tuple[Engine, Head]:
    """Verifies the chain and applies every record in order, from the checkpoint's on if given.

    Raises CheckpointDamage where the checkpoint cannot be read, WalStartMismatch where the log
    does not hold its record, NotOurLogError for a record that no guard can have written there.
    """
    engine, head = Engine(), EMPTY_HEAD
    if checkpoint is not None:
        engine, head = load_checkpoint(checkpoint, hasher.key_id), checkpoint.head.head
    start = None if checkpoint is None else head
    folder = RecordFolder(engine, hasher.key_id)
    for entry in read_entries(directory, hasher, DIALECT, start, anchor):
        try:
            event = folder.read(entry.sequence, entry.data, entry.previous_hash)
            folder.apply(entry.sequence, event)
        except (InvariantError, ValueError, LookupError) as error:
            raise NotOurLogError(f"{_place(entry)}: {error}") from error
        head = entry.head
    return engine, head


def load_checkpoint(info: CheckpointInfo, key_id: str) -> Engine:
    """The engine after the record of that checkpoint. Raises CheckpointDamage, WalError.

    `key_id`: of the log's key, which the state must name.
    """

    def decode(read: Reader) -> GuardState:
        state = decode_state(read)
        if state.next_sequence != info.head.sequence + 1:
            raise StateError(f"it is the state before record {state.next_sequence}")
        if state.key_id != key_id:
            raise StateError(refusal("key_id", state.key_id, key_id))
        return state

    return Engine(_load(info, decode))


def load_policy(info: CheckpointInfo) -> PolicySnapshot | None:
    """The policy in force after the record of that checkpoint, whatever else it holds.

    Raises CheckpointDamage, WalError.
    """
    return _load(info, decode_policy)


def _load(info: CheckpointInfo, decode: Callable[[Reader], Content]) -> Content:
    """What `decode` makes of a payload, all of which is checked."""
    with open_checkpoint(info) as reader:
        try:
            content = decode(reader.read)
        except StateError as error:
            reader.finish()  # damaged bytes are to be called that
            raise CheckpointDamage(f"{info.path.name}: {error}") from error
        reader.finish()
    return content


class _Recovery:
    """One pass over the checkpoints, newest first, until one of them, or none, leads to a state."""

    def __init__(
        self,
        directory: Path,
        hasher: ChainHasher,
        anchor: Anchor | None,
        infos: list[CheckpointInfo],
    ) -> None:
        self._directory = directory
        self._hasher = hasher
        self._anchor = anchor
        self._infos = infos
        self.engine = Engine()
        self.head = EMPTY_HEAD
        self.checkpoint: CheckpointHead | None = None
        self.alarms: list[str] = []
        self._usable = [info.head for info in infos if info.problem is None]
        # Those that the log's key vouches for, also where the file is lost.
        self._named = [info.head for info in infos if info.head.entry_hash]
        self._of_other_logs: list[CheckpointHead] = []

    def run(self) -> Cut | None:
        """Finds the state; the cut, where the log had to be repaired for it."""
        for info in self._infos:
            problem = info.problem
            if problem is None:
                try:
                    return self._fold_or_repair(info)
                except (CheckpointDamage, WalStartMismatch) as error:
                    problem = str(error)
                    self._usable.remove(info.head)
                    if isinstance(error, WalStartMismatch):
                        self._named.remove(info.head)
                        self._of_other_logs.append(info.head)
            self.alarms.append(f"{info.path.name} is not used: {problem}")
        return self._fold_or_repair(None)

    def unlist_failed(self) -> None:
        """Takes what was passed over off the manifest: it no longer stands for any record."""
        if not self.alarms:
            return
        try:
            keep_checkpoints(self._directory, self._usable, self._of_other_logs, self._hasher)
        except CheckpointError as error:
            self.alarms.append(str(error))  # they will be passed over again

    def _fold_or_repair(self, info: CheckpointInfo | None) -> Cut | None:
        cut = None
        try:
            found = fold_log(self._directory, self._hasher, self._anchor, info)
        except WalStartMismatch:
            raise
        except WalDamage:
            # The record that a checkpoint is of had been durable: no torn write can have lost it.
            named = [head.sequence for head in self._named]
            if self._anchor is not None:
                named.append(self._anchor.sequence)
            start = None if info is None else info.head.head
            protected = max(named, default=0)
            cut = plan_repair(self._directory, self._hasher, DIALECT, protected, start)
            if cut is None:
                raise
            apply_repair(self._directory, cut)
            found = fold_log(self._directory, self._hasher, self._anchor, info)
        self.engine, self.head = found
        self.checkpoint = None if info is None else info.head
        return cut
