"""The keys of the log that a daemon writes: which it is under now, and how it comes to the next.

Owns: the choice of the key at a start, and the order of a change, so that a crash between any two
of its steps leaves a log that starts. The manifest of the checkpoints is made with the new key
first; then the record that begins a segment under it is written and synced; only then an evolving
key's file gets the new one, and the old one is wiped. Until that record stands, the log is under
the old key, and the manifest is read under the one that is to follow; once it stands it is under
the new one, to which the old one in the file leads.

How it works while a session runs (`LogKeys`): an evolving key changes with each segment. No segment
begins by itself then: one that is full, a checkpoint, an operator or the time asks for the change,
and it is made between two batches, where nothing is staged. No checkpoint is begun while one is
under way, nor the other way round: both write the manifest.

How it fails: `ConfigError` where no key fits; `WalError`. A change that cannot be made, or a file
that cannot be replaced, is an alarm and is tried again: the log goes on under the key that it has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import UNSET, UnsetType

from guard import clock
from guard.config.errors import ConfigError
from guard.config.evolving_keys import replace_evolving
from guard.engine.actor import Actor
from guard.engine.events import KeyChanged, Outcome
from guard.engine.key_handover import KeyHandover, handover_of
from guard.process.duties import Duty
from guard.process.line_forms import told
from guard.process.operator_lines import alarm
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.record.codec import DIALECT
from guard.recovery.recover import Recovered
from guard.server.pipeline import Pipeline
from guard.server.service import RunOptions, Service
from wal import (
    ChainHasher,
    CheckpointError,
    Head,
    KeyChange,
    KeyRing,
    LogWriter,
    RingHasher,
    SegmentDigest,
    WalError,
    authenticate_anew,
    current_key,
    list_segments,
    seal_of,
    segment_name,
)

NEVER_FULL_BYTES: Final = 2**62
RETRY_NS: Final = 10 * NANOSECONDS_PER_SECOND


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a session writes under. `handover`: what its first record says, where it is another."""

    hasher: ChainHasher
    handover: KeyHandover | UnsetType = UNSET


def hasher_at_start(options: RunOptions) -> ChainHasher:
    """The key that the log is under, or begins with. Raises ConfigError, WalError."""
    evolving = options.evolving_key
    if evolving is None and not options.old_keys:
        return ChainHasher(options.key)
    if evolving is None:
        ring = KeyRing([options.key, *options.old_keys])
    else:
        ring = KeyRing(options.old_keys, evolving)
        if options.new_log and evolving.number != 1:
            raise _used_key(options, evolving.number)
    directory = options.log_directory
    try:
        return current_key(directory, ring.newest, DIALECT.key_change)
    except OSError as error:
        raise WalError(f"cannot read the log in {directory}: {error}") from error


def session_key(options: RunOptions, hasher: ChainHasher, recovered: Recovered) -> SessionKey:
    """The key of the session that begins behind what was recovered. Changes nothing.

    After a loss that was accepted it is the one before: what is lost is recorded first. Raises
    ConfigError, WalError.
    """
    directory = options.log_directory
    if not isinstance(hasher, RingHasher):
        return SessionKey(hasher)
    if not recovered.head.sequence or recovered.losses:
        return SessionKey(hasher.copy())
    following = hasher.ring.following(hasher)
    if following is None:
        if options.evolving_key is not None and hasher.number == 0:
            raise _used_key(options, options.evolving_key.number)
        return SessionKey(hasher.copy())
    try:
        sealed = [path for path in list_segments(directory, archived=True) if path.stat().st_size]
        change = following.change(hasher, seal_of(sealed[-1]))
    except OSError as error:
        raise WalError(f"cannot read the log in {directory}: {error}") from error
    return SessionKey(following.copy(), handover_of(change, sealed[-1].name))


def prepare_handover(directory: Path, hasher: ChainHasher, key: SessionKey) -> None:
    """All that has to be durable before a record is written under the session's key.

    Raises CheckpointError.
    """
    if key.handover is not UNSET:
        authenticate_anew(directory, hasher, key.hasher)


def _used_key(options: RunOptions, number: int) -> ConfigError:
    return ConfigError(
        f"log.key_file: {options.key_file} holds evolving key {number}, which another log has come "
        "to, and this log begins with the first; make a fresh one (pretrade-guard keygen "
        "--evolving FILE --root FILE)"
    )


def segment_bytes_max(options: RunOptions) -> int:
    """At which length a segment ends by itself; beyond reach where `LogKeys` looks after that."""
    configured = options.config.log.segment_bytes_max
    return configured if options.evolving_key is None else NEVER_FULL_BYTES


def digest_of(options: RunOptions) -> SegmentDigest | None:
    """What the writer keeps of its segment, where a change of keys is to state it."""
    return None if options.evolving_key is None else SegmentDigest()


def erase_at_start(options: RunOptions, read_with: ChainHasher, hasher: ChainHasher) -> None:
    """The same once the session's first records are durable. Raises WalError.

    `read_with`: of the key that the log was under before, which is of no more use to anybody.
    """
    if isinstance(read_with, RingHasher) and read_with.number:
        read_with.forget()
    try:
        erase_older(options, hasher)
    except OSError as error:
        raise WalError(f"the log's older key is still in {options.key_file}: {error}") from error


