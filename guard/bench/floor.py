"""What no guard can be faster than: its own door and the disk, with nothing decided between them.

Owns three small services in a process each, and the measurement of the disk alone. All three answer
each message with its own bytes, through the door that the guard has (`guard.server.listener`):

    echo                 at once
    floor, appended      when as many bytes as a record has are synced behind a file's end
    floor, over zeros    the same over zeros that were written and synced before, as the guard's log
                         has them: the file's length stands still

What has arrived while a sync ran is one batch, as in the guard, with one write and one sync. Like
the guard they look for the next message for a while, before they sleep.

How it fails: `BenchError` where one of them is not ready in time; one that fails later is gone, and
its client says so.
"""

import os
import select
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from guard import clock
from guard.bench.schedule import NS_PER_S
from guard.bench.site import BenchError
from guard.bench.worker import Worker
from guard.config.file import EndpointsSection
from guard.histogram import Histogram
from guard.server.batch import Answer
from guard.server.listener import Listener
from guard.server.policy import Policy
from guard.server.zmtp import Limits

ECHO: Final = "echo"
FLOOR_APPENDED: Final = "floor, appended"
FLOOR_OVER_ZEROS: Final = "floor, over zeros"
DISK: Final = "disk"
DISK_OVER_ZEROS: Final = "disk, over zeros"
DOORS: Final = (ECHO, FLOOR_APPENDED, FLOOR_OVER_ZEROS)

START_S: Final = 20.0
LIMITS: Final = Limits(body_bytes_max=262_144, message_bytes_max=4_194_304, frames_max=2)
CONNECTIONS_MAX: Final = 256
# Of the file that is written over, again and again: more than a batch, and soon written.
ZEROS_BYTES: Final = 16 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024
POLL_NS: Final = EndpointsSection(orders="").busy_poll_us * 1_000


class RecordFile:
    """A file that takes bytes durably: at its end, or over its zeros, from the beginning again."""

    def __init__(self, path: Path, *, is_over_zeros: bool) -> None:
        """Creates it. Raises OSError."""
        self._path = path
        self._end = ZEROS_BYTES if is_over_zeros else None
        self._at = 0
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        if is_over_zeros:
            for at in range(0, ZEROS_BYTES, PIECE_BYTES):
                os.pwrite(self._descriptor, bytes(PIECE_BYTES), at)
            os.fsync(self._descriptor)

    def write(self, data: bytes | memoryview) -> None:
        """Writes it, at most `ZEROS_BYTES`, and syncs. Raises OSError."""
        if self._end is not None and self._at + len(data) > self._end:
            self._at = 0
        self._at += os.pwrite(self._descriptor, data, self._at)
        os.fdatasync(self._descriptor)

    def remove(self) -> None:
        """Closes and removes it."""
        os.close(self._descriptor)
        self._path.unlink()


class Door:
    """One of `DOORS` in a process of its own."""

    def __init__(self, name: str, directory: Path, record_bytes: int) -> None:
        """Starts it; its file, if it has one, stands in `directory`. Raises BenchError."""
        self._worker = Worker(_serve, name, directory, record_bytes)
        if not self._worker.pipe.poll(START_S):
            self.stop()
            raise BenchError(f"{name}: not ready within {START_S:.0f} s")
        try:
            self.endpoint: str = self._worker.pipe.recv()
        except EOFError:
            self.stop()
            raise BenchError(f"{name}: ended before it was ready") from None
        self.process_id = self._worker.process_id

    def stop(self) -> None:
        """Ends it."""
        self._worker.kill()
        self._worker.close(START_S)


def _serve(name: str, directory: Path, record_bytes: int, parent: Connection) -> None:
    make_durable: Callable[[int], None] = _nothing
    if name != ECHO:
        is_over_zeros = name == FLOOR_OVER_ZEROS
        file = RecordFile(directory / f"{name}.probe", is_over_zeros=is_over_zeros)
        records = memoryview(b"x" * (ZEROS_BYTES // record_bytes * record_bytes))

        def make_durable(messages: int) -> None:
            file.write(records[: messages * record_bytes])

    door = Listener(["tcp://127.0.0.1:*"], Policy(LIMITS, CONNECTIONS_MAX))
    parent.send(door.endpoint)
    parent.close()
    poll = select.poll()
    poll.register(door.descriptor, select.POLLIN)
    answers: list[Answer] = []
    while True:
        if not _looks(door):
            poll.poll()
        door.begin_turn()
        while (received := door.receive()) is not None:
            answers.append((received[0], received[1], received[2] or b""))
        if answers:
            make_durable(len(answers))
            door.send_all(answers, _encode_late)
            answers.clear()


def _looks(door: Listener) -> bool:
    """Is there something to receive, now or soon?"""
    end_ns = clock.monotonic_ns() + POLL_NS
    while not door.has_input():
        if clock.monotonic_ns() >= end_ns:
            return False
    return True


def _nothing(_messages: int) -> None:
    """What an echo makes durable."""


def _encode_late(_late: object) -> bytes:
    raise BenchError("an echo knows each body when it comes")


def measure_disk(
    directory: Path, record_bytes: int, duration_s: float, *, is_over_zeros: bool = False
) -> Histogram:
    """Nanoseconds of a write of so many bytes and its `fdatasync`, one after the other."""
    os.sync()
    record = b"x" * record_bytes
    file = RecordFile(directory / "disk.probe", is_over_zeros=is_over_zeros)
    deadline_ns = clock.monotonic_ns() + int(duration_s * NS_PER_S)
    latencies_ns = []
    try:
        while (started_ns := clock.monotonic_ns()) < deadline_ns:
            file.write(record)
            latencies_ns.append(clock.monotonic_ns() - started_ns)
    finally:
        file.remove()
    histogram = Histogram()
    histogram.record_all(latencies_ns)
    return histogram
