"""The feed's clients against a real daemon: every record once, whatever happens between."""

import asyncio
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon_support import KEY, Site
from feed_support import PATIENCE_MS, config_with_feed, feed_log
from guard.admin.messages import Health
from guard.client import GuardClient, Order
from guard.client.admin import AdminClient
from guard.client.errors import GuardClientError
from guard.client.feed import AsyncFeedClient, FeedClient
from guard.client.feed_session import (
    FeedBrokenError,
    FeedRefusedError,
    FeedTimeoutError,
)
from protocol_client import ORDER, ProtocolClient, order

PATIENCE_S = PATIENCE_MS / 1_000


def lines_of(endpoint: str, last: int, *, reconnect_every: int = 0) -> bytes:
    """The log's lines up to record `last`, by a client that is made anew every so many batches."""
    found, count = b"", 0
    feed = FeedClient(endpoint, after_sequence=0, key=KEY)
    try:
        while (through := feed.through) is None or through.sequence < last:
            batch = feed.next_batch(PATIENCE_S)
            found += batch.lines
            count += 1
            if reconnect_every and count % reconnect_every == 0:
                feed.close()
                feed = FeedClient(
                    endpoint,
                    after_sequence=batch.through.sequence,
                    after_hash=batch.through.entry_hash,
                    key=KEY,
                    credit_lines=7,
                )
    finally:
        feed.close()
    return found


def orders(endpoint: str, prefix: str, count: int) -> None:
    with ProtocolClient(endpoint, encoding="msgpack") as client:
        for first in range(0, count, 50):
            numbers = range(first, min(first + 50, count))
            client.ask([order(f"{prefix}-{number}", quantity=1) for number in numbers])


def test_all_of_them_end_with_exactly_the_log(tmp_path: Path) -> None:
    site = Site(tmp_path, config_with_feed())
    endpoint = f"ipc://{tmp_path}/feed"
    # Records: seven at the beginning, the orders; session_closed, session_started, the orders.
    last = 7 + 300 + 2 + 100
    with ThreadPoolExecutor(4) as threads, FeedClient(endpoint, after_sequence=0) as stopped:
        with site.running() as daemon:
            whole = threads.submit(lines_of, endpoint, last)
            anew = threads.submit(lines_of, endpoint, last, reconnect_every=1)
            beginning = stopped.next_batch(PATIENCE_S).lines
            orders(daemon.endpoint, "A", 150)
            daemon.signal(signal.SIGUSR1)  # a new segment
            orders(daemon.endpoint, "B", 150)
            assert daemon.stop() == 0
        with site.running() as daemon:
            orders(daemon.endpoint, "C", 100)
            every = b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)
            assert every.count(b"\n") == last
            assert whole.result(PATIENCE_S) == every
            assert anew.result(PATIENCE_S) == every
            while stopped.through is None or stopped.through.sequence < last:
                beginning += stopped.next_batch(PATIENCE_S).lines
            assert beginning == every


def test_a_desk_s_records_and_the_head_by_the_asynchronous_client(tmp_path: Path) -> None:
    site = Site(tmp_path, config_with_feed())

    async def follow(orders_endpoint: str) -> None:
        async with AsyncFeedClient(f"ipc://{tmp_path}/feed", desks=["desk-beta"], key=KEY) as feed:
            batch = await feed.next_batch(PATIENCE_S)
            assert (batch.records, batch.through.sequence, feed.is_subscribed) == ([], 7, True)
            with ProtocolClient(orders_endpoint) as client:
                for number, desk in enumerate(["desk-alpha", "desk-beta", "desk-beta"]):
                    client.ask(order(f"A-{number}", desk=desk, quantity=1))
            found: list[int] = []
            async for record in feed:
                data = json.loads(record.data)
                assert data["metadata"]["order"]["desk"] == "desk-beta"
                found.append(record.sequence)
                if record.sequence == 10:
                    break
            assert found == [9, 10]
            assert feed.head is not None
            assert (feed.head.sequence, feed.reconnect_count) == (10, 0)

    with site.running() as daemon:
        asyncio.run(follow(daemon.endpoint))


def test_no_feed_is_configured_and_there_is_none(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, FeedClient(f"ipc://{tmp_path}/feed") as feed:
        orders(daemon.endpoint, "A", 1)
        assert not (tmp_path / "feed").exists()
        with pytest.raises(FeedTimeoutError):
            feed.next_batch(0.05)


def test_a_place_that_is_taken_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "feed").write_text("")
    done = Site(tmp_path, config_with_feed()).refused()
    assert (done.returncode, "feed endpoint" in done.stderr) == (1, True)


def test_a_key_that_is_another_and_a_refusal_end_the_client(tmp_path: Path) -> None:
    async def run() -> None:
        async with feed_log(tmp_path) as log:
            async with AsyncFeedClient(log.endpoint, after_sequence=0, key=b"x" * 32) as feed:
                with pytest.raises(FeedBrokenError, match="record 1: entry_hash does not match"):
                    await feed.next_batch(PATIENCE_S)
                with pytest.raises(GuardClientError, match="closed"):
                    await feed.next_batch(PATIENCE_S)
            async with AsyncFeedClient(log.endpoint, desks=["nix"]) as feed:
                with pytest.raises(FeedRefusedError, match="'nix' is not allowed") as caught:
                    await feed.next_batch(PATIENCE_S)
                assert (caught.value.code, caught.value.field) == ("unknown_desk", "desks[0]")

    asyncio.run(run())


