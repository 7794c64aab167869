# cython: annotation_typing=False
"""A packed map: keys to rows of fixed integers and a payload, in slabs instead of objects. Pure.

Owns the memory of everything that is remembered by the million (orders, fills). An entry costs its
row, its key and payload rounded up to `_GRAIN_BYTES`, and its share of the index; the garbage
collector never sees it.

How it works: rows of equal size stand in slabs; a row holds where its blob is and the caller's
integers. Blobs (key, then payload) stand in slabs of their own, in blocks of whole grains; a freed
block goes to the free list of its size and is used again, last freed first. The index is open
addressing with linear probing; a slot holds 32 bits of the key's hash above the row's number plus
one, so that a probe reads a key only where those bits agree, and growing reads none. It is sized
once for as many entries as are expected (`reserve`): no insert up to there stops to grow it.

Which row and which block an entry gets depends on the history of calls alone: two maps with one
history have the same bytes, which is what `dump` and a digest of it rely on. (The index is not part
of that: Python's hashes differ from process to process, on purpose. `load` builds it anew. Nor has
a forked child the index, `guard.engine.dontfork_memory`: it may dump the map, and nothing else.)

How it fails: `InvariantError`, before anything is changed, for misuse (a key added twice, a blob
too long, an integer beyond i64, a row not there); also for a dump that does not hold together, and
then the map that was to become it is not to be used.
"""

import struct
from array import array
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from guard.engine import dontfork_memory as unforked
from kernel import InvariantError
from kernel import little_endian as le

BLOB_BYTES_MAX: Final = 4096  # the greatest request is smaller; a length fits 16 bits
NO_ROW: Final = -1
# `read(n)` gives the next n bytes, exactly.
Reader: TypeAlias = Callable[[int], bytes]

# These are C integers in the compiled form, so no other module can import them.
_GRAIN_BYTES = 32
_GRAINS_MAX = BLOB_BYTES_MAX // _GRAIN_BYTES
_BLOB_SLAB_BYTES = 1 << 20
_BLOB_END_MAX = 1 << 48  # more than a machine has; a place plus a length fits an i64 by far
_ROWS_PER_SLAB = 1 << 13
_ROWS_MAX = 2**32 - 2  # a slot of the index has 32 bits for a row's number plus one
_SLOTS_MIN = 8
_INDEX_LOAD_PERCENT = 60  # above it, probes of an open-addressing index grow long
_U32_MAX = 2**32 - 1
_ROW_BITS = 32  # of a slot: below them the row's number plus one, above them 32 bits of the hash

# A row: blob's place u64, its key's bytes u16, all its bytes u16 (0: the row is free), integers.
_KEY_BYTES_AT = 8
_BLOB_BYTES_AT = 10
_FIELDS_AT = 12

_COUNTS = struct.Struct("<QQQQ")
_COUNT = struct.Struct("<Q")


