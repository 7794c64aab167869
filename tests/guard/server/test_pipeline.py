"""The pipeline with the real engine, log, gateway and sockets, over a disk that waits or fails.

The daemon's promise is tested here at its root: no reply of any kind leaves before the sync of its
batch has returned, and none ever leaves for a batch whose write or sync failed.
"""

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_support import KEY, OPENING_RECORDS
from guard import clock
from guard.engine.engine import Engine
from guard.process.installation import build
from guard.server import late as late_messages
from guard.server import pipeline
from guard.server.batch import Gathering
from guard.server.request_path import RequestPath
from kernel import InvariantError
from patience_support import PATIENCE_S
from pipeline_support import Guard, guarding
from protocol_client import PING, STATS, ProtocolClient, cancel, fill, order, status
from wal import ChainHasher, WalPoisoned, failpoint, verify_chain
from wal import Dialect as WalDialect

# How long a reply that must not come is waited for: far above the loopback's microseconds.
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


async def _assert_silent(client: ProtocolClient) -> None:
    assert await asyncio.to_thread(client.socket.poll, SILENCE_MS) == 0, client.receive()


async def test_no_reply_of_any_kind_before_the_sync(guard: Guard, client: ProtocolClient) -> None:
    client.send(order("A-0"))
    first = await _receive(client)
    assert first["wal_sequence"] == OPENING_RECORDS + 1
    guard.disk.is_open = False
    client.send(order("A-1"))
    await guard.disk.wait_entered()
    # The batch of A-1 hangs. Whatever else is asked now waits for a later sync, or none.
    asked = [
        order("A-2"),
        order("A-1"),
        order("A-0"),
        status("A-1"),
        PING,
        {"type": "hello"},
        {"type": "none"},
        fill("A-0", "F-1"),
        cancel("A-0"),
        order("A-3", symbol="NONE"),
        [PING, PING],
    ]
    for request in asked:
        client.send(request)
    client.send_frames(b"x", b"y")
    await guard.gathered(len(asked) + 3)
    await _assert_silent(client)
    guard.disk.let_go()
    assert (await _receive(client))["wal_sequence"] == OPENING_RECORDS + 2
    await guard.disk.wait_entered()
    # A-1's batch is on disk. Not even the answers that changed nothing may leave yet: they show
    # a state, or stand behind records, that the second batch makes durable.
    await _assert_silent(client)
    guard.disk.is_open = True
    guard.disk.let_go()
    kinds = [(await _receive(client)) for _ in asked]
    assert [each[0]["type"] if isinstance(each, list) else each["type"] for each in kinds] == [
        "admit", "admit", "admit", "status", "pong", "hello",
        "error", "filled", "released", "reject", "pong",
    ]  # fmt: skip
    assert [kinds[1]["repeat"], kinds[2]["repeat"]] == [True, True]
    head = guard.writer.durable_head
    for pong in (kinds[4], *kinds[10]):
        assert (pong["head_sequence"], pong["head_hash"]) == head
    assert head.sequence == OPENING_RECORDS + 6
    assert (await asyncio.to_thread(client.receive_frames))[0].startswith(b"\x84")


async def test_a_query_alone_needs_no_sync_of_its_own(guard: Guard, client: ProtocolClient) -> None:
    before = guard.disk.sync_count
    client.send(PING)
    pong = await _receive(client)
    assert pong["head_sequence"] == OPENING_RECORDS
    assert guard.disk.sync_count == before


async def test_one_write_and_one_sync_a_batch(guard: Guard, client: ProtocolClient) -> None:
    guard.disk.is_open = False
    client.send(order("A-0"))
    await guard.disk.wait_entered()
    for index in range(1, 201):
        client.send(order(f"A-{index}", quantity=1))
    await guard.gathered(201)
    assert guard.writer.staged_count == 200
    guard.disk.is_open = True
    writes, syncs = guard.disk.write_count, guard.disk.sync_count
    guard.disk.let_go()
    replies = [await _receive(client) for _ in range(201)]
    assert [each["client_order_id"] for each in replies] == [f"A-{n}" for n in range(201)]
    assert (guard.disk.write_count - writes, guard.disk.sync_count - syncs) == (1, 1)
    assert guard.pipeline.counters.batches == 2


