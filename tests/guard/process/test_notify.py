"""The service manager's side: READY, WATCHDOG and STOPPING over a real datagram socket."""

import contextlib
import os
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from daemon_support import Site
from guard.process.notify import ServiceNotifier
from guard.server.housekeeping import STALL_LIMIT_NS, Housekeeper
from patience_support import PATIENCE_S
from protocol_client import PING, STATS, ProtocolClient, order
from wal import EMPTY_HEAD

WATCHDOG_US = 90_000  # fed three times in it


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(PATIENCE_S)
        yield listening


def _fed(listening: socket.socket) -> str:
    return listening.recv(4_096).decode()


@pytest.mark.slow
@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_daemon_tells_the_service_manager(tmp_path: Path, is_abstract: bool) -> None:
    name = f"guard-{secrets.token_hex(8)}"
    bound = f"\0{name}" if is_abstract else str(tmp_path / "notify")
    told = f"@{name}" if is_abstract else bound
    environment = {"NOTIFY_SOCKET": told, "WATCHDOG_USEC": str(WATCHDOG_US)}
    site = Site(tmp_path)
    with manager(bound) as listening, site.running(environment=environment) as daemon:
        assert _fed(listening) == f"READY=1\nSTATUS=serving {daemon.endpoint}"
        began = time.monotonic()
        assert [_fed(listening) for _ in range(10)] == ["WATCHDOG=1"] * 10
        assert time.monotonic() - began < 10 * WATCHDOG_US / 1_000_000
        daemon.signal(signal.SIGTERM)
        last = _fed(listening)
        while last == "WATCHDOG=1":
            last = _fed(listening)
        assert last == "STOPPING=1"
        assert daemon.wait() == 0


async def test_a_stalled_batch_is_not_fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The feeding task itself, over a pipeline that says that it is stalled."""
    import asyncio

    bound = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", bound)
    monkeypatch.setenv("WATCHDOG_USEC", "3000")
    asked: list[int] = []
    stalled = True

    def is_stalled(limit_ns: int) -> bool:
        asked.append(limit_ns)
        return stalled

    pipeline = SimpleNamespace(is_stalled=is_stalled, is_idle=False, publish_late=lambda: None)
    with manager(bound) as listening:
        listening.setblocking(False)
        notifier = ServiceNotifier()
        housekeeper = Housekeeper(
            pipeline,  # type: ignore[arg-type]
            notifier,
            None,
            lambda: EMPTY_HEAD,
            lambda: None,
            lambda: None,
            print,
            print,
        )
        feed = asyncio.get_running_loop().create_task(housekeeper.run())
        async with asyncio.timeout(PATIENCE_S):
            while len(asked) < 20:
                await asyncio.sleep(0.001)
            with pytest.raises(BlockingIOError):
                listening.recv(4_096)
            stalled = False
            fed = await asyncio.get_running_loop().sock_recv(listening, 4_096)
        feed.cancel()
        notifier.close()
    assert fed == b"WATCHDOG=1"
    assert set(asked) == {STALL_LIMIT_NS}


def test_without_a_manager_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    notifier = ServiceNotifier()
    notifier.send("READY=1")
    assert notifier.watchdog_s == 0


def test_the_watchdog_may_be_another_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "6000000")
    assert ServiceNotifier().watchdog_s == 6
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert ServiceNotifier().watchdog_s == 6
    monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
    assert ServiceNotifier().watchdog_s == 0


def test_a_socket_that_is_gone_is_an_error_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = str(tmp_path / "late")
    monkeypatch.setenv("NOTIFY_SOCKET", bound)
    notifier = ServiceNotifier()
    notifier.announce("READY=1")
    with pytest.raises(OSError, match="No such file"):
        notifier.send("WATCHDOG=1")
    with manager(bound) as listening:
        notifier.send("WATCHDOG=1")
        assert [_fed(listening), _fed(listening)] == ["READY=1", "WATCHDOG=1"]
        notifier.close()
        notifier.announce("STOPPING=1")
        assert _fed(listening) == "STOPPING=1"
        notifier.close()


def _fill(bound: str) -> None:
    """Until the manager's socket takes no more of anybody: a sender's own buffer may hold less."""
    is_full = False
    while not is_full:
        is_full = True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.sendto(b"X=1", bound)
                    is_full = False


def test_a_full_socket_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", bound)
    with manager(bound) as listening:
        _fill(bound)
        notifier = ServiceNotifier()
        notifier.announce("READY=1")
        for _ in range(3):
            with pytest.raises(BlockingIOError):
                notifier.send("WATCHDOG=1")
        while _fed(listening) == "X=1":
            if not select.select([listening], [], [], 0)[0]:
                break
        notifier.send("WATCHDOG=1")
        assert [_fed(listening), _fed(listening)] == ["READY=1", "WATCHDOG=1"]
        _fill(bound)
        notifier.announce("READY=1")
        notifier.announce("STOPPING=1")  # what it was ready for is over
        while _fed(listening) == "X=1":
            if not select.select([listening], [], [], 0)[0]:
                break
        notifier.flush()
        assert _fed(listening) == "STOPPING=1"
        notifier.close()


@pytest.mark.slow
def test_a_manager_that_does_not_read_holds_up_no_order(tmp_path: Path) -> None:
    bound = str(tmp_path / "notify")
    site = Site(tmp_path)
    with manager(bound) as listening:
        _fill(bound)
        with site.running(environment={"NOTIFY_SOCKET": bound}) as daemon:
            with ProtocolClient(daemon.endpoint) as client:
                began = time.monotonic()
                while "the service manager's socket fails" not in daemon.stderr:
                    assert time.monotonic() - began < PATIENCE_S
                    client.ask(PING)
                asked = time.monotonic()
                for number in range(200):  # over more than one beat
                    assert client.ask(order(f"A-{number}", quantity=1))["type"] == "admit"
                    time.sleep(0.01)
                assert time.monotonic() - asked < 4  # one that waits for the manager takes for ever
                assert client.ask(STATS)["counters"]["duty_failures"] > 0
            while (told := _fed(listening)) == "X=1":
                pass
            assert told.startswith("READY=1\nSTATUS=serving ")
            assert _fed(listening) == "WATCHDOG=1"
            began = time.monotonic()
            while "the service manager's socket works again" not in daemon.stderr:
                assert time.monotonic() - began < PATIENCE_S
            assert daemon.stop() == 0
            while (told := _fed(listening)) == "WATCHDOG=1":
                pass
            assert told == "STOPPING=1"
        assert daemon.stderr.count("ALARM") == 1
