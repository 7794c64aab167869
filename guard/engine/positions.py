# cython: annotation_typing=False
"""Positions and working orders, one row for each desk and symbol that has ever had any. Pure.

Owns what is counted of them in lots (`POSITION_ROW`): the signed position and what of it was filled
within admitted orders; what works to buy and to sell, and what of that only reduces; what was
bought and sold; the cost of the position and the profit that was realised, in microcents.
`guard.engine.positioning` says which record counts how; here is only the arithmetic.

How it works: rows of i64 stand in slabs, in the order in which they were first needed, and are
never freed: there are at most as many as desks times symbols. Desks have numbers (their shares',
`guard.engine.shares`), symbols the order in which they were defined. The index is open addressing
over both numbers in one integer; it is not dumped, `load` builds it anew.

Profit is by average cost, and every rounding goes against the desk: what is bought counts rounded
up to a microcent, what is sold rounded down; of a long position's cost the part that is closed is
rounded up, of a short one's proceeds down. A fill that is busted counts as a trade back for the
same value. So at all times realised profit less cost (plus, of a short position, its proceeds) is
what was sold for less what was bought for, exactly. What does not fit an i64 stays at its end,
and its row is *uncounted* until the day's turn: what it has made since the last one is not known.

Lots filled within admitted orders count as *confirmed*; orders may reduce no more of a position
than that (`reducible`), so that a forged or unknown fill entitles to nothing. Where there is a drop
copy, lots *wait* until an execution confirms them: they count against what may be reduced, and do
not add to it. Where a position
shrinks under reducing orders that work, what of them is beyond it is *surplus* (`surplus_of`).

A day's profit counts from what a row had made at the day's turn (`turn_day`), which stands beside
the rows once there was one, eight bytes each.

How it fails: `InvariantError` for a row that is not there, for working lots that would fall below
zero, and for a dump that does not hold together.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from guard.engine.exposure import Exposure
from guard.engine.measures import is_at_end
from kernel import InvariantError
from kernel import little_endian as le

# Rules under which positions are kept.
POSITIONS_SINCE_RULES: Final = 3
NO_POSITION: Final = -1
BUY, SELL = 0, 1  # as a request's `side`
POSITION_ROW: Final = (
    "key", "position_lots", "confirmed_lots", "working_buys", "working_sells", "exiting_buys",
    "exiting_sells", "bought_lots", "sold_lots", "cost_microcents", "realised_microcents",
    "surplus_lots",
)  # fmt: skip
Reader: TypeAlias = Callable[[int], bytes]

(_KEY, _POSITION, _CONFIRMED, _WORKING_BUYS, _WORKING_SELLS, _EXITING_BUYS, _EXITING_SELLS,
 _BOUGHT, _SOLD, _COST, _REALISED, _SURPLUS) = range(len(POSITION_ROW))  # fmt: skip
_BUY, _NO_ROW = BUY, NO_POSITION
_FIELD_COUNT = len(POSITION_ROW)
_ROW_BYTES = 8 * _FIELD_COUNT
_ROWS_PER_SLAB = 1 << 10
_SLOTS_MIN = 64
_SYMBOL_BITS, _SYMBOL_MASK = 32, 2**32 - 1
_HASH_FACTOR = 0x9E3779B97F4A7C15  # spreads numbers that follow each other
_U64_MAX, _I64_MAX = 2**64 - 1, 2**63 - 1
_I64_LOW = -_I64_MAX  # so that every position has a size


class Positions:
    """All rows. `is_kept`: since record `since_sequence`; before that nothing is counted.

    `symbols`: their numbers, in the order in which these were given.
    """

    def __init__(self) -> None:
        self.is_kept = False
        self.since_sequence = 0
        self.symbols: dict[str, int] = {}
        self.count = self.open_exits = 0  # rows; reducing orders that are open
        self.moves = 0  # trades and undone ones since this began to be counted: not dumped
        self.exposure = Exposure()
        self._surplus: dict[int, int] = {}  # lots, by the number of a desk that has any
        self._pending: dict[int, list[int]] = {}  # lots by side, of a row that has any
        self._uncounted: set[int] = set()  # rows that had an amount at its end in this day
        self._slabs: list[bytearray] = []
        self._turned = bytearray()  # of the rows that there were, their profit at the day's turn
        self._set_slots(_SLOTS_MIN)

    def begin(self, sequence: int, symbols: list[str]) -> None:
        """From record `sequence` on all is counted; `symbols`: those that there are."""
        self.is_kept, self.since_sequence = True, sequence
        self.symbols = {symbol: number for number, symbol in enumerate(symbols)}

    def number_of(self, symbol: str) -> int:
        """The symbol's number, given to it where it has none."""
        return self.symbols.setdefault(symbol, len(self.symbols))

    def memory_bytes(self) -> int:
        """What the rows and the index take."""
        rows = len(self._slabs) * _ROWS_PER_SLAB * _ROW_BYTES + len(self._turned)
        return rows + 8 * (self._mask + 1) + self.exposure.memory_bytes()

    # Rows.

    def find(self, desk: int, symbol: int) -> int:
        """The row of that desk and symbol; NO_POSITION where neither ever had any."""
        key = desk << _SYMBOL_BITS | symbol
        slot = (key * _HASH_FACTOR & _U64_MAX) >> self._shift
        held = self._index[slot]
        while held:
            if self.value(held - 1, _KEY) == key:
                return held - 1
            slot = (slot + 1) & self._mask
            held = self._index[slot]
        return _NO_ROW

    def obtain(self, desk: int, symbol: int) -> int:
        """The row of that desk and symbol, a new one if need be."""
        row = self.find(desk, symbol)
        if row != _NO_ROW:
            return row
        if 2 * (self.count + 1) > self._mask:
            self._set_slots(2 * (self._mask + 1))
            for each in range(self.count):
                self._index_row(each)
        row = self.count
        if row % _ROWS_PER_SLAB == 0:
            self._slabs.append(bytearray(_ROWS_PER_SLAB * _ROW_BYTES))
        self.count = row + 1
        self.put(row, _KEY, desk << _SYMBOL_BITS | symbol)
        self._index_row(row)
        if self.exposure.is_on:
            self._note_exposure(row)
        return row

    def drop_rows(self, count: int) -> int:
        """There are so many rows again: those behind are gone, of which nothing was ever more than
        tried."""
        while self.count > count:
            row = self.count - 1
            key = self.value(row, _KEY)
            slot = (key * _HASH_FACTOR & _U64_MAX) >> self._shift
            while self._index[slot] != self.count:
                slot = (slot + 1) & self._mask
            self._index[slot] = 0  # it was put there last: no other row is found past it
            if self.exposure.is_on:
                self.exposure.drop_last(self.exposure.book(key & _SYMBOL_MASK))
            if row % _ROWS_PER_SLAB == 0:
                self._slabs.pop()
            self.count = row
        return 0

    def value(self, row: int, field: int) -> int:
        """One of a row's integers, by its place in POSITION_ROW."""
        if not 0 <= row < self.count:
            raise InvariantError(f"there is no position in row {row}")
        slab: bytearray = self._slabs[row // _ROWS_PER_SLAB]
        return le.load_i64(slab, row % _ROWS_PER_SLAB * _ROW_BYTES + 8 * field)

    def put(self, row: int, field: int, value: int) -> int:
        """Replaces one of them."""
        slab: bytearray = self._slabs[row // _ROWS_PER_SLAB]
        le.store_i64(slab, row % _ROWS_PER_SLAB * _ROW_BYTES + 8 * field, value)
        return 0

    def key_of(self, row: int) -> tuple[int, int]:
        """The numbers of a row's desk and symbol."""
        key = self.value(row, _KEY)
        return key >> _SYMBOL_BITS, key & _SYMBOL_MASK

    def reducible(self, row: int, side: int) -> int:
        """How many lots an order of that side may take off the position, whatever works."""
        position, confirmed = self.value(row, _POSITION), self.value(row, _CONFIRMED)
        if side == _BUY:
            position, confirmed = -position, -confirmed
        if self._pending:
            confirmed -= self.pending(row, side)
        lots = position if position < confirmed else confirmed
        return lots if lots > 0 else 0

    def position(self, row: int) -> int:
        """How many lots there are, below zero where they were sold."""
        return self.value(row, _POSITION)

    def working(self, row: int, side: int) -> int:
        """How many lots of that side work."""
        return self.value(row, _WORKING_BUYS if side == _BUY else _WORKING_SELLS)

    def exiting(self, row: int, side: int) -> int:
        """How many of them were admitted as reducing."""
        return self.value(row, _EXITING_BUYS if side == _BUY else _EXITING_SELLS)

    def surplus_of(self, desk: int) -> int:
        """By how many lots its working reducing orders exceed its positions, all symbols together.

        2^63 - 1 where it is that or more.
        """
        return min(self._surplus.get(desk, 0), _I64_MAX) if self._surplus else 0

    # Changes.

    def work(self, row: int, side: int, lots: int, is_exit: bool) -> int:
        """So many more lots work; fewer, where it is below zero."""
        field = _WORKING_BUYS if side == _BUY else _WORKING_SELLS
        self._add_working(row, field, lots)
        if is_exit:
            self._add_working(row, _EXITING_BUYS if side == _BUY else _EXITING_SELLS, lots)
        if self.exposure.is_on:
            self._note_exposure(row)
        return self._note_surplus(row)

    def count_exit(self, change: int) -> int:
        """One more reducing order is open, or one fewer."""
        self.open_exits += change
        return 0

    def _add_working(self, row: int, field: int, lots: int) -> int:
        lots = self.value(row, field) + lots
        if lots < 0:
            raise InvariantError(f"{lots} lots would work in position row {row}")
        return self.put(row, field, lots)

    def trade(self, row: int, side: int, lots: int, confirmed: int, microcents: int) -> int:
        """So many lots were bought, or sold, for that; so many of them within an admitted order."""
        self._add(row, _BOUGHT if side == _BUY else _SOLD, lots)
        return self._move(row, side, lots, confirmed, microcents)

    def undo(self, row: int, side: int, lots: int, confirmed: int, microcents: int) -> int:
        """A trade that counted did not happen: it is traded back for the same."""
        self._add(row, _BOUGHT if side == _BUY else _SOLD, -lots)
        return self._move(row, 1 - side, lots, confirmed, microcents)

    def confirm(self, row: int, side: int, lots: int) -> int:
        """So many lots of that side count as confirmed now, or no more, where below zero."""
        self._add(row, _CONFIRMED, lots if side == _BUY else -lots)
        return self._note_surplus(row)

    def pend(self, row: int, side: int, lots: int) -> int:
        """So many lots more wait to be confirmed; they reduce nothing, and are held against it."""
        waiting = self._pending.setdefault(row, [0, 0])
        waiting[side] += lots
        if waiting[side] < 0:
            raise InvariantError(f"{waiting[side]} lots would wait in position row {row}")
        if waiting == [0, 0]:
            del self._pending[row]
        return self._note_surplus(row)

    def pending(self, row: int, side: int) -> int:
        """How many lots of that side wait to be confirmed."""
        waiting = self._pending.get(row)
        return 0 if waiting is None else waiting[side]

    def pending_entries(self) -> list[tuple[int, int, int]]:
        """Row, lots bought and lots sold that wait, of all rows that have any."""
        return [(row, both[0], both[1]) for row, both in sorted(self._pending.items())]

    def load_pending(self, entries: list[tuple[int, int, int]], count: int) -> None:
        """What `pending_entries` gave of so many rows: before these are loaded."""
        self._pending = {row: [bought, sold] for row, bought, sold in entries}
        rows_known = all(0 <= row < count for row in self._pending)
        if (
            not rows_known
            or len(self._pending) != len(entries)
            or any(min(waiting) < 0 or max(waiting) == 0 for waiting in self._pending.values())
        ):
            raise InvariantError(f"pending: {len(entries)} entries of {count} positions cannot be")

    def _add(self, row: int, field: int, value: int) -> int:
        return self.put(row, field, _sum(self.value(row, field), value))

    def _move(self, row: int, side: int, lots: int, confirmed: int, microcents: int) -> int:
        self.moves += 1
        position = self.value(row, _POSITION)
        if position == 0 or (position > 0) == (side == _BUY):
            self._add(row, _COST, microcents)
        else:
            self._close(row, position, lots, microcents)
        if side == _BUY:
            self.put(row, _POSITION, _sum(position, lots))
            self._add(row, _CONFIRMED, confirmed)
        else:
            self.put(row, _POSITION, _sum(position, -lots))
            self._add(row, _CONFIRMED, -confirmed)
        self._note_ends(row, microcents)
        if self.exposure.is_on:
            self._note_exposure(row)
        return self._note_surplus(row)

    def _note_ends(self, row: int, microcents: int) -> int:
        """Notes the row where an amount of it stands at its end, and may be beyond."""
        realised, position = self.value(row, _REALISED), self.value(row, _POSITION)
        if (
            microcents == _I64_MAX
            or self.value(row, _COST) == _I64_MAX
            or not _I64_LOW < realised < _I64_MAX
            or not _I64_LOW < position < _I64_MAX
        ):
            self._uncounted.add(row)
        return 0

    def _note_exposure(self, row: int) -> int:
        """Counts what the row is worth, as it stands now."""
        key = self.value(row, _KEY)
        return self.exposure.note(
            row,
            key >> _SYMBOL_BITS,
            key & _SYMBOL_MASK,
            self.value(row, _POSITION),
            self.value(row, _WORKING_BUYS),
            self.value(row, _WORKING_SELLS),
            self.value(row, _COST),
            self.value(row, _REALISED),
            self.turn_equity(row),
            row not in self._uncounted,
        )

    def turn_equity(self, row: int) -> int:
        """What a row had made at the day's turn; 0 where there was none, or no such row."""
        if 8 * row >= len(self._turned):
            return 0
        return le.load_i64(self._turned, 8 * row)

    def turn_day(self) -> None:
        """From now on a day's profit counts from what each row has made by now.

        What an amount is beyond its end stays the same, and what is made from here on is exact; but
        not where what was made by now cannot be said.
        """
        turned = bytearray(8 * self.count)
        is_any = False
        self._uncounted = set()
        for row in range(self.count):
            book = self.exposure.book(self.value(row, _KEY) & _SYMBOL_MASK)
            position, cost = self.value(row, _POSITION), self.value(row, _COST)
            owed = book.owed(position)
            made = book.profit(position, cost, self.value(row, _REALISED), owed)
            if is_at_end(owed) or is_at_end(made):
                self._uncounted.add(row)
            le.store_i64(turned, 8 * row, made)
            is_any = is_any or made != 0
        self._turned = turned if is_any else bytearray()
        if self.exposure.is_on:
            for row in range(self.count):
                self._note_exposure(row)

    def uncounted_rows(self) -> list[int]:
        """The rows of which it is not known what they have made since the day's turn."""
        return sorted(self._uncounted)

    def load_uncounted(self, rows: list[int]) -> None:
        """What `uncounted_rows` gave, of rows that there are."""
        self._uncounted = set(rows)
        if rows != sorted(self._uncounted) or not all(0 <= row < self.count for row in rows):
            raise InvariantError(f"uncounted: {len(rows)} rows of {self.count} cannot be")

    @property
    def turned_count(self) -> int:
        """Of how many rows the profit at the day's turn is kept."""
        return len(self._turned) // 8

    def dump_turned(self) -> bytes:
        """The profit of each of them."""
        return bytes(self._turned)

    def load_turned(self, data: bytes) -> None:
        """What `dump_turned` gave, of no more rows than there are."""
        if len(data) > 8 * self.count:
            raise InvariantError(f"{len(data) // 8} rows were turned of {self.count} positions")
        self._turned = bytearray(data)

    def revalue(self, symbol: int, price: int) -> int:
        """All positions in that symbol are worth so many ticks a lot; 0: that is not known."""
        self.exposure.set_price(symbol, price)
        row = self.exposure.book(symbol).first
        while row != _NO_ROW:
            self._note_exposure(row)
            row = self.exposure.next_row(row)
        return 0

    def count_exposure(self, is_on: bool) -> None:
        """What all rows are worth, counted anew; or nothing of it any more."""
        self.exposure.begin(is_on)
        if is_on:
            for row in range(self.count):
                self._note_exposure(row)

    def _note_surplus(self, row: int) -> int:
        """Counts anew by how many lots the row's working reducing orders exceed its position."""
        buys, sells = self.value(row, _EXITING_BUYS), self.value(row, _EXITING_SELLS)
        before = self.value(row, _SURPLUS)
        if buys == 0 and sells == 0 and before == 0:
            return 0
        buys -= self.reducible(row, _BUY)
        sells -= self.reducible(row, 1 - _BUY)
        surplus = _sum(buys if buys > 0 else 0, sells if sells > 0 else 0)
        if surplus != before:
            self.put(row, _SURPLUS, surplus)
            self._add_surplus(self.value(row, _KEY) >> _SYMBOL_BITS, surplus - before)
        return 0

    def _add_surplus(self, desk: int, change: int) -> None:
        lots = self._surplus.pop(desk, 0) + change
        if lots:
            self._surplus[desk] = lots

    def surpluses(self) -> dict[int, int]:
        """Of each desk that has any, by its number, in lots."""
        return dict(self._surplus)

    def _close(self, row: int, position: int, lots: int, microcents: int) -> int:
        """A trade against the position; what goes beyond it opens one of the other side."""
        is_long = position > 0
        size = position if is_long else -position
        cost, got, opening = self.value(row, _COST), microcents, 0
        part = cost
        if lots <= size:
            part = _part(cost, lots, size, is_long)
        else:
            got = _part(microcents, size, lots, not is_long)
            opening = microcents - got
        self._add(row, _REALISED, got - part if is_long else part - got)
        return self.put(row, _COST, opening if lots > size else cost - part)

    # All at once.

    def dump(self) -> Iterator[bytes]:
        """The rows, in pieces: equal for equal histories."""
        for number, slab in enumerate(self._slabs):
            rows = min(_ROWS_PER_SLAB, self.count - number * _ROWS_PER_SLAB)
            yield bytes(slab[: rows * _ROW_BYTES])

    def load(self, read: Reader, count: int) -> None:
        """Becomes what `dump` wrote of so many rows; `symbols` and the rest are the caller's."""
        self.count, self._slabs = 0, []
        # No number by itself makes room for anything: what was read does.
        for first in range(0, count, _ROWS_PER_SLAB):
            rows = min(_ROWS_PER_SLAB, count - first)
            data = read(rows * _ROW_BYTES)
            if len(data) != rows * _ROW_BYTES:
                raise InvariantError(f"{len(data)} bytes are dumped of {rows} positions")
            slab = bytearray(_ROWS_PER_SLAB * _ROW_BYTES)
            slab[: len(data)] = data
            self._slabs.append(slab)
        self.count, self._surplus = count, {}
        slots = _SLOTS_MIN
        while 2 * count >= slots:
            slots *= 2
        self._set_slots(slots)
        for row in range(count):
            self._check_row(row)
            self._index_row(row)

    def _check_row(self, row: int) -> None:
        """It is of a symbol that there is, and of no other row; nothing works below zero."""
        desk, symbol = self.key_of(row)
        is_known = desk >= 0 and self.find(desk, symbol) != _NO_ROW
        if desk < 0 or symbol >= len(self.symbols) or is_known:
            raise InvariantError(f"position row {row} is of desk {desk} and symbol {symbol}")
        for field in (_WORKING_BUYS, _WORKING_SELLS, _EXITING_BUYS, _EXITING_SELLS):
            if self.value(row, field) < 0:
                raise InvariantError(f"{POSITION_ROW[field]} of position row {row} is below zero")
        if self.value(row, _COST) < 0:
            raise InvariantError(f"cost_microcents of position row {row} is below zero")
        surplus = self.value(row, _SURPLUS)
        self.put(row, _SURPLUS, 0)
        self._note_surplus(row)
        if self.value(row, _SURPLUS) != surplus:
            raise InvariantError(f"surplus_lots of position row {row} is {surplus}")

    # The index.

    def _set_slots(self, slots: int) -> None:
        self._index = memoryview(bytearray(8 * slots)).cast("Q")
        self._mask = slots - 1
        self._shift = 64 - (slots.bit_length() - 1)

    def _index_row(self, row: int) -> int:
        key = self.value(row, _KEY)
        slot = (key * _HASH_FACTOR & _U64_MAX) >> self._shift
        while self._index[slot]:
            slot = (slot + 1) & self._mask
        self._index[slot] = row + 1
        return 0


def _sum(one: int, other: int) -> int:
    """Their sum; the end of the range where it is beyond that."""
    wide = one
    wide = wide + other
    if wide > _I64_MAX:
        return _I64_MAX
    return wide if wide > _I64_LOW else _I64_LOW


def _part(microcents: int, lots: int, size: int, is_up: bool) -> int:
    """The part of an amount that `lots` of `size` have, rounded up or down."""
    wide = microcents
    wide = wide * lots
    part = wide // size
    if is_up and part * size != wide:
        part += 1
    return part
