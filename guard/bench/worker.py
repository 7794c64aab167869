"""A function of the bench's in a process of its own, and a pipe to it.

Owns that process; it is started as every process of ours is (`guard.process.own_process`). What
goes through the pipe is pickled, as `multiprocessing` does it: functions by their module's name.

How it fails: a process that ends early closes its end of the pipe: EOFError here.
"""

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from guard.process import own_process


class Worker:
    """`function(*arguments, pipe)` at work elsewhere."""

    def __init__(self, function: Callable[..., None], *arguments: object) -> None:
        """Starts it. Raises OSError."""
        self.pipe, theirs = multiprocessing.Pipe()
        with theirs:
            descriptor = theirs.fileno()
            self._process = own_process.start(
                "guard.bench.worker",
                str(descriptor),
                stdin=subprocess.DEVNULL,
                pass_fds=(descriptor,),
            )
        self.process_id = self._process.pid
        self.pipe.send((function, arguments))

    def kill(self) -> None:
        """Ends it, if it still runs."""
        self._process.kill()

    def close(self, grace_s: float) -> None:
        """Waits so long for its end, then ends it."""
        self.pipe.close()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _work(descriptor: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it, and says so
    pipe: Connection = Connection(descriptor)
    function, arguments = pipe.recv()
    function(*arguments, pipe)


if __name__ == "__main__":
    _work(int(sys.argv[1]))
