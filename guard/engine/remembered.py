# cython: annotation_typing=False, nonecheck=True
"""The orders remembered, so that a resend gets its first answer and a fill finds its hold. Pure.

Owns the map from (desk, client order id) to what became of the order, and when an id may be
forgotten: never while its order is open, and after that not before it expires: at times that never
run backwards along a desk's queue of closed ones. Who may have how many: `guard.engine.shares`.

How it works: orders and fills are rows of integers with a payload (`guard.engine.row_map`): the
request and its answer in MessagePack, as two tables of fields say, without what the key says. The
fills of an order hang on it as a list of rows, its reductions among them, and are forgotten before
it. Orders that replace each other are a chain (`guard.engine.chains`): `find` gives the row of its
first order whichever is named, which has all that there is of the chain, its fills too. Fills that
name no order of ours stand in a queue of their own (`remembered_orphans`). A change of any of this
is a new version of checkpoints.

What has expired is forgotten in steps (`guard.engine.forgetting`). Until then an order that has
expired is unknown, but its fills are known still; a new order under its id takes its place.

How it fails: `InvariantError` for a payload that is none of its own.
"""

from collections.abc import Iterator
from typing import Final, TypeAlias

from guard.engine import forgetting, remembered_form, remembered_orphans, remembered_whole
from guard.engine.remembered_form import (
    CHAIN_ROW,
    FILL_ROW,
    ORDER_ROW,
    REPLACE_HEADS,
    OrderPhase,
    foreign_parts,
    read_foreign,
)
from guard.engine.row_map import NO_ROW, Reader, RowMap
from guard.engine.shares import DeskIds, Shares
from guard.protocol import fields, slots
from guard.protocol import json_text as text
from guard.protocol import layout as tables
from guard.protocol.outcome import FOREIGN, Outcome, OutcomeKind
from guard.protocol.pack_reader import PackReader
from guard.protocol.request import TEXTS, Request
from kernel import InvariantError
from kernel import little_endian as le

NEVER: Final = 2**63 - 1  # when an open order expires

# Of an orphan that outlasts the one behind it: its row, its record's sequence, when it expires.
Outlasting: TypeAlias = tuple[int, int, int]

(_PHASE, _HOLD, _FILLED, _EXPIRES, _RELEASE_SEQUENCE, _RELEASED, _NEXT_CLOSED, _FIRST_FILL,
 _CLOSED_BEFORE, _CLOSED_AT, _FILL_COUNT, _SHARE, _REDUCED, _CHAIN,
) = range(len(ORDER_ROW))  # fmt: skip
_NEXT_FILL, _FILL_EXPIRES = range(len(FILL_ROW))
_FIRST, _STANDING, _PENDING, _LOTS, _LOTS_EVER = range(len(CHAIN_ROW))
_NO_ROW, _NEVER = NO_ROW, NEVER
_OPEN, _REFUSED, _REPLACED = map(int, (OrderPhase.OPEN, OrderPhase.REFUSED, OrderPhase.REPLACED))
_DESK, _ID = fields.TEXT_NAMES.index("desk"), fields.TEXT_NAMES.index("client_order_id")
_DESK_AT, _ID_AT, _FILL_ID_AT = TEXTS["desk"][0], TEXTS["client_order_id"][0], TEXTS["fill_id"][0]
_ADMITTED, _FOREIGN, _NUL = int(OutcomeKind.ADMITTED), FOREIGN, b"\0"
_REDUCE, _REDUCTION = fields.REDUCE, b"\0\1"  # what stands before a reduction's own id
_ADMITTED_LAYOUT, _REJECTED_LAYOUT = remembered_form.ADMITTED, remembered_form.REJECTED
_ADMITTED_TIMED, _REJECTED_TIMED = remembered_form.ADMITTED_TIMED, remembered_form.REJECTED_TIMED
_ADMITTED_NOTED, _REJECTED_NOTED = remembered_form.ADMITTED_NOTED, remembered_form.REJECTED_NOTED
_REPLACE_LAYOUT, _REPLACE = remembered_form.REPLACE_ADMITTED, fields.REPLACE
_REPLACE_REJECTED_LAYOUT = remembered_form.REPLACE_REJECTED
_LAYOUTS = [remembered_form.ORDER_LAYOUTS.get(first) for first in range(256)]
_CONTENT_LAYOUT, _FILL_LAYOUT = remembered_form.CONTENT, remembered_form.FILL
_NAMES_LAYOUT, _NAMES_MARK = remembered_form.NAMES, remembered_form.NAMES_MARK
_COLLECTING_LAYOUT = remembered_form.FILL_COLLECTING
_COLLECTING_MARK = remembered_form.COLLECTING_MARK
_REDUCTION_LAYOUT, _REDUCTION_MARK = remembered_form.REDUCTION, remembered_form.REDUCTION_MARK