def erase_older(options: RunOptions, hasher: ChainHasher) -> None:
    """Of evolving keys only that of `hasher`, under which a record stands, is left.

    Raises OSError.
    """
    if options.evolving_key is None or options.key_file is None:
        return
    if not isinstance(hasher, RingHasher) or not hasher.number:
        return
    hasher.ring.forget_before(hasher.number)
    replace_evolving(options.key_file, hasher.ring.evolving_at(hasher.number))


class LogKeys:
    """Takes the log of a session from one evolving key to the next. Belongs to the loop's thread.

    Where the log's key does not evolve there is none: segments begin by themselves.
    """

    def __init__(
        self,
        options: RunOptions,
        hasher: RingHasher,
        writer: LogWriter,
        *,
        record: Callable[[Outcome], None],
        when_durable: Callable[[Callable[[Head], None]], None],
        actor: Callable[[str], Actor],
        is_checkpointing: Callable[[], bool],
        monotonic_ns: Callable[[], int],
        alarm: Callable[[str], None],
    ) -> None:
        """`hasher`: of the log, for all who hold it; it becomes that of the key to come."""
        self._options = options
        self._hasher = hasher
        self._writer = writer
        self._record = record
        self._when_durable = when_durable
        self._actor = actor
        self._is_checkpointing = is_checkpointing
        self._monotonic_ns = monotonic_ns
        self._alarm = alarm
        self._key_id = hasher.key_id  # of the records so far
        self._is_prepared = False  # the manifest is under the key to come, no record yet
        self._is_settling = False  # a record is, and not known to be durable; or the file is late
        self._is_asked = False
        self._file_is_late = False
        self._retry_ns = 0
        self._began_ns = monotonic_ns()
        writer.between_batches = self._between_batches

    @property
    def is_changing(self) -> bool:
        """Is the key being changed, so that nobody else may write the manifest?"""
        return self._is_prepared or self._is_settling

    def tick(self) -> None:
        """Once a second or so: what is due by time, or was put off."""
        if self._file_is_late:
            self._erase_older()
        every_ns = self._options.config.log.key_minutes * 60 * NANOSECONDS_PER_SECOND
        if self._monotonic_ns() - self._began_ns >= every_ns:
            self._is_asked = True
        if self._is_asked:
            self.rotate()

    def rotate(self) -> None:
        """Goes on under the next key, in a new segment, as soon as that can be."""
        self._is_asked = True
        if not self._is_prepared and (self.is_changing or self._is_checkpointing()):
            return  # the next tick
        if self.prepare() and self._writer.staged_count == 0:
            self._change()

    def prepare(self) -> bool:
        """Has the manifest made with the key to come; whether it is."""
        if self._is_prepared:
            return True
        now_ns = self._monotonic_ns()
        if now_ns < self._retry_ns or self._writer.poisoned:
            return False
        following = self._hasher.ring.following(self._hasher)
        if following is None:
            return False  # the last of ten million
        try:
            authenticate_anew(self._options.log_directory, self._hasher, following)
        except CheckpointError as error:
            self._retry_ns = now_ns + RETRY_NS
            text = f"the log stays under the key that it has, orders go on: {error}"
            self._alarm(told("key_not_changed", text))
            return False
        self._hasher.become(following)
        self._is_prepared = True
        return True

    def _between_batches(self) -> None:
        """A batch was taken, and nothing is staged behind it."""
        if self._writer.poisoned:
            return
        if self._is_prepared:
            self._change()
        elif self._writer.segment_bytes >= self._options.config.log.segment_bytes_max:
            self.rotate()

    def _change(self) -> None:
        writer, digest = self._writer, self._writer.segment_digest
        assert digest is not None
        name = segment_name(writer.segment_number)
        change = KeyChange(self._hasher.key_id, self._hasher.number, self._key_id, *digest.seal())
        writer.go_on_under(self._hasher)
        self._is_prepared = self._is_asked = False
        self._is_settling = True
        self._began_ns = self._monotonic_ns()
        self._key_id = self._hasher.key_id
        self._record(self._actor("the next key").event(KeyChanged, key=handover_of(change, name)))
        self._when_durable(self._settle)

    def _settle(self, _head: Head) -> None:
        self._is_settling = False
        self._erase_older()

    def _erase_older(self) -> None:
        try:
            erase_older(self._options, self._hasher)
        except OSError as error:
            if not self._file_is_late:
                text = f"the log's older key is still in {self._options.key_file}: {error}"
                self._alarm(told("key_not_erased", text))
            self._file_is_late = True
            return
        self._file_is_late = False


def make_log_keys(
    service: Service, pipeline: Pipeline, is_checkpointing: Callable[[], bool]
) -> LogKeys | None:
    """Who changes the log's key, where it evolves."""
    if service.options.evolving_key is None or not isinstance(service.hasher, RingHasher):
        return None
    writer = service.writer
    return LogKeys(
        service.options,
        service.hasher,
        writer,
        record=pipeline.record,
        when_durable=pipeline.when_durable,
        actor=lambda why: service.actor(writer.staged_count, why),
        is_checkpointing=is_checkpointing,
        monotonic_ns=clock.monotonic_ns,
        alarm=alarm,
    )


def key_duties(keys: LogKeys | None) -> list[Duty]:
    """What is looked at once a second."""
    return [] if keys is None else [Duty("the change of the log's key", keys.tick)]
