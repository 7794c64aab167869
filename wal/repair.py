"""Cuts the torn end of a log, and nothing else, and never silently.

Owns: the two steps of a repair. `plan_repair` reads, judges and changes nothing; `apply_repair`
keeps a copy of the bytes beside the segment and cuts them off. Must not: cut what `torn` does not
recognise, at or below a protected sequence, or after a clean close. The caller holds the log's
lock (`open_for_recovery`) and logs the cut.

How it fails: `WalDamage` for damage that is no torn tail, saying why and what to do; `WalError`
where a file changed under the plan or the operating system refuses. A crash anywhere in
`apply_repair` leaves the log as it was or as it should be; running it again ends the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wal.ahead import data_end, segment_end
from wal.chain import EMPTY_HEAD, ChainHasher, Head
from wal.errors import WalDamage, WalError, WalInvariantError, WalKeyMismatch
from wal.find_record import find_start
from wal.log_pass import Dialect
from wal.reader import Position, paths_of, read_entries
from wal.regularfile import open_regular, open_to_read
from wal.segment import FILE_MODE, SEGMENT_NAME, fsync_directory, list_segments, write_all
from wal.space import space_error
from wal.torn import NotTornError, Tail, judge
from wal.verified_run import LocatedEntry
from wal.writer import BATCH_BYTES_MAX

COPIES_MAX: Final = 1000  # copies of cuts at one place; far above what anyone can mean
_REMEDY: Final = (
    "keep the files as they are and compare them with a replica, a backup or the anchor"
)


@dataclass(frozen=True, slots=True)
class Cut:
    """What a repair cuts: everything from `offset` of `segment` (a file name) to its end.

    `first_sequence_lost`: of the first record cut, whole or not. `bytes_cut`: their number, without
    zeros at the end of the file. `reason`: what the torn write did. `copy_name`: the file, beside
    the segment, that keeps them.
    """

    segment: str
    offset: int
    first_sequence_lost: int
    bytes_cut: int
    reason: str
    copy_name: str


def plan_repair(
    source: Path,
    hasher: ChainHasher,
    dialect: Dialect,
    protected_sequence: int = 0,
    start: Head | None = None,
) -> Cut | None:
    """The cut that makes the log in `source` whole, or None where it is whole.

    `source`: a directory, or one file; a segment with later ones beside it is no log's end.
    `protected_sequence`: the highest sequence that an anchor or a checkpoint names; no record up
    to it may be lost. `start`: the head that the log is read from (a checkpoint's). Raises
    `WalDamage`, `WalKeyMismatch`, `WalStartMismatch`, `WalError`.
    """
    position = None if start is None else _beginning(source, start)
    last: LocatedEntry | None = None
    try:
        for entry in read_entries(source, hasher, dialect, position):
            last = entry
    except WalKeyMismatch:
        raise
    except WalDamage as damage:
        head = EMPTY_HEAD if position is None else position.head
        protected = max(protected_sequence, 0 if start is None else start.sequence)
        return _plan(_segments_of(source), hasher, dialect, protected, head, last, damage)
    return None


def plan_emptying(directory: Path, segment: str, reason: str) -> Cut:
    """The cut of all that stands in a log's first segment, which is its only one with records.

    For a log that is to be begun once more, since its first batch was never whole. Raises
    `WalError`.
    """
    path = directory / segment
    try:
        with open_to_read(path) as file:
            end = data_end(file.fileno(), os.fstat(file.fileno()).st_size)
            if end > BATCH_BYTES_MAX:
                raise WalError(f"{path} has more than {BATCH_BYTES_MAX} bytes, a batch's most")
            data = _read(file.fileno(), 0, end)
    except OSError as error:
        raise WalError(f"cannot read {path}: {error}") from error
    return Cut(segment, 0, 1, len(data), reason, copy_name(directory, segment, 1, 0, data))


def apply_repair(directory: Path, cut: Cut) -> Path:
    """Copy the bytes of `cut` beside their segment, cut them off, and return the copy's path.

    Raises `WalError` when the segment is not as it was planned.
    """
    segment, copy = directory / cut.segment, directory / cut.copy_name
    try:
        descriptor = open_regular(segment, os.O_RDWR)
        try:
            size = os.fstat(descriptor).st_size
            if data_end(descriptor, size) != cut.offset + cut.bytes_cut:
                raise WalError(f"{cut.segment} has changed since the repair was planned")
            try:
                _keep_copy(copy, _read(descriptor, cut.offset, cut.bytes_cut))
                fsync_directory(directory)
            except OSError as error:
                what = f"repair {cut.segment}, of which a copy is kept"
                raise space_error(what, cut.bytes_cut, descriptor, error) from error
            os.ftruncate(descriptor, cut.offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fsync_directory(directory)
    except OSError as error:
        raise WalError(f"cannot repair {cut.segment}: {error}") from error
    return copy


def cuts_at_end(directory: Path, head: Head) -> list[Cut]:
    """The cuts that made the whole log in `directory` end with `head`, the oldest first.

    Whoever repairs a log then logs the cut; where that start failed before it could, the copy
    lies at the very place where the log ends, and the next start must log it. It ends in its last
    segment with records, and in every empty one behind that. Raises `WalError`.
    """
    found: list[tuple[int, Cut]] = []
    sequence = head.sequence + 1
    for path in reversed(list_segments(directory, archived=True)):
        try:
            offset = segment_end(path)
            base = f"{path.name}.cut-{sequence}-{offset}"
            for copy in (directory / base, *directory.glob(f"{base}-*")):
                if copy.exists():
                    facts = copy.stat()
                    reason = "cut by an earlier start that did not log it"
                    cut = Cut(path.name, offset, sequence, facts.st_size, reason, copy.name)
                    found.append((facts.st_mtime_ns, cut))
        except OSError as error:
            raise WalError(f"cannot look for cuts of {path.name}: {error}") from error
        if offset > 0:
            break
    return [cut for _, cut in sorted(found, key=lambda item: (item[0], item[1].segment))]


def _segments_of(source: Path) -> list[Path]:
    """The segments of a directory; or the one file, and what follows it where it is a segment."""
    if source.is_dir():
        return list_segments(source, archived=True)
    if not SEGMENT_NAME.fullmatch(source.name):
        return [source]
    try:
        names = os.listdir(source.parent)
    except OSError as error:
        raise WalError(f"cannot read {source.parent}: {error}") from error
    later = sorted(name for name in names if SEGMENT_NAME.fullmatch(name) and name > source.name)
    return [source, *(source.with_name(name) for name in later)]


def _beginning(source: Path, start: Head) -> Position | None:
    """The beginning of the segment from which the log is read to the record after `start`.

    All of it is judged: the record before a torn end may be one that the start passes over.
    """
    paths = paths_of(source, start)
    if start.sequence == EMPTY_HEAD.sequence or not paths:
        return None
    place = find_start(paths, start)
    return Position(paths[place.segment_index].name, 0, place.head)


def _plan(
    segments: list[Path],
    hasher: ChainHasher,
    dialect: Dialect,
    protected_sequence: int,
    head: Head,
    last: LocatedEntry | None,
    damage: WalDamage,
) -> Cut:
    """The cut for `damage`, which follows the whole record `last`, or `head` where none was read.

    Raises `WalDamage`.
    """
    if not segments or damage.segment != segments[-1].name:
        raise _refusal(damage, "it is not in the last segment")
    path = segments[-1]
    if damage.sequence <= protected_sequence:
        raise _refusal(damage, f"an anchor or a checkpoint protects {protected_sequence}")
    # A segment that was begun after the close is another session's: its first batch may be torn.
    same_segment = last is not None and last.segment == damage.segment
    if last is not None and same_segment and dialect.is_clean_close(last.data):
        raise _refusal(damage, "the session before it was closed in good order")
    try:
        with open_to_read(path) as file:
            size = os.fstat(file.fileno()).st_size
            end = data_end(file.fileno(), size)  # what follows is zeros: nothing to look at or keep
            if end - damage.offset > BATCH_BYTES_MAX:
                reason = f"more than {BATCH_BYTES_MAX} bytes, a batch's most, follow it"
                raise _refusal(damage, reason)
            data = _read(file.fileno(), damage.offset, end - damage.offset)
        tail = Tail(
            data,
            damage.offset,
            head if last is None else last.head,
            # A batch lies whole in one segment: none of an earlier one goes on in this.
            dialect.batch_first_sequence(last.data) if last and same_segment else None,
        )
        if tail.head.sequence + 1 != damage.sequence:
            raise WalInvariantError(
                f"a repair begins behind record {tail.head.sequence}, the damage is record "
                f"{damage.sequence}"
            )
        reason = judge(tail, hasher, dialect)
        name = copy_name(path.parent, damage.segment, damage.sequence, damage.offset, data)
    except NotTornError as refusal:
        raise _refusal(damage, f"{refusal.reason} (byte {refusal.offset})") from None
    except OSError as error:
        raise WalError(f"cannot read {path}: {error}") from error
    return Cut(damage.segment, damage.offset, damage.sequence, len(data), reason, name)


def _refusal(damage: WalDamage, why: str) -> WalDamage:
    return WalDamage(
        damage.segment,
        damage.offset,
        damage.sequence,
        f"{damage.reason}; not a torn end that may be cut: {why}; {_REMEDY}",
    )


def copy_name(directory: Path, segment: str, sequence: int, offset: int, data: bytes) -> str:
    """A name for the copy that is free, or holds these very bytes from an interrupted repair."""
    base = f"{segment}.cut-{sequence}-{offset}"
    for number in range(1, COPIES_MAX + 1):
        name = base if number == 1 else f"{base}-{number}"
        path = directory / name
        if not os.path.lexists(path):
            return name
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return name
    raise WalError(f"{directory} already holds {COPIES_MAX} copies named {base}")


def _keep_copy(copy: Path, data: bytes) -> None:
    """Write `data` to a new file, durably; keep a file that holds exactly these bytes."""
    try:
        descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        if copy.read_bytes() != data:
            raise WalError(f"{copy.name} exists and holds other bytes") from None
        descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
    else:
        try:
            write_all(descriptor, data)
        except OSError:
            os.close(descriptor)
            copy.unlink(missing_ok=True)  # half a copy on a full disk helps nobody
            raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(descriptor: int, offset: int, count: int) -> bytes:
    """Exactly `count` bytes from `offset`. Raises `WalError` where the file is shorter."""
    parts: list[bytes] = []
    while count > 0:
        part = os.pread(descriptor, count, offset)
        if not part:
            raise WalError("a segment became shorter while it was read")
        parts.append(part)
        offset += len(part)
        count -= len(part)
    return b"".join(parts)
