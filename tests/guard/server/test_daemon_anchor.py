"""Anchors, segments and the disk's reserve in real daemons."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from daemon_support import Site, config_text
from patience_support import PATIENCE_S
from protocol_client import PING, ProtocolClient, cancel, fill, order

pytestmark = pytest.mark.slow


def _anchored(root: Path, mode: str = "periodic") -> Site:
    log = f'anchor_file = "{root / "anchor.json"}"\nanchor_mode = "{mode}"'
    return Site(root, config_text(log=log))


def _anchor(site: Site) -> dict[str, Any]:
    anchor: dict[str, Any] = json.loads((site.root / "anchor.json").read_text())
    return anchor


def test_a_synchronous_anchor_is_there_before_the_reply(tmp_path: Path) -> None:
    site = _anchored(tmp_path, "synchronous")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        for index in range(20):
            answer = client.ask(order(f"A-{index}", quantity=1))
            assert _anchor(site)["sequence"] >= answer["wal_sequence"]


def test_a_periodic_anchor_follows_and_ends_at_the_head(tmp_path: Path) -> None:
    site = _anchored(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        sequence = client.ask(order("A-1"))["wal_sequence"]
        deadline = time.monotonic() + PATIENCE_S
        while _anchor(site)["sequence"] < sequence:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert daemon.stop() == 0
    assert _anchor(site)["sequence"] == len(site.records())


def test_a_log_behind_its_anchor_is_refused(tmp_path: Path) -> None:
    site = _anchored(tmp_path, "synchronous")
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        last = client.ask(order("A-2"))["wal_sequence"]
    # It was killed: zeros that were written ahead follow.
    lines = site.segment.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    assert len(lines) == last
    site.segment.write_bytes(b"".join(lines[:-1]))  # cut cleanly between two records
    assert site.verify()["head_sequence"] == last - 1
    refused = site.refused()
    assert refused.returncode == 1
    assert f"record {last}" in refused.stderr
    assert "anchor" in refused.stderr
    site.segment.write_bytes(b"".join(lines)[:-5])  # torn, but at a record that was anchored
    assert site.refused().returncode == 1
    site.segment.write_bytes(b"".join(lines))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-2"))["repeat"] is True


def test_an_anchor_that_is_none_is_refused(tmp_path: Path) -> None:
    site = _anchored(tmp_path)
    with site.running() as daemon:
        assert daemon.stop() == 0
    (tmp_path / "anchor.json").write_text('{"sequence":1}')
    refused = site.refused()
    assert refused.returncode == 1
    assert "anchor.json: not an anchor" in refused.stderr


def test_segments_begin_with_sessions_on_demand_and_by_size(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(log="segment_bytes_max = 1_048_576"))
    segments = [f"{number:08d}.jsonl" for number in range(1, 6)]

    def found() -> list[str]:
        return sorted(path.name for path in site.log.glob("*.jsonl"))

    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-0"))
        assert found() == segments[:1]
        daemon.signal(signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE_S
        number = 0
        while found() != segments[:2]:  # the signal is taken between two requests
            number += 1
            client.ask(order(f"B-{number}", quantity=1))
            assert time.monotonic() < deadline
        # Some 1.2 MB of records, few a batch: a batch stands in one segment, however much of the
        # one before it leaves empty.
        for first in range(0, 600, 20):
            for number in range(first, first + 20):
                client.send(order(f"C-{number}", quantity=1))
            for _ in range(20):
                client.receive()
        assert found() == segments[:3]
    with site.running() as daemon:
        assert found() == segments[:4]
        assert daemon.stop() == 0
    assert site.verify()["segments"] == 4
    assert site.replay()["conservation"] == "balanced"


def test_little_space_halts_entries_alone(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        assert daemon.stop() == 0
    reserve_bytes = shutil.disk_usage(site.log).free * 4 // 3  # three quarters of it are left
    site.configure(config_text(log=f"disk_reserve_bytes = {reserve_bytes}"))
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        answer = client.ask(order("A-2"))
        assert (answer["type"], answer["reason"]) == ("reject", "disk_low")
        assert answer["detail"]["reserve_bytes"] == reserve_bytes
        assert client.ask(fill("A-1", "F-1", quantity=40))["type"] == "filled"
        assert client.ask(cancel("A-1"))["type"] == "released"
        assert client.ask(PING)["type"] == "pong"
        assert daemon.stop() == 0
    site.configure(config_text())
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        assert client.ask(order("A-3"))["type"] == "admit"
    assert site.events().count("halt") == site.events().count("resume") == 1
    assert site.replay()["ok"] is True
