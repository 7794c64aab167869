"""The feed's door: subscriptions, credit, what comes from memory and from files, and its bounds."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from feed_support import FeedLog, Peer, feed_log, of_desk, peer
from guard.feed.messages import CREDIT_LINES_MAX
from guard.feed.recent import PAGE_BYTES, RECENT_BYTES_MAX
from guard.server.feed_door import UNSENT_BYTES_MAX

Play = Callable[[FeedLog, Peer], Coroutine[Any, Any, None]]


def play(root: Path, what: Play, *, encoding: str = "json", empty: bool = False) -> None:
    """A log, and one peer that has been welcomed."""

    async def run() -> None:
        async with feed_log(root) as log:
            with peer(log.endpoint, encoding=encoding, empty=empty) as one:
                message, _ = await one.next()
                assert message["type"] == "welcome"
                await what(log, one)

    asyncio.run(run())


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize("empty", [False, True])
def test_lines_come_byte_for_byte_in_both_encodings(
    tmp_path: Path, encoding: str, empty: bool
) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        number = one.subscribe(after_sequence=0)
        head = log.writer.durable_head
        assert await one.next() == (
            {
                "type": "subscribed",
                "after_sequence": 0,
                "after_hash": None,
                "desks": None,
                "credit_lines": 1_000,
                "head_sequence": 1,
                "head_hash": head.entry_hash,
                "request_id": number,
            },
            b"",
        )
        assert await one.next() == (
            {
                "type": "lines",
                "after_sequence": 0,
                "after_hash": "genesis",
                "through_sequence": 1,
                "through_hash": head.entry_hash,
                "line_count": 1,
                "credit_lines": 999,
                "request_id": number,
            },
            log.lines(),
        )
        log.write(b'{"event":"a"}', b'{"event":"b"}')
        log.write(b'{"event":"c"}')  # in the same few milliseconds: one message
        message, lines = await one.until("lines")
        assert (message["after_sequence"], message["after_hash"]) == head
        assert (message["through_sequence"], message["through_hash"]) == log.writer.durable_head
        assert lines == b"".join(log.lines().splitlines(keepends=True)[1:])
        one.send(type="credit", credit_lines=0)
        message, _ = await one.until("heartbeat")
        assert (message["after_sequence"], message["through_sequence"]) == (4, 4)
        assert (message["head_sequence"], message["credit_lines"]) == (4, 996)
        one.send(type="unsubscribe")
        assert (await one.until("unsubscribed"))[0]["through_sequence"] == 4

    play(tmp_path, what, encoding=encoding, empty=empty)


def test_credit_is_exact_and_nothing_comes_beyond_it(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        log.write(*[b'{"event":"%d"}' % number for number in range(20)])
        one.subscribe(after_sequence=0, credit_lines=3)
        message, lines = await one.until("lines")
        assert (message["line_count"], message["credit_lines"], lines.count(b"\n")) == (3, 0, 3)
        log.write(b'{"event":"later"}')
        one.send(type="credit", credit_lines=0)
        message, _ = await one.until("heartbeat")
        assert (message["through_sequence"], message["head_sequence"]) == (3, 22)
        one.send(type="credit", credit_lines=18)
        rest = await one.lines_through(21)
        assert lines + rest == b"".join(log.lines().splitlines(keepends=True)[:21])
        one.send(type="credit", credit_lines=2)
        message, lines = await one.until("lines")
        assert (message["through_sequence"], message["credit_lines"]) == (22, 1)

    play(tmp_path, what)


def test_a_desk_s_feed_says_how_far_it_has_looked(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        one.subscribe(desks=["desk-alpha"], credit_lines=2)
        await one.until("subscribed")
        halt = b'{"event":"trading_halted","scope":"desk","name":"desk-alpha"}'
        log.write(of_desk("desk-beta"), of_desk("desk-alpha"), b'{"event":"firm"}', halt)
        log.write(of_desk("desk-beta", r"\"desk\":\"desk-alpha\""), of_desk("desk-alpha"))
        message, lines = await one.until("lines")
        assert (message["after_sequence"], message["through_sequence"]) == (1, 5)
        every = log.lines().splitlines(keepends=True)
        assert lines == every[2] + every[4]
        one.send(type="credit", credit_lines=5)
        assert await one.lines_through(7) == every[6]
        log.write(of_desk("desk-beta"))
        while True:
            one.send(type="credit", credit_lines=0)
            message, _ = await one.until("heartbeat")
            assert message["after_sequence"] == 7
            if message["through_sequence"] == 8:
                break

    play(tmp_path, what)


WRONG: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no credit": ({"credit_lines": -1}, "invalid", "credit_lines", "-1 is not allowed"),
    "no name": ({"desks": ["a b"]}, "invalid", "desks[0]", "'a b' is not allowed"),
    "no desks": ({"desks": []}, "invalid", "desks", "allowed: 1 to 64 names"),
    "a desk": ({"desks": ["desk-alpha", "nix"]}, "unknown_desk", "desks[1]", "'nix'"),
    "ahead": ({"after_sequence": 9}, "not_there", "after_sequence", "allowed: 0 to 2, the durable"),
    "no hash": ({"after_hash": "x"}, "invalid", "after_hash", "'x' is not allowed"),
    "other hash": (
        {"after_sequence": 2, "after_hash": "0" * 64}, "other_history", "after_hash", "record 2",
    ),
    "type": ({"type": "order"}, "invalid", "type", "'order' is not allowed"),
    "a key": ({"lines": 1}, "invalid", "lines", "lines: no such key is known there"),
    "a desk twice": (
        {"desks": ["desk-alpha", "desk-alpha"]}, "invalid", "desks[1]", "'desk-alpha' stands twice",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_request_is_told_and_changes_nothing(tmp_path: Path, name: str) -> None:
    changes, code, field, words = WRONG[name]

    async def what(log: FeedLog, one: Peer) -> None:
        one.subscribe()
        await one.until("subscribed")
        log.write(b'{"event":"a"}')
        assert await one.lines_through(2)
        number = one.subscribe(**changes)
        message, _ = await one.until("error")
        assert (message["code"], message["field"], message["request_id"]) == (code, field, number)
        assert words in message["message"]
        log.write(b'{"event":"b"}')  # the subscription of before goes on
        message, _ = await one.until("lines")
        assert (message["through_sequence"], message["request_id"]) == (3, 1)

    play(tmp_path, what)


def test_what_is_wrong_without_a_subscription_and_beyond_the_credit(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        one.send(type="credit", credit_lines=1, request_id="c")
        message, _ = await one.until("error")
        assert (message["code"], message["request_id"]) == ("not_subscribed", "c")
        one.send(type="unsubscribe")
        assert (await one.until("error"))[0]["code"] == "not_subscribed"
        one.socket.send_multipart([b"a", b"b"])
        assert (await one.until("error"))[0]["code"] == "malformed"
        one.subscribe(credit_lines=CREDIT_LINES_MAX - 1)
        one.send(type="credit", credit_lines=2)
        message, _ = await one.until("error")
        assert (message["code"], message["field"]) == ("too_much", "credit_lines")
        one.send(type="credit", credit_lines=1)
        one.send(type="credit", credit_lines=0)
        assert (await one.until("heartbeat"))[0]["credit_lines"] == CREDIT_LINES_MAX

    play(tmp_path, what)


def test_another_history_is_found_in_the_files_too(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        log.write(b'{"event":"a"}')
        number = one.subscribe(after_sequence=1, after_hash="0" * 64)
        await one.until("subscribed")
        message, _ = await one.until("error")
        assert (message["code"], message["request_id"]) == ("other_history", number)
        one.send(type="credit", credit_lines=1)
        assert (await one.until("error"))[0]["code"] == "not_subscribed"

    play(tmp_path, what)


def test_who_does_not_fetch_holds_a_bounded_memory_and_misses_nothing(tmp_path: Path) -> None:
    text = "x" * 65_536

    async def what(log: FeedLog, one: Peer) -> None:
        with peer(log.endpoint, waiting_max=1) as slow, peer(log.endpoint) as gone:
            for other in (slow, gone):
                await other.wait()
                other.subscribe(credit_lines=CREDIT_LINES_MAX)
            gone.socket.close(linger=0)
            one.subscribe(credit_lines=CREDIT_LINES_MAX)
            await one.until("subscribed")
            got, most = b"", 0
            for number in range(160):
                log.write(of_desk("desk-alpha", f"{number}{text}"))
                if number % 8 == 0:
                    got += await one.lines_through(number + 2)
                most = max(most, log.listener.backlog.bytes)
                assert log.supply.recent.byte_count <= RECENT_BYTES_MAX
            assert UNSENT_BYTES_MAX < most <= 2 * (UNSENT_BYTES_MAX + PAGE_BYTES + 1_024)
            every = b"".join(log.lines().splitlines(keepends=True)[1:])
            assert got + await one.lines_through(161) == every
            assert await slow.lines_through(161) == every

    play(tmp_path, what)


def test_a_line_longer_than_a_page_and_rotations_in_the_middle(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        one.subscribe(after_sequence=0)
        await one.until("lines")
        for number in range(6):
            log.write(of_desk("desk-alpha", str(number)), of_desk("desk-beta", "y" * 700_000))
            log.writer.rotate()
        lines = await one.lines_through(13)
        assert log.lines().endswith(lines)
        assert lines.count(b"\n") == 12
        with peer(log.endpoint) as late:  # the same out of the files
            await late.wait()
            late.subscribe(after_sequence=0)
            assert await late.lines_through(13) == log.lines()

    play(tmp_path, what)


def test_what_has_been_archived_and_what_is_damaged_is_said(tmp_path: Path) -> None:
    async def what(log: FeedLog, one: Peer) -> None:
        log.writer.rotate()
        log.write(b'{"event":"a"}', b'{"event":"b"}')
        log.writer.rotate()
        log.write(b'{"event":"c"}')
        first, second, _ = sorted(log.directory.glob("*.jsonl"))
        first.rename(tmp_path / "elsewhere")
        one.subscribe(after_sequence=0)
        message, _ = await one.until("error")
        assert (message["code"], message["field"]) == ("gone", "after_sequence")
        assert "allowed: 1 to 4" in message["message"]
        one.subscribe(after_sequence=1)
        assert (await one.lines_through(4)).count(b"\n") == 3
        second.write_bytes(second.read_bytes().replace(b"sequence", b"sequel--", 1))
        one.subscribe(after_sequence=1)
        assert (await one.until("error"))[0]["code"] in ("gone", "unreadable")
        log.write(b'{"event":"d"}')  # and the log goes on

    play(tmp_path, what)


def test_who_asks_again_and_again_and_fetches_nothing_is_read_for_once(tmp_path: Path) -> None:
    text = "x" * 200_000

    async def what(log: FeedLog, one: Peer) -> None:
        log.write(*[of_desk("desk-alpha", text) for _ in range(6)])
        with peer(log.endpoint, waiting_max=1) as pest:
            await pest.wait()
            for _ in range(200):
                pest.subscribe(after_sequence=0)
                pest.send(type="credit", credit_lines=0)
            for _ in range(20):
                one.subscribe(after_sequence=0)
                await one.until("subscribed")
                assert (await one.lines_through(7)) == log.lines()
                assert log.listener.backlog.bytes <= 2 * (UNSENT_BYTES_MAX + PAGE_BYTES + 1_024)

    play(tmp_path, what)


def test_another_socket_type_is_refused(tmp_path: Path) -> None:
    import zmq

    async def what(log: FeedLog, one: Peer) -> None:
        wrong: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        wrong.set(zmq.LINGER, 0)
        wrong.connect(log.endpoint)
        try:
            while log.listener.counts()["gone_refused"] == 0:
                await asyncio.sleep(0.001)
        finally:
            wrong.close(linger=0)

    play(tmp_path, what)
