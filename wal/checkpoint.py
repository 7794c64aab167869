"""Checkpoints: a state kept beside the log, so that a start need not read the log from its genesis.

Owns: the checkpoint files and when one counts. What is in one is opaque: a stream of bytes, bound
to the log's head that it is the state after. Must not: read the log, or decide that a start may do
without it: a checkpoint that is damaged, foreign or unlisted is reported, and an older one or the
whole log gives the same state.

How it works: the payload is streamed into `checkpoint-N.new`, fsync'd, renamed to
`checkpoint-N.ckpt`, the directory fsync'd; then the manifest, which lists it under a code of the
log's key, in the same way; only then are older ones removed. Without the manifest's word a file
does not count. Plain system calls in the calling thread: a forked child may do all of it while its
parent serves.

How it fails: `CheckpointError` where one cannot be written (the temporary file is removed, older
ones and the log are as they were). What one that is read holds, `payload` checks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from wal.chain import GENESIS, ChainHasher, Head
from wal.entry import SEQUENCE_MAX
from wal.errors import CheckpointError, WalError, WalInputError
from wal.failpoint import reach
from wal.manifest import (
    CheckpointHead,
    CheckpointInfo,
    Manifest,
    ManifestError,
    is_hash,
    read_manifest,
    write_manifest,
)
from wal.publish import replacing
from wal.segment import CHECKPOINT_NAME, MANIFEST_NAME, forget_pages, write_all

# The newest, and one to fall back to. A log's segments are kept from the older one on.
CHECKPOINTS_KEPT: Final = 2
UNUSED_SUFFIX: Final = ".unused"
# A checkpoint is handed to the disk in pieces of this size, so that the sync of a batch of the log
# waits for one of them at most. Of eight times as much each tenth waited ten milliseconds.
SYNC_EVERY_BYTES: Final = 1024 * 1024

# Makes the call that it is given, and may rest behind it.
Pace: TypeAlias = Callable[[Callable[[], None]], None]

_OUT_OF_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_LISTED: Final = "the manifest does not list it"


def write_checkpoint(
    directory: Path,
    head: Head,
    state_digest_hex: str,
    pieces: Iterator[bytes],
    hasher: ChainHasher,
    kept: int = CHECKPOINTS_KEPT,
    pace: Pace | None = None,
) -> CheckpointInfo:
    """Keep the state after `head` (which is durable), as the bytes of `pieces`.

    `state_digest_hex`: 64 lower-case hexadecimal characters. `kept`: how many checkpoints stay.
    `pace`: makes the sync of each piece, for who wants to leave the disk to others in between; the
    memory that held the piece is then given back.
    One that is there already for this head and digest is returned as it is. Raises
    `CheckpointError`; `WalInputError` for a head or a digest that cannot be; what `pieces` raises.
    """
    if not 0 < head.sequence <= SEQUENCE_MAX or not is_hash(head.entry_hash):
        raise WalInputError(f"no checkpoint can be of head {head.sequence}")
    if not is_hash(state_digest_hex) or kept < 1:
        raise WalInputError("a checkpoint needs a digest, and a place among those that are kept")
    path = directory / _name(head.sequence)
    try:
        older = [
            info.head
            for info in read_checkpoints(directory, hasher)
            if info.problem is None and info.head.sequence <= head.sequence
        ]
        for known in older[:1]:
            if known.head == head and known.state_digest_hex == state_digest_hex:
                return CheckpointInfo(path, known)
        older = [known for known in older if known.sequence < head.sequence]
        made = _write_payload(path, head, state_digest_hex, pieces, pace)
        listed = [made, *older][:kept]
        try:
            write_manifest(directory, listed, hasher)
        except BaseException:
            _unlist(path, directory, hasher)
            raise
    except OSError as error:
        out_of_space = error.errno in _OUT_OF_SPACE
        message = f"cannot write the checkpoint {path.name}: {error}"
        raise CheckpointError(message, out_of_space) from error
    except CheckpointError:
        raise
    except WalError as error:
        raise CheckpointError(str(error)) from error
    _remove_others(directory, {_name(head.sequence) for head in listed})
    return CheckpointInfo(path, made)


def checkpoint_bytes_written(directory: Path, sequence: int) -> int:
    """How much of the checkpoint of that record, which another process is writing, is in files."""
    path = directory / _name(sequence)
    for candidate in (path, _beside(path)):
        try:
            return candidate.stat().st_size
        except OSError:
            continue  # it has not got so far, or has got farther, or nobody can tell
    return 0


def abandon_checkpoint(directory: Path, sequence: int) -> None:
    """Give back the space of a checkpoint whose writer has ended before it was done.

    What cannot be removed now the next start removes.
    """
    with contextlib.suppress(OSError):
        _beside(directory / _name(sequence)).unlink(missing_ok=True)


def read_checkpoints(directory: Path, hasher: ChainHasher) -> list[CheckpointInfo]:
    """Every checkpoint in `directory`, newest first; those that cannot be used say why.

    Sizes are checked here, contents when they are read. Raises `WalError` where the directory
    cannot be read.
    """
    try:
        sizes = _sizes(directory)
        try:
            manifest = read_manifest(directory, hasher)
        except ManifestError as error:
            return _of_damaged_manifest(directory, sizes, f"the manifest is damaged: {error}")
    except OSError as error:
        raise WalError(f"cannot read the checkpoints in {directory}: {error}") from error
    return _compare(directory, sizes, manifest or Manifest([], []))


def keep_checkpoints(
    directory: Path,
    kept: list[CheckpointHead],
    set_aside: list[CheckpointHead],
    hasher: ChainHasher,
) -> None:
    """From now on only `kept` (newest first, of those that are listed) count.

    For a start that has found others to be of no use: they no longer stand for records that the
    log does not hold. Files of `set_aside` stay under a name that nobody looks at, for whoever
    asks where those records went; all other ones are removed. Raises `CheckpointError`.
    """
    try:
        for head in set_aside:
            path = directory / _name(head.sequence)
            os.rename(path, path.with_name(path.name + UNUSED_SUFFIX))
        write_manifest(directory, kept, hasher)
    except OSError as error:
        out_of_space = error.errno in _OUT_OF_SPACE
        message = f"cannot write {MANIFEST_NAME}: {error}"
        raise CheckpointError(message, out_of_space) from error
    _remove_others(directory, {_name(head.sequence) for head in kept})


def authenticate_anew(directory: Path, hasher: ChainHasher, following: ChainHasher) -> None:
    """Has the manifest made with the key that is to follow, before anything is written under it.

    Until then, and from then on, `hasher.likely()` reads it. A damaged one stays as it is: nothing
    in it counts. Raises `CheckpointError`.
    """
    try:
        try:
            manifest = read_manifest(directory, hasher)
        except ManifestError:
            return
        if manifest is not None:
            write_manifest(directory, manifest.heads, following)
    except OSError as error:
        out_of_space = error.errno in _OUT_OF_SPACE
        message = f"cannot write {MANIFEST_NAME}: {error}"
        raise CheckpointError(message, out_of_space) from error


def _name(sequence: int) -> str:
    return f"checkpoint-{sequence:020d}.ckpt"


def _beside(path: Path) -> Path:
    """Where a checkpoint is written before it gets its name."""
    return path.with_suffix(".new")


def _write_payload(
    path: Path, head: Head, state_digest_hex: str, pieces: Iterator[bytes], pace: Pace | None
) -> CheckpointHead:
    """The checkpoint's file under its own name, durable, and what it holds."""
    reach("before-checkpoint-write")
    with replacing(path, _beside(path), place="checkpoint") as descriptor:
        payload, byte_count, unsynced = sha256(), 0, 0
        sync = partial(os.fdatasync, descriptor)
        for piece in pieces:
            write_all(descriptor, piece)
            payload.update(piece)
            byte_count += len(piece)
            unsynced += len(piece)
            if unsynced >= SYNC_EVERY_BYTES:
                if pace is None:
                    sync()
                else:
                    pace(sync)
                    forget_pages(descriptor, byte_count - unsynced, byte_count)
                unsynced = 0
    return CheckpointHead(
        head.sequence, head.entry_hash, payload.hexdigest(), byte_count, state_digest_hex
    )


