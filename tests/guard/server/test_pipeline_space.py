"""The pipeline beside a disk that is running full: when it asks, and what it then refuses."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.engine.events import EntriesHalted
from guard.server.disk_reserve import UNBOUNDED, Allowance, Refused
from guard_support import actor
from patience_support import PATIENCE_S
from pipeline_support import Guard, guarding
from protocol_client import (
    PING,
    ProtocolClient,
    cancel,
    fill,
    order,
    status,
    without_times,
)

SILENCE_MS = 100


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    async with guarding(tmp_path / "log") as guard:
        yield guard


@pytest.fixture
def client(guard: Guard) -> Iterator[ProtocolClient]:
    with ProtocolClient(guard.gateway.endpoint) as client:
        yield client


async def ask(client: ProtocolClient, request: Any) -> Any:
    client.send(request)
    return await asyncio.to_thread(client.receive)


def allow(guard: Guard, refused: Refused) -> None:
    guard.pipeline.watch_space(lambda: Allowance(UNBOUNDED, refused))


async def test_orders_that_need_a_record_are_refused_without_one(
    guard: Guard, client: ProtocolClient
) -> None:
    admitted = await ask(client, order("A-1"))
    allow(guard, Refused.ORDERS)
    head = guard.writer.staged_head
    refused = await ask(client, {**order("A-2"), "request_id": 7})
    assert (refused["type"], refused["code"], refused["field"]) == ("error", "disk_full", "")
    assert refused["request_id"] == 7
    again = await ask(client, order("A-1"))
    assert without_times(again) == {**without_times(admitted), "repeat": True}
    # A refusal for another reason would be a record, too.
    assert (await ask(client, order("A-1", price=5)))["code"] == "disk_full"
    assert (await ask(client, order("A-3", desk="nobody")))["code"] == "disk_full"
    # The short lane is no way round it.
    client.send_body(msgspec.msgpack.encode(order("A-6")))
    reply = msgspec.msgpack.decode(await asyncio.to_thread(client.receive_body))
    assert reply["code"] == "disk_full"
    replies = await ask(client, [order("A-4"), status("A-4"), PING, order("A-5")])
    assert [reply["type"] for reply in replies] == ["error", "status", "pong", "error"]
    assert replies[1]["state"] == "unknown"
    assert guard.writer.staged_head == head
    assert (await ask(client, fill("A-1", "X-1")))["type"] == "filled"
    assert (await ask(client, cancel("A-1")))["type"] == "released"
    counters = guard.pipeline.counters
    assert (counters.refused_disk_full, counters.request_errors, counters.rejects) == (6, 6, 0)
    allow(guard, Refused.NOTHING)
    assert (await ask(client, order("A-2")))["type"] == "admit"


async def test_at_last_whatever_needs_a_record_is_refused(
    guard: Guard, client: ProtocolClient
) -> None:
    await ask(client, order("A-1"))
    filled = await ask(client, fill("A-1", "X-1"))
    allow(guard, Refused.EVERYTHING)
    head = guard.writer.staged_head
    for request in (order("A-2"), fill("A-1", "X-2"), fill("A-9", "X-1"), cancel("A-1")):
        assert (await ask(client, request))["code"] == "disk_full"
    assert await ask(client, fill("A-1", "X-1")) == {**filled, "repeat": True}
    # A cancel that comes before its order is kept by a record.
    assert (await ask(client, cancel("A-9")))["code"] == "disk_full"
    assert (await ask(client, status("A-1")))["open_quantity"] == 60
    assert guard.writer.staged_head == head
    allow(guard, Refused.NOTHING)
    assert (await ask(client, cancel("A-1")))["type"] == "released"


async def test_it_asks_when_so_many_bytes_are_staged_and_not_before(
    guard: Guard, client: ProtocolClient
) -> None:
    asked: list[int] = []
    begin = guard.writer.staged_total_bytes

    def look() -> Allowance:
        asked.append(guard.writer.staged_total_bytes)
        return Allowance(asked[-1] + 4_000, Refused.NOTHING)

    guard.pipeline.watch_space(look)
    assert asked == [begin]
    for number in range(20):
        await ask(client, order(f"A-{number}", quantity=1, price=1))
    assert guard.writer.staged_total_bytes > begin + 20_000
    gaps = [after - before for before, after in itertools.pairwise(asked)]
    assert len(gaps) >= 4
    assert all(4_000 <= gap < 6_000 for gap in gaps)


async def test_in_doubt_it_takes_nothing_in_until_the_batch_has_landed(
    guard: Guard, client: ProtocolClient
) -> None:
    asked: list[int] = []

    def look() -> Allowance:
        asked.append(guard.writer.under_way_bytes)
        staged = guard.writer.staged_total_bytes
        return Allowance(staged if asked[-1] else staged + 1, Refused.NOTHING)

    guard.pipeline.watch_space(look)
    guard.disk.is_open = False
    client.send(order("A-1"))
    await guard.disk.wait_entered()
    client.send([order("A-2")])
    client.send([order("A-3")])
    await guard.until(lambda: guard.pipeline.counters.pauses == 1)
    assert asked[-1] > 0
    # A-2 was within what the look behind A-1 had left; behind it there was doubt.
    assert guard.pipeline.counters.messages == 2
    guard.disk.is_open = True
    guard.disk.let_go()
    async with asyncio.timeout(PATIENCE_S):
        assert (await asyncio.to_thread(client.receive))["type"] == "admit"
        assert [(await asyncio.to_thread(client.receive))[0]["type"] for _ in range(2)] == [
            "admit",
            "admit",
        ]


async def test_a_halt_that_a_look_finds_meets_the_next_message(
    guard: Guard, client: ProtocolClient
) -> None:
    """Not the next second."""
    looks = 0

    def look() -> Allowance:
        nonlocal looks
        looks += 1
        if looks == 2:
            at_ns = guard.pipeline._engine.state.last_received_at_ns
            event = actor(at_ns, guard.pipeline._engine.next_sequence).event(
                EntriesHalted, reason="disk_low", free_bytes=7, reserve_bytes=8
            )
            guard.pipeline.record(event)
        return Allowance(guard.writer.staged_total_bytes + 1, Refused.NOTHING)

    guard.pipeline.watch_space(look)
    client.send(order("A-1"))
    client.send(order("A-2"))
    first, second = [await asyncio.to_thread(client.receive) for _ in range(2)]
    assert first["type"] == "admit"
    assert (second["reason"], second["detail"]) == (
        "disk_low",
        {"free_bytes": 7, "reserve_bytes": 8},
    )
