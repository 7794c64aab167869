"""What the process tells its operator: lines that never hold the service up and never end it.

Owns standard error while a service runs, the line that says that it is ready on standard output,
and the count of those that could not be said. The form of a line is `guard.process.line_forms`'s.

How it works: a line goes into a bounded queue, and a thread of its own writes it with one plain
`write`. Not the loop: nobody can ask beforehand whether a write will wait (a pipe or a terminal is
shared with other writers, a file may lie on a disk that hangs), and O_NONBLOCK is set on the open
file, which the shell and everybody else who inherited it share. While the thread waits, lines do;
beyond the queue, and where a write fails (nobody reads any more, the device is full), they are
counted, and the count is said as soon as something can be said again. A line has at most as many
bytes as a pipe takes in one piece, so that those of several processes do not run into each other.
At the process's end the thread is given a moment for what is queued.

How it fails: not at all, but by that count (`lines_not_said` of `stats`). A forked child has no
such thread: it must not say anything (`guard.process.forked_child`).
"""

import contextlib
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final, TextIO

from guard import clock
from guard.process.line_forms import ALARM, FATAL, INFO, Told, json_line_of, line_of, told

# Some minutes of a bad day's lines, one a second; at most 4 MiB.
LINES_WAITING_MAX: Final = 1_000
LINE_BYTES_MAX: Final = select.PIPE_BUF
# A reader that is alive has read by then; one that is not shall not hold up a restart.
LAST_WORDS_S: Final = 1.0

_NOBODY_READS: Final = "nobody read them"
_CUT: Final = b" ...\n"


