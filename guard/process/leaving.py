"""What a command that starts processes leaves behind when it ends, however it ends: nothing.

Owns the processes and temporary directories of the command that runs (`demo`, `bench`, `export`),
and what SIGINT, SIGTERM and SIGHUP do to it: they raise `Ended` in the main thread, once, as the
keyboard's interrupt is raised. What they would find half made or half removed is done under `held`,
to its end, and then they count. Further ones are passed over: the way out is short, and bounded.

How it fails: nothing here catches what a command raises. SIGKILL leaves what there is.
"""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal has ended the command."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Command:
    """What the running command has begun, and whether a signal has ended it."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.directories: list[Path] = []
        self.holds = 0
        self._number = 0  # the signal, once there was one
        self._is_over = False  # `Ended` was raised, or the command is on its way out

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """Called by the interpreter between two instructions of the main thread."""
        self._number = self._number or number
        if not self.holds:
            self.heed()

    def heed(self) -> None:
        """Raises Ended, once, if there was a signal."""
        if self._number and not self._is_over:
            self._is_over = True
            raise Ended(self._number)

    def leave(self) -> None:
        """Ends what still runs and removes what is still there."""
        self._is_over = True
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        for directory in self.directories:
            if directory.exists():
                shutil.rmtree(directory)


_running: list[_Command] = []  # the innermost last; none where a library is used


@contextlib.contextmanager
def nothing_behind(*, heeds_signals: bool) -> Iterator[None]:
    """Around a command. Signals that are ignored, as under nohup, stay so.

    `heeds_signals`: only in a process of its own, and in its main thread.
    """
    mine = _Command()
    _running.append(mine)
    before: dict[int, Any] = {}
    try:
        try:
            if heeds_signals and threading.current_thread() is threading.main_thread():
                for number in map(int, ENDING_SIGNALS):
                    if signal.getsignal(number) is not signal.SIG_IGN:
                        before[number] = signal.signal(number, mine.on_signal)
            yield
        finally:
            mine.leave()
    except Ended:
        mine.leave()  # again, should it have come on the way out
        raise
    finally:
        _running.remove(mine)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """A signal that comes meanwhile counts at the end."""
    mine = _running[-1] if _running else _Command()
    mine.holds += 1
    try:
        yield
    finally:
        mine.holds -= 1
        if not mine.holds:
            mine.heed()


def start_process(arguments: list[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Popen, of a process that ends with the command at the latest."""
    with held():
        process = subprocess.Popen(arguments, **options)
        if _running:
            _running[-1].processes.append(process)
    return process


@contextlib.contextmanager
def temporary_directory(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """A directory of the command's own, removed behind it with all that is in it."""
    with held():
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        if _running:
            _running[-1].directories.append(directory)
    try:
        yield directory
    finally:
        with held():
            shutil.rmtree(directory)
