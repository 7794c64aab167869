"""Keeps a picture of a daemon true: asks it every second, reads its records as they come.

Owns when is asked and read, and what is done where that fails: the picture says so, and both go on.
A daemon that ends, comes back, is slow or was never there ends nothing here. Another log under the
same endpoint is begun with as if it had been the first.

How it works: the records begin shortly before what was durable when the daemon first answered, so
that there is something to show; counted are those behind that. A look is made shortly after each
full second, when the second before it is over.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import msgspec
import zmq

from guard.admin.messages import Configuration, Health, HealthReply, Stats
from guard.client.admin import AdminRefusedError, AdminTimeoutError
from guard.observe.asking import Asker
from guard.observe.picture import Picture
from guard.observe.series import SECOND_NS

AFTER_THE_SECOND_NS: Final = 50_000_000
RECORDS_BEFORE: Final = 2_000
AGAIN_AFTER_S: Final = 1.0
DESKS_PAUSE_S: Final = 1.0

_ASKING_ERRORS: Final = (
    *(AdminTimeoutError, AdminRefusedError, OSError, zmq.ZMQError, msgspec.MsgspecError),
)


class SourceError(RuntimeError):
    """Records cannot be read now, for what it says."""


class GapError(SourceError):
    """The record asked for is not to be had any more: it was archived."""


class Source(Protocol):
    """Where durable records come from."""

    def follow(self, first_sequence: int, health: HealthReply) -> AsyncIterator[list[bytes]]:
        """The lines from that record on, some at a time, as they become durable; none where there
        are none, and all is well.

        Ends where the daemon does. Raises SourceError.
        """


class Watch:
    """Watches one daemon; all of it belongs to one loop."""

    def __init__(
        self, picture: Picture, asker: Asker, source: Source, wall_ns: Callable[[], int]
    ) -> None:
        self.picture: Final = picture
        self._asker = asker
        self._source = source
        self._wall_ns = wall_ns
        self._answered = asyncio.Event()  # the daemon has answered since a source ended
        self.looked: list[Callable[[], None]] = []  # called behind every look

    async def run(self) -> None:
        """Watches until it is canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_on())
            group.create_task(self._look_at_desks_on())
            group.create_task(self._read_on())

    # -- asking ----------------------------------------------------------------------------------

    async def _look_on(self) -> None:
        while True:
            await self.look()
            for call in self.looked:
                call()
            now_ns = self._wall_ns()
            until_ns = (now_ns // SECOND_NS + 1) * SECOND_NS + AFTER_THE_SECOND_NS
            await asyncio.sleep((until_ns - now_ns) / 1e9)

    async def look(self) -> None:
        """Asks once; where no answer comes the picture says so."""
        picture, asker = self.picture, self._asker
        try:
            health: HealthReply = await asker.ask(Health())
            picture.take_health(health, self._wall_ns())
            self._answered.set()
            if not picture.has_configuration:
                picture.take_configuration(await asker.ask(Configuration()))
            # What was counted since the look before belongs to the second that is over.
            stats = await asker.ask(Stats())
            picture.take_stats(stats, self._wall_ns() - SECOND_NS // 2)
        except _ASKING_ERRORS as error:
            picture.note_silence(str(error))

    async def _look_at_desks_on(self) -> None:
        """Beside the looks: 1,000 desks are ten pages, each of which waits for a sync."""
        while True:
            await self.look_at_desks()
            await asyncio.sleep(DESKS_PAUSE_S)

    async def look_at_desks(self) -> None:
        """Asks for every desk once; where no answer comes the looks say so."""
        try:
            self.picture.take_desks(await self._asker.desks(), self._wall_ns())
        except _ASKING_ERRORS:
            return

    # -- reading ---------------------------------------------------------------------------------

    async def _read_on(self) -> None:
        log_id = ""
        following: int | None = None
        while True:
            await self._answered.wait()
            health = self.picture.health
            assert health is not None  # it has answered
            if health.log_id != log_id:
                log_id = health.log_id
                self.picture.begin_log(health.head_sequence + 1)
                following = max(1, health.head_sequence + 1 - RECORDS_BEFORE)
            elif following is None:
                following = health.head_sequence + 1
            following = await self._read(following, health)
            self._answered.clear()
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _read(self, first_sequence: int, health: HealthReply) -> int | None:
        """Follows the records until that ends; the next one to begin with. None: it is gone."""
        picture, following = self.picture, first_sequence
        try:
            async for lines in self._source.follow(first_sequence, health):
                picture.feed_error = ""
                if lines:
                    picture.take_lines(lines, self._wall_ns())
                    following = picture.tally.last_sequence + 1
        except GapError as gap:
            picture.feed_error = str(gap)
            picture.feed_gaps += following > picture.tally.counted_from
            return None
        except SourceError as error:
            picture.feed_error = str(error)
        return following