def test_a_record_that_was_changed_in_the_files_is_seen(tmp_path: Path) -> None:
    async def run() -> None:
        async with feed_log(tmp_path) as log:
            log.write(b'{"event":"a"}', b'{"event":"b"}', b'{"event":"c"}')
            [segment] = log.directory.glob("*.jsonl")
            segment.write_bytes(segment.read_bytes().replace(b'"b"', b'"B"'))
            key = bytes(range(40))
            async with AsyncFeedClient(log.endpoint, after_sequence=0, key=key) as feed:
                with pytest.raises(FeedBrokenError, match="record 3: entry_hash does not match"):
                    await feed.next_batch(PATIENCE_S)

    asyncio.run(run())


def test_a_silent_connection_is_replaced_and_goes_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            feed_log(tmp_path) as log,
            AsyncFeedClient(log.endpoint, after_sequence=0, silence_s=0.05) as feed,
        ):
            assert (await feed.next_batch(PATIENCE_S)).through.sequence == 1
            while feed.reconnect_count < 2:  # heartbeats come once a second
                with pytest.raises(FeedTimeoutError):
                    await feed.next_batch(0.1)
            log.write(b'{"event":"a"}')
            assert (await feed.next_batch(PATIENCE_S)).through.sequence == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"after_sequence": -1}, "after_sequence: -1 is not allowed; allowed: from 0 on"),
        ({"credit_lines": 0}, "credit_lines: 0 is not allowed"),
        ({"silence_s": 0}, "silence_s: 0 is not allowed"),
    ],
)
def test_wrong_options_are_told(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FeedClient("ipc://x", **options)  # type: ignore[arg-type]


def test_keys_and_a_drop_copy_of_one_s_own_desk(tmp_path: Path) -> None:
    pytest.importorskip("nacl", reason="CURVE needs the extra `curve`")
    from curve_support import ALPHA, BETA, client_text, curve_keys, secured_config, secured_site

    clients = client_text("all", ALPHA, 'may = ["orders", "drop_copy"]', 'desks = "all"')
    clients += client_text("beta", BETA, 'may = ["drop_copy"]', 'desks = ["desk-beta"]')
    text = secured_config(clients).replace("[log]", 'feed = "ipc://feed"\n[log]', 1)
    site = secured_site(Site(tmp_path, text))
    endpoint = f"ipc://{tmp_path}/feed"
    with site.running() as daemon:
        with GuardClient(daemon.endpoint, curve=curve_keys(ALPHA)) as guard:
            for number, desk in enumerate(["desk-alpha", "desk-beta"]):
                told = ORDER | {"client_order_id": f"A-{number}", "desk": desk}
                del told["type"]
                guard.call(Order(**told))
        with FeedClient(endpoint, after_sequence=0, key=KEY, curve=curve_keys(ALPHA)) as feed:
            found = b""
            while feed.through is None or feed.through.sequence < 9:
                found += feed.next_batch(PATIENCE_S).lines
            assert found == b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)
        beta = curve_keys(BETA)
        with FeedClient(endpoint, after_sequence=0, curve=beta, desks=["desk-beta"]) as feed:
            opened, ordered = feed.next_batch(PATIENCE_S).records
            assert (json.loads(opened.data)["event"], ordered.sequence) == ("desk_opened", 9)
        for desks in (None, ["desk-alpha"]):
            with (
                FeedClient(endpoint, curve=beta, desks=desks) as feed,
                pytest.raises(FeedRefusedError, match="not_permitted"),
            ):
                feed.next_batch(PATIENCE_S)
        with FeedClient(endpoint) as feed, pytest.raises(FeedTimeoutError):
            feed.next_batch(0.3)


def test_a_kill_in_the_middle_loses_and_doubles_nothing_that_was_told(tmp_path: Path) -> None:
    site = Site(tmp_path, config_with_feed())
    with FeedClient(f"ipc://{tmp_path}/feed", after_sequence=0, key=KEY) as feed:
        found = b""
        with site.running() as daemon:
            orders(daemon.endpoint, "A", 50)
            while feed.through is None or feed.through.sequence < 40:
                found += feed.next_batch(PATIENCE_S).lines
            with AdminClient(f"ipc://{site.log}.admin", timeout_s=PATIENCE_S) as admin:
                assert admin.ask(Health()).figures["feed_connections"] == 1
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        with site.running() as daemon:
            orders(daemon.endpoint, "B", 50)
            every = b"".join(path.read_bytes().rstrip(b"\0") for path in site.segments)
            while feed.through.sequence < every.count(b"\n"):
                found += feed.next_batch(PATIENCE_S).lines
            assert found == every
