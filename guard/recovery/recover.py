"""Recovery: the log on disk → the engine's state.

Owns the order of it: lock, make durable what is there, load the newest checkpoint that holds,
verify and fold what follows it, repair a torn end where that is what stopped the fold, fold again,
write the last batch anew, for which no later one vouches. It applies what the log says, and decides
nothing.

How it works: a checkpoint that is damaged or cannot be read is passed over with an alarm; the one
before it is tried, and last the log alone. The state is the same from each. What was passed over
is taken off the manifest once the log is whole. What the manifest vouches for had been durable: a
log that does not hold such a record, or has another one in its place, has lost records that were
answered, and is refused, unless the loss is accepted.

How it fails: the `WalError` family, `WalDamage` for anything but a torn end, naming segment, offset
and sequence, `KnownLoss` for a loss that might be accepted; `NotOurLogError` for a record that the
guard did not write, naming the field, too; `OptionNeededError` where there is no log, or one too
many for `new_log`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from guard.engine.engine import Engine
from guard.engine.events import LossAccepted
from guard.engine.state import GuardState
from guard.record.applying import RecordFolder
from guard.record.codec import DIALECT
from guard.record.words import refusal
from guard.recovery.checkpoint_payload import Reader, decode_policy, decode_state
from guard.recovery.losses import ANCHOR_WORD, Watch, known_loss, loss_of
from guard.recovery.presence import check_begun, check_presence, clear_for_new_log
from guard.recovery.start_options import ACCEPT_LOSS_OPTION, OptionNeededError
from guard.recovery.state_head import StateError
from guard.recovery.wrong_key import check_key
from kernel import InvariantError, PolicySnapshot
from wal import (
    EMPTY_HEAD,
    MANIFEST_NAME,
    Anchor,
    ChainHasher,
    CheckpointDamage,
    CheckpointError,
    CheckpointHead,
    CheckpointInfo,
    CheckpointUnreadable,
    Cut,
    Head,
    LocatedEntry,
    LogLock,
    WalAnchorMismatch,
    WalDamage,
    WalError,
    WalKeyMismatch,
    WalStartMismatch,
    apply_repair,
    create_directory,
    cuts_at_end,
    keep_checkpoints,
    list_segments,
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

    `cuts`: what repairs have cut from its end and no record names yet, the oldest first; of a fresh
    log, what was begun there before and never came to be one.
    `checkpoint`: the one that the fold began with, None where it began with the first record.
    `alarms`: why each checkpoint that was passed over was, for the operator.
    `losses`: records that are known to be lost, and were accepted to be.
    `older_heads`: what is known of records that were not read: the checkpoint's, and older ones'.
    `settle`: to be called once the session has recorded its start; what then remains to be said.
    """

    engine: Engine
    head: Head
    lock: LogLock
    cuts: list[Cut]
    checkpoint: CheckpointHead | None = None
    alarms: list[str] = field(default_factory=list)
    losses: list[LossAccepted] = field(default_factory=list)
    older_heads: list[Head] = field(default_factory=list)
    settle: Callable[[], list[str]] = field(default_factory=lambda: _nothing_left)


