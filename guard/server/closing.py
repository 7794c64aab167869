"""The close of a day while orders are served: releases a few at a time, then one record.

Owns the course of it. What a close states is `guard.engine.day_close`'s, what it releases
`guard.admin.day`'s. A turn of the loop releases no more than `RELEASES_PER_TURN` orders, so that it
holds up nobody, and so is counted what a close would release. The last turn records `day_closed`,
between two requests. An order that is admitted meanwhile may be released or stay, as one that comes
just before or just behind.

How it fails: a stop of the service ends it without its record, and without an answer; a crash
leaves the releases that were durable. The same action again goes on from there: under its id, of
which a day has one, a day is closed once.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from guard.admin.actions import plan
from guard.admin.day import (
    DayOrders,
    changes_of,
    count_day_orders,
    find_day_order,
    freed_event,
)
from guard.admin.messages import SCANNED_MAX, AnyReply, CloseDay, Done, Planned, Refused
from guard.engine.actor import Actor
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.server.pipeline import Pipeline

RELEASES_PER_TURN: Final = 100
COUNTED_PER_TURN: Final = 1_000

Answer = Callable[[AnyReply], None]


class DayCloser:
    """One day at a time. All calls belong to the loop's thread."""

    def __init__(
        self,
        state: GuardState,
        pipeline: Pipeline,
        releases: Callable[[], bool],
        releases_per_turn: int = RELEASES_PER_TURN,
    ) -> None:
        """`releases`: are `day` orders to end with their day?"""
        self._state = state
        self._pipeline = pipeline
        self._releases = releases
        self._releases_per_turn = releases_per_turn
        self._loop = asyncio.get_running_loop()
        self._action: CloseDay | None = None
        self._actor: Callable[[], Actor]
        self._answers: list[Answer] = []
        self._row = self._end = self._released = 0

    def close(self, action: CloseDay, actor: Callable[[], Actor], answer: Answer) -> None:
        """Closes the day; `answer` is called once its record is staged. Raises AdminError."""
        under_way = self._action
        if under_way is not None and under_way.action_id != action.action_id:
            words = f"action_id: day {under_way.day} is being closed; ask again in a moment"
            answer(Refused("under_way", "action_id", words))
            return
        self._answers.append(answer)
        if under_way is not None:  # sent again, since it takes its time
            return
        try:
            plan(self._state, action, actor())
        except BaseException:
            self._answers.clear()
            raise
        self._action, self._actor = action, actor
        self._row, self._released = 0, 0
        self._end = self._state.orders.row_end() if self._releases() else 0
        self._step()

    def plan(self, action: CloseDay, actor: Actor, answer: Answer) -> None:
        """Says what the close would do, counted a few orders at a time. Raises AdminError."""
        plan(self._state, action, actor)
        end = self._state.orders.row_end() if self._releases() else 0
        self._count(action, answer, DayOrders(0, 0, 0), end)

    def _count(self, action: CloseDay, answer: Answer, counted: DayOrders, end: int) -> None:
        if self._pipeline.is_stopping:
            return
        if counted.row < end:
            until = min(counted.row + SCANNED_MAX, end)
            more = count_day_orders(self._state, counted.row, until, COUNTED_PER_TURN)
            so_far = DayOrders(more.row, counted.orders + more.orders, counted.holds + more.holds)
            self._loop.call_soon(self._count, action, answer, so_far, end)
            return
        answer(Planned(action.action_id, changes_of(self._state, action, counted)))

    def _step(self) -> None:
        assert self._action is not None
        if self._pipeline.is_stopping:
            self._action = None
            self._answers.clear()
            return
        if self._row < self._end:
            self._release_some()
            self._loop.call_soon(self._step)
            return
        action, self._action = self._action, None
        answers, self._answers = self._answers, []
        planned = plan(self._state, action, self._actor())
        sequence = self._state.next_sequence
        self._pipeline.record(planned.event)
        changes = [f"{self._released} day orders were released", *planned.changes]
        for answer in answers:
            answer(Done(action.action_id, sequence, False, changes))

    def _release_some(self) -> None:
        state, end = self._state, min(self._row + SCANNED_MAX, self._end)
        for _ in range(self._releases_per_turn):
            row = find_day_order(state, self._row, end)
            if row == NO_ROW:
                self._row = end
                return
            self._row = row + 1
            self._pipeline.record(freed_event(state, row, self._actor()))
            self._released += 1
