"""A sync that takes long while clients ask for signs of life; a head that cannot be told."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_support import OPENING_RECORDS
from guard.server.commands import ping, pong
from patience_support import PATIENCE_S
from pipeline_support import Guard, guarding
from protocol_client import PING, ProtocolClient, order
from server_support import Wire
from wal import PublishedHead, WalError, WalPoisoned, read_published_head
from wal.headfile import HeadFile

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


async def test_pings_are_answered_while_a_sync_lasts(tmp_path: Path) -> None:
    """A batch that could be synced on the loop, of a client with heartbeats."""
    async with guarding(tmp_path / "log", on_loop=True) as guard:
        with ProtocolClient(guard.gateway.endpoint) as client, Wire(guard.gateway) as wire:
            await _pinged(guard, wire)
            assert guard.gateway.hears_pings
            guard.disk.is_open = False
            client.send(order("A-0"))
            await guard.disk.wait_entered()
            await _pinged(guard, wire)
            # What is decided meanwhile belongs to the next batch.
            client.send(order("A-1"))
            client.send(PING)
            await guard.gathered(3)
            await _assert_silent(client)
            assert not guard.pipeline.is_idle
            guard.disk.let_go()
            assert (await _receive(client))["client_order_id"] == "A-0"
            await guard.disk.wait_entered()
            await _assert_silent(client)
            guard.disk.is_open = True
            guard.disk.let_go()
            assert (await _receive(client))["client_order_id"] == "A-1"
            assert (await _receive(client))["head_sequence"] == OPENING_RECORDS + 2
            assert guard.pipeline.counters.batches_on_loop == 0


async def test_a_failed_sync_beside_the_loop_is_never_answered(tmp_path: Path) -> None:
    async with guarding(tmp_path / "log", on_loop=True) as guard:
        with ProtocolClient(guard.gateway.endpoint) as client, Wire(guard.gateway) as wire:
            await _pinged(guard, wire)
            guard.disk.is_open = False
            client.send(order("A-0"))
            await guard.disk.wait_entered()
            client.send(PING)
            await guard.gathered(2)
            guard.disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
            guard.disk.let_go()
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(WalPoisoned, match="fdatasync"):
                    await guard.task
            await _assert_silent(client)


async def _pinged(guard: Guard, wire: Wire) -> None:
    wire.send(ping(0))
    expected = pong(b"")
    await guard.until(lambda: wire.has(expected))
    wire.received.clear()


async def test_readers_that_cannot_be_told_stop_where_they_are(
    guard: Guard, client: ProtocolClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a duty's from then on; orders go on."""
    log = tmp_path / "log"
    client.send(order("A-0"))
    assert (await _receive(client))["wal_sequence"] == OPENING_RECORDS + 1
    with monkeypatch.context() as patched:
        tries = 0

        def write(_file: HeadFile, _published: PublishedHead) -> None:
            nonlocal tries
            tries += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patched.setattr(HeadFile, "write", write)
        for number in range(1, 4):
            client.send(order(f"A-{number}"))
            assert (await _receive(client))["wal_sequence"] == OPENING_RECORDS + 1 + number
        assert tries == 1
        with pytest.raises(WalError, match=r"^readers are not told .*No space left"):
            guard.pipeline.publish_late()
        told = read_published_head(log)
        assert told is not None
        assert told.head.sequence == OPENING_RECORDS + 1
    guard.pipeline.publish_late()
    told = read_published_head(log)
    assert told is not None
    assert told.head == guard.writer.durable_head
    client.send(order("A-4"))
    assert (await _receive(client))["wal_sequence"] == OPENING_RECORDS + 5
    await guard.until(lambda: guard.pipeline.is_idle)
    told = read_published_head(log)
    assert told is not None
    assert told.head.sequence == OPENING_RECORDS + 5