async def test_a_small_batch_is_synced_on_the_loop(tmp_path: Path) -> None:
    async with guarding(tmp_path / "log", on_loop=True) as guard:
        with ProtocolClient(guard.gateway.endpoint) as client:
            before = guard.disk.write_count
            for number in range(5):
                client.send(order(f"A-{number}"))
                reply = await _receive(client)
                assert reply["wal_sequence"] == OPENING_RECORDS + 1 + number
            assert set(guard.disk.threads) == {threading.get_ident()}
            assert guard.disk.write_count - before == 5
            assert guard.pipeline.counters.batches == 5
            assert guard.pipeline.is_idle
            client.send(PING)
            assert (await _receive(client))["head_sequence"] == OPENING_RECORDS + 5


@pytest.mark.parametrize(
    ("constant", "bound"),
    [("ON_LOOP_SYNC_NS_MAX", -1), ("ON_LOOP_MESSAGES_MAX", 0), ("ON_LOOP_REQUESTS_MAX", 0)],
)
async def test_a_batch_is_synced_off_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, bound: int
) -> None:
    """After a slow sync, and at a bound: the loop goes on deciding."""
    async with guarding(tmp_path / "log", on_loop=True) as guard:
        monkeypatch.setattr(pipeline, constant, bound)
        with ProtocolClient(guard.gateway.endpoint) as client:
            guard.disk.is_open = False
            client.send([order("A-0"), order("A-1")])
            await guard.disk.wait_entered()
            # One that could be synced on the loop, were nothing under way.
            client.send(order("A-2"))
            await guard.gathered(2)
            guard.disk.is_open = True
            guard.disk.let_go()
            assert len(await _receive(client)) == 2
            assert (await _receive(client))["client_order_id"] == "A-2"
            opening, *others = guard.disk.threads
            assert opening == threading.get_ident()
            assert len(others) == 2
            assert len(set(others)) == 1
            assert opening not in others


@pytest.mark.parametrize("failing", [errno.EIO, errno.ENOSPC])
async def test_a_failed_sync_on_the_loop_is_never_answered(tmp_path: Path, failing: int) -> None:
    async with guarding(tmp_path / "log", on_loop=True) as guard:
        with ProtocolClient(guard.gateway.endpoint) as client:
            guard.disk.error = OSError(failing, os.strerror(failing))
            syncs = guard.disk.sync_count
            client.send(order("A-1"))
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(WalPoisoned, match="fdatasync"):
                    await guard.task
            assert guard.disk.sync_count == syncs + 1, "a second fdatasync proves nothing"
            client.send(PING)
            await _assert_silent(client)
            assert guard.writer.poisoned
            assert guard.writer.durable_head.sequence == OPENING_RECORDS


@pytest.mark.parametrize("failing", [errno.EIO, errno.ENOSPC])
async def test_a_failed_sync_is_never_answered(
    guard: Guard, client: ProtocolClient, failing: int
) -> None:
    guard.disk.is_open = False
    client.send(order("A-1"))
    await guard.disk.wait_entered()
    for request in (order("A-1"), status("A-1"), PING, {"type": "none"}):
        client.send(request)
    await guard.gathered(5)
    syncs = guard.disk.sync_count
    guard.disk.error = OSError(failing, os.strerror(failing))
    guard.disk.let_go()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(WalPoisoned, match="fdatasync"):
            await guard.task
    assert guard.disk.sync_count == syncs, "a second fdatasync proves nothing"
    client.send(PING)
    await _assert_silent(client)
    assert guard.writer.poisoned
    assert guard.writer.durable_head.sequence == OPENING_RECORDS


async def test_each_reply_has_its_failpoint(guard: Guard, client: ProtocolClient) -> None:
    """A batch of several messages is one batch of replies; a test may stop between any two."""
    guard.disk.is_open = False
    client.send(order("A-0"))
    await guard.disk.wait_entered()
    client.send(order("A-1"))
    client.send(PING)
    client.send([order("A-2"), STATS])
    await guard.gathered(4)
    reached: list[str] = []
    failpoint.install(reached.append)
    try:
        guard.disk.is_open = True
        guard.disk.let_go()
        for _ in range(4):
            await _receive(client)
    finally:
        failpoint.install(None)
    assert guard.pipeline.counters.batches == 2
    assert reached.count("reply.after") == 4


