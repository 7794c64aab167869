"""What the tests of replay share: days with many kinds of orders, and rows read back."""

import random
import struct
from collections.abc import Callable
from typing import Any

from guard.activation import Actor
from guard.record.codec import encode_data
from guard.messages import Admit, Cancel, Fill, Order
from guard.orders_codec import decode_fill, decode_order
from guard.outcomes import (
    Decided,
    DeskCapped,
    DeskResumed,
    DeskToppedUp,
    EntriesHalted,
    EntriesResumed,
    FillRecorded,
    InstrumentDefined,
    KernelRows,
    OrderDecided,
)
from guard.record_rows import RecordRows
from guard.replay_parts import DECIDED, DECIDED_BYTES, FILLED, FILLED_BYTES, RAW, ROW_HEAD
from guard_support import T0, LoggedEngine, dev_config
from wal import Head
from wal.entry import Entry
from wal.run import Run, run_of_entry

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


def row_of(data: bytes, sequence: int) -> tuple[int, bytes]:
    """The kind of the row that a record becomes, and the rest of it."""
    run: Run = run_of_entry(Entry(sequence, "0" * 64, "1" * 64, data), "segment", 0, 1)
    assert run.head == Head(sequence - 1, "0" * 64)
    rows = RecordRows()
    rows.add(run.block, run.spans, run.first, run.count, sequence)
    made = rows.take()
    kind, length = ROW_HEAD.unpack_from(made)
    assert ROW_HEAD.size + length == len(made)
    assert rows.take() == b""
    return kind, made[ROW_HEAD.size :]


def text_of(kind: int, row: bytes) -> bytes:
    """The data of the record that a row says, from the values in it alone."""
    if kind == RAW:
        return row

    def number(at: int, count: int = 8) -> int:
        return int.from_bytes(row[at : at + count], "little")

    if kind == FILLED:
        return _text_of_fill(row, number)
    assert kind == DECIDED
    desk_bytes, key_bytes, symbol_bytes, client_bytes = row[175:179]
    payload_bytes = number(179, 2)
    counts_bytes = 18 if row[118] == 3 else 0
    counts, symbol, key, payload, client = _cut(
        row[DECIDED_BYTES:], counts_bytes, symbol_bytes, key_bytes, payload_bytes, client_bytes
    )
    desk, _, client_order_id = key.decode().partition("\0")
    assert len(desk) == desk_bytes
    order, answer = decode_order(desk, client_order_id, payload)
    assert (order.symbol, order.price, order.sent_at_ns or 0) == (
        symbol.decode(),
        number(24),
        number(32),
    )
    if isinstance(answer, Admit):
        assert answer.reservation_id == number(16)
    else:
        assert answer.detail.get("limit", 0) == number(16)
        found = struct.unpack("<9H", counts)
        assert tuple(answer.detail.values())[:9] == found
    event = OrderDecided(number(0), client.decode(), number(8), order, answer)
    rows = KernelRows(row[40:110], row[110:175] + bytes(18), row[181:213].hex())
    return encode_data(Decided(event, rows))


def _text_of_fill(row: bytes, number: Callable[..., int]) -> bytes:
    desk_bytes, order_key_bytes, key_bytes, client_bytes = row[80:84]
    key, payload, client = _cut(row[FILLED_BYTES:], key_bytes, number(84, 2), client_bytes)
    desk, client_order_id, fill_id = key.decode().split("\0")
    assert (len(desk), len(desk) + 1 + len(client_order_id)) == (desk_bytes, order_key_bytes)
    fill, answer = decode_fill(desk, client_order_id, fill_id, payload)
    said = (answer.wal_sequence, fill.quantity, fill.fee_microcents, fill.price or 0)
    assert said == (number(16), number(24), number(32), number(40))
    left = (answer.open_quantity, answer.hold_microcents, answer.released_microcents)
    assert (fill.executed_at_ns or 0, *left) == (number(48), number(56), number(64), number(72))
    event = FillRecorded(number(0), client.decode(), number(8), fill, answer, False)
    return encode_data(Decided(event))


def _cut(text: bytes, *counts: int) -> list[bytes]:
    pieces, at = [], 0
    for count in counts:
        pieces.append(text[at : at + count])
        at += count
    assert at == len(text)
    return pieces
