"""Whether a log does not verify for its key alone, wherever its segments begin. Only reads.

Owns that question where the log's first record is archived: of that one the reader itself can tell.
With a wrong key no checkpoint is of use, and without one the first segment seems to be lost.

How it fails: `WalKeyMismatch`, which is wrong use and no damage; `WalError`.
"""

from collections.abc import Callable
from pathlib import Path

from wal import (
    LINE_BYTES_MAX,
    ChainHasher,
    Entry,
    RingHasher,
    WalEntryError,
    WalError,
    WalKeyMismatch,
    hashes_equal,
    open_to_read,
    parse_line,
)


def check_key(segments: list[Path], hasher: ChainHasher) -> None:
    """Raises WalKeyMismatch where two records that follow each other both fail for the key.

    Wherever the log begins: only of its first record the reader itself can tell. WalError. Of a log
    that had several keys the reader can tell everywhere, since its records name them.
    """
    if isinstance(hasher, RingHasher):
        return
    found: list[tuple[Path, Entry]] = []
    for path in segments:
        found += [(path, entry) for entry in _first_two(path)]
        if len(found) >= 2:
            break
    if len(found) < 2:
        return
    (path, first), (_, second) = found[:2]
    if second.previous_hash != first.entry_hash or any(map(_verifier(hasher), (first, second))):
        return
    if not hasher.keyed:
        reason = "the log is keyed and no key was given"
    elif all(map(_verifier(ChainHasher(None)), (first, second))):
        reason = "a key was given but the log is unkeyed"
    else:
        reason = "the key is not the one that the log was written with"
    raise WalKeyMismatch(path.name, 0, first.sequence, reason)


def _verifier(hasher: ChainHasher) -> Callable[[Entry], bool]:
    return lambda entry: hashes_equal(
        hasher.entry_hash(entry.previous_hash, entry.data), entry.entry_hash
    )


def _first_two(path: Path) -> list[Entry]:
    """The first two records of a segment, as far as they can be read. Raises WalError."""
    entries: list[Entry] = []
    try:
        with open_to_read(path) as file:
            for _ in range(2):
                entries.append(parse_line(file.readline(LINE_BYTES_MAX + 1)))
    except WalEntryError:  # torn, or at its end: the reader says what it is
        return entries
    except OSError as error:
        raise WalError(f"cannot read {path}: {error}") from error
    return entries
