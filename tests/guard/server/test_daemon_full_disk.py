"""Real daemons on a real small disk (a tmpfs), flooded until it is full: entries halt in time,
fills and cancels go on, the process lives, and the next start manages with what is left.
"""

import contextlib
import itertools
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Daemon, Site, config_text
from guard.process import own_process
from patience_support import PATIENCE_S
from protocol_client import PING, STATS, ProtocolClient, cancel, fill, order, status

pytestmark = [pytest.mark.slow, pytest.mark.long]

MIB = 1024 * 1024
DISK_BYTES = 40 * MIB
RESERVE_BYTES = 8 * MIB
# An array of 256 orders is 0.4 MB of records, and a look may be so far off.
MESSAGE_BYTES = MIB
ARRAY = 256
IN_FLIGHT = 6
FLOOD_S = 120.0


@contextlib.contextmanager
def small_disk(place: Path, kind: str = "tmpfs") -> Iterator[Path]:
    """A file system of its own; `ext4` finds out late how much a file takes, as disks do."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if kind == "ext4":
        image = place.with_suffix(".image")
        image.touch()
        os.truncate(image, DISK_BYTES + 8 * MIB)  # and what the file system takes for itself
        make = ["mkfs.ext4", "-q", "-m", "0", str(image)]
        if shutil.which(make[0]) is None or subprocess.run(make, check=False).returncode:
            pytest.skip("no ext4 can be made here")
        mount = ["mount", "-o", "loop", str(image), str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


class SmallSite(Site):
    """A site whose log alone is on the small disk, with whatever `more` says of it."""

    def __init__(self, root: Path, disk: Path, more: str = "checkpoint_every_records = 0") -> None:
        log = f"disk_reserve_bytes = {RESERVE_BYTES}\nsegment_bytes_max = {4 * MIB}\n{more}"
        log += "\nwrite_ahead_bytes = 0"  # what is free does not move by itself
        super().__init__(root, config_text(log=log))
        self.disk = disk
        self.log = disk / "log"

    @property
    def free(self) -> int:
        status = os.statvfs(self.disk)
        return status.f_bavail * status.f_frsize


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk") as place:
        yield place


@pytest.fixture
def site(tmp_path: Path, disk: Path) -> SmallSite:
    return SmallSite(tmp_path, disk)


def flood(daemon: Daemon, make: Any, until: Any, names: "itertools.count[int]") -> list[Any]:
    """Arrays of requests, several under way at any time, until a reply is as wanted.

    Returns the replies to the last array that was answered.
    """
    deadline = time.monotonic() + FLOOD_S
    replies: list[Any] = []
    with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
        for _ in range(IN_FLIGHT):
            client.send([make(next(names)) for _ in range(ARRAY)])
        while not any(map(until, replies)):
            assert time.monotonic() < deadline, replies[:1]
            replies = client.receive()
            client.send([make(next(names)) for _ in range(ARRAY)])
        for _ in range(IN_FLIGHT):
            client.receive()
    return replies


def small_order(number: int) -> dict[str, Any]:
    return order(f"F-{number}", quantity=1, price=1)


def unknown_fill(number: int) -> dict[str, Any]:
    return fill(f"U-{number}", "X-1")


def is_disk_low(reply: dict[str, Any]) -> bool:
    return reply.get("reason") == "disk_low"


def is_disk_full(reply: dict[str, Any]) -> bool:
    return reply.get("code") == "disk_full"


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
@pytest.mark.parametrize("records", [0, 500])
def test_a_flood_halts_entries_and_ends_nothing(tmp_path: Path, records: int, kind: str) -> None:
    """It died of ENOSPC between two looks, with entries never halted."""
    with small_disk(tmp_path / "disk", kind) as disk:
        check_flood(SmallSite(tmp_path, disk, f"checkpoint_every_records = {records}"))


def check_flood(site: SmallSite) -> None:
    names = itertools.count()
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        admitted = [client.ask(order(f"H-{number}")) for number in range(4)]
        assert [answer["type"] for answer in admitted] == ["admit"] * 4
        low = [
            reply for reply in flood(daemon, small_order, is_disk_low, names) if is_disk_low(reply)
        ]
        assert low[0]["detail"]["reserve_bytes"] == RESERVE_BYTES
        assert RESERVE_BYTES - 2 * MESSAGE_BYTES < low[0]["detail"]["free_bytes"] < RESERVE_BYTES
        # The refusals would eat the reserve: they get no record, and say so.
        flood(daemon, small_order, is_disk_full, names)
        assert RESERVE_BYTES // 2 - 2 * MESSAGE_BYTES < site.free < RESERVE_BYTES
        refused = client.ask(small_order(next(names)))
        assert (refused["code"], refused["field"]) == ("disk_full", "")
        assert client.ask(fill("H-0", "X-1"))["type"] == "filled"
        assert client.ask(cancel("H-1"))["type"] == "released"
        assert client.ask(order("H-2")) == {**admitted[2], "repeat": True}
        # Nor may fills without end take what a stop and a start need.
        flood(daemon, unknown_fill, is_disk_full, names)
        assert RESERVE_BYTES // 4 - 2 * MESSAGE_BYTES < site.free < RESERVE_BYTES // 2
        assert client.ask(cancel("H-3"))["code"] == "disk_full"
        assert client.ask(status("H-3"))["state"] == "open"
        assert client.ask(fill("H-0", "X-1"))["repeat"] is True
        counters = client.ask(STATS)["counters"]
        assert counters["entries_halted"] == 1
        assert counters["refused_disk_full"] > 2
        assert client.ask(PING)["type"] == "pong"
        assert daemon.stop() == 0
    assert site.events()[-1] == "session_closed"
    assert site.events().count("halt") == 1
    site.replay()


def test_what_others_write_is_seen_and_entries_resume(site: SmallSite, disk: Path) -> None:
    names = itertools.count()
    ballast = disk / "ballast"
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("H-0"))["type"] == "admit"
        ballast.write_bytes(bytes(site.free - RESERVE_BYTES + MIB))
        until(daemon, lambda: is_disk_low(client.ask(small_order(next(names)))))
        ballast.write_bytes(bytes(ballast.stat().st_size + RESERVE_BYTES // 2))
        until(daemon, lambda: is_disk_full(client.ask(small_order(next(names)))))
        fresh = next(names)
        assert is_disk_full(client.ask(small_order(fresh)))
        assert client.ask(cancel("H-0"))["type"] == "released"
        ballast.unlink()
        until(daemon, lambda: client.ask(small_order(next(names)))["type"] == "admit")
        # What got the error was not decided: it is now.
        assert client.ask(small_order(fresh))["type"] == "admit"
        assert daemon.stop() == 0
    assert [name for name in site.events() if name in ("halt", "resume")] == ["halt", "resume"]
    site.replay()


@pytest.mark.parametrize("round_", range(3))
def test_a_kill_in_disk_low_is_no_end(site: SmallSite, round_: int) -> None:
    """The start needed as much again as the last segment has."""
    names = itertools.count(round_ * 1_000_000)
    with site.running() as daemon:
        wanted = (is_disk_low, is_disk_full, is_disk_full)[round_]
        flood(daemon, small_order, wanted, names)
        if round_ == 2:
            flood(daemon, unknown_fill, is_disk_full, names)
        with ProtocolClient(daemon.endpoint, encoding="msgpack") as client:
            for _ in range(IN_FLIGHT):
                client.send([unknown_fill(next(names)) for _ in range(ARRAY)])
            daemon.kill()
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        reply = client.ask(small_order(next(names)))
        assert is_disk_low(reply) or is_disk_full(reply)
        assert daemon.stop() == 0
    site.replay()


def test_a_start_on_a_full_disk_says_how_much_it_needs(site: SmallSite, disk: Path) -> None:
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("H-0"))["type"] == "admit"
        daemon.kill()
    fill_up(disk)
    segments = {path.name: path.read_bytes() for path in site.segments}
    done = site.refused()
    assert (done.returncode, done.stdout) == (1, "")
    assert "has 0 bytes free, and a start needs " in done.stderr
    assert {path.name: path.read_bytes() for path in site.segments} == segments
    needed = int(done.stderr.split("a start needs ")[1].split()[0])
    ballast = disk / "ballast"
    os.truncate(ballast, ballast.stat().st_size - needed - 4096)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert is_disk_full(client.ask(small_order(1)))
        assert is_disk_full(client.ask(cancel("H-0")))
        assert client.ask(status("H-0"))["state"] == "open"
        ballast.unlink()
        until(daemon, lambda: client.ask(cancel("H-0"))["type"] == "released")
        assert daemon.stop() == 0
    site.replay()


def test_a_torn_end_on_a_full_disk_says_how_much_its_copy_needs(
    site: SmallSite, disk: Path
) -> None:
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask([small_order(number) for number in range(ARRAY)])
        daemon.kill()
    whole = site.segment.read_bytes()
    torn = len(whole) - 100
    os.truncate(site.segment, torn)
    cut_at = whole.rindex(b"\n", 0, torn) + 1
    fill_up(disk)
    done = site.refused()
    assert done.returncode == 1
    assert f"it needs {torn - cut_at} bytes" in done.stderr
    assert site.segment.read_bytes() == whole[:torn]
    (disk / "ballast").unlink()
    with site.running() as daemon:
        assert daemon.stop() == 0
    site.replay()


@pytest.mark.parametrize("how", ["unmounted", "mounted over"])
def test_a_disk_that_goes_away_ends_the_daemon_unanswered(
    site: SmallSite, disk: Path, tmp_path: Path, how: str
) -> None:
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("H-0"))["type"] == "admit"
        if how == "unmounted":
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
        mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk)]
        subprocess.run(mount, check=True)  # which the fixture unmounts
        client.send(order("H-1"))
        assert daemon.wait() == 1
        assert client.socket.poll(100) == 0
        assert "was renamed, or its directory moved" in daemon.stderr
    if how == "mounted over":
        subprocess.run(["umount", str(disk)], check=True)
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            assert client.ask(order("H-0"))["repeat"] is True
            assert daemon.stop() == 0


def test_a_read_only_disk_is_no_start(site: SmallSite, disk: Path) -> None:
    with site.running() as daemon:
        assert daemon.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = site.refused()
    assert (done.returncode, done.stdout) == (1, "")
    assert "Read-only file system" in done.stderr


def test_files_that_may_not_grow_to_a_segment_are_no_start(site: SmallSite) -> None:
    """`ulimit -f`: a write would fail in the middle of the day."""
    done = run_limited(site, 64 * MIB - 1)
    assert done.returncode == 1
    assert "may write files of at most 67108863 bytes (RLIMIT_FSIZE)" in done.stderr
    assert not site.log.exists()


def run_limited(site: Site, file_bytes: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        own_process.command("guard.cli", *site.run_arguments()),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def fill_up(disk: Path) -> None:
    """A file that takes whatever is free."""
    with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def until(daemon: Daemon, condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, daemon.stderr
        time.sleep(0.01)
