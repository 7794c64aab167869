"""Real observers for tests: a process beside a daemon, asked over HTTP by the standard library."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard.process import own_process
from patience_support import PATIENCE_S


class Observer:
    """One started observer."""

    def __init__(self, process: "subprocess.Popen[bytes]", ready_line: str) -> None:
        self.process = process
        self.ready_line = ready_line
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", ready_line)
        assert found is not None, ready_line
        self.address, self.port = found[0], int(found[1])

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def data(self, path: str) -> Any:
        status, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def metric(self, name: str) -> float | None:
        """A sample's value, by its name and labels as they stand there."""
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rsplit(" ", 1)[1])
        return None

    def wait_until(self, holds: Callable[[], Any]) -> Any:
        """What holds, as soon as it does: it looks once a second, and so do we, oftener."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            assert time.monotonic() < deadline, self.ask("/data/now")
            time.sleep(0.05)
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def observing(log: Path, *arguments: str) -> Iterator[Observer]:
    """An observer of the daemon of that log, which may not be there yet."""
    line = own_process.command(
        "guard.cli", "observe", "--log", str(log), "--listen", "127.0.0.1:0", *arguments
    )
    process = subprocess.Popen(line, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        descriptor = process.stdout.fileno()
        said = b""
        while not said.endswith(b"\n"):
            assert select.select([descriptor], [], [], PATIENCE_S)[0], "not ready"
            part = os.read(descriptor, 4_096)
            assert part, f"ended with {process.wait(PATIENCE_S)}"
            said += part
        yield Observer(process, said.decode())
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()
