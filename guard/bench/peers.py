"""The peers that a guard is measured beside: a bare echo, the disk alone, Redis, the wheel.

Owns their processes and directories, and ends only what it started. A peer that is not installed
is named as not measured. The echo and the disk are the floor of the design: an answer can be no
faster than a message there and back, and one `fdatasync`.
"""

import os
import select
import shutil
import socket
import subprocess
from importlib import util
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from guard import clock
from guard.bench.redis_orders import open_desks
from guard.bench.schedule import NS_PER_S
from guard.bench.site import BenchError
from guard.bench.worker import Worker
from guard.histogram import Histogram
from guard.process import leaving
from guard.server.batch import Answer
from guard.server.listener import Listener
from guard.server.policy import Policy
from guard.server.zmtp import Limits

START_S: Final = 20.0
ECHO_LIMITS: Final = Limits(body_bytes_max=262_144, message_bytes_max=4_194_304, frames_max=2)
ECHO_CONNECTIONS_MAX: Final = 256


def missing_peers() -> dict[str, str]:
    """Which are not installed, and how they would be."""
    missing = {}
    if shutil.which("redis-server") is None:
        missing["redis"] = "redis-server is not installed"
    if util.find_spec("calybris") is None:
        missing["wheel"] = "the calybris wheel is not installed"
    return missing


class Echo:
    """The guard's own door in a process of its own, which answers each body with itself."""

    def __init__(self) -> None:
        """Starts it. Raises BenchError."""
        self._worker = Worker(_echo)
        if not self._worker.pipe.poll(START_S):
            self.stop()
            raise BenchError(f"the echo was not ready within {START_S:.0f} s")
        try:
            self.endpoint: str = self._worker.pipe.recv()
        except EOFError:
            self.stop()
            raise BenchError("the echo ended before it was ready") from None

    def stop(self) -> None:
        """Ends it."""
        self._worker.kill()
        self._worker.close(START_S)


def _echo(parent: Connection) -> None:
    door = Listener(["tcp://127.0.0.1:*"], Policy(ECHO_LIMITS, ECHO_CONNECTIONS_MAX))
    parent.send(door.endpoint)
    parent.close()
    poll = select.poll()
    poll.register(door.descriptor, select.POLLIN)
    echoed: list[Answer] = []
    while True:
        poll.poll(0 if door.has_ready() else None)
        door.begin_turn()
        while (received := door.receive()) is not None:
            echoed.append((received[0], received[1], received[2] or b""))
        door.send_all(echoed, _encode_late)
        echoed.clear()


def _encode_late(_late: object) -> bytes:
    raise BenchError("an echo knows each body when it comes")


def measure_disk(directory: Path, record_bytes: int, duration_s: float) -> Histogram:
    """Nanoseconds of `fdatasync` behind an append of so many bytes, one after the other."""
    path = directory / "disk.probe"
    record = b"x" * record_bytes
    os.sync()
    deadline_ns = clock.monotonic_ns() + int(duration_s * NS_PER_S)
    latencies_ns = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while clock.monotonic_ns() < deadline_ns:
            os.write(descriptor, record)
            started_ns = clock.monotonic_ns()
            os.fdatasync(descriptor)
            latencies_ns.append(clock.monotonic_ns() - started_ns)
    finally:
        os.close(descriptor)
        path.unlink()
    histogram = Histogram()
    histogram.record_all(latencies_ns)
    return histogram


class Redis:
    """A `redis-server` of its own: append-only file, fsync before every answer, nothing else."""

    def __init__(self, directory: Path, desks: int) -> None:
        """Starts it on a free loopback port. Raises BenchError."""
        program = shutil.which("redis-server")
        if program is None:
            raise BenchError("redis-server is not installed")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        directory.mkdir(exist_ok=True)
        self.endpoint = f"tcp://127.0.0.1:{port}"
        options = {
            "port": str(port),
            "bind": "127.0.0.1",
            "dir": str(directory),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            # A rewrite in the middle would be Redis's cost, and no part of an order's.
            "auto-aof-rewrite-percentage": "0",
            "loglevel": "warning",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self._process = leaving.start_process([program, *arguments], stdout=subprocess.DEVNULL)
        self.process_id = self._process.pid
        try:
            self._open(desks)
        except BaseException:
            self.stop()
            raise

    def _open(self, desks: int) -> None:
        deadline_ns = clock.monotonic_ns() + int(START_S * NS_PER_S)
        while True:
            try:
                open_desks(self.endpoint, desks, START_S)
                return
            except ConnectionRefusedError:
                if self._process.poll() is not None or clock.monotonic_ns() > deadline_ns:
                    raise BenchError("redis-server does not start") from None
                clock.sleep_until(clock.monotonic_ns() + NS_PER_S // 50)

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def redis_version() -> str:
    """As the program says it."""
    program = shutil.which("redis-server")
    if program is None:
        return "not installed"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return next((word[2:] for word in said.stdout.split() if word.startswith("v=")), "unknown")
