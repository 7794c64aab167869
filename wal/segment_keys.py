"""Which key each segment of a log is under, as its first records say. Only reads.

Owns: the choice of the key when a reader comes to a segment, and the proof of a segment whose key
is not known any more. Must not: verify records (`log_pass` does, under the key chosen here).

How it works: a key is changed at a segment's beginning alone, by a record that names the new one.
So the first lines of the segments, from here backwards to the last that names a key, say which one
is in force. Nothing is trusted: what a first line says counts once the record has verified under
the very key that it names, and the step to that key is one that may be. Where a key is erased, or
was not given, the next segment's first record has the segment's length and SHA-256, and is itself
verified, or proven by the one behind it in the same way: the bytes are then compared with that.

How it fails: `KeyStepError`, `OSError`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final, TypeAlias

from wal.chain import ChainHasher, hashes_equal
from wal.entry import LINE_BYTES_MAX, Entry, parse_line
from wal.errors import WalEntryError
from wal.keyring import KeyChange, KeyStepError, RingHasher, check_step
from wal.regularfile import open_to_read
from wal.segment import SEGMENT_NAME, segment_name

CHUNK_BYTES: Final = 1024 * 1024

# What the data of a record says of keys; None where it says nothing.
ChangeOf: TypeAlias = Callable[[bytes], KeyChange | None]


class SegmentKeys:
    """The keys of one pass over a log, segment after segment."""

    def __init__(self, given: RingHasher, change_of: ChangeOf) -> None:
        self._given = given
        self._change_of = change_of
        self._named: KeyChange | None = None
        self._path: Path | None = None

    def take(self, path: Path) -> ChainHasher | None:
        """The hasher of the records in `path`; None where its bytes are proven without a key.

        Raises `KeyStepError`, `OSError`.
        """
        named = self._in_force(path)
        if named is None:
            return self._unnamed(path)
        found = self._given.ring.find(named)
        if found is None and not is_sealed(path, self._change_of):
            number = f", number {named.key_number}" if named.key_number else ""
            raise KeyStepError(
                f"the log is under key {named.key_id}{number} there, which was not given",
                is_unknown=True,
            )
        return found

    def _in_force(self, path: Path) -> KeyChange | None:
        """What names the key of the records in `path`; the steps that lead to it are checked."""
        here = named_in(path, self._change_of)
        if self._path is None or path != _next_to(self._path):
            # The pass begins here: what came before, only the first lines there can say.
            self._named = _named_before(path, self._change_of)
            is_archived = self._named is None and path != _first_beside(path)
        else:
            is_archived = False
        self._path = path
        if here is not None:
            if not is_archived:
                check_step(self._named, here)
            self._named = here
        return self._named

    def _unnamed(self, path: Path) -> ChainHasher:
        """Of a log that names no key, or whose segments that did are archived."""
        entry = first_entry(path)
        if entry is None:
            return self._given
        for hasher in self._given.ring.plain:
            right = hasher.entry_hash(entry.previous_hash, entry.data)
            if hashes_equal(right, entry.entry_hash):
                return hasher
        return self._given


class SegmentDigest:
    """Length and SHA-256 of the segment that is being written, batch by batch."""

    def __init__(self) -> None:
        self.byte_count = 0
        self._digest = sha256()

    def take(self, lines: memoryview, offset: int) -> None:
        """A batch that stands at `offset` in its segment: at 0 another one begins."""
        if offset == 0:
            self.byte_count, self._digest = 0, sha256()
        self.byte_count += len(lines)
        self._digest.update(lines)

    def seal(self) -> tuple[int, str]:
        """As `seal_of` finds it once the segment is sealed."""
        return self.byte_count, self._digest.hexdigest()


def current_key(source: Path, given: RingHasher, change_of: ChangeOf) -> RingHasher:
    """The key in force at the end of a log: of its last segment with records.

    `source`: a directory, which may be missing, or one file. `given` where there is no record, or
    where its key is not known: whoever reads the log then says so. Raises `OSError`.
    """
    paths = [source]
    if not source.is_file():
        names = os.listdir(source) if source.exists() else []
        paths = [source / name for name in sorted(filter(SEGMENT_NAME.fullmatch, names))]
    for path in reversed(paths):
        if first_entry(path) is None:
            continue
        try:
            found = SegmentKeys(given, change_of).take(path)
        except KeyStepError:
            return given
        return found if isinstance(found, RingHasher) else given
    return given


def first_entry(path: Path) -> Entry | None:
    """The first record of a segment, unverified; None where there is none that can be read."""
    try:
        with open_to_read(path, follows_links=True) as file:
            return parse_line(file.readline(LINE_BYTES_MAX + 1))
    except WalEntryError:
        return None


def named_in(path: Path, change_of: ChangeOf) -> KeyChange | None:
    """What a segment's first record says of keys."""
    entry = first_entry(path)
    return None if entry is None else change_of(entry.data)


def seal_of(path: Path) -> tuple[int, str]:
    """A segment's length, and its SHA-256 as hexadecimal text. Raises `OSError`."""
    digest = sha256()
    with open_to_read(path, 0, follows_links=True) as file:
        size = os.fstat(file.fileno()).st_size
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return size, digest.hexdigest()


def is_sealed(path: Path, change_of: ChangeOf) -> bool:
    """Whether the next segment says what this one holds, and it does. Raises `KeyStepError`."""
    following = _next_to(path)
    if following is None or not following.exists():
        return False
    change = named_in(following, change_of)
    if change is None or not change.sealed_sha256:
        return False
    size, digest_hex = seal_of(path)
    if size != change.sealed_bytes or not hashes_equal(digest_hex, change.sealed_sha256):
        raise KeyStepError(
            f"the segment has {size} bytes and SHA-256 {digest_hex}; {following.name} says "
            f"{change.sealed_bytes} and {change.sealed_sha256}"
        )
    return True


def _named_before(path: Path, change_of: ChangeOf) -> KeyChange | None:
    """What names the key in force before `path`'s first record."""
    before = _before(path)
    while before is not None and before.exists():
        change = named_in(before, change_of)
        if change is not None:
            return change
        before = _before(before)
    return None


def _first_beside(path: Path) -> Path:
    return path.with_name(segment_name(1)) if SEGMENT_NAME.fullmatch(path.name) else path


def _before(path: Path) -> Path | None:
    if not SEGMENT_NAME.fullmatch(path.name) or path.name == segment_name(1):
        return None
    return path.with_name(segment_name(int(path.name[:8]) - 1))


def _next_to(path: Path) -> Path | None:
    if not SEGMENT_NAME.fullmatch(path.name):
        return None
    return path.with_name(segment_name(int(path.name[:8]) + 1))