async def test_what_passes_is_counted(guard: Guard, client: ProtocolClient) -> None:
    client.send([order("A-1"), order("A-1"), {"type": "none"}, cancel("X")])
    assert len(await _receive(client)) == 4
    client.send_frames(b"x", b"y")
    await asyncio.to_thread(client.receive_frames)
    counted = guard.pipeline.counters
    assert (counted.messages, counted.requests, counted.records) == (2, 5, 2)
    assert counted.request_errors == 2
    assert counted.batches == 2


async def test_stats_show_nothing_that_is_not_durable(guard: Guard, client: ProtocolClient) -> None:
    """What is decided while the batch of `stats` is on its way to the disk is not in them."""
    guard.disk.is_open = False
    client.send(order("A-0", quantity=1))
    await guard.disk.wait_entered()
    client.send([order("A-1", quantity=1), STATS, order("A-2", quantity=1), {"type": "none"}])
    await guard.gathered(2)
    guard.disk.let_go()
    assert (await _receive(client))["type"] == "admit"
    await guard.disk.wait_entered()  # the batch of `stats`
    client.send([order("A-3", quantity=1), order("A-4", symbol="NONE"), {"type": "none"}])
    await guard.gathered(3)
    guard.disk.let_go()
    _, stats, _, _ = await _receive(client)
    await guard.disk.wait_entered()  # the last batch: it hangs, and nothing of it has been shown
    counted = stats["counters"]
    assert counted["head_sequence"] == OPENING_RECORDS + 3
    expected = {
        "messages": 2, "requests": 3, "request_errors": 0, "rejects": 0, "records": 2,
        "remembered_orders": 2, "open_holds": 2,
    }  # fmt: skip
    assert {name: counted[name] for name in expected} == expected
    guard.disk.is_open = True
    guard.disk.let_go()
    assert len(await _receive(client)) == 3


async def test_stats_are_answered_in_their_turn(guard: Guard, client: ProtocolClient) -> None:
    guard.disk.is_open = False
    client.send([order("A-1"), order("A-2", symbol="NONE"), {"type": "none"}])
    await guard.disk.wait_entered()
    client.send({**STATS, "request_id": 7})
    client.send([PING, STATS])
    await guard.gathered(3)
    await _assert_silent(client)
    guard.disk.is_open = True
    guard.disk.let_go()
    assert len(await _receive(client)) == 3
    reply = await _receive(client)
    assert (reply["type"], reply["request_id"]) == ("stats", 7)
    pong, again = await _receive(client)
    assert reply["build"] == again["build"] == build()
    head = guard.writer.durable_head
    assert (pong["head_sequence"], pong["head_hash"]) == head
    counted = reply["counters"]
    assert again["counters"].keys() == counted.keys()
    assert counted["head_sequence"] == head.sequence == OPENING_RECORDS + 2
    expected = {
        "messages": 2, "requests": 4, "request_errors": 1, "rejects": 1, "full_windows": 0,
        "records": 2, "batches": 2, "batches_on_loop": 0, "batch_records_max": 2,
        "gathered_messages_max": 2, "pauses": 0, "replies_dropped_slow": 0,
        "replies_dropped_gone": 0, "remembered_orders": 2, "open_holds": 1, "entries_halted": 0,
    }  # fmt: skip
    assert {name: counted[name] for name in expected} == expected
    assert (again["counters"]["messages"], again["counters"]["requests"]) == (3, 6)
    assert counted["batch_bytes_max"] == counted["logged_bytes"] > 2_000
    assert sum(count for _, count in reply["syncs_by_latency_ns"]) == 1
    assert all(type(value) is int for value in counted.values())


