"""What the tests of `wal` share: records with a meaning, logs in files, disks that fail.

The records here are a toy dialect of their own: the package must not need to know the daemon's.
"""

import errno
import gzip
import itertools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Cut,
    Dialect,
    Head,
    LogWriter,
    WalDamage,
    apply_repair,
    find_head,
    plan_repair,
)
from wal.ahead import drop_zeros

KEY = bytes(range(7, 39))
VECTORS = Path(__file__).parent / "data" / "vectors" / "wal"
MANIFEST: dict[str, Any] = json.loads((VECTORS / "manifest.json").read_text())
VECTOR_KEY = bytes.fromhex(MANIFEST["hmac_key_hex"])
SEGMENT = "00000001.jsonl"


def fake_clock() -> Callable[[], int]:
    """A monotonic clock that moves by 1,000 ns with every reading."""
    ticks = itertools.count(0, 1000)
    return lambda: next(ticks)


def _member(data: bytes, name: str) -> Any:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value.get(name) if isinstance(value, dict) else None


def _batch(data: bytes) -> int | None:
    value = _member(data, "batch")
    return value if isinstance(value, int) else None


DIALECT = Dialect(
    is_native_head=lambda data: _member(data, "kind") == "log_opened",
    batch_first_sequence=_batch,
    is_clean_close=lambda data: _member(data, "kind") == "session_closed",
    named_key_id=lambda data: _member(data, "key_id"),
)


def record(kind: str, batch: int, **members: object) -> bytes:
    """The data of one record, compact."""
    return json.dumps({"kind": kind, "batch": batch, **members}, separators=(",", ":")).encode()


def opened(hasher: ChainHasher) -> bytes:
    """The data of the first record of a log of ours."""
    return record("log_opened", 1, key_id=hasher.key_id)


def write_log(directory: Path, hasher: ChainHasher, batches: list[list[bytes]]) -> Head:
    """A fresh log in `directory` with these batches, each synced; its head."""
    writer = LogWriter.open(directory, hasher, EMPTY_HEAD, monotonic_ns=fake_clock())
    with writer:
        for batch in batches:
            for data in batch:
                writer.append(writer.staged_head.sequence + 1, data)
            writer.sync_now()
        return writer.durable_head


def small_batches(hasher: ChainHasher, text: str = "a @ b") -> list[list[bytes]]:
    """Five records in three batches: 1 and 2, 3, 4 and 5."""
    return [
        [opened(hasher), record("order", 1, text=text)],
        [record("order", 3, text="é" + text)],
        [record("fill", 4, n=[1, -2.5e3, None, True]), record("order", 4, text=text)],
    ]


def line_starts(content: bytes) -> list[int]:
    """Where each line of `content` begins, and where the last one ends."""
    starts = [0]
    while (end := content.find(b"\n", starts[-1]) + 1) > 0:
        starts.append(end)
    return starts


def unpack_vector(name: str, directory: Path) -> Path:
    """The vector `name` (without `.gz`) as a plain file in `directory`."""
    path = directory / name
    path.write_bytes(gzip.decompress((VECTORS / f"{name}.gz").read_bytes()))
    return path


class ScriptedFiles:
    """Real writes with a plan for failing: the disk of the fault tests.

    Writes at most `write_max` bytes a call; raises `error` (an errno) in place of writing beyond
    `capacity` bytes in all, or in `fdatasync` number `failing_sync` (from 1).
    """

    def __init__(
        self,
        *,
        write_max: int = 2**62,
        capacity: int = 2**62,
        failing_sync: int = 0,
        error: int = errno.EIO,
    ) -> None:
        self.write_max = write_max
        self.capacity = capacity
        self.failing_sync = failing_sync
        self.error = error
        self.writes: list[bytes] = []
        self.sync_count = 0
        self.calls_after_failure = 0
        self.failed = False

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        self.calls_after_failure += self.failed
        left = self.capacity - sum(map(len, self.writes))
        if left <= 0:
            self.failed = True
            raise OSError(self.error, os.strerror(self.error))
        part = bytes(data[: min(self.write_max, left)])
        self.writes.append(part)
        return os.pwrite(descriptor, part, offset)

    def fdatasync(self, descriptor: int, /) -> None:
        self.calls_after_failure += self.failed
        self.sync_count += 1
        if self.sync_count == self.failing_sync:
            self.failed = True
            raise OSError(self.error, os.strerror(self.error))
        os.fdatasync(descriptor)

    def shorten(self, descriptor: int, size: int, /) -> None:
        os.ftruncate(descriptor, size)
        self.fdatasync(descriptor)


