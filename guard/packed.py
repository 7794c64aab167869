"""A packed map: keys to rows of fixed integers and a payload, in slabs instead of objects. Pure.

Owns the memory of everything that is remembered by the million (orders, fills). An entry costs its
row, its key and payload rounded up to `GRAIN_BYTES`, and its share of the index; the garbage
collector never sees it.

How it works: rows of equal size stand in slabs; a row holds the caller's integers and where its
blob is. Blobs (key, then payload) stand in slabs of their own, in blocks of whole grains; a freed
block goes to the free list of its size and is used again, last freed first. The index is open
addressing with linear probing over an array of row numbers, sized once for as many entries as are
expected (`reserve`), so that no insert up to there stops to rehash.

Which row and which block an entry gets depends on the history of calls alone: two maps with one
history have the same bytes, which is what `dump` and a digest of it rely on. (The index is not
part of that: Python's hashes differ from process to process, on purpose. `load` builds it anew.)

How it fails: `InvariantError` for misuse (a key added twice, a blob too long, a row not there).
"""

import struct
from array import array
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from kernel import InvariantError

GRAIN_BYTES: Final = 32
BLOB_BYTES_MAX: Final = 4096
BLOB_SLAB_BYTES: Final = 1 << 20
ROWS_PER_SLAB: Final = 1 << 13
INDEX_LOAD_PERCENT: Final = 60  # above it, probes of an open-addressing index grow long

NO_ROW: Final = -1
# `read(n)` gives the next n bytes, exactly.
Reader: TypeAlias = Callable[[int], bytes]

_EMPTY: Final = 0  # of an index slot; a row is held as its number plus one

_PLACE = struct.Struct("<QHH")  # blob: its place, key bytes, all bytes; 0 bytes: the row is free
_COUNTS = struct.Struct("<QQQQ")


