"""Clients that are given several endpoints: they find the guard that serves, and go on through a
takeover without an order that is lost or decided twice."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_support import Cluster, needs_postgres, running_cluster
from guard.client import Admit, AsyncGuardClient, GuardClient
from standby_support import host, standing_by

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]

ORDERS = 300


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


def an_order(name: str) -> Any:
    return {
        "client_order_id": name,
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 1,
        "price": 19_000,
        "venue": 10,
        "risk_bps": 200,
        "confidence_bps": 9_000,
    }


def test_both_clients_go_on_through_a_takeover(cluster: Cluster, tmp_path: Path) -> None:
    site, other = host(cluster, tmp_path, "one"), host(cluster, tmp_path, "two")
    with site.running() as guard, standing_by(other) as shown:
        endpoints = [shown.orders, guard.endpoint]
        answers: dict[str, Admit] = {}

        def take_over() -> None:
            guard.signal(signal.SIGKILL)
            shown.daemon.signal(signal.SIGUSR1)

        with GuardClient(endpoints, resend_after_s=0.5, timeout_s=30.0) as client:
            assert client.ping().head_sequence > 0
            assert client.endpoint == guard.endpoint, "the first of the list stands by"
            waiting = []
            for number in range(ORDERS):
                if number == ORDERS // 2:
                    threading.Thread(target=take_over).start()
                waiting.append(client.send(client.new_order(**an_order(f"S-{number}"))))
            for each in waiting:
                answer = each.result()
                assert isinstance(answer, Admit), answer
                answers[answer.client_order_id] = answer
            assert client.endpoint == shown.orders
            assert shown.ready() == shown.orders

        async def asynchronously() -> None:
            async with AsyncGuardClient(endpoints[::-1], resend_after_s=0.5) as another:
                futures = [
                    await another.send(another.new_order(**an_order(f"A-{number}")))
                    for number in range(ORDERS)
                ]
                for answer in await asyncio.gather(*futures):
                    assert isinstance(answer, Admit)
                    answers[answer.client_order_id] = answer
                assert another.endpoint == shown.orders, "the first of the list is dead"

        asyncio.run(asynchronously())
        assert shown.daemon.stop() == 0
    assert len(answers) == 2 * ORDERS
    sequences = [answer.wal_sequence for answer in answers.values()]
    assert len(set(sequences)) == len(sequences), "no order was decided twice"
    records = other.records()
    for answer in answers.values():
        assert f"'{answer.client_order_id}'" in str(records[answer.wal_sequence - 1])
    other.replay()


async def test_an_async_client_finds_who_serves_and_waits_for_who_will(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Both stand by for a while: nobody answers, and the order is not lost."""
    site, other = host(cluster, tmp_path, "one"), host(cluster, tmp_path, "two")
    with site.running() as guard:
        assert guard.stop() == 0
    with standing_by(site) as first, standing_by(other) as second:
        endpoints = [first.orders, second.orders]
        async with AsyncGuardClient(endpoints, timeout_s=30.0) as client:
            pending = await client.send(client.new_order(**an_order("W-1")))
            await asyncio.sleep(0.5)
            assert not pending.done()
            second.daemon.signal(signal.SIGUSR1)
            answer = await pending
            assert isinstance(answer, Admit)
            assert client.endpoint == second.orders
