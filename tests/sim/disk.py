"""The simulator's disk: real files, and an account of which of their bytes a power cut may take.

Owns that account, by inode: what a file held when it was synced last (`_durable`), and what the
disk has of it where a failed sync left the rest in memory only, clean and so never written again
(`_ghosts`) unless somebody writes over it in place (`_overwritten`) and syncs that. A power cut
takes or leaves each sector of what was not synced. It is the writer's `FileLayer` and, through
`watching`, hears of every `os.pwrite` and `os.fsync` besides. Faults are drawn by the world
(`sim.world`) and handed over as a `Fault`; the disk only does as told.
"""

import contextlib
import errno
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
        self._durable: dict[int, bytes] = {}
        self._ghosts: dict[int, bytes] = {}  # what the disk has
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
        self._durable = {ino: image for ino, image in self._durable.items() if ino in kept}
        self._ghosts = {ino: image for ino, image in self._ghosts.items() if ino in kept}

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        """As `os.pwrite`, or as the fault has it."""
        self._check_alive("write")
        self.hit("before a write")
        facts = os.fstat(descriptor)
        if facts.st_ino not in self._durable:
            self._durable[facts.st_ino] = _content(descriptor)
        count = len(data)
        needs_space = offset + count > facts.st_size
        if self._due("short"):
            os.pwrite(descriptor, data[: self._rng.randrange(count + 1)], offset)
            raise CrashError("inside a write")
        if needs_space and not self._is_full and self._due("enospc"):
            self._is_full = True
            count = self._rng.randrange(count)
        elif needs_space and self._is_full:
            count = 0
        elif self._rng.random() < 0.05:
            count = self._rng.randint(1, count)
        if count == 0:
            # No room for zeros ahead is no error; for records it is the last thing that happens.
            self._has_failed = self._has_failed or data[0] != 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(descriptor, data[:count], offset)

    def fdatasync(self, descriptor: int, /) -> None:
        """As `os.fdatasync`, or as the fault has it; meanwhile requests go on arriving."""
        self._check_alive("fdatasync")
        self.hit("between write and sync")
        self.while_syncing()
        ino, content = os.fstat(descriptor).st_ino, _content(descriptor)
        if self._due("eio_kept"):
            self._durable[ino] = content
        elif self._due("eio_lost"):
            self._ghosts[ino] = self._durable.get(ino, content)
            self._durable[ino] = content  # clean, says the system; the disk never took it
        else:
            self._durable[ino] = content
            self.hit("after a sync")
            return
        self._has_failed = True
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def shorten(self, descriptor: int, size: int, /) -> None:
        """The zeros at the end of a file go; the process or the machine may end on the way."""
        self._check_alive("shorten")
        self.hit("before a file is shortened")
        ino = os.fstat(descriptor).st_ino
        if ino not in self._durable:
            self._durable[ino] = _content(descriptor)
        os.ftruncate(descriptor, size)
        self.hit("between shortening and sync")
        self._durable[ino] = _content(descriptor)
        self.hit("after a file was shortened")

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
            ino, before = path.stat().st_ino, path.read_bytes()
            durable = self._durable.get(ino, before)
            ghost = self._ghosts.pop(ino, None)
            if ghost is not None and len(durable) == len(before):
                ghost = ghost[: len(before)]  # that the file became shorter was synced since
            on_disk = durable if ghost is None else ghost
            self._durable[ino] = before
            if on_disk != before:
                after = self._torn(on_disk, before)
                # In place: the descriptors of the dead process are closed, the inode is the same.
                descriptor = os.open(path, os.O_WRONLY)
                os.ftruncate(descriptor, 0)
                os.write(descriptor, after)
                os.close(descriptor)
                self._durable[ino] = after

    def has_bytes_in_doubt(self) -> bool:
        """Would a power cut now be free to change the log as it lies there?"""
        for path in self.directory.glob("*.jsonl"):
            ino, content = path.stat().st_ino, path.read_bytes()
            if ino in self._ghosts or self._durable.get(ino, content) != content:
                return True
        return False

    def _torn(self, old: bytes, new: bytes) -> bytes:
        """What a power cut leaves where the disk has `old` and the memory had `new`."""
        rng = self._rng
        how = rng.choice(("dropped", "kept", "torn", "sectors", "sectors", "sectors and end"))
        changed = bytearray(old if how == "dropped" else new)
        in_doubt = 0
        if how.startswith("sectors"):
            was = old.ljust(len(new), b"\0")
            for at in range(0, len(new), SECTOR_BYTES):
                sector = was[at : at + SECTOR_BYTES]
                if sector[: len(new) - at] != new[at : at + SECTOR_BYTES]:
                    in_doubt += 1
                    if rng.random() < 0.3:
                        changed[at : at + SECTOR_BYTES] = sector[: len(new) - at]
        if how in ("torn", "sectors and end") and len(new) > len(old):
            del changed[rng.randint(len(old), len(new)) :]
        if how.startswith("sectors") and len(new) < len(old) and rng.random() < 0.5:
            changed += old[len(new) :]  # that it became shorter was in memory alone
        self._note(
            f"power cut: {len(old)} bytes on the disk, {len(new)} in memory, {in_doubt} sectors "
            f"in doubt: {how}, {len(changed)} left"
        )
        return bytes(changed)

    def _synced(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            self.on_directory_sync()
        if facts.st_ino in self._durable:
            self._durable[facts.st_ino] = _content(descriptor)
        start, end = self._overwritten.pop(facts.st_ino, (0, 0))
        ghost = self._ghosts.get(facts.st_ino)
        if ghost is not None:
            content = _content(descriptor)
            on_disk = bytearray(ghost[: len(content)].ljust(len(content), b"\0"))
            on_disk[start:end] = content[start:end]  # dirty again, and now taken by the disk
            self._ghosts[facts.st_ino] = bytes(on_disk)
            if on_disk == content:
                del self._ghosts[facts.st_ino]

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


def _content(descriptor: int) -> bytes:
    """All of an open file, whatever it was opened for."""
    return Path(f"/proc/self/fd/{descriptor}").read_bytes()