def recover_log(
    directory: Path,
    hasher: ChainHasher,
    anchor: Anchor | None = None,
    *,
    new_log: bool = False,
    accept_loss: bool = False,
) -> Recovered:
    """Locks and folds the log in `directory`, which must hold one.

    `new_log`: it must hold none, and a fresh one is to begin; it is created if it is not there.
    A log that does not hold the record of its `anchor`, or of an entry of its manifest, is refused;
    with `accept_loss`, one that does. Raises WalLocked, WalDamage, WalKeyMismatch, WalError,
    NotOurLogError, OptionNeededError.
    """
    if new_log:
        create_directory(directory)
    else:
        check_presence(directory)
    lock = open_for_recovery(directory)
    try:
        infos = read_checkpoints(directory, hasher)
        if new_log:
            cuts = clear_for_new_log(directory, hasher, infos)
            return Recovered(Engine(), EMPTY_HEAD, lock, cuts)
        if infos and all(info.problem is not None for info in infos):
            check_key(list_segments(directory, archived=True), hasher)
        recovery = _Recovery(directory, hasher, anchor, infos, accept_loss)
        cut = recovery.run()
        if accept_loss and not recovery.losses:
            raise OptionNeededError(
                f"{ACCEPT_LOSS_OPTION}: the log holds all that its checkpoints and its anchor "
                "name; start without the option"
            )
        engine, head = recovery.engine, recovery.head
        # A start that failed after its repair has left copies that no record names yet.
        cuts = cuts_at_end(directory, head)
        if cut is not None:
            cuts = [each for each in cuts if each.copy_name != cut.copy_name] + [cut]
        # The last batch may stand in memory alone: write it anew before going on.
        rewrite_tail(directory, head, hasher, DIALECT)
        settle = recovery.unlist_failed
        if not recovery.losses:  # else they are first to be recorded
            recovery.alarms += settle()
    except BaseException:
        lock.release()
        raise
    return Recovered(
        engine,
        head,
        lock,
        cuts,
        recovery.checkpoint,
        recovery.alarms,
        recovery.losses,
        recovery.older_heads(anchor),
        settle if recovery.losses else _nothing_left,
    )


def _nothing_left() -> list[str]:
    return []


def _place(entry: LocatedEntry) -> str:
    return f"{entry.segment}, byte {entry.offset}, record {entry.sequence}"


def fold_log(
    directory: Path,
    hasher: ChainHasher,
    anchor: Anchor | None = None,
    checkpoint: CheckpointInfo | None = None,
    watch: Watch | None = None,
) -> tuple[Engine, Head]:
    """Verifies the chain and applies every record in order, from the checkpoint's on if given.

    `watch` is told of each. Raises CheckpointDamage where the checkpoint cannot be read,
    WalStartMismatch where the log does not hold its record, NotOurLogError for a record that no
    guard can have written there.
    """
    engine, head = Engine(), EMPTY_HEAD
    if checkpoint is not None:
        engine, head = load_checkpoint(checkpoint, hasher.sole_key_id), checkpoint.head.head
    start = None if checkpoint is None else head
    folder = RecordFolder(engine, hasher.sole_key_id)
    for entry in read_entries(directory, hasher, DIALECT, start, anchor):
        try:
            event = folder.read(entry.sequence, entry.data, entry.previous_hash)
            folder.apply(entry.sequence, event)
        except (InvariantError, ValueError, LookupError) as error:
            raise NotOurLogError(f"{_place(entry)}: {error}") from error
        head = entry.head
        if watch is not None:
            watch.take(entry)
    return engine, head


