"""Checkpoints of real daemons: taken under load, started from, damaged, without space."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon_support import KEY, OPENING_RECORDS, Daemon, Site, config_text
from guard.engine.engine import Engine
from guard.process.forked_child import NICENESS
from guard.record.codec import DIALECT, decode_data
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.recover import fold_log, recover_log
from guard_support import apply
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, cancel, fill, order, status
from wal import ChainHasher, find_head, read_checkpoints, read_entries

pytestmark = pytest.mark.slow

HASHER = ChainHasher(KEY)
ORDERS = 60


def site_of(root: Path, log: str = "checkpoint_every_records = 0") -> Site:
    return Site(root, config_text(log=log))


def checkpoints(site: Site) -> list[int]:
    """The sequences of those that count, the newest first."""
    infos = read_checkpoints(site.log, HASHER)
    assert all(info.problem is None for info in infos), infos
    return [info.head.sequence for info in infos]


def wait_for(condition: Callable[[], Any], what: str, daemon: Daemon) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {daemon.stderr}"
        assert daemon.process.poll() is None, daemon.stderr
        time.sleep(0.01)


def said(daemon: Daemon, text: str) -> Callable[[], bool]:
    return lambda: text in daemon.stderr


def take(daemon: Daemon) -> None:
    """Asks for a checkpoint and waits until it is written and recorded."""
    before = daemon.stderr.count("checkpoint of record")
    daemon.signal(signal.SIGUSR2)
    wait_for(lambda: daemon.stderr.count("checkpoint of record") > before, "a checkpoint", daemon)


def trade(client: ProtocolClient, first: int = 1, count: int = ORDERS) -> None:
    """Orders; every second one filled in part, every third one canceled."""
    for number in range(first, first + count):
        name = f"A-{number}"
        # Numbers beyond the first ones come as often as it takes: they must not use the budget up.
        quantity = number if number <= ORDERS else 1
        assert client.ask(order(name, quantity=quantity))["type"] == "admit"
        if number % 2 == 0:
            client.ask(fill(name, "F-1", quantity=1))
        if number % 3 == 0:
            client.ask(cancel(name))


def started_from(site: Site) -> int | None:
    """What the last start says that it began with."""
    starts = [record for record in site.records() if record.get("event") == "session_started"]
    sequence: int | None = starts[-1].get("checkpoint_sequence")
    return sequence


def digest_of_log(site: Site) -> str:
    return state_digest_hex(fold_log(site.log, HASHER)[0].state)


def digest_of_start(site: Site) -> str:
    recovered = recover_log(site.log, HASHER)
    recovered.lock.release()
    return state_digest_hex(recovered.engine.state)


def test_one_is_taken_under_load_and_recorded(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client)
        daemon.signal(signal.SIGUSR2)
        number = 0
        while "checkpoint of record" not in daemon.stderr:
            number += 1
            assert client.ask(order(f"L-{number}", quantity=1))["type"] == "admit"
            assert client.ask(cancel(f"L-{number}"))["type"] == "released"
            assert number < 100_000
        assert daemon.stop() == 0
        assert "orders stood still for" in daemon.stderr
    (event,) = [record for record in site.records() if record.get("event") == "checkpoint"]
    (info,) = read_checkpoints(site.log, HASHER)
    sequence = info.head.sequence
    assert (event["checkpoint_sequence"], event["why"]) == (sequence, "asked for")
    assert event["file_name"] == info.path.name
    assert event["payload_bytes"] == info.path.stat().st_size == info.head.payload_bytes
    assert event["state_digest_hex"] == info.head.state_digest_hex
    # The record, the manifest, and the log itself agree on what the state was there.
    fold = fold_up_to(site, sequence)
    assert (event["checkpoint_hash"], event["state_digest_hex"]) == fold
    assert site.replay()["events"]["checkpoint"] == 1
    # A segment begins behind it, so that a start reads little.
    assert len(site.segments) == 2


def fold_up_to(site: Site, sequence: int) -> tuple[str, str]:
    """The hash of that record, and the digest of the state after it, by the log alone."""
    engine = Engine()
    for entry in read_entries(site.log, HASHER, DIALECT):
        apply(engine, entry.sequence, decode_data(entry.data).outcome)
        if entry.sequence == sequence:
            return entry.entry_hash, state_digest_hex(engine.state)
    raise AssertionError(f"the log has no record {sequence}")


def test_a_start_after_a_kill_begins_with_it_and_forgets_nothing(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client)
        take(daemon)
        trade(client, 101, 20)
        answers = {name: client.ask(status(name)) for name in ("A-1", "A-2", "A-6", "A-101")}
    (sequence,) = checkpoints(site)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for name, answer in answers.items():
            assert client.ask(status(name)) == answer
        again = client.ask(order("A-1", quantity=1))
        assert (again["repeat"], again["wal_sequence"]) == (True, OPENING_RECORDS + 1)
        assert client.ask(order("A-1", quantity=2))["reason"] == "client_order_id_reused"
        assert client.ask(fill("A-2", "F-1", quantity=1))["repeat"] is True
        released = client.ask(cancel("A-1"))["released_microcents"]
        assert released == again["notional_microcents"]
        trade(client, 201, 5)
        assert daemon.stop() == 0
    assert started_from(site) == sequence
    assert digest_of_start(site) == digest_of_log(site)
    assert site.replay()["ok"]


def damage_newest(site: Site) -> None:
    (path,) = site.log.glob(f"checkpoint-{checkpoints(site)[0]:020d}.ckpt")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)


def test_damaged_ones_are_passed_over_with_an_alarm(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client, 1, 10)
        take(daemon)
        trade(client, 11, 10)
        take(daemon)
        trade(client, 21, 10)
        found = client.ask(status("A-10"))
    newer, older = checkpoints(site)
    for expected in (older, None):
        damage_newest(site)
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            assert "ALARM: checkpoint-" in daemon.stderr
            assert "is not used: the bytes of" in daemon.stderr
            assert client.ask(status("A-10")) == found
            assert client.ask(order("A-10", quantity=10))["repeat"] is True
        assert started_from(site) == expected
        assert digest_of_start(site) == digest_of_log(site)
    assert newer > older
    assert checkpoints(site) == []


def test_a_log_that_lost_what_a_checkpoint_knows_is_refused(tmp_path: Path) -> None:
    """The log's end is put back to an earlier one, cleanly; nothing but a checkpoint knows."""
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client, 1, 10)
        take(daemon)
        trade(client, 11, 5)
        take(daemon)
    newer, older = checkpoints(site)
    while find_head(site.log, HASHER, DIALECT).sequence >= newer:
        lines = site.segments[-1].read_bytes().splitlines(keepends=True)
        if len(lines) > 1:
            site.segments[-1].write_bytes(b"".join(lines[:-1]))
        else:
            site.segments[-1].unlink()
    before = {path.name: path.read_bytes() for path in site.log.iterdir() if path.name != "lock"}
    done = site.refused()
    assert done.returncode == 1
    assert f"the log ends before record {newer}" in done.stderr
    assert "records that were durable are missing" in done.stderr
    assert "--accept-loss" in done.stderr
    assert site.refused("--accept-loss").returncode == 2  # without a reason
    after = {path.name: path.read_bytes() for path in site.log.iterdir() if path.name != "lock"}
    assert after == before
    accepted = ("--accept-loss", "--why", "the disk is gone")
    with site.running(*accepted) as daemon, ProtocolClient(daemon.endpoint) as client:
        assert f"a loss was accepted: the log ends before record {newer}" in daemon.stderr
        assert client.ask(order("A-10", quantity=10))["repeat"] is True
        assert daemon.stop() == 0
    assert started_from(site) == older
    assert (site.log / f"checkpoint-{newer:020d}.ckpt.unused").exists()
    started = [each for each in site.records() if each.get("event") == "session_started"][-1]
    assert started["why"] == "the disk is gone"
    assert [each["sequence"] for each in started["losses"]] == [newer]
    assert started["losses"][0]["known_from"] == "checkpoints.json"
    # Once is enough, and an option that stays behind accepts nothing more.
    done = site.refused(*accepted)
    assert (done.returncode, "start without the option" in done.stderr) == (2, True)
    with site.running() as daemon:
        assert "ALARM" not in daemon.stderr
        assert daemon.stop() == 0
    assert "losses" not in site.records()[-2]
    assert site.replay()["ok"]