async def test_what_arrives_after_the_stop_is_discarded(
    guard: Guard, client: ProtocolClient
) -> None:
    """Unanswered and undecided; the replies to what was decided are not lost to it."""
    for number in range(10):
        client.send(order(f"A-{number}", quantity=1))
    await guard.gathered(1)
    await guard.stop()
    decided = guard.pipeline.counters.messages
    late = asyncio.create_task(guard.pipeline.discard_late())
    for number in range(10):
        client.send(order(f"B-{number}", quantity=1))
    async with asyncio.timeout(PATIENCE_S):
        await late
    assert guard.pipeline.counters.messages_discarded == 20 - decided
    assert guard.gateway.receive() is None
    guard.gateway.close()
    replies = [await _receive(client) for _ in range(decided)]
    assert [each["client_order_id"] for each in replies] == [f"A-{n}" for n in range(decided)]
    await _assert_silent(client)
    assert guard.writer.durable_head.sequence == OPENING_RECORDS + decided


async def test_a_client_that_never_ends_does_not_hold_up_the_stop(
    guard: Guard, client: ProtocolClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_messages, "LATE_NS_MAX", 3 * late_messages.LATE_SILENCE_NS)
    client.send(PING)
    await _receive(client)
    await guard.stop()
    late = asyncio.create_task(guard.pipeline.discard_late())
    async with asyncio.timeout(PATIENCE_S):
        while not late.done():
            client.send(PING)
            await asyncio.sleep(0.001)
    assert guard.pipeline.counters.messages_discarded > 0


async def test_a_stall_is_seen(guard: Guard, client: ProtocolClient) -> None:
    assert guard.pipeline.is_stalled(0) is False
    guard.disk.is_open = False
    client.send(order("A-1"))
    await guard.disk.wait_entered()
    await guard.until(lambda: guard.pipeline.is_stalled(1_000_000))
    assert guard.pipeline.is_stalled(3_600_000_000_000) is False
    guard.disk.is_open = True
    guard.disk.let_go()
    await _receive(client)
    assert guard.pipeline.is_stalled(0) is False


async def test_an_error_of_our_own_ends_it_unanswered(guard: Guard, client: ProtocolClient) -> None:
    guard.disk.is_open = False
    client.send(order("A-0"))
    await guard.disk.wait_entered()

    class Failing(Engine):
        def apply(self, request: Any, outcome: Any) -> int:
            if outcome.sequence == OPENING_RECORDS + 3:
                raise InvariantError("the third order breaks")
            return super().apply(request, outcome)

    engine, counters = Failing(guard.pipeline._engine.state), guard.pipeline.counters
    path = RequestPath(engine, guard.writer, counters, clock.wall_ns)
    gathering = Gathering(guard.gateway, path, guard.writer, counters)
    gathering_before, guard.pipeline._gathering = guard.pipeline._gathering, gathering
    assert not gathering_before.answers
    client.send([order("A-1"), order("A-2"), order("A-3")])
    await guard.until(lambda: guard.pipeline._failure is not None)
    guard.disk.is_open = True
    guard.disk.let_go()
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(InvariantError, match="third order"):
            await guard.task
    # A-0 was on its way to the disk already: it may be answered, and nothing after it.
    replies = []
    while await asyncio.to_thread(client.socket.poll, SILENCE_MS):
        replies.append(client.receive())
    assert [each["client_order_id"] for each in replies] == ["A-0"]
    guard.writer.close()
    report = verify_chain(guard.writer._lock.directory, ChainHasher(KEY), _BLIND)
    assert report.head.sequence == OPENING_RECORDS + 1


async def test_stop_answers_what_it_has_decided(guard: Guard, client: ProtocolClient) -> None:
    guard.disk.is_open = False
    client.send(order("A-0"))
    await guard.disk.wait_entered()
    for index in range(1, 20):
        client.send(order(f"A-{index}", quantity=1))
    await guard.gathered(10)
    guard.pipeline.stop()
    guard.pipeline.stop()
    decided = guard.pipeline.counters.messages
    guard.disk.is_open = True
    guard.disk.let_go()
    async with asyncio.timeout(PATIENCE_S):
        await guard.task
    replies = [await _receive(client) for _ in range(decided)]
    assert [each["client_order_id"] for each in replies] == [f"A-{n}" for n in range(decided)]
    await _assert_silent(client)
    assert guard.writer.durable_head.sequence == OPENING_RECORDS + decided


_BLIND = WalDialect(
    is_native_head=lambda data: False,
    batch_first_sequence=lambda data: None,
    is_clean_close=lambda data: False,
)