class PackedMap:
    """Keys (bytes) to rows: `fields` integers each, i64, and a payload (bytes)."""

    def __init__(self, fields: int) -> None:
        self._fields = struct.Struct(f"<{fields}q")
        self._row_bytes = _PLACE.size + self._fields.size
        self._row_slabs: list[bytearray] = []
        self._blob_slabs: list[bytearray] = []
        self._free_rows: list[int] = []
        self._free_blobs: dict[int, list[int]] = {}
        self._row_count = 0  # rows ever used, free ones included
        self._blob_end = 0  # where the never-used part of the blob slabs begins
        self._entry_count = 0
        self._index = array("I", [_EMPTY]) * 8
        self._entries_max = 8 * INDEX_LOAD_PERCENT // 100

    def __len__(self) -> int:
        return self._entry_count

    def reserve(self, entries_max: int) -> None:
        """Sizes the index for that many entries. At start-up: it walks over all there are."""
        slots = 8
        while slots * INDEX_LOAD_PERCENT // 100 < max(entries_max, self._entry_count):
            slots *= 2
        self._index = array("I", [_EMPTY]) * slots
        self._entries_max = slots * INDEX_LOAD_PERCENT // 100
        for row in self.rows():
            self._index[self._slot_of_new(self.key(row))] = row + 1

    def find(self, key: bytes) -> int:
        """The row of `key`, or NO_ROW."""
        index = self._index
        mask = len(index) - 1
        slot = hash(key) & mask
        while held := index[slot]:
            if self.key(held - 1) == key:
                return held - 1
            slot = (slot + 1) & mask
        return NO_ROW

    def add(self, key: bytes, payload: bytes, values: tuple[int, ...]) -> int:
        """A new entry; returns its row."""
        if self._entry_count >= self._entries_max:
            self.reserve(2 * self._entries_max)
        if self.find(key) != NO_ROW:
            raise InvariantError("a key is added to a packed map twice")
        row = self._take_row()
        blob = key + payload
        place = self._take_blob(blob)
        slab, at = self._row_place(row)
        _PLACE.pack_into(slab, at, place, len(key), len(blob))
        self.set_values(row, values)
        self._index[self._slot_of_new(key)] = row + 1
        self._entry_count += 1
        return row

    def values(self, row: int) -> tuple[int, ...]:
        """The row's integers."""
        slab, at = self._row_place(row)
        return self._fields.unpack_from(slab, at + _PLACE.size)

    def set_values(self, row: int, values: tuple[int, ...]) -> None:
        """Replaces the row's integers."""
        slab, at = self._row_place(row)
        try:
            self._fields.pack_into(slab, at + _PLACE.size, *values)
        except struct.error as error:
            raise InvariantError(f"{values} do not fit a packed row: {error}") from error

    def key(self, row: int) -> bytes:
        """The row's key."""
        slab, at = self._row_place(row)
        place, key_bytes, _ = _PLACE.unpack_from(slab, at)
        start = place % BLOB_SLAB_BYTES
        return bytes(self._blob_slabs[place // BLOB_SLAB_BYTES][start : start + key_bytes])

    def payload(self, row: int) -> bytes:
        """The row's payload."""
        slab, at = self._row_place(row)
        place, key_bytes, blob_bytes = _PLACE.unpack_from(slab, at)
        start = place % BLOB_SLAB_BYTES
        blob_slab = self._blob_slabs[place // BLOB_SLAB_BYTES]
        return bytes(blob_slab[start + key_bytes : start + blob_bytes])

    def remove(self, row: int) -> None:
        """Frees the row and its blob."""
        key = self.key(row)
        self._remove_from_index(key, row)
        slab, at = self._row_place(row)
        place, _, blob_bytes = _PLACE.unpack_from(slab, at)
        grains = -(-blob_bytes // GRAIN_BYTES)
        self._free_blobs.setdefault(grains, []).append(place)
        # What a freed place still holds must not reach a dump: equal histories, equal bytes.
        slab[at : at + self._row_bytes] = bytes(self._row_bytes)
        start = place % BLOB_SLAB_BYTES
        end = start + grains * GRAIN_BYTES
        self._blob_slabs[place // BLOB_SLAB_BYTES][start:end] = bytes(end - start)
        self._free_rows.append(row)
        self._entry_count -= 1

    def rows(self) -> Iterator[int]:
        """The rows in use, by number."""
        for row in range(self._row_count):
            slab, at = self._row_place(row)
            if _PLACE.unpack_from(slab, at)[2]:
                yield row

    def dump(self) -> Iterator[bytes]:
        """The map's bytes, in pieces: equal for equal histories, read by `load`."""
        yield _COUNTS.pack(
            self._row_count, self._blob_end, self._entry_count, len(self._free_blobs)
        )
        yield _pack_list(self._free_rows)
        for grains in sorted(self._free_blobs):
            yield struct.pack("<Q", grains)
            yield _pack_list(self._free_blobs[grains])
        yield from (bytes(slab) for slab in self._row_slabs)
        yield from (bytes(slab) for slab in self._blob_slabs)

    def load(self, read: Reader, entries_max: int) -> None:
        """Becomes what `dump` wrote, with an index for `entries_max`."""
        self._row_count, self._blob_end, self._entry_count, sizes = _COUNTS.unpack(
            read(_COUNTS.size)
        )
        self._free_rows = _read_list(read)
        self._free_blobs = {}
        for _ in range(sizes):
            (grains,) = struct.unpack("<Q", read(8))
            self._free_blobs[grains] = _read_list(read)
        row_slab_bytes = ROWS_PER_SLAB * self._row_bytes
        self._row_slabs = [
            bytearray(read(row_slab_bytes)) for _ in range(-(-self._row_count // ROWS_PER_SLAB))
        ]
        self._blob_slabs = [
            bytearray(read(BLOB_SLAB_BYTES)) for _ in range(-(-self._blob_end // BLOB_SLAB_BYTES))
        ]
        self.reserve(entries_max)

    def _row_place(self, row: int) -> tuple[bytearray, int]:
        return self._row_slabs[row // ROWS_PER_SLAB], row % ROWS_PER_SLAB * self._row_bytes

    def _take_row(self) -> int:
        if self._free_rows:
            return self._free_rows.pop()
        row = self._row_count
        if row % ROWS_PER_SLAB == 0:
            self._row_slabs.append(bytearray(ROWS_PER_SLAB * self._row_bytes))
        self._row_count = row + 1
        return row

    def _take_blob(self, blob: bytes) -> int:
        if not 0 < len(blob) <= BLOB_BYTES_MAX:
            raise InvariantError(f"a blob of {len(blob)} bytes; allowed: 1 to {BLOB_BYTES_MAX}")
        grains = -(-len(blob) // GRAIN_BYTES)
        free = self._free_blobs.get(grains)
        place = free.pop() if free else self._fresh_blob(grains * GRAIN_BYTES)
        start = place % BLOB_SLAB_BYTES
        self._blob_slabs[place // BLOB_SLAB_BYTES][start : start + len(blob)] = blob
        return place

    def _fresh_blob(self, block_bytes: int) -> int:
        """Never-used room; a block does not straddle two slabs."""
        place = self._blob_end
        if place % BLOB_SLAB_BYTES + block_bytes > BLOB_SLAB_BYTES:
            place += BLOB_SLAB_BYTES - place % BLOB_SLAB_BYTES
        if place // BLOB_SLAB_BYTES == len(self._blob_slabs):
            self._blob_slabs.append(bytearray(BLOB_SLAB_BYTES))
        self._blob_end = place + block_bytes
        return place

    def _slot_of_new(self, key: bytes) -> int:
        index = self._index
        mask = len(index) - 1
        slot = hash(key) & mask
        while index[slot]:
            slot = (slot + 1) & mask
        return slot

    def _remove_from_index(self, key: bytes, row: int) -> None:
        """Empties the row's slot and moves up what probing would no longer reach behind it."""
        index = self._index
        mask = len(index) - 1
        hole = hash(key) & mask
        while index[hole] != row + 1:
            if not index[hole]:
                raise InvariantError("a row to be removed is not in the index")
            hole = (hole + 1) & mask
        slot = (hole + 1) & mask
        while held := index[slot]:
            home = hash(self.key(held - 1)) & mask
            # It may move into the hole if its home does not lie cyclically in (hole, slot].
            if (slot - home) & mask >= (slot - hole) & mask:
                index[hole] = held
                hole = slot
            slot = (slot + 1) & mask
        index[hole] = _EMPTY


def _pack_list(numbers: list[int]) -> bytes:
    return struct.pack("<Q", len(numbers)) + array("Q", numbers).tobytes()


def _read_list(read: Reader) -> list[int]:
    (count,) = struct.unpack("<Q", read(8))
    numbers = array("Q")
    numbers.frombytes(read(count * numbers.itemsize))
    return list(numbers)
