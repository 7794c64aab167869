"""What the tests of replay share: days with many kinds of orders."""

import random
from typing import Any

from guard.engine.actor import Actor
from guard.engine.events import (
    DeskCapped,
    DeskResumed,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    InstrumentDefined,
)
from guard.protocol.messages import Cancel, Fill, Order
from guard_support import T0, LoggedEngine, dev_config

_ODD_NAMES = ("A-1", "x" * 64, 'quo"ted', "back\\slash", "~!#$%&'()*+,", '"\\"', "7")


class BusyDay:
    """A log of random requests of every kind over two desks. Equal seeds, equal days."""

    def __init__(self, seed: int, count: int) -> None:
        self.numbers = random.Random(seed)
        self.engine = LoggedEngine(
            config=dev_config(remembered_orders_max=60, remembered_order_window_s=40)
        )
        self.names: list[str] = []
        while len(self.engine.records) < count:
            self.engine.now_ns = T0 + len(self.engine.records) * 1_000_000_000
            self.numbers.choices(
                [self._order, self._fill, self._cancel, self._administer], [60, 30, 8, 4]
            )[0]()
            self._resume()

    def _order(self) -> None:
        some = self._mostly
        fresh = f"{some('A-1', *_ODD_NAMES)}-{len(self.engine.records)}"[-64:]
        again = self.names and self.numbers.random() < 0.05
        name = self.numbers.choice(self.names) if again else fresh
        self.names.append(name)
        now = self.engine.now_ns
        self.engine.submit(
            Order(
                name,
                some("desk-alpha", "desk-beta", "nobody"),
                some("AAPL", "BTC-USD", "none"),
                some("buy", "sell"),
                some(100, 1, 2_000, 2**32 - 1, 2**32),
                some(19_000, 1, 2**20),
                some(10, 20, 30, 77),
                some(200, 0, 3_000, 9_999),
                some(9_000, 10_000, 100),
                some(0, 9_000),
                some(0, 30),
                some(0, 1),
                some(2**64 - 1, 1),
                some(0, 2),
                some(2**64 - 1, 14_001, 1),
                some(True, False),
                some("limit", "market"),
                some("day", "ioc", "fok", "gtc"),
                some("USD", None),
                some(None, now, now - 39_000_000_000, now - 50_000_000_000),
            )
        )

    def _mostly(self, usual: Any, *odd: Any) -> Any:
        return self.numbers.choice(odd) if self.numbers.random() < 0.12 else usual

    def _fill(self) -> None:
        if not self.names:
            return
        pick = self.numbers.choice
        now = self.engine.now_ns
        self.engine.submit(
            Fill(
                self._mostly("desk-alpha", "desk-beta"),
                pick(self.names[-6:]),
                f"F-{self.numbers.randrange(40)}",
                pick([1, 50, 100, 2_000]),
                self._mostly(5_000, 0, -3, 10**15),
                pick([None, 19_000]),
                pick([None, now]),
            )
        )

    def _cancel(self) -> None:
        if self.names:
            desk = self._mostly("desk-alpha", "desk-beta")
            self.engine.submit(Cancel(desk, self.numbers.choice(self.names[-6:])))

    def _administer(self) -> None:
        who = Actor(self.engine.now_ns, 1, "tester", "a test")
        pick = self.numbers.choice
        events: list[Any] = [
            who.event(DeskCapped, desk="desk-alpha", max_reserved_microcents=pick([None, 10**13])),
            who.event(DeskResumed, desk="desk-alpha"),
            who.event(DeskResumed, desk="desk-beta"),
            who.event(EntriesHalted, reason="disk_low", free_bytes=1, reserve_bytes=2),
            who.event(EntriesResumed, free_bytes=3),
            who.event(
                InstrumentDefined,
                symbol="AAPL",
                tick_size=pick(["0.01", "0.001"]),
                lot_size=pick(["1", "0.0000001"]),
                multiplier="1",
            ),
        ]
        event = pick(events)
        self.engine.log(event)
        if isinstance(event, EntriesHalted):
            self._order()
            self.engine.log(who.event(EntriesResumed, free_bytes=3))

    def _resume(self) -> None:
        """Two orders find a halted desk halted; then somebody resumes it, with more budget."""
        halted = [name for name, desk in self.engine.state.desks.items() if desk.is_halted]
        if halted:
            self._order()
            self._order()
            who = Actor(self.engine.now_ns, 1, "tester", "a test")
            self.engine.log(who.event(DeskResumed, desk=halted[0]))
            more = who.event(DeskToppedUp, desk=halted[0], amount_microcents=2 * 10**14)
            self.engine.log(more)
