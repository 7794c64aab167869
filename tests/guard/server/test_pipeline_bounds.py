"""What may wait for the disk, in all and of one client; beyond it nothing more is read."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from guard.server import late as late_messages
from guard.server import pipeline
from patience_support import PATIENCE_S
from pipeline_support import Guard, guarding
from protocol_client import PING, ProtocolClient, order, status

# How long it is waited for that nothing happens: far above the loopback's microseconds.
SILENCE_MS = 100


@pytest.fixture
async def guard(tmp_path: Path) -> AsyncIterator[Guard]:
    async with guarding(tmp_path / "log") as guard:
        yield guard


@pytest.fixture
def client(guard: Guard) -> Iterator[ProtocolClient]:
    with ProtocolClient(guard.gateway.endpoint) as client:
        yield client


async def _receive(client: ProtocolClient) -> Any:
    return await asyncio.to_thread(client.receive)


@pytest.mark.parametrize(
    ("constant", "bound", "clients", "messages_held"),
    [
        # A client may have as much in a batch as is left of the bound for all others.
        ("GATHERED_MESSAGES_MAX", 10, 1, 5),
        ("GATHERED_MESSAGES_MAX", 10, 12, 10),
        ("GATHERED_RECORDS_MAX", 10, 1, 10),
        # A record and its reply have some 2,500 bytes: the second passes the bound.
        ("GATHERED_BYTES_MAX", 4_000, 1, 1),
        ("GATHERED_BYTES_MAX", 4_000, 4, 2),
        ("DRAIN_MESSAGES_MAX", 3, 1, None),
    ],
)
async def test_beyond_the_bounds_nothing_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant: str,
    bound: int,
    clients: int,
    messages_held: int | None,
) -> None:
    monkeypatch.setattr(pipeline, constant, bound)
    async with guarding(tmp_path / "log") as guard:
        with ExitStack() as stack:
            senders = [
                stack.enter_context(ProtocolClient(guard.gateway.endpoint)) for _ in range(clients)
            ]
            for sender in senders:
                sender.send(PING)
                await _receive(sender)
            guard.disk.is_open = False
            senders[0].send(order("A-0"))
            await guard.disk.wait_entered()
            before = guard.pipeline.counters.messages
            for index in range(1, 61):
                for number, sender in enumerate(senders):
                    sender.send(order(f"A-{number}-{index}", quantity=1))
            expected = 60 if messages_held is None else messages_held
            await guard.gathered(before + expected)
            # Many turns of the loop later still no more has been read.
            await asyncio.sleep(SILENCE_MS / 1_000)
            assert guard.pipeline.counters.messages == before + expected
            is_full = constant == "GATHERED_RECORDS_MAX" or clients > 4 or messages_held == 2
            assert (guard.pipeline.counters.pauses > 0) == is_full
            is_shared = constant in ("GATHERED_MESSAGES_MAX", "GATHERED_BYTES_MAX")
            assert (guard.gateway.holds > 0) == is_shared
            guard.disk.is_open = True
            guard.disk.let_go()
            assert (await _receive(senders[0]))["client_order_id"] == "A-0"
            for number, sender in enumerate(senders):
                replies = [await _receive(sender) for _ in range(60)]
                assert [each["client_order_id"] for each in replies] == [
                    f"A-{number}-{index}" for index in range(1, 61)
                ]


async def test_the_replies_to_a_flood_that_stood_behind_a_sync_all_arrive(
    guard: Guard, client: ProtocolClient
) -> None:
    """More than one batch holds waits, and goes out as fast as the loop can send."""
    count = 2 * pipeline.GATHERED_MESSAGES_MAX + 1_000
    guard.disk.is_open = False
    client.send(order("A-0"))
    await guard.disk.wait_entered()
    for number in range(count):
        client.send({**PING, "request_id": number})
    # It is alone, and holds what is left for all others: half of what may wait.
    await guard.until(lambda: guard.gateway.holds > 0)
    assert guard.pipeline.counters.messages == 1 + pipeline.GATHERED_MESSAGES_MAX // 2
    assert guard.pipeline.counters.pauses == 0
    guard.disk.is_open = True
    guard.disk.let_go()
    assert (await _receive(client))["type"] == "admit"
    numbers = await asyncio.to_thread(
        lambda: [client.receive()["request_id"] for _ in range(count)]
    )
    assert numbers == list(range(count))
    assert guard.gateway.backlog.dropped_slow == 0


async def test_a_client_in_line_behind_a_stall_is_not_taken_for_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is read meanwhile, no sign of life either; what it sent is kept."""
    monkeypatch.setattr(pipeline, "GATHERED_MESSAGES_MAX", 10)
    count = 3_000
    async with guarding(tmp_path / "log") as guard:
        with ProtocolClient(guard.gateway.endpoint) as client:
            guard.disk.is_open = False
            client.send(order("A-0"))
            await guard.disk.wait_entered()
            for number in range(count):
                client.send({**PING, "request_id": number})
            await guard.until(lambda: guard.gateway.holds > 0)
            for _ in range(1_000):
                guard.gateway.tick()
            guard.disk.is_open = True
            guard.disk.let_go()
            assert (await _receive(client))["type"] == "admit"
            numbers = await asyncio.to_thread(
                lambda: [client.receive()["request_id"] for _ in range(count)]
            )
            assert numbers == list(range(count))
            assert guard.gateway.gone == {}