class Voice:
    """One descriptor that lines are written to. Any thread may call; no call waits or raises."""

    def __init__(
        self,
        descriptor: int,
        wall_ns: Callable[[], int] | None = None,
        lines_waiting_max: int = LINES_WAITING_MAX,
    ) -> None:
        """`descriptor`: -1 where there is none. `wall_ns`: None where programs read the lines,
        who are not told how many are missing."""
        self.descriptor: Final = descriptor
        self.lines_not_said = 0
        self._wall_ns = wall_ns
        self._lines_waiting_max = lines_waiting_max
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        # Reentrant: a signal's handler may say something while its thread is saying something.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._not_told = 0  # of those not said: whose number has not been said yet
        self._why = ""
        self._is_torn = False

    def put(self, line: bytes) -> None:
        """Says the line, which ends in a newline; a longer one than there may be is cut."""
        if len(line) > LINE_BYTES_MAX:
            line = line[: LINE_BYTES_MAX - len(_CUT)] + _CUT
        with self._lock:
            if self._queue.qsize() < self._lines_waiting_max and self._has_thread():
                self._queue.put(line)
            else:
                self._count(_NOBODY_READS)

    def retry(self) -> None:
        """Tries to say how many lines could not be said, if that is still to be told."""
        with self._lock:
            if self._not_told and self._queue.empty() and self._has_thread():
                self._queue.put(b"")

    def fence(self) -> threading.Event:
        """Set when all that was put before it has been written, or has failed."""
        fence = threading.Event()
        with self._lock:
            if self._thread is None:
                fence.set()
            else:
                self._queue.put(fence)
        return fence

    def _has_thread(self) -> bool:
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._serve, name="saying", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be had: the next line tries again
                return False
            self._thread = thread
        return True

    def _count(self, why: str) -> None:
        self.lines_not_said += 1
        self._not_told += 1
        self._why = why

    def _serve(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            item = self._queue.get()
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._say(item)

    def _say(self, line: bytes) -> None:
        try:
            self._tell_count()
            self._write(line)
        except (OSError, MemoryError) as error:
            if line:
                with self._lock:
                    self._count(getattr(error, "strerror", None) or type(error).__name__)

    def _tell_count(self) -> None:
        with self._lock:
            count, why = self._not_told, self._why
        if count and self._wall_ns is not None:
            lines = "1 line" if count == 1 else f"{count:,} lines"
            text = f"{lines} before this one could not be said here: {why}"
            self._write(_line(self._wall_ns(), ALARM, told("lines_not_said", text, count=count)))
            with self._lock:
                self._not_told -= count

    def _write(self, data: bytes) -> None:
        """All of it, however long that takes. Raises OSError."""
        if not data:
            return
        view = memoryview(b"\n" + data if self._is_torn else data)
        written = 0
        try:
            while written < len(view):
                try:
                    written += os.write(self.descriptor, view[written:])
                except BlockingIOError:  # somebody who shares it has made it so
                    self._wait_for_room()
        finally:
            if written:
                self._is_torn = written < len(view)

    def _wait_for_room(self) -> None:
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        poll.poll()


def _descriptor_of(stream: TextIO | None) -> int:
    """As the process was given it; -1 where it was closed, and may be anybody's by now."""
    return -1 if stream is None else stream.fileno()


_standard_error: Final = Voice(_descriptor_of(sys.__stderr__), clock.wall_ns)
_standard_output: Final = Voice(_descriptor_of(sys.__stdout__))
_is_serving = False
_is_json = False


def use_json() -> None:
    """From here on each line is one JSON object."""
    global _is_json
    _is_json = True


def _line(wall_ns: int, level: str, text: str) -> bytes:
    if _is_json:
        return json_line_of(wall_ns, level, text, LINE_BYTES_MAX)
    return line_of(wall_ns, level, text)


def say(text: str) -> None:
    """One line for the operator."""
    _standard_error.put(_line(clock.wall_ns(), INFO, text))


def alarm(text: str) -> None:
    """One line for the operator, who should do something about it."""
    _standard_error.put(_line(clock.wall_ns(), ALARM, text))


def announce(text: str) -> None:
    """One line on standard output, for who started the process."""
    plain = f"{text}\n".encode(errors="backslashreplace")
    _standard_output.put(_line(clock.wall_ns(), INFO, text) if _is_json else plain)


def begin_service(ready: Told) -> None:
    """Announces that the service is ready. From here on its last sentence has a time, too."""
    global _is_serving
    _is_serving = True
    announce(ready)


def complaint(error: BaseException | str) -> str:
    """Why the process ends, as the line that says so."""
    text = f"the service has ended, nothing more is answered: {error}"
    if _is_json:
        name = "service_ended" if _is_serving else "refused"
        named = told(name, text if _is_serving else str(error), error=type(error).__name__)
        return _line(clock.wall_ns(), FATAL, named).decode()
    if _is_serving:
        return line_of(clock.wall_ns(), ALARM, text).decode()
    return f"pretrade-guard: {error}\n"


def retry() -> None:
    """Once in a while: tries to say what is still to be told of lines that could not be said."""
    _standard_error.retry()


def lines_not_said() -> int:
    """How many lines could not be said since the process began."""
    return _standard_error.lines_not_said + _standard_output.lines_not_said


class _Stream(io.TextIOBase):
    """Lines into a voice, for all who write to `sys.stderr`."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._rest = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def fileno(self) -> int:
        return self._voice.descriptor

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if _is_json:
            return self._write_json(text)
        *lines, rest = (self._rest + text).split("\n")
        if len(rest) > LINE_BYTES_MAX:
            lines, rest = [*lines, rest], ""
        self._rest = rest
        for line in lines:
            self._voice.put(f"{line}\n".encode(errors="backslashreplace"))
        return len(text)

    def _write_json(self, text: str) -> int:
        """What is written in one piece is one event; what is one already stays as it is."""
        whole = self._rest + text
        self._rest = "" if whole.endswith("\n") or len(whole) > LINE_BYTES_MAX else whole
        if not self._rest:
            is_event = whole.startswith('{"time": ')
            named = told("output", whole.rstrip("\n"))
            line = whole.encode() if is_event else _line(clock.wall_ns(), FATAL, named)
            self._voice.put(line)
        return len(text)

    def end(self) -> None:
        """Says what has no end of a line yet."""
        if self._rest:
            self.write("\n")


@contextlib.contextmanager
def speaking() -> Iterator[None]:
    """Within, nothing that is written to `sys.stderr` waits or fails, unless somebody has put
    something of his own there; behind it, the last words have been given their time."""
    before, stream = sys.stderr, _Stream(_standard_error)
    if before is sys.__stderr__:
        sys.stderr = stream
    try:
        yield
    finally:
        stream.end()
        sys.stderr = before
        deadline_ns = clock.monotonic_ns() + int(LAST_WORDS_S * 1e9)
        for fence in (_standard_output.fence(), _standard_error.fence()):
            fence.wait(max(0.0, (deadline_ns - clock.monotonic_ns()) / 1e9))
