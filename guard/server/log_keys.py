"""The keys of the log that a daemon writes: which it is under now, and how it comes to the next.

Owns: the choice of the key at a start, and the order of a change, so that a crash between any two
of its steps leaves a log that starts. The manifest of the checkpoints is made with the new key
first; then the record that begins a segment under it is written and synced. Until that stands, the
log is under the old key, and the manifest is read under the one that is to follow; once it stands
it is under the new one.

How it fails: `ConfigError` where no key fits; `WalError`.
"""

from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET, UnsetType

from guard.engine.key_handover import KeyHandover, handover_of
from guard.record.codec import DIALECT
from guard.recovery.recover import Recovered
from guard.server.service import RunOptions
from wal import (
    ChainHasher,
    KeyRing,
    RingHasher,
    WalError,
    authenticate_anew,
    current_key,
    list_segments,
    seal_of,
)


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What a session writes under. `handover`: what its first record says, where it is another."""

    hasher: ChainHasher
    handover: KeyHandover | UnsetType = UNSET


def hasher_at_start(options: RunOptions) -> ChainHasher:
    """The key that the log is under, or begins with. Raises WalError."""
    if not options.old_keys:
        return ChainHasher(options.key)
    ring = KeyRing([options.key, *options.old_keys])
    directory = options.log_directory
    try:
        return current_key(directory, ring.newest, DIALECT.key_change)
    except OSError as error:
        raise WalError(f"cannot read the log in {directory}: {error}") from error


def session_key(directory: Path, hasher: ChainHasher, recovered: Recovered) -> SessionKey:
    """The key of the session that begins behind what was recovered. Changes nothing.

    After a loss that was accepted it is the one before: what is lost is recorded first. Raises
    WalError.
    """
    if not isinstance(hasher, RingHasher) or not recovered.head.sequence or recovered.losses:
        return SessionKey(hasher)
    following = hasher.ring.following(hasher)
    if following is None:
        return SessionKey(hasher)
    try:
        sealed = [path for path in list_segments(directory, archived=True) if path.stat().st_size]
        change = following.change(hasher, seal_of(sealed[-1]))
    except OSError as error:
        raise WalError(f"cannot read the log in {directory}: {error}") from error
    return SessionKey(following, handover_of(change, sealed[-1].name))


def prepare_handover(directory: Path, hasher: ChainHasher, key: SessionKey) -> None:
    """All that has to be durable before a record is written under the session's key.

    Raises CheckpointError.
    """
    if key.handover is not UNSET:
        authenticate_anew(directory, hasher, key.hasher)
