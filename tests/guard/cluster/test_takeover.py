"""Guards on a cluster, as processes: starts, stops, takeovers, fencing, local logs that differ."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_support import DATABASE, Cluster, needs_postgres, running_cluster
from daemon_support import Daemon, Site, config_text, tool
from protocol_client import PING, STATS, ProtocolClient
from protocol_client import order as an_order
from protocol_client import status as status_of

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture
def sites(cluster: Cluster, tmp_path: Path) -> tuple[Site, Site]:
    """Two hosts of one log."""
    return host(cluster, tmp_path, "one"), host(cluster, tmp_path, "two")


def host(cluster: Cluster, root: Path, name: str, **section: object) -> Site:
    (root / name).mkdir()
    log = "".join(sign for sign in root.name if sign.isalnum())[-32:]
    settings = {"beat_ms": 100, "silence_ms": 500, **section}
    return Site(root / name, config_text() + cluster.section(log, **settings))


def order(client: ProtocolClient, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.ask(an_order(name, quantity=1))
    return answer


def lines_of(site: Site) -> bytes:
    return b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)


def rows_of(cluster: Cluster, site: Site) -> bytes:
    log = json.loads(status(site))["log"]
    rows = cluster.primary.sql(
        "SELECT encode(lines, 'hex') FROM pretrade_guard.batches "
        f"WHERE log = '{log}' ORDER BY first_sequence",
        DATABASE,
    )
    return bytes.fromhex("".join(rows.split()))


def status(site: Site) -> str:
    done = tool("cluster", "status", "--config", str(site.config), "--json")
    assert done.stderr == ""
    said: str = done.stdout
    return said


def standing_by(site: Site) -> Daemon:
    """A standby that has begun to follow."""
    site.started += 1
    arguments = [
        *("standby", "--config", str(site.config), "--log-dir", str(site.log)),
        *("--key-file", str(site.key_file)),
    ]
    daemon = Daemon(arguments, site.root / f"stderr-{site.started}")
    assert b"stands by" in daemon.next_line(), daemon.stderr
    return daemon


def ready(daemon: Daemon) -> None:
    """Waits until a standby serves."""
    while b"ready: orders" not in (line := daemon.next_line()):
        pass
    daemon.endpoint = line.decode().split("orders ", 1)[1].split(",", 1)[0]


def halt_session(cluster: Cluster, log: str) -> int:
    """Stops the server's process of the log's writer, between two statements; its process id."""
    of_writer = f"FROM pg_stat_activity WHERE application_name = 'pretrade-guard/{log}'"
    backend = int(cluster.primary.sql(f"SELECT pid {of_writer}"))
    while True:
        os.kill(backend, signal.SIGSTOP)
        if cluster.primary.sql(f"SELECT state {of_writer}") == "idle":
            return backend
        os.kill(backend, signal.SIGCONT)  # it holds the row's lock
        time.sleep(0.01)


def test_rows_are_the_segments_byte_for_byte(cluster: Cluster, sites: tuple[Site, Site]) -> None:
    site, other = sites
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        answers = [order(client, f"A-{number}") for number in range(20)]
        assert {answer["type"] for answer in answers} == {"admit"}
        assert guard.stop() == 0
    assert rows_of(cluster, site) == lines_of(site)
    found = json.loads(status(site))
    assert found["head_sequence"] == site.verify()["head_sequence"]
    assert found["troubles"] == ["nobody holds the log: no guard serves it"]
    # A host that has nothing of it.
    with other.running(new_log=False) as guard, ProtocolClient(guard.endpoint) as client:
        again = order(client, "A-3")
        assert again.pop("repeat") is True
        assert again == {key: value for key, value in answers[3].items() if key != "repeat"}
        assert "the local log is given records 1 to" in guard.stderr
        assert guard.stop() == 0
    assert lines_of(other) == rows_of(cluster, other)
    assert lines_of(other).startswith(lines_of(site))
    other.replay()


def test_a_log_that_is_served_is_not_taken_by_the_way(sites: tuple[Site, Site]) -> None:
    site, other = sites
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        refused = other.refused(new_log=False)
        assert refused.returncode == 2
        assert "is served by" in refused.stderr
        assert order(client, "A")["type"] == "admit"
        with other.running("--take-over", new_log=False) as second:
            assert guard.wait() == 1
            assert "another guard has taken over" in guard.stderr
            with ProtocolClient(second.endpoint) as client2:
                assert order(client2, "A")["repeat"] is True


def test_a_guard_that_slept_through_a_takeover_answers_nothing(
    sites: tuple[Site, Site],
) -> None:
    site, other = sites
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        assert order(client, "A")["type"] == "admit"
        standby = standing_by(other)
        try:
            guard.signal(signal.SIGSTOP)
            client.send(an_order("B", quantity=1))
            client.send(PING)
            client.send(status_of("A"))
            standby.signal(signal.SIGUSR1)
            ready(standby)
            with ProtocolClient(standby.endpoint) as second:
                assert order(second, "A")["repeat"] is True
                assert order(second, "C")["type"] == "admit"
            guard.signal(signal.SIGCONT)
            assert guard.wait() == 1
            assert "another guard has taken over" in guard.stderr
            assert client.socket.poll(200) == 0, "an answer came from a guard that is fenced"
        finally:
            standby.kill()
    # What it wrote and nobody acknowledged goes when it comes back.
    with site.running("--take-over") as guard, ProtocolClient(guard.endpoint) as client:
        assert order(client, "C")["repeat"] is True
        answer = order(client, "B")
        assert "repeat" not in answer or answer["repeat"] is False
        assert guard.stop() == 0
    site.replay()


def test_a_standby_takes_over_within_five_seconds_of_a_death(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = host(cluster, tmp_path, "one")
    other = host(cluster, tmp_path, "two", takeover="silent")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        for number in range(50):
            order(client, f"A-{number}")
        standby = standing_by(other)
        try:
            guard.signal(signal.SIGKILL)
            died = time.monotonic()
            ready(standby)
            assert time.monotonic() - died < 5
            with ProtocolClient(standby.endpoint) as second:
                assert all(order(second, f"A-{number}")["repeat"] for number in range(50))
            assert standby.stop() == 0
        finally:
            standby.kill()
    other.replay()
    assert lines_of(other) == rows_of(cluster, other)


def test_a_local_end_that_the_cluster_lacks_becomes_rows(
    cluster: Cluster, sites: tuple[Site, Site]
) -> None:
    """No quorum answers while an order is written here: nobody is told, and nothing is lost."""
    site, _ = sites
    standbys = [node for node in cluster.nodes.values() if node is not cluster.primary]
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        assert order(client, "A")["type"] == "admit"
        asked = "SELECT pid FROM pg_stat_replication"
        receivers = [int(pid) for pid in cluster.primary.sql(asked).split()]
        assert len(receivers) == len(standbys)
        size = len(lines_of(site))
        for pid in receivers:
            os.kill(pid, signal.SIGSTOP)
        try:
            client.send(an_order("B", quantity=1))
            while len(lines_of(site)) == size:
                time.sleep(0.01)
            assert client.socket.poll(300) == 0, "answered without the quorum"
            guard.signal(signal.SIGKILL)
            guard.wait()
            cluster.primary.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE wait_event = 'SyncRep'"
            )
        finally:
            for pid in receivers:
                os.kill(pid, signal.SIGCONT)
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        assert order(client, "B")["repeat"] is True, guard.stderr
        assert guard.stop() == 0
    assert rows_of(cluster, site) == lines_of(site)
    site.replay()


def test_a_local_end_where_the_cluster_holds_other_records_is_set_aside(
    cluster: Cluster, sites: tuple[Site, Site]
) -> None:
    """The guard's session is halted, so that an order is on its disk and in no row; another guard
    takes over, and goes on with other orders."""
    site, other = sites
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        assert order(client, "A")["type"] == "admit"
        backend = halt_session(cluster, json.loads(status(site))["log"])
        try:
            size = len(lines_of(site))
            for name in ("B", "C"):
                client.send(an_order(name, quantity=1))
            while len(lines_of(site)) == size:
                time.sleep(0.01)
            guard.signal(signal.SIGKILL)
            guard.wait()
            with other.running(new_log=False) as second, ProtocolClient(second.endpoint) as client2:
                assert order(client2, "D")["type"] == "admit"
                os.kill(backend, signal.SIGCONT)
                assert order(client2, "E")["type"] == "admit"
                assert second.stop() == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(backend, signal.SIGCONT)
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        assert "which no quorum had, are set aside" in guard.stderr
        assert order(client, "E")["repeat"] is True
        assert order(client, "B")["repeat"] is False
        assert guard.stop() == 0
    (copy,) = site.log.glob("*.cut-*")
    assert b'"client_order_id":"B"' in copy.read_bytes()
    assert rows_of(cluster, site) == lines_of(site)
    site.replay()


def test_follow_answers_at_once_and_the_cluster_has_all_of_it_in_the_end(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = host(cluster, tmp_path, "one", durability="follow")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        for number in range(200):
            assert order(client, f"A-{number}")["type"] == "admit"
        counters = client.ask(STATS)["counters"]
        assert counters["cluster_lag_bytes"] <= 16_777_216
        assert guard.stop() == 0
    assert rows_of(cluster, site) == lines_of(site)


@pytest.mark.parametrize("durability", ["both", "cluster"])
def test_a_damaged_local_log_is_fetched_where_nobody_waited_for_its_disk(
    cluster: Cluster, tmp_path: Path, durability: str
) -> None:
    site = host(cluster, tmp_path, "one", durability=durability)
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        answers = [order(client, f"A-{number}") for number in range(30)]
        assert guard.stop() == 0
    data = bytearray(site.segment.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    site.segment.write_bytes(data)
    if durability == "both":
        refused = site.refused(new_log=False)
        assert refused.returncode == 1
        assert "damage" in refused.stderr
        return
    with site.running(new_log=False) as guard, ProtocolClient(guard.endpoint) as client:
        assert "is damaged, and moved to" in guard.stderr
        again = [order(client, f"A-{number}") for number in range(30)]
        assert [{**answer, "repeat": False} for answer in again] == answers
        assert guard.stop() == 0
    assert rows_of(cluster, site) == lines_of(site)
    assert (site.root / "log.damaged-1" / site.segment.name).read_bytes() == data
    site.replay()


def test_no_log_anywhere_and_one_too_many(sites: tuple[Site, Site]) -> None:
    site, other = sites
    refused = site.refused(new_log=False)
    assert (refused.returncode, "neither does the cluster" in refused.stderr) == (2, True)
    with site.running() as guard:
        assert guard.stop() == 0
    refused = other.refused(new_log=True)
    assert (refused.returncode, "the cluster holds a log of that name" in refused.stderr) == (
        2,
        True,
    )
