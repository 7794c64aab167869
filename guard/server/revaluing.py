# cython: annotation_typing=False
"""Marks as they come, and which of them are to be recorded as the prices of positions, and when.

Owns under which limits a mark is taken (how far it may jump at once), and what of marks waits to be
recorded, in memory alone, as they do themselves (`guard.server.marks`); whether one is due the rule
says (`guard.engine.prices`). Marks are conflated: what is recorded is the last one, and
before the next order alone, so that no flood of marks fills a log.

How it works: a heap of counts of time: a mark that lies near the recorded price waits for its time,
one that has moved further is due at once. What comes up may have changed since, and is looked at
anew. At any time a symbol has one entry that counts; one that does not is dropped at its time.
"""

import heapq
from typing import Final

from guard.engine.events import Revalued
from guard.engine.prices import NEVER
from guard.engine.state import GuardState
from guard.protocol.limits import MARK_CONFIRM, MARK_JUMP, NO_LIMIT, UNSAID
from guard.protocol.request import Request
from guard.record.mark_rules import has_jumped
from guard.server.marks import Marks

REVALUED_BY: Final = "local"
_NEVER = NEVER
_NO_JUMP, _NO_LIMIT, _NS_PER_MS = UNSAID, NO_LIMIT, 1_000_000
_MARK_JUMP, _MARK_CONFIRM = MARK_JUMP, MARK_CONFIRM


class Revaluing:
    """What waits. `next_due_ns`: from which count of time on something may be due; NEVER."""

    def __init__(self, state: GuardState, marks: Marks) -> None:
        self._state = state
        self._marks = marks
        self.next_due_ns = NEVER
        self._heap: list[tuple[int, str]] = []
        self._waiting: dict[str, int] = {}
        self._limits_set = 0  # how often they were when `_heap` was made

    def is_due(self, order: Request) -> bool:
        """Is there anything to be recorded before that order is decided?"""
        state = self._state
        if state.limits.times_set != self._limits_set:
            return True  # under other limits other prices may be due, or were not kept between
        if order.elapsed_ns >= self.next_due_ns:
            return True
        worth = state.worth_of(order)
        if worth is None:
            return False
        return state.prices.is_due(worth.number, order.mark_price, order.elapsed_ns)

    def take_mark(self, mark: Request, wall_ns: int) -> int:
        """A mark of an instrument that there is has come. Gives the price that counts now."""
        state = self._state
        worth = state.worth_of(mark)
        assert worth is not None
        jump_bps, confirm_ns = _NO_JUMP, 0
        if state.limits.guards_marks:
            effective = state.limits.effective(0, worth.limit_class)
            if effective.values[_MARK_JUMP] != _NO_LIMIT:
                jump_bps = effective.values[_MARK_JUMP]
                confirm_ns = effective.values[_MARK_CONFIRM] * _NS_PER_MS
        clock_ns = mark.clock_ns if mark.clock_ns != 0 else mark.received_at_ns
        price = self._marks.put(mark, wall_ns, clock_ns, jump_bps, confirm_ns)
        if not state.prices.is_kept:
            return price
        # What does not count yet is looked at when it does (`settle`).
        due_at_ns = state.prices.due_at_ns(worth.number, price)
        if due_at_ns != _NEVER:
            self._wait(mark.symbol, due_at_ns)
        return price

    def settle(self, order: Request, wall_ns: int) -> int:
        """Marks whose jump counts by now are so before an order is decided; of its own symbol's the
        order says what waits, as long as the limits in force say so."""
        for symbol in self._marks.settle(wall_ns):
            if self._state.prices.is_kept:
                self._wait(symbol, 0)
        self._marks.say(order, wall_ns)
        if order.mark_jump != 0 and not has_jumped(self._state, order):
            order.mark_jump = 0
        return 0

    def _wait(self, symbol: str, due_at_ns: int) -> None:
        if due_at_ns < self._waiting.get(symbol, NEVER):
            self._waiting[symbol] = due_at_ns
            heapq.heappush(self._heap, (due_at_ns, symbol))
            self.next_due_ns = self._heap[0][0]

    def take_due(self, order: Request, wall_ns: int) -> list[Revalued]:
        """What is to be recorded before that order, each once it was applied."""
        state = self._state
        if state.limits.times_set != self._limits_set:
            self._limits_set = state.limits.times_set
            self._heap, self._waiting = [], {}
            for symbol in self._marks.shown(wall_ns):
                self._wait(symbol, 0)
        elif state.worth_of(order) is not None and order.mark_price:
            self._wait(order.symbol, 0)  # which may be due though no mark has come since
        due = []
        while self._heap and self._heap[0][0] <= order.elapsed_ns:
            due_at_ns, symbol = heapq.heappop(self._heap)
            if self._waiting.get(symbol) != due_at_ns:
                continue  # it came up earlier already
            del self._waiting[symbol]
            price, age_ns = self._marks.of(symbol, wall_ns)
            due_at_ns = state.prices.due_at_ns(state.positions.number_of(symbol), price)
            if due_at_ns <= order.elapsed_ns:
                due.append(self._event(symbol, price, age_ns, order))
            elif due_at_ns != NEVER:
                self._wait(symbol, due_at_ns)
        self.next_due_ns = self._heap[0][0] if self._heap else NEVER
        return due

    def _event(self, symbol: str, price: int, age_ns: int, order: Request) -> Revalued:
        return Revalued(
            received_at_ns=order.received_at_ns,
            client=REVALUED_BY,
            batch_first_sequence=order.batch_first_sequence,
            symbol=symbol,
            price=price,
            age_ns=age_ns,
            elapsed_ns=order.elapsed_ns,
        )