async def test_a_query_flood_is_held_back_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies that wait for the disk are bounded in bytes, though they stage no record."""
    monkeypatch.setattr(pipeline, "GATHERED_BYTES_MAX", 50_000)
    async with guarding(tmp_path / "log") as guard:
        with ProtocolClient(guard.gateway.endpoint) as client:
            guard.disk.is_open = False
            client.send(order("A-0"))
            await guard.disk.wait_entered()
            for _ in range(40):
                client.send([status("A-0")] * 100)  # each reply has some 45,000 bytes
            await guard.gathered(2)
            await asyncio.sleep(SILENCE_MS / 1_000)
            assert guard.pipeline.counters.messages < 5
            guard.disk.is_open = True
            guard.disk.let_go()
            assert (await _receive(client))["type"] == "admit"
            for _ in range(40):
                assert len(await _receive(client)) == 100


async def test_a_stop_waits_for_who_reads_slowly(guard: Guard) -> None:
    """The replies leave before the connections are closed; what is late is discarded meanwhile."""
    async with guarding_slow_reader(guard) as (client, count):
        await guard.gathered(count)
        await guard.until(lambda: guard.pipeline.is_idle)
        assert guard.gateway.backlog.bytes > 0
        await guard.stop()
        late = asyncio.create_task(guard.pipeline.discard_late())
        replies = await asyncio.to_thread(lambda: [client.receive() for _ in range(count)])
        async with asyncio.timeout(PATIENCE_S):
            await late
        assert guard.gateway.backlog.bytes == 0
        assert guard.gateway.gone == {"closed": 1}, "the first one alone"
        assert [len(reply) for reply in replies] == [256] * count


async def test_a_stop_does_not_wait_for_who_never_reads(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_messages, "LATE_NS_MAX", 3 * late_messages.LATE_SILENCE_NS)
    async with guarding_slow_reader(guard) as (_, count):
        await guard.gathered(count)
        await guard.until(lambda: guard.pipeline.is_idle)
        await guard.stop()
        async with asyncio.timeout(PATIENCE_S):
            await guard.pipeline.discard_late()
        assert guard.gateway.backlog.bytes > 0
        guard.gateway.close()
        assert guard.gateway.backlog.dropped_gone > 0


@asynccontextmanager
async def guarding_slow_reader(guard: Guard) -> AsyncIterator[tuple[ProtocolClient, int]]:
    """A client that has asked for more than the system buffers, and how many replies it has not
    read."""
    count = 100
    with ProtocolClient(guard.gateway.endpoint) as first:
        first.send(order("A-0"))
        await _receive(first)
    with ProtocolClient(guard.gateway.endpoint, receive_bytes=4_096) as client:
        for _ in range(count):
            client.send([status("A-0")] * 256)
        yield client, count
