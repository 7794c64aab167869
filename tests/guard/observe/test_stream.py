"""News for many: the newest, once, to whoever can take it; nothing heaps up for who cannot."""

import asyncio

import pytest

from guard.observe import stream
from guard.observe.stream import RETRY, Broadcast, event_text


async def test_who_listens_gets_what_is_newest_of_each_name() -> None:
    broadcast = Broadcast()
    broadcast.tell("now", b"1")
    broadcast.tell("desks", b"[]")
    heard = broadcast.stream()
    assert await anext(heard) == RETRY
    assert await anext(heard) == event_text("now", b"1") + event_text("desks", b"[]")
    assert broadcast.streams == 1
    waiting = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    assert not waiting.done()
    broadcast.tell("now", b"2")
    assert await waiting == b"event: now\ndata: 2\n\n"
    for number in range(1_000):  # while it takes nothing
        broadcast.tell("now", b"%d" % number)
    assert await anext(heard) == event_text("now", b"999")
    await heard.aclose()
    assert broadcast.streams == 0


async def test_a_stream_ends_where_the_observer_does() -> None:
    broadcast = Broadcast()
    heard = broadcast.stream()
    assert await anext(heard) == RETRY
    waiting = asyncio.ensure_future(anext(heard, None))
    await asyncio.sleep(0)
    broadcast.close()
    assert await waiting is None
    assert broadcast.streams == 0


async def test_where_nothing_is_new_a_stream_still_says_that_somebody_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.001)
    heard = Broadcast().stream()
    await anext(heard)
    assert await anext(heard) == b": still here\n\n"
    await heard.aclose()


async def test_what_was_news_when_nobody_listened_is_not_told() -> None:
    broadcast = Broadcast()
    broadcast.tell("now", b"old")
    broadcast.forget()
    heard = broadcast.stream()
    await anext(heard)
    broadcast.tell("now", b"new")
    assert await anext(heard) == event_text("now", b"new")
    await heard.aclose()
