"""Checkpoints in the simulator: who writes them, what a power cut leaves, what spoils them.

`SimChild` stands in for the forked child: it has the state as it was, by its own bytes and back,
and does its work in one go when its time has come. Within `publishing` every call that the product
makes to the disk is a place where the machine may end, the child alone may end, or space may; names
count once their directory was synced, bytes once their file was. `spoil` damages what a life has
left, as a disk or an operator does. `check` is what a start must have done with it.
"""

import contextlib
import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from guard.engine.state import GuardState
from guard.process.forked_child import Ended
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.recovery.recover import Recovered
from sim.disk import CrashError, Disk, ViolationError
from wal import ChainHasher, Head, read_checkpoints, write_checkpoint

UNLISTED = "is not used: the manifest does not list it"  # what a crash may leave, and nothing else


class ChildKilledError(BaseException):
    """The child ends here, and nobody else."""


class Checkpoints:
    """The checkpoints of one log directory, over all of its lives."""

    def __init__(
        self,
        directory: Path,
        rng: random.Random,
        disk: Disk,
        hasher: ChainHasher,
        note: Callable[[str], None],
    ) -> None:
        self.directory = directory
        self.rng = rng
        self.published = 0
        self.taken = self.failed = self.spoilt = self.begun_with = 0
        self._disk = disk
        self._hasher = hasher
        self._note = note
        self._is_spoilt = False
        # Whether what was spoilt knows of a record that the log does not hold; None: perhaps.
        self.knows_loss: bool | None = False
        self._fate = ("well", 0)
        self._names: list[Callable[[], None]] = []  # how to undo each change that is not durable
        self._unsynced: dict[int, int] = {}  # by inode: how much of a file is durable
        disk.on_directory_sync = self._names.clear

    # The child.

    def start_child(
        self,
        work: Callable[[GuardState, Callable[[], bool]], str],
        subject: GuardState,
        expected_errors: tuple[type[Exception], ...],
    ) -> "SimChild":
        """As `ForkedChild.start`."""
        return SimChild(self, work, subject, expected_errors)

    def draw_fate(self) -> None:
        """Decides what becomes of the next one that is written."""
        kind = self.rng.choices(("well", "killed", "enospc"), (8, 2, 1))[0]
        self._fate = (kind, self.rng.randint(1, 12))

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """Within, the product's calls go to a disk that may fail, and are accounted for."""
        calls: dict[str, Callable[..., Any]] = {
            "write": self._write,
            "fsync": self._fsync,
            "fdatasync": self._fsync,
            "rename": self._rename,
            "unlink": self._unlink,
        }
        real = {name: getattr(os, name) for name in calls}
        for name, call in calls.items():
            setattr(os, name, self._placed(name, real[name], call))
        try:
            yield
        finally:
            for name, call in real.items():
                setattr(os, name, call)

    def _placed(
        self, name: str, real: Callable[..., Any], call: Callable[..., Any]
    ) -> Callable[..., Any]:
        def placed(*arguments: Any) -> Any:
            if self._disk.is_gone:
                raise CrashError("gone already")  # what a handler would do, no dead process does
            self._disk.hit(f"checkpoint: before os.{name}")
            kind, left = self._fate
            if kind != "well":
                self._fate = (kind, left - 1)
                if kind == "killed" and left <= 1:
                    raise ChildKilledError
                if kind == "enospc" and left <= 1 and name == "write":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(real, *arguments)

        return placed

    def _write(self, real: Any, descriptor: int, data: Any) -> int:
        facts = os.fstat(descriptor)
        self._unsynced.setdefault(facts.st_ino, facts.st_size)
        count: int = real(descriptor, data)
        return count

    def _fsync(self, real: Any, descriptor: int) -> None:
        del real  # nothing here is for real: a sync is a line in the account
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            self._names.clear()
        else:
            self._unsynced.pop(facts.st_ino, None)

    def _rename(self, real: Any, source: Any, target: Any) -> None:
        path = Path(target)
        before = path.read_bytes() if path.exists() else None
        real(source, target)

        def undo() -> None:
            if path.exists():
                real(target, source)
            if before is not None:
                path.write_bytes(before)

        self._names.append(undo)

    def _unlink(self, real: Any, target: Any) -> None:
        path = Path(target)
        before = path.read_bytes() if path.exists() else b""
        real(target)

        def undo() -> None:
            if not path.exists():
                path.write_bytes(before)

        self._names.append(undo)

    # What goes wrong between two lives.

    def cut_power(self) -> None:
        """Makes the checkpoints what the disk may hold of them."""
        kept = self.rng.randint(0, len(self._names))
        for undo in reversed(self._names[kept:]):
            undo()
        self._names.clear()
        for path in sorted(self.directory.glob("checkpoint*")):
            durable = self._unsynced.get(path.stat().st_ino)
            if durable is not None:
                data = path.read_bytes()
                path.write_bytes(data[: self.rng.randint(min(durable, len(data)), len(data))])
        self._unsynced.clear()

    def spoil(self, is_whole: bool, told_sequence: int) -> None:
        """Damages something. `told_sequence`: a record that is on the disk for certain.

        `is_whole`: the log ends well. A torn end below a checkpoint's record is refused, rightly.
        """
        infos = read_checkpoints(self.directory, self._hasher)
        good = [info for info in infos if info.problem is None]
        if not good or self.rng.random() > 0.3:
            return
        kinds = ["flip", "cut", "gone", "manifest", "other log"]
        kind = self.rng.choice([*kinds, "future"] if is_whole else kinds)
        self._note(f"spoilt: {kind}")
        path = good[0].path
        if kind == "manifest":
            path = self.directory / "checkpoints.json"
        if kind == "gone":
            path.unlink()
        elif kind == "cut":
            os.truncate(path, self.rng.randrange(path.stat().st_size))
        elif kind in ("flip", "manifest"):
            data = bytearray(path.read_bytes())
            data[self.rng.randrange(min(len(data), 4_000))] ^= 1 << self.rng.randrange(8)
            path.write_bytes(data)
        else:
            # One of another log is taken for this one's by its record's hash alone.
            sequence = told_sequence + 1_000 if kind == "future" else good[0].head.sequence
            head = Head(sequence, self.rng.randbytes(32).hex())
            write_checkpoint(
                self.directory, head, "ab" * 32, iter([path.read_bytes()]), self._hasher
            )
        self._is_spoilt = True
        if kind in ("future", "other log"):
            self.knows_loss = True
        elif kind == "manifest" and self.knows_loss:
            self.knows_loss = None  # what named the lost record may not be read any more
        self.spoilt += 1
        self.published = 0

    def check(self, recovered: Recovered) -> None:
        """What a start has begun with, and what it has said about the others."""
        found = 0 if recovered.checkpoint is None else recovered.checkpoint.sequence
        self._note(f"began with checkpoint {found}, {len(recovered.alarms)} alarms")
        if found < self.published:
            raise ViolationError(f"began with {found}, though {self.published} was published")
        if not self._is_spoilt:
            for alarm in recovered.alarms:
                if not alarm.endswith(UNLISTED):
                    raise ViolationError(f"nobody has spoilt anything: {alarm}")
        if bool(recovered.losses) != bool(self.knows_loss) and self.knows_loss is not None:
            raise ViolationError(f"{recovered.losses} are said to be lost, not {self.knows_loss}")
        if recovered.losses:
            self.knows_loss = (
                None  # a crash may come before it is taken off the manifest, or behind
            )
        else:
            self._is_spoilt = False
        self.begun_with += found > 0

    def settled(self) -> None:
        """A start has come to its end."""
        self._is_spoilt = self.knows_loss = False


class SimChild:
    """A child that does nothing, then everything at once."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        work: Callable[[GuardState, Callable[[], bool]], str],
        subject: GuardState,
        expected_errors: tuple[type[Exception], ...],
    ) -> None:
        self._checkpoints = checkpoints
        self._work = work
        self._expected_errors = expected_errors
        self._may_go = False
        self._sequence = subject.next_sequence - 1
        payload = b"".join(encode_state(subject))
        at = 0

        def read(count: int) -> bytes:
            nonlocal at
            at += count
            return payload[at - count : at]

        self._frozen = decode_state(read)

    def let_go(self) -> None:
        self._may_go = True

    def poll(self) -> Ended | None:
        checkpoints = self._checkpoints
        if not self._may_go or checkpoints.rng.random() < 0.4:
            return None
        checkpoints.draw_fate()
        try:
            with checkpoints.publishing():
                word = self._work(self._frozen, lambda: True)
        except self._expected_errors as error:
            checkpoints.failed += 1
            return Ended(None, str(error))
        except ChildKilledError:
            checkpoints.failed += 1
            return Ended(None, "killed")
        checkpoints.published = self._sequence
        checkpoints.taken += 1
        return Ended(word, None)

    def kill(self) -> None:
        """It has done nothing yet."""
