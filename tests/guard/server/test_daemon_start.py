"""What a start does by itself, and what it waits for: a fresh log, a new anchor, a loss, are each
begun or accepted because somebody asked, and not because a file was missing.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_support import (
    OPENING_RECORDS,
    Daemon,
    Site,
    command,
    config_text,
    event_of,
)
from patience_support import PATIENCE_S
from protocol_client import ProtocolClient, order, status
from wal import EMPTY_HEAD, anchor_of, write_anchor

pytestmark = pytest.mark.slow

NEWLINE = b"\n"
ACCEPTED = ("--accept-loss", "--why", "the disk is gone")


def anchored(mode: str = "periodic", more: str = "") -> str:
    return config_text(log=f'anchor_file = "anchor.json"\nanchor_mode = "{mode}"\n{more}')


def site_of(root: Path, config: str | None = None) -> Site:
    """A site with a log of one session, closed cleanly."""
    site = Site(root, config)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        assert daemon.stop() == 0
    return site


def anchor(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.root / "anchor.json").read_text())
    return found


def test_a_log_that_is_not_there_is_no_fresh_one(tmp_path: Path) -> None:
    """Its volume may not be mounted: no hold is to be forgotten, no id given again, unasked."""
    site = site_of(tmp_path)
    away = tmp_path / "away"
    site.log.rename(away)
    for mount_point in (False, True):
        done = site.refused(new_log=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"log directory {site.log}: " in done.stderr
        assert "a log is expected there" in done.stderr
        assert "begin a fresh log with --new-log" in done.stderr
        assert site.log.exists() == mount_point  # nothing was made
        site.log.mkdir(exist_ok=True)
    assert list(site.log.iterdir()) == []
    site.log.rmdir()
    away.rename(site.log)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["repeat"] is True


def test_no_new_log_where_there_is_one(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    before = site.segment.read_bytes()
    done = site.refused(new_log=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--new-log: there is a log, or what is left of one, in {site.log}" in done.stderr
    assert (site.segment.read_bytes(), len(site.segments)) == (before, 1)


def test_the_configurations_paths_are_relative_to_itself(tmp_path: Path) -> None:
    """Wherever the daemon is started; and a log at the old place is named."""
    site = Site(tmp_path, anchored().replace("no-such-place/log", "the-log"))
    old_place, elsewhere = tmp_path / "old", tmp_path / "elsewhere"
    for place in (old_place, elsewhere):
        place.mkdir()
    site_of(old_place).log.rename(old_place / "the-log")
    arguments = ("run", "--config", str(site.config), "--key-file", str(site.key_file))
    here = os.getcwd()
    try:
        os.chdir(old_place)
        done = command(*arguments)
        assert done.returncode == 2
        assert f"log directory {tmp_path / 'the-log'}: " in done.stderr
        assert f"one stands in {old_place / 'the-log'}" in done.stderr
        os.chdir(elsewhere)
        done = command(*arguments, "--new-log", "--then-stop")
        assert (done.returncode, "ALARM" in done.stderr) == (0, False), done
    finally:
        os.chdir(here)
    assert (tmp_path / "the-log" / "00000001.jsonl").exists()
    assert (tmp_path / "anchor.json").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_log_is_begun_and_the_daemon_stops(tmp_path: Path) -> None:
    """As a unit does before the service's first start."""
    site = Site(tmp_path, anchored("synchronous"))
    done = command(*site.run_arguments("--then-stop"))
    assert (done.returncode, "ALARM" in done.stderr) == (0, False)
    head = OPENING_RECORDS + 1
    assert done.stdout.endswith(f"started and stopped: log {site.log}, head {head}\n")
    assert site.events()[-1] == "session_closed"
    assert event_of(site.records()[0])["opening_records"] == OPENING_RECORDS
    assert anchor(site)["sequence"] == head
    again = command(*site.run_arguments("--then-stop", new_log=True))
    assert again.returncode == 2
    with site.running(new_log=False) as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-1"))["type"] == "admit"
        assert daemon.stop() == 0
    assert site.replay()["ok"]


@pytest.mark.parametrize("mode", ["periodic", "synchronous"])
def test_a_missing_anchor_is_refused_unless_it_is_new(mode: str, tmp_path: Path) -> None:
    site = site_of(tmp_path, anchored(mode))
    (tmp_path / "anchor.json").unlink()
    lines = site.segment.read_bytes().splitlines(keepends=True)
    done = site.refused()
    assert done.returncode == 2
    assert f"anchor file {tmp_path / 'anchor.json'}: is missing" in done.stderr
    assert "--new-anchor" in done.stderr
    assert site.segment.read_bytes() == b"".join(lines)
    with site.running("--new-anchor") as daemon:
        assert anchor(site)["sequence"] >= len(lines)
        assert daemon.stop() == 0
    again = site.refused("--new-anchor")
    assert again.returncode == 2
    assert "there is an anchor file" in again.stderr
    with site.running() as daemon:
        assert daemon.stop() == 0


def test_no_new_anchor_where_none_is_configured(tmp_path: Path) -> None:
    done = site_of(tmp_path).refused("--new-anchor")
    assert (done.returncode, "no log.anchor_file is configured" in done.stderr) == (2, True)


def test_a_new_log_refuses_the_anchor_of_another(tmp_path: Path) -> None:
    site = site_of(tmp_path, anchored())
    before = anchor(site)
    shutil.rmtree(site.log)
    done = site.refused(new_log=True)
    assert (done.returncode, "there is an anchor file" in done.stderr) == (2, True)
    assert anchor(site) == before
    assert not site.log.exists()


