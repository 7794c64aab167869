"""A killable guard process and one connection to it, for a client that counts on neither.

Owns: the process (started here, ended here, by its own id), its control file, the socket. Whatever
waits here ends when the process does, with `EndedError`, after all that had left it was read.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

import msgspec
import victim
import zmq

from daemon_support import Site
from guard.process import own_process
from protocol_client import ProtocolClient

PATIENCE_S = 60.0
GONE_MS = 2_000
TICK_MS = 1_000
BEAT_US = 10_000  # instead of a second, where duties are to fail: a session is soon over
SCRIPT = Path(__file__).resolve().parent / "victim.py"


class EndedError(Exception):
    """The process has ended."""


class UnexpectedEndError(AssertionError):
    """The process ended by itself, or is silent for too long."""


class Victim:
    """A started process. Ended by `kill`, by its place, or by `stop`."""

    def __init__(
        self, site: Site, point: str, number: int, *, is_armed: bool, duties_fail: float
    ) -> None:
        control_file = site.root / "control"
        control_file.write_bytes(bytes([is_armed]) + bytes(victim.CONTROL_BYTES - 1))
        self.control = victim.open_control(control_file)
        self.point = point
        self.was_killed_by_hand = False
        self.stderr_file = site.root / "stderr"
        environment = dict(os.environ)
        if duties_fail:
            environment["WATCHDOG_USEC"] = str(3 * BEAT_US)
        place = [str(control_file), point, str(number), str(duties_fail)]
        arguments = [*place, "--", *site.run_arguments()]
        with self.stderr_file.open("wb") as stderr:
            self.process = subprocess.Popen(
                own_process.command(str(SCRIPT), *arguments),
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
            )
        self.pidfd = os.pidfd_open(self.process.pid)

    def wait_until_ready(self) -> str:
        """The endpoint it serves. Raises EndedError."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([descriptor], [], [], PATIENCE_S)[0]:
                raise UnexpectedEndError(
                    f"not ready in {PATIENCE_S} s: {self.stderr_file.read_text()}"
                )
            part = os.read(descriptor, 4096)
            if not part:
                raise EndedError
            line += part
        return line.decode().split("orders ", 1)[1].split(",", 1)[0]

    def arm(self) -> None:
        self.control[victim.ARMED] = 1

    def kill(self) -> None:
        """SIGKILL from outside."""
        self.was_killed_by_hand = True
        self.process.kill()

    def rotate(self) -> None:
        """SIGUSR1: its next batch begins a segment."""
        self.process.send_signal(signal.SIGUSR1)

    def take_checkpoint(self) -> None:
        """SIGUSR2: a child of its begins to write one."""
        self.process.send_signal(signal.SIGUSR2)

    def alarms(self) -> list[str]:
        """What it has said that an operator must look at."""
        lines = self.stderr_file.read_text().splitlines()
        return [line for line in lines if "ALARM" in line]

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def reap(self) -> bool:
        """Waits for the end, which must be a kill of ours. Was it the one at the place?"""
        code = self.process.wait(PATIENCE_S)
        was_struck = bool(self.control[victim.STRUCK])
        if code != -signal.SIGKILL or not (was_struck or self.was_killed_by_hand):
            raise UnexpectedEndError(f"it ended with {code}: {self.stderr_file.read_text()}")
        return was_struck

    def counts(self) -> dict[str, int]:
        """How often each place was reached."""
        count = victim.COUNT
        return {name: count.unpack_from(self.control, at)[0] for name, at in victim.PLACES.items()}

    def close(self) -> None:
        """Ends it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self.pidfd)
        self.control.close()


class Link:
    """Requests and their replies, in order, over one socket."""

    def __init__(self, target: Victim, endpoint: str) -> None:
        self._target = target
        self._client = ProtocolClient(endpoint, encoding="msgpack")
        self._monitor = self._client.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._poller = zmq.Poller()
        self._poller.register(self._client.socket, zmq.POLLIN)
        self._poller.register(target.pidfd, zmq.POLLIN)
        self._is_ended = False
        self._has_heard = False
        self._next_id = 0
        self.under_way: deque[tuple[int, list[dict[str, Any]], bool]] = deque()

    def send(self, requests: list[dict[str, Any]], *, is_array: bool = False) -> None:
        """One message: these requests as an array, or the only one of them."""
        first_id = self._next_id
        self._next_id += len(requests)
        numbered = [{**each, "request_id": first_id + at} for at, each in enumerate(requests)]
        body = msgspec.msgpack.encode(numbered if is_array else numbered[0])
        self._client.send_body(body)
        self.under_way.append((first_id, requests, is_array))

    def receive(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The next message's requests, each with its reply; EndedError when none will come."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._client.socket.poll(0):
            if self._is_ended:
                raise EndedError
            events = dict(self._poller.poll(TICK_MS))
            if self._target.pidfd in events:
                # What had left the process still arrives, and then the end of the connection.
                self._is_ended = True
                if self._has_heard:
                    self._monitor.poll(GONE_MS)
            elif not events and time.monotonic() > deadline:
                raise UnexpectedEndError(f"no reply in {PATIENCE_S} s")
        self._has_heard = True
        replies = self._client.receive()
        first_id, requests, is_array = self.under_way.popleft()
        listed = replies if is_array else [replies]
        assert isinstance(listed, list), listed
        assert len(listed) == len(requests), (requests, listed)
        for at, reply in enumerate(listed):
            assert reply.pop("request_id") == first_id + at, (requests[at], reply)
        return list(zip(requests, listed, strict=True))

    def close(self) -> None:
        self._client.socket.disable_monitor()
        self._monitor.close(linger=0)
        self._client.close()