def load_checkpoint(info: CheckpointInfo, key_id: str | None) -> Engine:
    """The engine after the record of that checkpoint. Raises CheckpointDamage, WalError.

    `key_id`: of the log's key, which the state must name; None where it has had several.
    """

    def decode(read: Reader) -> GuardState:
        state = decode_state(read)
        if state.next_sequence != info.head.sequence + 1:
            raise StateError(f"it is the state before record {state.next_sequence}")
        if key_id is not None and state.key_id != key_id:
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
        accepts_loss: bool,
    ) -> None:
        self._directory = directory
        self._hasher = hasher
        self._infos = infos
        self._accepts_loss = accepts_loss
        # An anchor of another kind of log is no loss, and is left to the reader to refuse.
        is_vouched = accepts_loss and anchor is not None and anchor.keyed == hasher.keyed
        self._anchor = None if is_vouched else anchor
        self.engine = Engine()
        self.head = EMPTY_HEAD
        self.checkpoint: CheckpointHead | None = None
        self.alarms: list[str] = []
        self.losses: list[LossAccepted] = []
        self._usable = [info.head for info in infos if info.problem is None]
        # What the log must hold: the log's key vouches for it, also where the file is lost.
        self._vouched = [
            LossAccepted(MANIFEST_NAME, info.head.sequence, info.head.entry_hash)
            for info in infos
            if info.head.entry_hash
        ]
        if is_vouched and anchor is not None:
            self._vouched.append(LossAccepted(ANCHOR_WORD, anchor.sequence, anchor.last_hash))

    def run(self) -> Cut | None:
        """Finds the state; the cut, where the log had to be repaired for it."""
        for info in self._infos:
            problem = info.problem
            if problem is None:
                try:
                    return self._fold_or_repair(info)
                except CheckpointUnreadable as error:
                    problem = str(error)  # it stays listed: another start may read it
                except CheckpointDamage as error:
                    problem = str(error)
                    self._usable.remove(info.head)
                except (WalStartMismatch, WalAnchorMismatch) as error:
                    if not self._accepts_loss:
                        raise known_loss(error) from error
                    problem = str(error)
                except WalDamage as error:
                    if not self._accepts_loss:
                        raise
                    problem = str(error)  # an end that is torn before it, or else damage again
            self.alarms.append(f"{info.path.name} is not used: {problem}")
        try:
            return self._fold_or_repair(None)
        except WalAnchorMismatch as error:
            raise known_loss(error) from error

    def older_heads(self, anchor: Anchor | None) -> list[Head]:
        """The head of the checkpoint that the fold began with, and what is known before it."""
        if self.checkpoint is None:
            return []
        first = self.checkpoint.head
        known = [Head(each.sequence, each.entry_hash) for each in self._vouched]
        if anchor is not None:
            known.append(anchor.head)
        return [first, *(head for head in known if 0 < head.sequence < first.sequence)]

    def unlist_failed(self) -> list[str]:
        """Takes what was passed over off the manifest: it no longer stands for any record.

        What went wrong with that, for the operator: they will then be passed over again.
        """
        if not self.alarms:
            return []
        lost = {(loss.sequence, loss.entry_hash) for loss in self.losses}
        kept = [head for head in self._usable if head.head not in lost]
        set_aside = [
            info.head
            for info in self._infos
            if info.head.head in lost and os.path.lexists(info.path)
        ]
        try:
            keep_checkpoints(self._directory, kept, set_aside, self._hasher)
        except CheckpointError as error:
            return [str(error)]
        return []

    def _fold_or_repair(self, info: CheckpointInfo | None) -> Cut | None:
        cut = None
        start = EMPTY_HEAD if info is None else info.head.head
        watch = Watch(each.sequence for each in self._vouched)
        try:
            found = fold_log(self._directory, self._hasher, self._anchor, info, watch)
        except (WalStartMismatch, WalAnchorMismatch):
            raise
        except WalDamage:
            cut = self._plan_repair(None if info is None else start)
            if cut is None:
                raise
            if not self._infos:
                check_begun(self._directory, self._hasher)
            apply_repair(self._directory, cut)
            found = fold_log(self._directory, self._hasher, self._anchor, info, watch)
        if not self._infos:
            check_begun(self._directory, self._hasher)
        self._compare_vouched(watch, start, found[1])
        self.engine, self.head = found
        self.checkpoint = None if info is None else info.head
        return cut

    def _plan_repair(self, start: Head | None) -> Cut | None:
        # The record that a checkpoint is of had been durable: no torn write can have lost it.
        named = [] if self._accepts_loss else [each.sequence for each in self._vouched]
        if self._anchor is not None:
            named.append(self._anchor.sequence)
        protected = max(named, default=0)
        try:
            return plan_repair(self._directory, self._hasher, DIALECT, protected, start)
        except (WalKeyMismatch, WalStartMismatch):
            raise
        except WalDamage as damage:
            last = list_segments(self._directory, archived=True)[-1]
            if damage.sequence <= protected and damage.segment == last.name:
                raise known_loss(damage) from damage  # of which a part may still be there, torn
            raise

    def _compare_vouched(self, watch: Watch, start: Head, end: Head) -> None:
        """Holds the log against all that is vouched for behind `start`. Raises KnownLoss."""
        for each in self._vouched:
            if each.sequence <= start.sequence:
                continue  # not read again; `start` itself was met
            found = watch.seen.get(each.sequence)
            if found is not None and found.entry_hash == each.entry_hash:
                continue
            loss = loss_of(self._directory, each, found, end)
            # With no record at all there is no log to go on with.
            if not self._accepts_loss or end == EMPTY_HEAD:
                raise known_loss(loss)
            self.losses.append(each)
            self.alarms.append(f"a loss was accepted: {loss.reason}")
