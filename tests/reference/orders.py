"""The orders remembered, so that a resend gets its first answer and a fill finds its hold. Pure.

Owns the map from (desk, client order id) to what became of the order, and when an id may be
forgotten: never while its order is open, and after that not before `expires_at_ns`. Times at which
an order may be forgotten never run backwards along the queue of closed ones, so the ids that have
expired are always those at its front.

How it works: orders and fills are packed (`guard.engine.row_map`); an `OrderState` is a copy, made
when it is asked for and written back by `save`. The fills of an order hang on it as a chain of rows
and are forgotten with it. Fills that name no order of ours stand in a queue of their own, each
remembered for as long as a closed order.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, TypeAlias

from guard.engine.row_map import NO_ROW, Reader
from guard.engine.row_map import RowMap as PackedMap
from guard.protocol.messages import Admit, Fill, Filled, Order, Reject, Released
from kernel import InvariantError
from kernel import little_endian as le
from reference.orders_codec import (
    decode_fill,
    decode_order,
    encode_fill,
    encode_order,
    fill_key,
    fill_sequence,
    order_key,
)

NEVER: Final = 2**63 - 1  # expires_at_ns of an open order

RecordedFill: TypeAlias = tuple[Fill, Filled]
# Of an orphan that outlasts the one behind it: its row, its record's sequence, when it expires.
Outlasting: TypeAlias = tuple[int, int, int]


class OrderPhase(IntEnum):
    """Where an order is in its life. Both kinds of closed are `closed` to a client."""

    OPEN = 1
    FILLED = 2
    CANCELED = 3
    REFUSED = 4


class OrderState:
    """An order, its first answer, and what has happened to it since. Sizes in lots.

    A copy of what is remembered: changes count once `RememberedOrders.save` has them. The order
    and its answer never change.
    """

    __slots__ = (
        "answer",
        "expires_at_ns",
        "filled_quantity",
        "hold_microcents",
        "order",
        "phase",
        "release",
        "row",
    )

    def __init__(
        self,
        order: Order,
        answer: Admit | Reject,
        phase: OrderPhase,
        hold_microcents: int = 0,  # what is held now
        filled_quantity: int = 0,
        release: Released | None = None,
        expires_at_ns: int = NEVER,
        row: int = NO_ROW,
    ) -> None:
        self.order = order
        self.answer = answer
        self.phase = phase
        self.hold_microcents = hold_microcents
        self.filled_quantity = filled_quantity
        self.release = release
        self.expires_at_ns = expires_at_ns
        self.row = row

    @property
    def open_quantity(self) -> int:
        """Lots that may still trade; 0 once the order is closed."""
        if self.phase is not OrderPhase.OPEN:
            return 0
        return self.order.quantity - self.filled_quantity


# An order's integers in its row. A release sequence of 0: not canceled. The last two are rows.
_PHASE, _HOLD, _FILLED, _EXPIRES, _RELEASE_SEQUENCE, _RELEASED, _NEXT_CLOSED, _FIRST_FILL = range(8)
_ORDER_FIELDS: Final = 8

# A fill's integers: the order's next fill, or the next orphan; NEVER where it goes with its order.
_NEXT_FILL, _FILL_EXPIRES = range(2)
_FILL_FIELDS: Final = 2

_NO_ROW = NO_ROW
_OPEN = int(OrderPhase.OPEN)
_PHASE_OF = {int(phase): phase for phase in OrderPhase}
_QUEUES = struct.Struct("<qqqqqq")


class RememberedOrders:
    """The map of ids. Bounded by the caller, who asks `is_full` before it adds."""

    is_wide = has_chains = False  # it knows of no reductions and of no replaces

    def __init__(self) -> None:
        self._orders = PackedMap(_ORDER_FIELDS)
        self._open_row = bytearray(
            struct.pack(f"<{_ORDER_FIELDS}q", OrderPhase.OPEN, 0, 0, NEVER, 0, 0, NO_ROW, NO_ROW)
        )
        self._fills = PackedMap(_FILL_FIELDS)
        self._closed_first = self._closed_last = _NO_ROW
        self._orphan_first = self._orphan_last = _NO_ROW
        self._orphan_count = 0
        self._last_orphan_sequence = 0
        self._outlasting: list[Outlasting] = []  # in the queue's order
        self._last_expires_at_ns = 0
        # Decide and apply ask for the same order, one after the other: its key is made and it is
        # decoded once. Neither an order nor its answer ever changes, but a row may come to hold
        # another one.
        self._missed_desk = self._missed_id = ""  # of the last find that found nothing
        self._missed_key = b""
        self._decoded_row = _NO_ROW
        self._decoded: tuple[Order, Admit | Reject] | None = None

    def __len__(self) -> int:
        return len(self._orders)

    def memory_bytes(self) -> int:
        """What the orders and fills take, free rows and blocks included."""
        return self._orders.memory_bytes() + self._fills.memory_bytes()

    def expect(self, orders_max: int) -> None:
        """Makes room in the index for that many orders and as many fills. At start-up."""
        self._orders.reserve(orders_max)
        self._fills.reserve(orders_max)

    def find(self, desk: str, client_order_id: str, now_ns: int) -> OrderState | None:
        """The order under that id, or None where it is unknown or may be forgotten by now."""
        key = order_key(desk, client_order_id)
        row = self._orders.find(key)
        if row == _NO_ROW:
            self._missed_desk, self._missed_id, self._missed_key = desk, client_order_id, key
            return None
        values = self._orders.values(row)
        phase, hold, filled, expires_at_ns, release_sequence, released, _, _ = values
        if expires_at_ns <= now_ns:
            return None
        if row != self._decoded_row:
            self._decoded = decode_order(desk, client_order_id, self._orders.payload(row))
            self._decoded_row = row
        assert self._decoded is not None
        order, answer = self._decoded
        release = None
        if release_sequence:
            release = Released(desk, client_order_id, release_sequence, released, False)
        return OrderState(
            order, answer, _PHASE_OF[phase], hold, filled, release, expires_at_ns, row
        )

    def is_full(self, orders_max: int, now_ns: int) -> bool:
        """Are `orders_max` ids remembered of which none may be forgotten by now?"""
        if len(self._orders) < orders_max:
            return False
        return self._closed_first == _NO_ROW or (
            self._orders.value(self._closed_first, _EXPIRES) > now_ns
        )

    def add(self, state: OrderState) -> None:
        """Remembers a new order."""
        order = state.order
        desk, client_order_id = order.desk, order.client_order_id
        if desk is self._missed_desk and client_order_id is self._missed_id:
            key = self._missed_key
        else:
            key = order_key(desk, client_order_id)
        state.row = self._orders.add(
            key,
            encode_order(order, state.answer),
            (
                state.phase,
                state.hold_microcents,
                state.filled_quantity,
                NEVER,
                0,
                0,
                NO_ROW,
                NO_ROW,
            ),
        )

    def is_free(self, key: bytes) -> bool:
        """Is no order remembered under that key, not even one that may be forgotten?"""
        return self._orders.find(key) == _NO_ROW

    def add_open(
        self, key: bytes, payload: bytearray, payload_bytes: int, hold_microcents: int
    ) -> None:
        """As `add`, of an order just admitted, as it is remembered (`reference.orders_codec`)."""
        le.store_i64(self._open_row, 8 * _HOLD, hold_microcents)
        self._orders.add_packed(key, payload, payload_bytes, self._open_row)

    def add_refused(self, key: bytes, payload: bytes, expires_at_ns: int) -> None:
        """As `add` and `close`, of an order just refused, given as it is remembered."""
        fields = (OrderPhase.REFUSED, 0, 0, NEVER, 0, 0, NO_ROW, NO_ROW)
        self._enqueue(self._orders.add(key, payload, fields), expires_at_ns)

    def save(self, state: OrderState) -> None:
        """Writes back what has changed of an order; its content and answer never do."""
        release = state.release
        self._orders.set_values(
            state.row,
            (
                state.phase,
                state.hold_microcents,
                state.filled_quantity,
                state.expires_at_ns,
                release.wal_sequence if release else 0,
                release.released_microcents if release else 0,
                *self._orders.values(state.row)[_NEXT_CLOSED:],
            ),
        )

    def close(self, state: OrderState, phase: OrderPhase, expires_at_ns: int) -> None:
        """Closes and saves: from `expires_at_ns` on, and after all closed before it, it may go."""
        state.phase = phase
        self.save(state)
        self._enqueue(state.row, expires_at_ns)
        state.expires_at_ns = self._last_expires_at_ns

    def _enqueue(self, row: int, expires_at_ns: int) -> None:
        """Puts a closed order behind all closed before it, and lets it go no earlier than they."""
        self._last_expires_at_ns = max(expires_at_ns, self._last_expires_at_ns)
        self._orders.set_value(row, _EXPIRES, self._last_expires_at_ns)
        if self._closed_last == _NO_ROW:
            self._closed_first = row
        else:
            self._orders.set_value(self._closed_last, _NEXT_CLOSED, row)
        self._closed_last = row

    def open_row(self, key: bytes) -> int:
        """The row of the open order under that key; NO_ROW where there is none."""
        row = self._orders.find(key)
        return row if row != _NO_ROW and self._orders.value(row, _PHASE) == _OPEN else _NO_ROW

    def payload(self, row: int) -> bytes:
        """An order and its answer as they are remembered (`reference.orders_codec`)."""
        return self._orders.payload(row)

    def hold_and_filled(self, row: int) -> tuple[int, int]:
        """What an order holds, in microcents, and how many lots of it are filled."""
        return self._orders.value(row, _HOLD), self._orders.value(row, _FILLED)

    def has_fill(self, key: bytes) -> bool:
        """Is a fill remembered under that key, be it one that may be forgotten?"""
        return self._fills.find(key) != _NO_ROW

    def fill_open(
        self, row: int, key: bytes, payload: bytes, filled_quantity: int, hold_microcents: int
    ) -> None:
        """As `add_fill` and `save`, of an open order: what is filled and held then."""
        fields = (self._orders.value(row, _FIRST_FILL), NEVER)
        self._orders.set_value(row, _FIRST_FILL, self._fills.add(key, payload, fields))
        self._orders.set_value(row, _FILLED, filled_quantity)
        self._orders.set_value(row, _HOLD, hold_microcents)

    def close_filled(self, row: int, expires_at_ns: int) -> None:
        """As `close`, of an order that is filled."""
        self._orders.set_value(row, _PHASE, OrderPhase.FILLED)
        self._enqueue(row, expires_at_ns)

    def forget_expired(self, now_ns: int) -> None:
        """Forgets what may be forgotten by `now_ns`."""
        while self._closed_first != _NO_ROW:
            row = self._closed_first
            if self._orders.value(row, _EXPIRES) > now_ns:
                break
            self._forget_fills(self._orders.value(row, _FIRST_FILL))
            self._closed_first = self._orders.value(row, _NEXT_CLOSED)
            self._orders.remove(row)
            self._decoded_row = _NO_ROW
            if self._closed_first == _NO_ROW:
                self._closed_last = _NO_ROW
        while self._orphan_first != _NO_ROW:
            if self._fills.value(self._orphan_first, _FILL_EXPIRES) > now_ns:
                break
            self._forget_oldest_orphan()

    def find_fill(
        self, desk: str, client_order_id: str, fill_id: str, now_ns: int
    ) -> RecordedFill | None:
        """The fill recorded under that identity, of an order of ours or not."""
        row = self._fills.find(fill_key(desk, client_order_id, fill_id))
        if row == _NO_ROW:
            return None
        expires_at_ns = self._fills.value(row, _FILL_EXPIRES)
        is_orphan = expires_at_ns != NEVER
        if not is_orphan:  # it goes with its order
            order_row = self._orders.find(order_key(desk, client_order_id))
            expires_at_ns = self._orders.value(order_row, _EXPIRES)
        if expires_at_ns <= now_ns and not (is_orphan and self._outlasting):
            return None
        found = decode_fill(desk, client_order_id, fill_id, self._fills.payload(row))
        if expires_at_ns > now_ns or self._is_outlasted(found[1].wal_sequence, now_ns):
            return found
        return None

    def _is_outlasted(self, sequence: int, now_ns: int) -> bool:
        """Has an orphan that came before this one, which has expired, not expired itself?"""
        return any(
            expires_at_ns > now_ns
            for _, earlier, expires_at_ns in self._outlasting
            if earlier < sequence
        )

    def add_fill(self, state: OrderState, fill: Fill, answer: Filled) -> None:
        """Remembers a fill for as long as its order."""
        row = self._fills.add(
            fill_key(fill.desk, fill.client_order_id, fill.fill_id),
            encode_fill(fill, answer),
            (self._orders.value(state.row, _FIRST_FILL), NEVER),
        )
        self._orders.set_value(state.row, _FIRST_FILL, row)

    def add_orphan_fill(
        self, fill: Fill, answer: Filled, expires_at_ns: int, fills_max: int
    ) -> None:
        """Remembers a fill of no order of ours; beyond `fills_max` of them the oldest one goes."""
        row = self._fills.add(
            fill_key(fill.desk, fill.client_order_id, fill.fill_id),
            encode_fill(fill, answer),
            (NO_ROW, expires_at_ns),
        )
        if self._orphan_last == _NO_ROW:
            self._orphan_first = row
        else:
            self._fills.set_value(self._orphan_last, _NEXT_FILL, row)
            self._note_outlasting(expires_at_ns)
        self._orphan_last = row
        self._last_orphan_sequence = answer.wal_sequence
        self._orphan_count += 1
        if self._orphan_count > fills_max:
            self._forget_oldest_orphan()

    def add_early_fill(self, fill: Fill, answer: Filled, expires_at_ns: int) -> None:
        """Remembers a fill that may meet its order yet."""
        key = fill_key(fill.desk, fill.client_order_id, fill.fill_id)
        self._fills.add(key, encode_fill(fill, answer), (NO_ROW, expires_at_ns))

    def forget_early_fill(self, key: bytes) -> None:
        """Forgets it: it has expired, or is recorded with its order."""
        self._fills.remove(self._fills.find(key))

    def early_fill(self, key: bytes) -> Fill:
        """One that is due."""
        desk, client_order_id, fill_id = key.decode().split("\0")
        payload = self._fills.payload(self._fills.find(key))
        return decode_fill(desk, client_order_id, fill_id, payload)[0]

    def _note_outlasting(self, expires_at_ns: int) -> None:
        """Lists the last orphan, if it outlasts the next one, which expires then."""
        last_expires_at_ns = self._fills.value(self._orphan_last, _FILL_EXPIRES)
        if last_expires_at_ns > expires_at_ns:
            self._outlasting.append(
                (self._orphan_last, self._last_orphan_sequence, last_expires_at_ns)
            )

    def dump(self) -> Iterator[bytes]:
        """All that is remembered, in pieces: equal for equal histories."""
        yield _QUEUES.pack(
            self._closed_first,
            self._closed_last,
            self._orphan_first,
            self._orphan_last,
            self._orphan_count,
            self._last_expires_at_ns,
        )
        yield from self._orders.dump()
        yield from self._fills.dump()

    def load(self, read: Reader) -> None:
        """Becomes what `dump` wrote."""
        (
            self._closed_first,
            self._closed_last,
            self._orphan_first,
            self._orphan_last,
            self._orphan_count,
            self._last_expires_at_ns,
        ) = _QUEUES.unpack(read(_QUEUES.size))
        self._decoded_row = _NO_ROW
        self._orders.load(read)
        self._fills.load(read)
        self._find_outlasting()

    def _find_outlasting(self) -> None:
        """Walks over the orphans, once, for what `_outlasting` lists of them."""
        fills, count = self._fills, self._orphan_count
        self._outlasting = []
        if count > len(fills):
            raise InvariantError(f"{count} orphans are among {len(fills)} dumped fills")
        row, last, last_expires_at_ns = self._orphan_first, _NO_ROW, 0
        for _ in range(count):
            expires_at_ns = fills.value(row, _FILL_EXPIRES)
            if last_expires_at_ns > expires_at_ns:
                sequence = fill_sequence(fills.payload(last))
                self._outlasting.append((last, sequence, last_expires_at_ns))
            last, last_expires_at_ns = row, expires_at_ns
            row = fills.value(row, _NEXT_FILL)
        if row != _NO_ROW or last != self._orphan_last:
            raise InvariantError(f"the queue of {count} dumped orphans ends elsewhere")
        self._last_orphan_sequence = 0 if last == _NO_ROW else fill_sequence(fills.payload(last))

    def _forget_fills(self, row: int) -> None:
        while row != _NO_ROW:
            next_fill = self._fills.value(row, _NEXT_FILL)
            self._fills.remove(row)
            row = next_fill

    def _forget_oldest_orphan(self) -> None:
        row = self._orphan_first
        if self._outlasting and self._outlasting[0][0] == row:
            del self._outlasting[0]
        self._orphan_first = self._fills.value(row, _NEXT_FILL)
        if self._orphan_first == _NO_ROW:
            self._orphan_last = _NO_ROW
        self._fills.remove(row)
        self._orphan_count -= 1
