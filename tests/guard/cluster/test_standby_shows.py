"""A standby as a process: what it answers, with which marks, what it refuses; its feed."""

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_support import Cluster, needs_postgres, running_cluster
from daemon_support import Daemon
from guard.client import GuardClient, GuardRequestError
from guard.client.feed import FeedClient
from protocol_client import PING, STATS, ProtocolClient
from protocol_client import order as an_order
from protocol_client import status as status_of
from standby_support import host, standing_by

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]

PATIENCE_S = 30.0
REACHED_AT = "tcp://guard-a.example:7001"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


def until_folded(client: ProtocolClient, sequence: int) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while (pong := client.ask(PING))["head_sequence"] < sequence:
        assert time.monotonic() < end, pong
        time.sleep(0.01)
    found: dict[str, Any] = pong
    return found


def test_it_answers_what_it_knows_and_how_far_it_is_behind(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = host(cluster, tmp_path, "one", serves_at=REACHED_AT)
    other = host(cluster, tmp_path, "two")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        admit = client.ask(an_order("A", quantity=1))
        plain = client.ask(status_of("A"))
        assert "behind_ns" not in plain
        with standing_by(other) as shown, ProtocolClient(shown.orders) as asking:
            pong = until_folded(asking, admit["wal_sequence"])
            assert (pong["behind_records"], pong["log_id"]) == (0, client.ask(PING)["log_id"])
            time.sleep(0.5)
            marked = asking.ask({**status_of("A"), "request_id": "q-1"})
            assert 0 <= marked.pop("behind_ns") < 2_000_000_000
            assert marked.pop("behind_records") == 0
            assert marked.pop("request_id") == "q-1"
            assert marked == plain
            assert asking.ask(status_of("B"))["state"] == "unknown"
            listed = asking.ask({"type": "positions", "desk": "desk-alpha"})
            assert "behind_ns" in listed
            assert (
                listed["positions"]
                == client.ask({"type": "positions", "desk": "desk-alpha"})["positions"]
            )
            # The writer's end: nothing new can come, and that shows.
            guard.signal(signal.SIGSTOP)
            time.sleep(1.0)
            assert asking.ask(status_of("A"))["behind_ns"] > 700_000_000
            guard.signal(signal.SIGCONT)


def test_orders_and_facts_are_refused_with_where_they_go(cluster: Cluster, tmp_path: Path) -> None:
    site = host(cluster, tmp_path, "one", serves_at=REACHED_AT)
    other = host(cluster, tmp_path, "two")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        admit = client.ask(an_order("A", quantity=1))
        with standing_by(other) as shown, ProtocolClient(shown.orders) as asking:
            until_folded(asking, admit["wal_sequence"])
            refused = asking.ask({**an_order("B", quantity=1), "request_id": 7})
            assert refused["type"] == "error"
            assert (refused["code"], refused["field"]) == ("not_serving", "type")
            assert refused["serving"] == REACHED_AT
            assert (refused["client_order_id"], refused["request_id"]) == ("B", 7)
            cancel = {"type": "cancel", "desk": "desk-alpha", "client_order_id": "A"}
            for request in (cancel, STATS, {"type": "hello"}):
                assert asking.ask(request)["code"] == "not_serving", request
            answers = asking.ask([status_of("A"), an_order("C", quantity=1), {"type": "pin"}])
            assert [each.get("code", each["type"]) for each in answers] == [
                *("status", "not_serving", "unknown_type"),
            ]
            with GuardClient(shown.orders) as plain:
                with pytest.raises(GuardRequestError, match="not_serving") as error:
                    plain.cancel(desk="desk-alpha", client_order_id="A")
                assert error.value.serving == REACHED_AT
            # Nothing of it was recorded.
            assert client.ask(status_of("B"))["state"] == "unknown"
            assert client.ask(status_of("A"))["state"] == "open"
            assert guard.stop() == 0


def test_its_feed_has_the_log_and_goes_on_behind_the_takeover(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = host(cluster, tmp_path, "one")
    other = host(cluster, tmp_path, "two")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        first = client.ask(an_order("A", quantity=1))["wal_sequence"]
        with standing_by(other) as shown:
            with FeedClient(shown.feed, after_sequence=0, key=other.key_file.read_bytes()) as feed:
                records = []
                while len(records) < first:
                    records += feed.next_batch(PATIENCE_S).records
                second = client.ask(an_order("B", quantity=1))["wal_sequence"]
                while len(records) < second:
                    records += feed.next_batch(PATIENCE_S).records
                assert [record.sequence for record in records] == [*range(1, second + 1)]
                while (batch := feed.next_batch(PATIENCE_S)).behind is None:
                    pass
                assert batch.behind.records == 0
                shown.daemon.signal(signal.SIGUSR1)
                endpoint = shown.ready()
                with ProtocolClient(endpoint) as second_client:
                    third = second_client.ask(an_order("C", quantity=1))["wal_sequence"]
                while len(records) < third:
                    records += feed.next_batch(PATIENCE_S).records
                assert [record.sequence for record in records][-1] >= third
                names = [json.loads(record.data).get("client_order_id") for record in records]
                assert "C" in str(names) or any("C" in str(record.data) for record in records)
            assert guard.wait() == 1


def test_an_endpoint_that_is_not_its_own_yet_is_said_and_tried_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    site = host(cluster, tmp_path, "one")
    other = host(cluster, tmp_path, "two")
    with site.running() as guard, ProtocolClient(guard.endpoint) as client:
        client.ask(an_order("A", quantity=1))
        text = other.config.read_text()
        (own,) = re.findall(r'orders = "(.*)"', text)
        other.configure(text.replace(own, guard.endpoint))
        other.started += 1
        places = ("--config", str(other.config), "--log-dir", str(other.log))
        arguments = ["standby", *places, "--key-file", str(other.key_file)]
        standby = Daemon(arguments, other.root / "stderr-x")
        with contextlib.ExitStack() as ending:
            ending.callback(standby.kill)
            end = time.monotonic() + PATIENCE_S
            while "cannot be shown while standing by" not in standby.stderr:
                assert time.monotonic() < end, standby.stderr
                time.sleep(0.05)
            assert guard.stop() == 0
            standby.signal(signal.SIGUSR1)
            while b"ready: orders" not in standby.next_line():
                pass
