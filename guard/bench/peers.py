"""The peers that a guard is measured beside and that are to be installed: Redis, the wheel.

Owns Redis's process and directory, and ends only what it started. A peer that is not installed is
named as not measured. What needs no installation is `guard.bench.floor`'s.
"""

import shutil
import socket
import subprocess
from importlib import util
from pathlib import Path
from typing import Final

from guard import clock
from guard.bench.redis_orders import open_desks
from guard.bench.schedule import NS_PER_S
from guard.bench.site import BenchError
from guard.process import leaving

START_S: Final = 20.0


def missing_peers() -> dict[str, str]:
    """Which are not installed, and how they would be."""
    missing = {}
    if shutil.which("redis-server") is None:
        missing["redis"] = "redis-server is not installed"
    if util.find_spec("calybris") is None:
        missing["wheel"] = "the calybris wheel is not installed"
    return missing


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