def test_a_new_log_takes_up_the_anchor_of_one_that_was_not_begun(tmp_path: Path) -> None:
    """Published before the log's first batch, it names no record."""
    site = Site(tmp_path, anchored())
    write_anchor(tmp_path / "anchor.json", anchor_of(EMPTY_HEAD, keyed=True))
    with site.running() as daemon:
        assert daemon.stop() == 0
    assert anchor(site)["sequence"] == OPENING_RECORDS + 1


def test_a_synchronous_anchor_that_cannot_be_written_is_found_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    config = anchored("synchronous").replace("anchor.json", "elsewhere/anchor.json")
    site = site_of(tmp_path, config)
    (tmp_path / "elsewhere" / "anchor.json.new").mkdir()
    before = site.segment.read_bytes()
    done = site.refused()
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot write the anchor" in done.stderr
    assert (site.segment.read_bytes(), len(site.segments)) == (before, 1)  # nothing was recorded
    site.configure(config.replace("synchronous", "periodic"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert "ALARM: the anchor cannot be published" in daemon.stderr
        assert client.ask(order("A-1"))["repeat"] is True


@pytest.mark.parametrize("mode", ["periodic", "synchronous"])
def test_a_log_is_not_begun_where_its_anchor_cannot_be(mode: str, tmp_path: Path) -> None:
    site = Site(tmp_path, anchored(mode).replace("anchor.json", "not-mounted/anchor.json"))
    done = site.refused(new_log=True)
    assert done.returncode == 1
    assert not site.segments
    (tmp_path / "not-mounted").mkdir()
    with site.running() as daemon:
        assert daemon.stop() == 0


def test_a_log_behind_its_anchor_can_be_accepted(tmp_path: Path) -> None:
    site = site_of(tmp_path, anchored("synchronous"))
    lines = site.segment.read_bytes().splitlines(keepends=True)
    site.segment.write_bytes(b"".join(lines[:-1]))
    done = site.refused()
    assert (done.returncode, "--accept-loss" in done.stderr) == (1, True)
    known = anchor(site)
    with site.running(*ACCEPTED) as daemon:
        assert daemon.stop() == 0
    started = next(each for each in site.records() if each.get("event") == "session_started")
    assert started["losses"] == [
        {
            "known_from": "the anchor",
            "sequence": known["sequence"],
            "entry_hash": known["last_hash"],
        }
    ]
    assert (started["why"], started["recovered_sequence"]) == ("the disk is gone", len(lines) - 1)
    with site.running() as daemon:
        assert daemon.stop() == 0
    assert site.replay()["ok"]


def test_options_of_a_first_start_exclude_each_other(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for pair in (("--new-log", "--new-anchor"), ("--new-log", *ACCEPTED)):
        assert command(*site.run_arguments(*pair, new_log=False)).returncode == 2
    assert not site.log.exists()


# The records before the checkpoint, which a start does not read.


def site_with_older_records(root: Path) -> Site:
    site = Site(root, config_text(log="checkpoint_every_records = 0"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for count in range(1, 4):
            assert client.ask(order(f"A-{count}", quantity=1))["type"] == "admit"
            daemon.signal(signal.SIGUSR2)
            wait_for(daemon, "checkpoint of record", count)
        assert daemon.stop() == 0
    return site


def wait_for(daemon: Daemon, text: str, count: int = 1) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while daemon.stderr.count(text) < count:
        assert time.monotonic() < deadline, daemon.stderr
        assert daemon.process.poll() is None, daemon.stderr
        time.sleep(0.01)


def counters(client: ProtocolClient) -> dict[str, int]:
    found: dict[str, int] = client.ask({"type": "stats"})["counters"]
    return found


def test_older_records_are_verified_behind_the_start(tmp_path: Path) -> None:
    site = site_with_older_records(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        wait_for(daemon, "older records verified: 1 to ")
        sequence = event_of(site.records()[-1])["checkpoint_sequence"]
        assert f"older records verified: 1 to {sequence} in 0." in daemon.stderr
        assert counters(client)["older_records_verified"] == sequence
        assert counters(client)["older_damage"] == 0
        assert daemon.stop() == 0


def test_a_changed_older_record_is_an_alarm_and_orders_go_on(tmp_path: Path) -> None:
    site = site_with_older_records(tmp_path)
    # The second segment holds the record of the first checkpoint, and the second order's.
    content = site.segments[1].read_bytes()
    site.segments[1].write_bytes(content.replace(b'"A-2"', b'"A-9"', 1))
    place = f"00000002.jsonl, byte {content.index(NEWLINE) + 1}, record {OPENING_RECORDS + 3}: "
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        wait_for(daemon, "ALARM: the older records of the log do not verify, orders go on: ")
        assert place in daemon.stderr, daemon.stderr
        assert counters(client)["older_damage"] == 1
        assert counters(client)["older_records_verified"] == OPENING_RECORDS + 2
        assert client.ask(status("A-2"))["state"] == "open"
        assert daemon.stop() == 0


def test_a_log_read_whole_has_no_older_records(tmp_path: Path) -> None:
    site = site_of(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert counters(client)["older_records_verified"] == 0
        assert daemon.stop() == 0
        assert "older records" not in daemon.stderr
