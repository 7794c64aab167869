"""What each signal does to the daemon.

Owns the table. Some stop it in good order, three ask for work, and no other that it may catch ends
or suspends it: an alarm of somebody's, a Ctrl-Z are told in a line, and nothing else happens. Left
as they are: the signals of a fault in the process itself and SIGABRT (the service manager's
watchdog), SIGKILL and SIGSTOP.

How it works: a handler of Python's own from the first moment on, the loop's while it serves, and
none once all is done: nothing that comes then changes how the process ends. Before it serves, a
signal that stops it raises `StopAsked` wherever the start stands, which leaves behind what a kill
there would: the log is made for that. Whatever else goes wrong from there on is of that.

All calls belong to the main thread.
"""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Final, Self

from guard.process.line_forms import told

# SIGXCPU: the processor time that the process may use is nearly spent, and SIGKILL comes next.
STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU)
BEGIN_SEGMENT: Final = signal.SIGUSR1
TAKE_CHECKPOINT: Final = signal.SIGUSR2
READ_CONFIGURATION: Final = signal.SIGHUP

# Ignored without a word. A write into a broken pipe or beyond a file's limit is an error where it
# is made; a write to the terminal from the background, which a handler would have tried for ever,
# goes through.
_IGNORED: Final = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTIN, signal.SIGTTOU)
# SIGCHLD: were it ignored, as whoever started us may have left it, no child had an exit code.
_AS_THE_SYSTEM_HAS_IT: Final = (
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGURG,
    signal.SIGWINCH,
)
_LEFT_ALONE: Final = (
    signal.SIGKILL,
    signal.SIGSTOP,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGSYS,
    signal.SIGTRAP,
)
_HANDLED: Final = tuple(
    sorted(
        {int(number) for number in signal.valid_signals()}
        - {*_IGNORED, *_AS_THE_SYSTEM_HAS_IT, *_LEFT_ALONE}
    )
)


class StopAsked(BaseException):
    """A signal has asked the process to stop before it served."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a shell says of a process that the signal ended."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"stopped by {_name(self.number)} before it was ready; nothing was answered"


def no_harm(number: int) -> str:
    """What is said of a signal that does nothing."""
    return f"{_name(number)}: nothing here is done upon it; SIGTERM stops the service"


class Signals:
    """The process's signals, from `with` to its end."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say`: one line for the operator."""
        self._say = say
        self._asked: int | None = None
        self._is_reading_due = False
        self._standing_by: dict[int, Callable[[], None]] = {}

    def __enter__(self) -> Self:
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        for number in _AS_THE_SYSTEM_HAS_IT:
            signal.signal(number, signal.SIG_DFL)
        for each in _HANDLED:
            signal.signal(each, self._on_early)
        return self

    def stand_by(self, take_over: Callable[[], None], stop: Callable[[], None]) -> None:
        """Until `stand_by_no_more`: what a guard does that follows another one."""
        self._standing_by = {BEGIN_SEGMENT: take_over, **dict.fromkeys(STOPS, stop)}

    def stand_by_no_more(self) -> None:
        """Signals do what they do before orders are served."""
        self._standing_by = {}

    def serve(
        self,
        loop: asyncio.AbstractEventLoop,
        stop: Callable[[], None],
        begin_segment: Callable[[], None],
        take_checkpoint: Callable[[], None],
        read_configuration: Callable[[], None],
    ) -> None:
        """From here on they are the loop's. Raises StopAsked where one had asked before."""
        actions = {
            BEGIN_SEGMENT: begin_segment,
            TAKE_CHECKPOINT: take_checkpoint,
            READ_CONFIGURATION: read_configuration,
        }
        actions |= dict.fromkeys(STOPS, stop)
        for number in _HANDLED:
            action = actions.get(signal.Signals(number)) if _is_named(number) else None
            if action is None:
                loop.add_signal_handler(number, self._tell, number)
            else:
                loop.add_signal_handler(number, action)
        self.check()  # it may have been raised where nobody could be told
        if self._is_reading_due:  # the file may have changed since the start has read it
            loop.call_soon(read_configuration)

    def check(self) -> None:
        """Raises StopAsked where that had been raised, and something else has come of it."""
        if self._asked is not None:
            raise StopAsked(self._asked)

    def finish(self) -> None:
        """All is done: what still comes waits for the end. Threads to come inherit that."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """The loop, which gives them back to the system, is closed: they are ignored."""
        for number in _HANDLED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        if error is not None and not isinstance(error, StopAsked):
            self.check()

    def _on_early(self, number: int, _frame: FrameType | None) -> None:
        if (action := self._standing_by.get(number)) is not None:
            action()
        elif number not in STOPS:
            self._tell(number)
        elif self._asked is None:  # else it is on its way out
            self._asked = number
            raise StopAsked(number)

    def _tell(self, number: int) -> None:
        if number in (BEGIN_SEGMENT, TAKE_CHECKPOINT):
            text = f"{_name(number)}: nothing is served yet; nothing is done"
            self._say(told("signal", text))
        elif number == READ_CONFIGURATION:
            self._is_reading_due = True
            text = "SIGHUP: the configuration is read again as soon as orders are served"
            self._say(told("signal", text))
        else:
            self._say(told("signal", no_harm(number)))


def forget_in_child(may_stop: tuple[int, ...] = STOPS) -> None:
    """In a forked child, whose parent has handlers: what stops the parent ends it, by the system's
    own hand; whatever else has a handler is ignored."""
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            is_end = number in may_stop
            signal.signal(number, signal.SIG_DFL if is_end else signal.SIG_IGN)


def _is_named(number: int) -> bool:
    return number in {int(named) for named in signal.Signals}


def _name(number: int) -> str:
    """By number where it has no name: most of the real-time ones."""
    return signal.Signals(number).name if _is_named(number) else f"signal {number}"