class GatedFiles:
    """Real writes that wait in `fdatasync` until the test lets them go on."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.writes: list[bytes] = []
        self.threads: set[int] = set()
        self.error: OSError | None = None

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        self.threads.add(threading.get_ident())
        self.writes.append(bytes(data))
        return os.pwrite(descriptor, data, offset)

    def fdatasync(self, descriptor: int, /) -> None:
        self.threads.add(threading.get_ident())
        self.entered.release()
        assert self.let_go.acquire(timeout=10)
        if self.error is not None:
            raise self.error
        os.fdatasync(descriptor)

    def shorten(self, descriptor: int, size: int, /) -> None:
        os.ftruncate(descriptor, size)
        self.fdatasync(descriptor)


SECTOR = 512
REPAIR_REMEDY = "keep the files as they are and compare them with a replica, a backup or the anchor"


LOG_HASHER = ChainHasher(KEY)


def wide(batch: int, size: int = 700) -> bytes:
    """A record whose line is longer than a sector."""
    return record("order", batch, text="x" * size)


# Records 1, 2-3, 4-9: the final batch has six records of about 950 bytes.
WIDE_BATCHES = [[opened(LOG_HASHER)], [wide(2), wide(2)], [wide(4) for _ in range(6)]]


class Log:
    """A log in a directory, its content and where its lines begin."""

    def __init__(self, directory: Path, batches: list[list[bytes]]) -> None:
        directory.mkdir(exist_ok=True)
        write_log(directory, LOG_HASHER, batches)
        self.directory = directory
        self.path = directory / SEGMENT
        self.content = self.path.read_bytes()
        self.starts = line_starts(self.content)

    def start(self, sequence: int) -> int:
        return self.starts[sequence - 1]

    def put(self, content: bytes) -> None:
        self.path.write_bytes(content)

    def plan(self, protected_sequence: int = 0) -> Cut | None:
        return plan_repair(self.directory, LOG_HASHER, DIALECT, protected_sequence)

    def refused(self, protected_sequence: int = 0) -> WalDamage:
        before = self.path.read_bytes()
        with pytest.raises(WalDamage) as caught:
            self.plan(protected_sequence)
        assert self.path.read_bytes() == before
        assert caught.value.reason.endswith(REPAIR_REMEDY)
        return caught.value

    def repaired_to(self, sequence: int) -> Cut:
        """Plan and apply; check that the log ends after `sequence` and nothing is gone."""
        before = self.path.read_bytes()
        torn = before.rstrip(b"\0")  # zeros at the end are nothing to keep
        cut = self.plan()
        assert cut is not None
        offset = self.starts[sequence]
        assert (cut.segment, cut.offset, cut.first_sequence_lost, cut.bytes_cut) == (
            SEGMENT,
            offset,
            sequence + 1,
            len(torn) - offset,
        )
        copy = apply_repair(self.directory, cut)
        assert copy == self.directory / f"{SEGMENT}.cut-{sequence + 1}-{offset}"
        assert copy.read_bytes() == torn[offset:]
        assert self.path.read_bytes() == before[:offset] == self.content[:offset]
        assert find_head(self.directory, LOG_HASHER, DIALECT).sequence == sequence
        assert self.plan() is None
        copy.unlink()
        return cut

    def is_whole_up_to(self, sequence: int) -> None:
        """Check that nothing but zeros stands behind it, that they are no damage, and can go."""
        offset = self.starts[sequence]
        before = self.path.read_bytes()
        assert before.rstrip(b"\0") == self.content[:offset]
        assert self.plan() is None
        assert find_head(self.directory, LOG_HASHER, DIALECT).sequence == sequence
        assert drop_zeros(self.path) == len(before) - offset
        assert self.path.read_bytes() == self.content[:offset]


def zeroed(content: bytes, *holes: tuple[int, int]) -> bytes:
    changed = bytearray(content)
    for start, end in holes:
        changed[start:end] = bytes(end - start)
    return bytes(changed)


def sector_in(start: int, end: int) -> int:
    """The first sector boundary whose sector lies whole between `start` and `end`."""
    at = -(-start // SECTOR) * SECTOR
    assert at + SECTOR <= end
    return at