def test_by_count_of_records_and_by_time(tmp_path: Path) -> None:
    log = "checkpoint_every_records = 20\ncheckpoint_interval_s = 1"
    site = site_of(tmp_path, log)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client, 1, 15)
        wait_for(said(daemon, "checkpoint of record"), "by count", daemon)
        client.ask(order("B-1"))
        wait_for(lambda: daemon.stderr.count("checkpoint of") >= 2, "by time", daemon)
        assert daemon.stop() == 0
    reasons = [record["why"] for record in site.records() if record.get("event") == "checkpoint"]
    assert any(reason.endswith("records since the last") for reason in reasons), reasons
    assert "interval" in reasons
    assert len(reasons) < 10  # an idle daemon takes none


def test_a_clean_stop_takes_one_when_there_is_enough_to_read(tmp_path: Path) -> None:
    """Then the next start reads no more than the records of the stop."""
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for first in range(0, 10_000, 250):
            batch = [order(f"A-{first + number}", quantity=1) for number in range(250)]
            assert len(client.ask(batch)) == 250
        assert daemon.stop() == 0
    (sequence,) = checkpoints(site)
    assert site.events()[sequence:] == ["checkpoint", "session_closed"]
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-77", quantity=1))["repeat"] is True
        assert daemon.stop() == 0
    assert started_from(site) == sequence
    assert checkpoints(site) == [sequence]


