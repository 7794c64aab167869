"""The watch: what it does where asking or reading fails, where records are gone, where the log is
another one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from guard.admin import queries
from guard.admin.messages import Health, HealthReply, Stats
from guard.client.admin import AdminTimeoutError
from guard.observe import watch as watching
from guard.observe.picture import Picture
from guard.observe.watch import GapError, SourceError, Watch
from guard.protocol.messages import StatsReply
from guard_support import T0, LoggedEngine, order
from health_support import health
from record_line_support import lines_of


class Asked:
    """A daemon that answers from a state; `health` may be replaced, `error` set."""

    def __init__(self) -> None:
        self.day = LoggedEngine()
        self.health = health(head_sequence=10)
        self.error: Exception | None = None

    async def ask(self, query: Any) -> Any:
        if self.error is not None:
            raise self.error
        if isinstance(query, Health):
            return self.health
        if isinstance(query, Stats):
            return StatsReply({}, [])
        return queries.answer(self.day.state, query, T0)

    async def desks(self) -> list[Any]:
        return []


class Scripted:
    """A source that does one thing after the other, and then says that it is done.

    A reply to `health` among them is the daemon's from there on.
    """

    def __init__(self, asked: Asked, *script: list[bytes] | Exception | HealthReply | None) -> None:
        self.asked = asked
        self.script = list(script)
        self.begun: list[int] = []
        self.is_done = asyncio.Event()

    async def follow(self, first_sequence: int, _health: HealthReply) -> AsyncIterator[list[bytes]]:
        self.begun.append(first_sequence)
        while self.script:
            step = self.script.pop(0)
            if step is None:
                return
            if isinstance(step, Exception):
                raise step
            if isinstance(step, HealthReply):
                self.asked.health = step
            else:
                yield step
        self.is_done.set()
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "AGAIN_AFTER_S", 0)


async def watched(source: Scripted) -> Picture:
    """The picture, once the source has come to its script's end."""
    picture = Picture(T0)
    watch = Watch(picture, source.asked, source, lambda: T0)  # type: ignore[arg-type]
    looks = asyncio.create_task(look_often(watch))
    reads = asyncio.create_task(watch._read_on())
    try:
        await asyncio.wait_for(source.is_done.wait(), 20)
    finally:
        for task in (looks, reads):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    return picture


async def look_often(watch: Watch) -> None:
    while True:
        await watch.look()
        await asyncio.sleep(0)


def some_lines(count: int) -> list[bytes]:
    day = LoggedEngine()
    for number in range(count):
        day.submit(order(f"A-{number}", symbol="none"))
    return lines_of(day)


async def test_it_begins_before_the_head_and_goes_on_behind_what_came() -> None:
    lines = some_lines(12)
    source = Scripted(Asked(), lines[:5], SourceError("the disk"), lines[5:9], None, lines[9:])
    picture = await watched(source)
    assert source.begun == [1, 6, 10]  # the head is not far from the first
    assert picture.tally.records == len(lines) - 10  # counted from behind the head
    assert picture.tally.last_sequence == len(lines)
    assert (picture.feed_error, picture.feed_gaps) == ("", 0)


async def test_records_that_are_gone_are_a_gap_and_it_goes_on_at_the_head() -> None:
    lines, gone = some_lines(20), GapError("archived")
    later = health(head_sequence=18)
    source = Scripted(Asked(), gone, lines[10:12], later, gone, lines[18:])
    picture = await watched(source)
    assert source.begun == [1, 11, 19]
    assert picture.feed_gaps == 1  # what was missed before it began is none
    assert picture.tally.records == 2 + len(lines) - 18


async def test_another_log_is_begun_with_anew() -> None:
    other = health(log_id="ef" * 16, head_sequence=3_000)
    source = Scripted(Asked(), some_lines(4), other, SourceError("not those of one log"))
    picture = await watched(source)
    assert source.begun == [1, 1_001]
    assert picture.tally.counted_from == 3_001


async def test_a_daemon_that_does_not_answer_is_said_and_asked_again() -> None:
    asked = Asked()
    picture = Picture(T0)
    source: Any = Scripted(asked)
    watch = Watch(picture, asked, source, lambda: T0)  # type: ignore[arg-type]
    asked.error = AdminTimeoutError("no answer within 2 s")
    await watch.look()
    await watch.look_at_desks()
    assert (picture.error, picture.health) == ("no answer within 2 s", None)
    asked.error = None
    await watch.look()
    assert picture.error == ""
    assert picture.has_configuration
    assert picture.unready(T0) == {}