class RowMap:
    """Keys (bytes) to rows: `field_count` integers each, i64, and a payload (bytes)."""

    def __init__(self, field_count: int) -> None:
        fields = struct.Struct(f"<{field_count}q")
        self._pack_fields = fields.pack
        self._unpack_fields = fields.unpack_from
        self._field_count = field_count
        self._row_bytes = _FIELDS_AT + fields.size
        self._row_slabs: list[bytearray] = []
        self._blob_slabs: list[bytearray] = []
        self._free_rows = array("Q")
        self._free_blobs: dict[int, array[int]] = {}  # by their size in grains
        self._row_count = 0  # rows ever used, free ones included
        self._blob_end = 0  # where the never-used part of the blob slabs begins
        self._entry_count = 0
        self._set_index(_SLOTS_MIN)

    def __len__(self) -> int:
        return self._entry_count

    def memory_bytes(self) -> int:
        """What the slabs and the index take; the free lists are not counted."""
        row_slab_bytes = _ROWS_PER_SLAB * self._row_bytes
        slabs = len(self._row_slabs) * row_slab_bytes + len(self._blob_slabs) * _BLOB_SLAB_BYTES
        return slabs + 8 * (self._mask + 1)

    def reserve(self, entries_max: int) -> None:
        """Sizes the index for that many entries. At start-up: it walks over all there are."""
        old = self._index
        old_slots = self._mask + 1
        self._set_index(_slots_for(max(entries_max, self._entry_count)))
        for slot in range(old_slots):
            held = old[slot]
            if held:
                self._index[self._empty_slot(held >> _ROW_BITS)] = held

    def find(self, key: bytes) -> int:
        """The row of `key`, or NO_ROW."""
        index = self._index
        mask = self._mask
        tag = hash(key) & _U32_MAX
        slot = tag & mask
        held = index[slot]
        while held:
            row = (held & _U32_MAX) - 1
            if held >> _ROW_BITS == tag and self._has_key(row, key):
                return row
            slot = (slot + 1) & mask
            held = index[slot]
        return NO_ROW

    def add(self, key: bytes, payload: bytes, values: tuple[int, ...]) -> int:
        """A new entry; returns its row."""
        return self.add_packed(key, payload, len(payload), self._pack(values))

    def add_packed(
        self, key: bytes, payload: bytes | bytearray, payload_bytes: int, packed: bytes | bytearray
    ) -> int:
        """As `add`: the payload's first `payload_bytes`, and the integers as a row holds them."""
        if self._entry_count >= self._entries_max:
            self.reserve(2 * self._entries_max)
        index = self._index
        mask = self._mask
        tag = hash(key) & _U32_MAX
        slot = tag & mask
        held = index[slot]
        while held:
            if held >> _ROW_BITS == tag and self._has_key((held & _U32_MAX) - 1, key):
                raise InvariantError("a key is added to a packed map twice")
            slot = (slot + 1) & mask
            held = index[slot]
        key_bytes = len(key)
        blob_bytes = key_bytes + payload_bytes
        if blob_bytes > BLOB_BYTES_MAX or key_bytes == 0:
            raise InvariantError(f"a key of {key_bytes} bytes in a blob of {blob_bytes}")
        row = self._take_row()
        place = self._take_block((blob_bytes + _GRAIN_BYTES - 1) // _GRAIN_BYTES)
        blob_slab = self._blob_slabs[place // _BLOB_SLAB_BYTES]
        le.store_bytes(blob_slab, place % _BLOB_SLAB_BYTES, key)
        le.copy_bytes(blob_slab, place % _BLOB_SLAB_BYTES + key_bytes, payload, payload_bytes)
        slab = self._row_slabs[row // _ROWS_PER_SLAB]
        at = row % _ROWS_PER_SLAB * self._row_bytes
        le.store_u64(slab, at, place)
        le.store_u16(slab, at + _KEY_BYTES_AT, key_bytes)
        le.store_u16(slab, at + _BLOB_BYTES_AT, blob_bytes)
        le.copy_bytes(slab, at + _FIELDS_AT, packed, 8 * self._field_count)
        index[slot] = tag << _ROW_BITS | (row + 1)
        self._entry_count += 1
        return row

    def values(self, row: int) -> tuple[int, ...]:
        """The row's integers."""
        slab = self._slab_of(row)
        return self._unpack_fields(slab, row % _ROWS_PER_SLAB * self._row_bytes + _FIELDS_AT)

    def set_values(self, row: int, values: tuple[int, ...]) -> None:
        """Replaces the row's integers."""
        slab = self._slab_of(row)
        at = row % _ROWS_PER_SLAB * self._row_bytes + _FIELDS_AT
        le.store_bytes(slab, at, self._pack(values))

    def value(self, row: int, field: int) -> int:
        """One of the row's integers."""
        slab = self._slab_of(row)
        return le.load_i64(slab, self._field_at(row, field))

    def set_value(self, row: int, field: int, value: int) -> None:
        """Replaces one of the row's integers."""
        try:
            self.put(row, field, value)
        except OverflowError as error:
            raise InvariantError(f"{value} does not fit a packed row") from error

    def put(self, row: int, field: int, value: int) -> int:
        """The same, for compiled callers: OverflowError for what is no i64."""
        slab = self._slab_of(row)
        le.store_i64(slab, self._field_at(row, field), value)
        return 0

    def key(self, row: int) -> bytes:
        """The row's key."""
        slab = self._slab_of(row)
        at = row % _ROWS_PER_SLAB * self._row_bytes
        place = le.load_u64(slab, at)
        blob_slab = self._blob_slabs[place // _BLOB_SLAB_BYTES]
        return le.bytes_at(
            blob_slab, place % _BLOB_SLAB_BYTES, le.load_u16(slab, at + _KEY_BYTES_AT)
        )

    def payload(self, row: int) -> bytes:
        """The row's payload."""
        slab = self._slab_of(row)
        at = row % _ROWS_PER_SLAB * self._row_bytes
        place = le.load_u64(slab, at)
        key_bytes = le.load_u16(slab, at + _KEY_BYTES_AT)
        payload_bytes = le.load_u16(slab, at + _BLOB_BYTES_AT) - key_bytes
        blob_slab = self._blob_slabs[place // _BLOB_SLAB_BYTES]
        return le.bytes_at(blob_slab, place % _BLOB_SLAB_BYTES + key_bytes, payload_bytes)

    def remove(self, row: int) -> None:
        """Frees the row and its blob."""
        slab = self._slab_of(row)
        self._remove_from_index(hash(self.key(row)) & _U32_MAX, row)
        at = row % _ROWS_PER_SLAB * self._row_bytes
        place = le.load_u64(slab, at)
        blob_bytes = le.load_u16(slab, at + _BLOB_BYTES_AT)
        grains = (blob_bytes + _GRAIN_BYTES - 1) // _GRAIN_BYTES
        self._free_blobs.setdefault(grains, array("Q")).append(place)
        self._free_rows.append(row)
        # What a freed place still holds must not reach a dump: equal histories, equal bytes.
        le.store_bytes(slab, at, bytes(self._row_bytes))
        blob_slab = self._blob_slabs[place // _BLOB_SLAB_BYTES]
        le.store_bytes(blob_slab, place % _BLOB_SLAB_BYTES, bytes(blob_bytes))
        self._entry_count -= 1

    def find_value(self, field: int, value: int, begin: int, end: int) -> int:
        """The first row from `begin` on, before `end`, whose integer that is; NO_ROW."""
        if end > self._row_count:
            end = self._row_count
        for row in range(begin, end):
            if self._is_used(row) and self.value(row, field) == value:
                return row
        return NO_ROW

    def row_end(self) -> int:
        """Behind the last row that was ever used."""
        return self._row_count

    def rows(self) -> Iterator[int]:
        """The rows in use, by number."""
        for row in range(self._row_count):
            if self._is_used(row):
                yield row

    def dump(self, field_count: int = 0) -> Iterator[bytes]:
        """The map's bytes, in pieces: equal for equal histories, read by `load`.

        `field_count`: how many of each row's integers, from the first on; 0 for all.
        """
        row_bytes = _FIELDS_AT + 8 * (field_count or self._field_count)
        yield _COUNTS.pack(
            self._row_count, self._blob_end, self._entry_count, len(self._free_blobs)
        )
        yield from _dump_numbers(self._free_rows)
        for grains in sorted(self._free_blobs):
            yield _COUNT.pack(grains)
            yield from _dump_numbers(self._free_blobs[grains])
        for slab in self._row_slabs:
            yield bytes(_cut_rows(slab, self._row_bytes, row_bytes))
        for slab in self._blob_slabs:
            yield bytes(slab)

    def load(self, read: Reader, field_count: int = 0) -> None:
        """Becomes what `dump` wrote, with an index for the entries that there are.

        `field_count`: as given to that. Integers that were not dumped are 0 then.
        """
        row_bytes = _FIELDS_AT + 8 * (field_count or self._field_count)
        row_count, blob_end, entry_count, sizes = _COUNTS.unpack(_read_exactly(read, _COUNTS.size))
        if not entry_count <= row_count <= _ROWS_MAX or blob_end > _BLOB_END_MAX:
            raise InvariantError(f"a dumped map of {entry_count} entries in {row_count} rows")
        self._row_count, self._blob_end, self._entry_count = row_count, blob_end, entry_count
        # Held to what was read before: no number by itself makes room for anything.
        self._free_rows = _read_numbers(read, row_count - entry_count)
        self._free_blobs = {}
        for _ in range(sizes):
            (grains,) = _COUNT.unpack(_read_exactly(read, _COUNT.size))
            self._free_blobs[grains] = _read_numbers(read, row_count)
        slab_count = (self._row_count + _ROWS_PER_SLAB - 1) // _ROWS_PER_SLAB
        self._row_slabs = [
            _cut_rows(slab, row_bytes, self._row_bytes)
            for slab in _read_slabs(read, slab_count, _ROWS_PER_SLAB * row_bytes)
        ]
        slab_count = (self._blob_end + _BLOB_SLAB_BYTES - 1) // _BLOB_SLAB_BYTES
        self._blob_slabs = _read_slabs(read, slab_count, _BLOB_SLAB_BYTES)
        self._check_free_lists()
        self._index_rows()

    def _index_rows(self) -> None:
        """Builds the index from the rows, each checked before anything of it is read."""
        self._set_index(_slots_for(self._entry_count))
        used_count = 0
        for row in range(self._row_count):
            if not self._is_used(row):
                continue
            used_count += 1
            slab = self._row_slabs[row // _ROWS_PER_SLAB]
            at = row % _ROWS_PER_SLAB * self._row_bytes
            blob_bytes = le.load_u16(slab, at + _BLOB_BYTES_AT)
            grains = (blob_bytes + _GRAIN_BYTES - 1) // _GRAIN_BYTES
            self._check_block(le.load_u64(slab, at), grains)
            if not 0 < le.load_u16(slab, at + _KEY_BYTES_AT) <= blob_bytes:
                raise InvariantError(f"row {row} of a dumped map has a key of the wrong length")
            if used_count > self._entry_count:
                break
            tag = hash(self.key(row)) & _U32_MAX
            self._index[self._empty_slot(tag)] = tag << _ROW_BITS | (row + 1)
        if used_count != self._entry_count:
            raise InvariantError(f"a dumped map says {self._entry_count} entries, has others")

    def _check_free_lists(self) -> None:
        """No number in them may lead outside the slabs, or to a row in use."""
        for row in self._free_rows:
            if row >= self._row_count or self._is_used(row):
                raise InvariantError(f"row {row} of a dumped map is not free")
        for grains, places in self._free_blobs.items():
            for place in places:
                self._check_block(place, grains)

    def _check_block(self, place: int, grains: int) -> None:
        """It must be a block that this map could have taken, within one slab."""
        fits = 0 < grains <= _GRAINS_MAX and place < self._blob_end and place % _GRAIN_BYTES == 0
        end = place % _BLOB_SLAB_BYTES + grains * _GRAIN_BYTES
        if not fits or end > _BLOB_SLAB_BYTES or place + grains * _GRAIN_BYTES > self._blob_end:
            raise InvariantError(f"a dumped map has no block of {grains} grains at {place}")

    def _set_index(self, slots: int) -> None:
        self._index = unforked.zeros(8 * slots).cast("Q")
        self._mask = slots - 1
        self._entries_max = slots * _INDEX_LOAD_PERCENT // 100

    def _is_used(self, row: int) -> bool:
        slab = self._row_slabs[row // _ROWS_PER_SLAB]
        return le.load_u16(slab, row % _ROWS_PER_SLAB * self._row_bytes + _BLOB_BYTES_AT) != 0

    def _slab_of(self, row: int) -> bytearray:
        """The slab of a row that must be in use."""
        if not 0 <= row < self._row_count or not self._is_used(row):
            raise InvariantError(f"row {row} is not in the packed map")
        return self._row_slabs[row // _ROWS_PER_SLAB]

    def _field_at(self, row: int, field: int) -> int:
        if not 0 <= field < self._field_count:
            raise InvariantError(f"a packed row has no field {field}")
        return row % _ROWS_PER_SLAB * self._row_bytes + _FIELDS_AT + 8 * field

    def _pack(self, values: tuple[int, ...]) -> bytes:
        try:
            return self._pack_fields(*values)
        except struct.error as error:
            raise InvariantError(f"{values} do not fit a packed row: {error}") from error

    def _has_key(self, row: int, key: bytes) -> bool:
        slab = self._row_slabs[row // _ROWS_PER_SLAB]
        at = row % _ROWS_PER_SLAB * self._row_bytes
        if le.load_u16(slab, at + _KEY_BYTES_AT) != len(key):
            return False
        place = le.load_u64(slab, at)
        blob_slab = self._blob_slabs[place // _BLOB_SLAB_BYTES]
        return le.bytes_at(blob_slab, place % _BLOB_SLAB_BYTES, len(key)) == key

    def _take_row(self) -> int:
        if self._free_rows:
            return self._free_rows.pop()
        row = self._row_count
        if row == _ROWS_MAX:
            raise InvariantError(f"a packed map holds at most {_ROWS_MAX} rows")
        if row % _ROWS_PER_SLAB == 0:
            self._row_slabs.append(bytearray(_ROWS_PER_SLAB * self._row_bytes))
        self._row_count = row + 1
        return row

    def _take_block(self, grains: int) -> int:
        """The place of a freed block of that size, else never-used room."""
        free = self._free_blobs.get(grains)
        if free:
            return free.pop()
        place = self._blob_end
        if place % _BLOB_SLAB_BYTES + grains * _GRAIN_BYTES > _BLOB_SLAB_BYTES:
            # A block does not straddle two slabs.
            place += _BLOB_SLAB_BYTES - place % _BLOB_SLAB_BYTES
        if place // _BLOB_SLAB_BYTES == len(self._blob_slabs):
            self._blob_slabs.append(bytearray(_BLOB_SLAB_BYTES))
        self._blob_end = place + grains * _GRAIN_BYTES
        return place

    def _empty_slot(self, tag: int) -> int:
        """Where an entry with that tag goes that is not in the index."""
        slot = tag & self._mask
        while self._index[slot]:
            slot = (slot + 1) & self._mask
        return slot

    def _remove_from_index(self, tag: int, row: int) -> None:
        """Empties the row's slot and moves up what probing would no longer reach behind it."""
        index = self._index
        mask = self._mask
        hole = tag & mask
        while index[hole] != tag << _ROW_BITS | (row + 1):
            if not index[hole]:
                raise InvariantError("a row to be removed is not in the index")
            hole = (hole + 1) & mask
        slot = (hole + 1) & mask
        held = index[slot]
        while held:
            home = held >> _ROW_BITS & mask
            # It may move into the hole if its home does not lie cyclically in (hole, slot].
            if (slot - home) & mask >= (slot - hole) & mask:
                index[hole] = held
                hole = slot
            slot = (slot + 1) & mask
            held = index[slot]
        index[hole] = 0


def _cut_rows(slab: bytearray, row_bytes: int, wanted_bytes: int) -> bytearray:
    """The slab with rows of that size: cut off, or with zeros behind each."""
    if row_bytes == wanted_bytes:
        return slab
    rest = bytes(max(0, wanted_bytes - row_bytes))
    kept = min(row_bytes, wanted_bytes)
    return bytearray().join(slab[at : at + kept] + rest for at in range(0, len(slab), row_bytes))


def _slots_for(entries_max: int) -> int:
    slots = _SLOTS_MIN
    while slots * _INDEX_LOAD_PERCENT // 100 < entries_max:
        slots *= 2
    return slots


def _dump_numbers(numbers: "array[int]") -> Iterator[bytes]:
    yield _COUNT.pack(len(numbers))
    yield numbers.tobytes()


def _read_numbers(read: Reader, count_max: int) -> "array[int]":
    (count,) = _COUNT.unpack(_read_exactly(read, _COUNT.size))
    if count > count_max:
        raise InvariantError(f"a dumped list of {count} free places; at most {count_max} can be")
    return array("Q", _read_exactly(read, 8 * count))


def _read_slabs(read: Reader, count: int, slab_bytes: int) -> list[bytearray]:
    return [bytearray(_read_exactly(read, slab_bytes)) for _ in range(count)]


def _read_exactly(read: Reader, count: int) -> bytes:
    piece = read(count)
    if len(piece) != count:
        raise InvariantError(f"a dump gives {len(piece)} bytes of {count}")
    return piece