def stopped_child(daemon: Daemon) -> int:
    """Asks for a checkpoint, and stops the child as soon as it works: bound to its parent by then,
    which a child stopped at its very first step is not yet."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children")
    daemon.signal(signal.SIGUSR2)
    deadline = time.monotonic() + PATIENCE_S
    while not (found := children.read_text().split()):  # no rest: it lives for some milliseconds
        assert time.monotonic() < deadline, daemon.stderr
    child = int(found[0])
    while niceness(child) != min(19, niceness(daemon.pid) + NICENESS):
        assert time.monotonic() < deadline, daemon.stderr
    os.kill(child, signal.SIGSTOP)
    return child


def niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def is_running(pid: int) -> bool:
    """Nobody may be there to fetch its exit code: an end is an end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_killed_child_is_an_alarm_and_orders_go_on(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client, 1, 10)
        child = stopped_child(daemon)
        assert client.ask(order("B-1"))["type"] == "admit"
        os.kill(child, signal.SIGKILL)
        wait_for(said(daemon, "ALARM: no checkpoint was taken"), "an alarm", daemon)
        assert "its process ended with signal SIGKILL" in daemon.stderr
        assert client.ask(order("B-2"))["type"] == "admit"
        take(daemon)
        assert daemon.stop() == 0
    assert len(checkpoints(site)) == 1
    assert site.replay()["ok"]


@pytest.mark.parametrize("is_killed", [True, False])
def test_a_daemon_that_ends_takes_its_child_along(is_killed: bool, tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        trade(client, 1, 10)
        child = stopped_child(daemon)
        if is_killed:
            daemon.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)  # it may not have come so far as to ask for its end
        else:
            assert daemon.stop() == 0
        deadline = time.monotonic() + PATIENCE_S
        while is_running(child):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-10", quantity=10))["repeat"] is True
        assert list(site.log.glob("*.new")) == []
        assert daemon.stop() == 0


def test_a_disk_that_fills_up_meanwhile_is_an_alarm(tmp_path: Path) -> None:
    """A real one, where this machine lets us mount it."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a file system here")
    try:
        # Without zeros written ahead, which would take of what is counted here as free.
        log = "disk_reserve_bytes = 0\nwrite_ahead_bytes = 0\ncheckpoint_every_records = 0"
        site = Site(place, config_text(log=log, settings="remembered_orders_max = 1000"))
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            trade(client, 1, 10)
            child = stopped_child(daemon)
            facts = os.statvfs(place)
            (place / "filler").write_bytes(bytes(facts.f_bavail * facts.f_frsize - 500_000))
            os.kill(child, signal.SIGCONT)
            wait_for(said(daemon, "ALARM: no checkpoint was taken"), "an alarm", daemon)
            assert "No space left on device" in daemon.stderr
            assert list(site.log.glob("checkpoint*")) == []
            trade(client, 11, 10)
            (place / "filler").unlink()
            take(daemon)
            assert daemon.stop() == 0
        assert len(checkpoints(site)) == 1
        assert site.replay()["ok"]
    finally:
        subprocess.run(["umount", str(place)], check=True)
