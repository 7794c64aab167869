"""The simulator's disk: real files, and an account of which of their bytes a power cut may take.

Owns that account, by inode: how much of a file was synced (`_durable`), and which bytes a failed
sync left in memory only, clean and so never written again (`_ghosts`) unless somebody writes over
them in place (`_overwritten`) and syncs that. It is the writer's `FileLayer` and, through
`watching`, hears of every `os.pwrite` and `os.fsync` besides. Faults are drawn by the world
(`sim.world`) and handed over as a `Fault`; the disk only does as told.
"""

import contextlib
import errno
import itertools
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR_BYTES = 512


class CrashError(BaseException):
    """The process, or the machine, ends here."""


class ViolationError(AssertionError):
    """The product has broken a promise."""


@dataclass(slots=True)
class Fault:
    """What goes wrong: `kind` at the `at`th place where it can.

    `crash`: at any named place. `short`: inside a write, at any byte. `enospc`: a write takes some
    bytes, the next one none. `eio_kept`, `eio_lost`: a sync fails, the bytes on the disk or not.
    """

    kind: str
    at: int


class Disk:
    """The files of one log directory. All randomness comes from `rng`."""

    def __init__(self, directory: Path, rng: random.Random, note: Callable[[str], None]) -> None:
        self.directory = directory
        self.fault: Fault | None = None
        self.hit: Callable[[str], None] = lambda name: None
        self.while_syncing: Callable[[], None] = lambda: None
        self.on_directory_sync: Callable[[], None] = lambda: None
        self.is_gone = False  # the process has ended: no handler of its own may do anything more
        self._rng = rng
        self._note = note
        self._durable: dict[int, int] = {}
        self._ghosts: dict[int, tuple[int, int]] = {}
        self._has_failed = False
        self._is_full = False
        self._overwritten: dict[int, tuple[int, int]] = {}

    def end_process(self) -> None:
        """What the system does for a process that died: its locks on the log are gone."""
        # Of the segments the last one alone: a thread of the writer closes those before it.
        segments = sorted(map(str, self.directory.glob("*.jsonl")))[-1:]
        lockable = {str(self.directory), str(self.directory / "lock"), *segments}
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                is_locked = "FLOCK" in Path(f"/proc/self/fdinfo/{number}").read_text()
                if is_locked and os.readlink(f"/proc/self/fd/{number}") in lockable:
                    os.close(int(number))

    def restart(self) -> None:
        """A new process: whatever failed before is history; what is in memory stays."""
        self._has_failed = self._is_full = self.is_gone = False
        self._overwritten.clear()
        kept = {path.stat().st_ino for path in self.directory.glob("*.jsonl")}
        self._durable = {ino: size for ino, size in self._durable.items() if ino in kept}
        self._ghosts = {ino: span for ino, span in self._ghosts.items() if ino in kept}

    def write(self, descriptor: int, data: memoryview, /) -> int:
        """As `os.write`, or as the fault has it."""
        self._check_alive("write")
        self.hit("before a write")
        facts = os.fstat(descriptor)
        self._durable.setdefault(facts.st_ino, facts.st_size)
        if self._is_full:
            self._has_failed = True
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = len(data)
        if self._due("short"):
            os.write(descriptor, data[: self._rng.randrange(count + 1)])
            raise CrashError("inside a write")
        if self._due("enospc"):
            self._is_full = True
            count = self._rng.randrange(count)
            if count == 0:
                return self.write(descriptor, data)
        elif self._rng.random() < 0.05:
            count = self._rng.randint(1, count)
        return os.write(descriptor, data[:count])

    def fdatasync(self, descriptor: int, /) -> None:
        """As `os.fdatasync`, or as the fault has it; meanwhile requests go on arriving."""
        self._check_alive("fdatasync")
        self.hit("between write and sync")
        self.while_syncing()
        ino, size = os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size
        if self._due("eio_kept"):
            self._durable[ino] = size
        elif self._due("eio_lost"):
            self._ghosts[ino] = (self._durable.get(ino, size), size)
            self._durable[ino] = size  # clean, says the system; the disk never took it
        else:
            self._durable[ino] = size
            self.hit("after a sync")
            return
        self._has_failed = True
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within, the calls of start-up are places for a crash, and syncs are accounted for."""
        names = ("fsync", "ftruncate", "pwrite", "rename")
        real = {name: getattr(os, name) for name in names}

        def watched(name: str) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                self.hit(f"before os.{name}")
                result = real[name](*arguments, **options)
                if name == "fsync":
                    self._synced(arguments[0])  # type: ignore[arg-type]
                elif name == "pwrite":
                    self._written_over(*arguments)  # type: ignore[arg-type]
                return result

            return call

        for name in names:
            setattr(os, name, watched(name))
        try:
            yield
        finally:
            for name in names:
                setattr(os, name, real[name])

    def cut_power(self) -> None:
        """Makes the files what the disk may hold of them once the memory is gone."""
        for path in sorted(self.directory.glob("*.jsonl")):
            facts = path.stat()
            durable = min(self._durable.get(facts.st_ino, facts.st_size), facts.st_size)
            start, end = self._ghosts.pop(facts.st_ino, (durable, facts.st_size))
            self._durable[facts.st_ino] = facts.st_size
            if start < min(end, facts.st_size):
                before = path.read_bytes()
                after = self._torn(before, start, min(end, len(before)))
                # In place: the descriptors of the dead process are closed, the inode is the same.
                descriptor = os.open(path, os.O_WRONLY)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, after)
                os.close(descriptor)
                self._durable[facts.st_ino] = len(after)

    def has_bytes_in_doubt(self) -> bool:
        """Would a power cut now be free to change the log as it lies there?"""
        facts = [path.stat() for path in self.directory.glob("*.jsonl")]
        return any(
            fact.st_ino in self._ghosts
            or self._durable.get(fact.st_ino, fact.st_size) < fact.st_size
            for fact in facts
        )

    def _torn(self, content: bytes, start: int, end: int) -> bytes:
        """`content` after a power cut that may take any of its bytes from `start` to `end`."""
        rng = self._rng
        how = rng.choice(("dropped", "kept", "torn", "sectors", "sectors", "sectors and end"))
        if end < len(content):
            how = "sectors"  # something durable follows: a hole is left
        changed = bytearray(content)
        if how.startswith("sectors"):
            edges = [start, *range(-(-(start + 1) // SECTOR_BYTES) * SECTOR_BYTES, end, 512), end]
            for left, right in itertools.pairwise(edges):
                if rng.random() < 0.3:
                    changed[left:right] = bytes(right - left)
        if how in ("torn", "sectors and end"):
            del changed[rng.randint(start, end) :]
        if how == "dropped":
            del changed[start:]
        self._note(f"power cut: {end - start} bytes in doubt: {how}, {len(changed)} left")
        return bytes(changed)

    def _synced(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            self.on_directory_sync()
        if facts.st_ino in self._durable:
            self._durable[facts.st_ino] = facts.st_size
        start, end = self._overwritten.pop(facts.st_ino, (0, 0))
        ghost = self._ghosts.get(facts.st_ino)
        if ghost is not None and start <= ghost[0] and min(ghost[1], facts.st_size) <= end:
            del self._ghosts[facts.st_ino]  # dirty again, and now taken by the disk

    def _written_over(self, descriptor: int, data: bytes, offset: int) -> None:
        """Bytes of a file were written in place: the next sync is about them, too."""
        ino, end = os.fstat(descriptor).st_ino, offset + len(data)
        start, before = self._overwritten.get(ino, (offset, offset))
        self._overwritten[ino] = (min(start, offset), max(before, end))

    def _due(self, kind: str) -> bool:
        """Is it now that the fault happens?"""
        fault = self.fault
        if fault is None or fault.kind != kind:
            return False
        fault.at -= 1
        if fault.at != 0:
            return False
        self._note(f"fault: {kind}")
        return True

    def _check_alive(self, call: str) -> None:
        if self._has_failed:
            raise ViolationError(f"{call} after a write or a sync had failed")