def _unlist(path: Path, directory: Path, hasher: ChainHasher) -> None:
    """Give back the space of a checkpoint that did not get into the manifest."""
    try:
        manifest = read_manifest(directory, hasher)
    except ManifestError:
        return
    if manifest is None or all(_name(head.sequence) != path.name for head in manifest.heads):
        path.unlink(missing_ok=True)


def _remove_others(directory: Path, listed: set[str]) -> None:
    reach("before-checkpoint-remove")
    # The checkpoint is made and durable. What stays behind is not listed, does not count, is
    # reported by `read_checkpoints`, and is removed with the next one.
    with suppress(OSError):
        for name in os.listdir(directory):
            if CHECKPOINT_NAME.fullmatch(name) and name not in listed:
                with suppress(OSError):
                    os.unlink(directory / name)


def _sizes(directory: Path) -> dict[int, int]:
    """The sizes of the checkpoint files by sequence; -1 for what is no regular file."""
    sizes: dict[int, int] = {}
    for name in os.listdir(directory):
        match = CHECKPOINT_NAME.fullmatch(name)
        if match:
            with suppress(FileNotFoundError):  # removed meanwhile, for a newer one
                facts = os.lstat(directory / name)
                sizes[int(match[1])] = facts.st_size if stat.S_ISREG(facts.st_mode) else -1
    return sizes


def _of_damaged_manifest(
    directory: Path, sizes: dict[int, int], problem: str
) -> list[CheckpointInfo]:
    infos = [_unlisted(directory, number, sizes[number], problem) for number in sorted(sizes)[::-1]]
    # With no file left to say it about, it is said of the manifest itself.
    nothing = CheckpointHead(0, GENESIS, "", 0, "")
    return infos or [CheckpointInfo(directory / MANIFEST_NAME, nothing, problem)]


def _compare(directory: Path, sizes: dict[int, int], manifest: Manifest) -> list[CheckpointInfo]:
    """The checkpoints that are there or listed, newest first."""
    infos = []
    for head in manifest.heads:
        size = sizes.pop(head.sequence, None)
        problem = None
        if size is None:
            problem = "the file is missing"
        elif size < 0:
            problem = "it is no regular file"
        elif size != head.payload_bytes:
            problem = f"the file has {size} bytes, not {head.payload_bytes}"
        infos.append(CheckpointInfo(directory / _name(head.sequence), head, problem))
    for sequence in manifest.forged_sequences:
        size = sizes.pop(sequence, 0)
        problem = "its entry in the manifest was not made with this log's key"
        infos.append(_unlisted(directory, sequence, size, problem))
    infos += [_unlisted(directory, number, size, _NOT_LISTED) for number, size in sizes.items()]
    return sorted(infos, key=lambda info: info.head.sequence, reverse=True)


def _unlisted(directory: Path, sequence: int, size: int, problem: str) -> CheckpointInfo:
    head = CheckpointHead(sequence, "", "", max(size, 0), "")
    return CheckpointInfo(directory / _name(sequence), head, problem)