class RememberedOrders:
    """The map of ids. Bounded by the caller, who asks `is_full` before it adds.

    `is_wide`: has any order ever been reduced or replaced? Only then is that in the dump;
    `has_chains`: has any been replaced?
    `forgotten_close_ns`: nothing forgotten was closed, or sent, later. `known` and
    `known_outcome`: the order that was read last, and its first answer.
    """

    def __init__(self) -> None:
        self._orders = RowMap(len(ORDER_ROW))
        self._fills = RowMap(len(FILL_ROW))
        self._chains = RowMap(len(CHAIN_ROW))
        self.shares = Shares()
        self.forgotten_close_ns = 0
        self.is_wide = self.has_chains = False
        self._orphan_first = self._orphan_last = _NO_ROW
        self._orphan_count = 0
        self._last_orphan_sequence = 0
        self._outlasting: list[Outlasting] = []  # in the queue's order
        self._key_bytes = bytearray(512)
        self._row_bytes = bytearray(8 * len(ORDER_ROW))
        self._payload = bytearray(1024)
        self._reader = PackReader()
        self.known, self.known_outcome = Request(), Outcome()
        self._aside = Request()
        # Decide and apply ask for the same order, one after the other: its key is made once.
        self._asked, self._asked_key = Request(), b""
        # Neither an order nor its answer ever changes, but a row may come to hold another one.
        self._known_row = _NO_ROW

    def __len__(self) -> int:
        return len(self._orders)

    def memory_bytes(self) -> int:
        """What the orders and fills take, free rows and blocks included."""
        chains = self._chains.memory_bytes() if self.has_chains else 0
        return self._orders.memory_bytes() + self._fills.memory_bytes() + chains

    def expect(self, orders_max: int) -> None:
        """Makes room in the index for that many orders and as many fills. At start-up."""
        self._orders.reserve(orders_max)
        self._fills.reserve(orders_max)

    # Finding and reading.

    def order_key(self, request: Request) -> bytes:
        """Neither part can hold a NUL: two orders have one key only if they have one id."""
        if slots.is_same_text(self._asked, request, _ID, _ID_AT) and slots.is_same_text(
            self._asked, request, _DESK, _DESK_AT
        ):
            return self._asked_key
        out = self._key_bytes
        at = text.put_slice(out, 0, request.texts, _DESK_AT, request.desk_bytes)
        at = text.put(out, at, _NUL)
        at = text.put_slice(out, at, request.texts, _ID_AT, request.client_order_id_bytes)
        self._asked_key = le.bytes_of(out, at)
        slots.copy_text(self._asked, request, _ID, _ID_AT)
        slots.copy_text(self._asked, request, _DESK, _DESK_AT)
        return self._asked_key

    def fill_key(self, request: Request) -> bytes:
        """The same of a fill's three parts, or of a reduction's, of which none is a fill's.

        Of a chain they are its first order's, whichever is named: a fill counts once.
        """
        key = self.order_key(request)
        if self.has_chains:
            row = self.find(request, request.received_at_ns)
            if row != _NO_ROW:
                key = self._orders.key(row)
        return self._fact_key(key, request)

    def said_fill_key(self, request: Request) -> bytes:
        """The same as the request says it, of a chain or not."""
        return self._fact_key(self.order_key(request), request)

    def _fact_key(self, order_key: bytes, request: Request) -> bytes:
        out = self._key_bytes
        at = text.put(out, 0, order_key)
        at = text.put(out, at, _REDUCTION if request.kind == _REDUCE else _NUL)
        at = text.put_slice(out, at, request.texts, _FILL_ID_AT, request.fill_id_bytes)
        return le.bytes_of(out, at)

    def find(self, request: Request, now_ns: int) -> int:
        """The row of the request's order, of a chain the first one's; NO_ROW where it is unknown or
        may be forgotten by now."""
        row = self.find_named(request, now_ns)
        return row if row == _NO_ROW or not self.has_chains else self.first_of(row)

    def find_named(self, request: Request, now_ns: int) -> int:
        """The row of that very order."""
        row = self._orders.find(self.order_key(request))
        if row != _NO_ROW and self._orders.value(row, _EXPIRES) <= now_ns:
            return _NO_ROW
        return row

    def first_of(self, row: int) -> int:
        """The row of the first order of that one's chain, its own where it is of none."""
        chain = self._orders.value(row, _CHAIN)
        return row if chain >= 0 else self._chains.value(-chain - 1, _FIRST)

    def chain_of(self, row: int) -> int:
        """The number of the chain whose first order that is; 0: of none."""
        chain = self._orders.value(row, _CHAIN)
        return chain if chain > 0 else 0

    def phase(self, row: int) -> int:
        """The order's `OrderPhase`."""
        phase = self._orders.value(row, _PHASE)
        if not _OPEN <= phase <= _REPLACED:
            raise InvariantError(f"the remembered order in row {row} has the phase {phase}")
        return phase

    def hold_microcents(self, row: int) -> int:
        """What is held for it now."""
        return self._orders.value(row, _HOLD)

    def filled_quantity(self, row: int) -> int:
        """How many lots of it are filled."""
        return self._orders.value(row, _FILLED)

    def reduced_quantity(self, row: int) -> int:
        """How many lots of it were taken off."""
        return self._orders.value(row, _REDUCED)

    def left(self, row: int) -> int:
        """How many lots of the order, which was read last, are neither filled nor taken off."""
        gone = self._orders.value(row, _FILLED)
        chain = self._orders.value(row, _CHAIN)
        if chain > 0:
            quantity = self._chains.value(chain - 1, _LOTS)
        else:
            quantity = self.known.quantity - self._orders.value(row, _REDUCED)
        return quantity - gone if gone < quantity else 0

    def share_number(self, row: int) -> int:
        """The number of its desk's share."""
        return self._orders.value(row, _SHARE)

    def release_sequence(self, row: int) -> int:
        """The record that canceled it; 0 where none did."""
        return self._orders.value(row, _RELEASE_SEQUENCE)

    def released_microcents(self, row: int) -> int:
        """What that freed."""
        return self._orders.value(row, _RELEASED)

    def read(self, row: int) -> int:
        """Reads the order of that row into `known`, its first answer into `known_outcome`."""
        if row == self._known_row:
            return 0
        self._known_row = _NO_ROW
        self.read_into(row, self.known, self.known_outcome)
        self._known_row = row
        return 0

    def read_answer(self, row: int, outcome: Outcome) -> int:
        """Reads the first answer alone, into that outcome."""
        return self.read_into(row, self._aside, outcome)

    def read_into(self, row: int, request: Request, outcome: Outcome) -> int:
        """Reads the order and its first answer into these.

        Of a replace `original_client_order_id` is whose place it was to take, empty of all others.
        """
        payload = self._orders.payload(row)
        at, end = 0, len(payload)
        request.account_bytes = request.trader_bytes = request.algo_bytes = 0
        if end > 0 and payload[0] == _NAMES_MARK:
            at = self._reader.read(_NAMES_LAYOUT, payload, 0, end, request, outcome)
            if at < 0:
                raise InvariantError(f"the remembered order in row {row} is none")
        # Unless the layout has it:
        outcome.received_at_ns = outcome.reducing = outcome.self_match = outcome.located_lots = 0
        request.fill_id_bytes = 0  # where an order's locate stands
        request.original_client_order_id_bytes = 0
        layout = _LAYOUTS[payload[at] if end > at else 0]
        if layout is None or self._reader.read(layout, payload, at, end, request, outcome) != end:
            self._read_foreign(row, payload[at:], request, outcome)
        elif layout in (_ADMITTED_TIMED, _ADMITTED_NOTED, _REPLACE_LAYOUT):
            outcome.reducing = outcome.reservation_id == 0
        return 0

    def _read_foreign(self, row: int, payload: bytes, request: Request, outcome: Outcome) -> None:
        """The same of an order that rules of another version answered."""
        at = REPLACE_HEADS.get(payload[0], 1) if payload else 0
        if self._reader.read(_CONTENT_LAYOUT, payload, at, len(payload), request, outcome) < 0:
            raise InvariantError(f"the remembered order in row {row} is none")
        answer, outcome.received_at_ns, original = read_foreign(payload)
        request.set_text("original_client_order_id", original.encode())
        outcome.take_foreign(answer)

    def find_fill(self, request: Request, now_ns: int) -> int:
        """The row of the fill recorded under that identity, of an order of ours or not."""
        row = self._fills.find(self.fill_key(request))
        if row == _NO_ROW:
            return _NO_ROW
        expires_at_ns = self._fills.value(row, _FILL_EXPIRES)
        is_orphan = expires_at_ns != _NEVER
        if not is_orphan:  # it goes with its order
            if self.shares.is_split:
                return row
            order_row = self._orders.find(self.order_key(request))
            expires_at_ns = self._orders.value(order_row, _EXPIRES)
        if expires_at_ns > now_ns:
            return row
        if is_orphan and remembered_orphans.is_outlasted(self, row, now_ns):
            return row
        return _NO_ROW

    def read_fill(self, row: int, request: Request, outcome: Outcome) -> int:
        """Reads a fill or a reduction, without the three parts of its key, and its answer."""
        payload, layout = self._fills.payload(row), _FILL_LAYOUT
        end = len(payload)
        outcome.collected_microcents = 0
        if end > 0 and payload[0] == _COLLECTING_MARK:
            layout = _COLLECTING_LAYOUT
        elif end > 0 and payload[0] == _REDUCTION_MARK:
            layout = _REDUCTION_LAYOUT
        if self._reader.read(layout, payload, 0, end, request, outcome) != end:
            raise InvariantError(f"the remembered fill in row {row} is none")
        return 0

    def is_reduction(self, fill_row: int) -> bool:
        """Is what that row holds a reduction, and no fill?"""
        return self._fills.payload(fill_row)[0] == _REDUCTION_MARK

    def find_open(self, begin: int, end: int) -> int:
        """The first row of an open order from row `begin` on, before row `end`; NO_ROW."""
        return self._orders.find_value(_PHASE, _OPEN, begin, end)

    def row_end(self) -> int:
        """Behind the last row."""
        return self._orders.row_end()

    def first_fill(self, row: int) -> int:
        """The row of the order's newest fill; NO_ROW where it has none."""
        return self._orders.value(row, _FIRST_FILL)

    def next_fill(self, fill_row: int) -> int:
        """The row of the fill before that one; NO_ROW where it was the first."""
        return self._fills.value(fill_row, _NEXT_FILL)

    def is_full(self, share: DeskIds, ids_max: int, now_ns: int) -> bool:
        """Has the share `ids_max` ids of which none may be forgotten by now?"""
        if (share.ids if self.shares.is_split else len(self._orders)) < ids_max:
            return False
        return share.closed_first == _NO_ROW or (
            self._orders.value(share.closed_first, _EXPIRES) > now_ns
        )

    def fill_count(self, row: int) -> int:
        """How many fills of the order are remembered."""
        return self._orders.value(row, _FILL_COUNT)

    # Changes. Nothing that was forgotten is in the way of what is added: `guard.engine.forgetting`.

    def add(self, share: DeskIds, request: Request, outcome: Outcome, is_timed: bool) -> int:
        """Remembers an order that was admitted, open; or refused, which is then to be closed."""
        key = self.order_key(request)
        if self.shares.is_split:
            before = self._orders.find(key)
            if before != _NO_ROW:
                forgetting.forget_order(self, before)
            self.shares.add_id(share)
        is_admitted = outcome.kind == _ADMITTED
        share.open_count += is_admitted
        outcome.received_at_ns = request.received_at_ns
        count = 0
        if request.account_bytes or request.trader_bytes or request.algo_bytes:
            count = tables.write_pack(_NAMES_LAYOUT, self._payload, 0, request, outcome)
        if outcome.reason == _FOREIGN:
            count = self._put_foreign(request, outcome, is_timed, count)
        else:
            layout = _ADMITTED_LAYOUT if is_admitted else _REJECTED_LAYOUT
            if request.kind == _REPLACE:
                layout = _REPLACE_LAYOUT if is_admitted else _REPLACE_REJECTED_LAYOUT
            elif is_timed:
                layout = _ADMITTED_TIMED if is_admitted else _REJECTED_TIMED
                if request.fill_id_bytes or (is_admitted and outcome.self_match):
                    layout = _ADMITTED_NOTED if is_admitted else _REJECTED_NOTED
            count = tables.write_pack(layout, self._payload, count, request, outcome)
        row = self._row_bytes
        le.store_i64(row, 8 * _PHASE, _OPEN if is_admitted else _REFUSED)
        le.store_i64(row, 8 * _HOLD, outcome.notional_microcents if is_admitted else 0)
        le.store_i64(row, 8 * _FILLED, 0)
        le.store_i64(row, 8 * _EXPIRES, _NEVER)
        le.store_i64(row, 8 * _RELEASE_SEQUENCE, 0)
        le.store_i64(row, 8 * _RELEASED, 0)
        le.store_i64(row, 8 * _NEXT_CLOSED, _NO_ROW)
        le.store_i64(row, 8 * _FIRST_FILL, _NO_ROW)
        le.store_i64(row, 8 * _CLOSED_BEFORE, _NO_ROW)
        le.store_i64(row, 8 * _CLOSED_AT, 0)
        le.store_i64(row, 8 * _FILL_COUNT, 0)
        le.store_i64(row, 8 * _SHARE, share.number)
        le.store_i64(row, 8 * _REDUCED, 0)
        le.store_i64(row, 8 * _CHAIN, 0)
        return self._orders.add_packed(key, self._payload, count, row)

    def _put_foreign(self, request: Request, outcome: Outcome, is_timed: bool, at: int) -> int:
        """Puts an order that rules of another version answered, from there on; where it ends."""
        assert outcome.foreign is not None
        time = (request.received_at_ns,) if is_timed else ()
        original = request.original_client_order_id if request.kind == _REPLACE else ""
        head, said = foreign_parts(outcome.foreign, original, *time)
        at = text.put(self._payload, at, head)
        at = tables.write_pack(_CONTENT_LAYOUT, self._payload, at, request, outcome)
        if at + len(said) > len(self._payload):
            raise InvariantError(f"an answer of {len(said)} bytes is to be remembered")
        return text.put(self._payload, at, said)

    def note_fill(self, row: int, filled_quantity: int, hold_microcents: int) -> int:
        """What is filled and held of an order now."""
        self._orders.put(row, _FILLED, filled_quantity)
        self._orders.put(row, _HOLD, hold_microcents)
        return 0

    def note_reduced(self, row: int, lots: int, hold_microcents: int) -> int:
        """So many more lots of an order were taken off, and what is held of it now."""
        self._orders.put(row, _REDUCED, self._orders.value(row, _REDUCED) + lots)
        self._orders.put(row, _HOLD, hold_microcents)
        self.is_wide = True
        return 0

    def release(self, row: int, sequence: int, released_microcents: int) -> int:
        """Says that record `sequence` canceled the order."""
        self._orders.put(row, _HOLD, 0)
        self._orders.put(row, _RELEASE_SEQUENCE, sequence)
        self._orders.put(row, _RELEASED, released_microcents)
        return 0

    def close(self, row: int, phase: int, closed_at_ns: int, expires_at_ns: int) -> int:
        """Closes: from `expires_at_ns` on, and after those of its desk closed before, it may go.

        With the first order of a chain those close that stand or wait in its place.
        """
        chain = self._orders.value(row, _CHAIN)
        if chain > 0:
            for field in (_STANDING, _PENDING):
                other = self._chains.value(chain - 1, field)
                if other != _NO_ROW and other != row:
                    self.close_member(other, phase, closed_at_ns, expires_at_ns)
        share = self.shares.of(self._orders.value(row, _SHARE))
        if self._orders.value(row, _FILL_COUNT) >= self.shares.fills_per_order_near:
            share.crowded -= 1
        share.open_count -= self._orders.value(row, _PHASE) == _OPEN
        self._orders.put(row, _PHASE, phase)
        self._orders.put(row, _CLOSED_AT, closed_at_ns)
        return self._enqueue(share, row, expires_at_ns)

    def close_member(self, row: int, phase: int, closed_at_ns: int, expires_at_ns: int) -> int:
        """Closes one of a chain that is not its first; all of a chain are one open order."""
        self._orders.put(row, _PHASE, phase)
        self._orders.put(row, _CLOSED_AT, closed_at_ns)
        share = self.shares.of(self._orders.value(row, _SHARE))
        return self._enqueue(share, row, expires_at_ns)

    def _enqueue(self, share: DeskIds, row: int, expires_at_ns: int) -> int:
        if expires_at_ns > share.last_expires_at_ns:
            share.last_expires_at_ns = expires_at_ns
        self._orders.put(row, _EXPIRES, share.last_expires_at_ns)
        self._orders.put(row, _CLOSED_BEFORE, share.closed_last)
        if share.closed_last == _NO_ROW:
            share.closed_first = row
        else:
            self._orders.put(share.closed_last, _NEXT_CLOSED, row)
        share.closed_last = row
        return 0

    def add_fill(self, order_row: int, request: Request, outcome: Outcome) -> int:
        """Remembers a fill or a reduction for as long as its order."""
        orders = self._orders
        row = self._add_fill(request, outcome, orders.value(order_row, _FIRST_FILL), _NEVER)
        orders.put(order_row, _FIRST_FILL, row)
        if self.shares.is_split:
            share = self.shares.of(orders.value(order_row, _SHARE))
            share.fills += 1
            count = orders.value(order_row, _FILL_COUNT) + 1
            orders.put(order_row, _FILL_COUNT, count)
            if count == self.shares.fills_per_order_near:
                share.crowded += orders.value(order_row, _PHASE) == _OPEN
        return row

    def _add_fill(
        self, request: Request, outcome: Outcome, next_row: int, expires_at_ns: int
    ) -> int:
        key = self.fill_key(request)
        while self._orphan_count and self._fills.find(key) != _NO_ROW:
            remembered_orphans.forget_oldest(self)  # it has expired, as have those before it
        layout = _FILL_LAYOUT if outcome.collected_microcents == 0 else _COLLECTING_LAYOUT
        if request.kind == _REDUCE:
            layout = _REDUCTION_LAYOUT
        count, row = tables.write_pack(layout, self._payload, 0, request, outcome), self._row_bytes
        le.store_i64(row, 8 * _NEXT_FILL, next_row)
        le.store_i64(row, 8 * _FILL_EXPIRES, expires_at_ns)
        return self._fills.add_packed(key, self._payload, count, row)

    def add_early_fill(self, request: Request, outcome: Outcome, expires_at_ns: int) -> int:
        """Remembers a fill that may meet its order yet (`guard.engine.facts`)."""
        return self._add_fill(request, outcome, _NO_ROW, expires_at_ns)

    # All at once.

    def dump(self) -> Iterator[bytes]:
        """All that is remembered, in pieces: equal for equal histories."""
        return remembered_whole.dump(self)

    def load(
        self,
        read: Reader,
        is_split: bool = False,
        is_wide: bool = False,
        has_chains: bool = False,
    ) -> None:
        """Becomes what `dump` wrote; `is_split`, `is_wide`, `has_chains`: as it was."""
        remembered_whole.load(self, read, is_split, is_wide, has_chains)
