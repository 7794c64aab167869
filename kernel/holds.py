# cython: annotation_typing=False, nonecheck=True
"""The open holds of a ledger by their numbers: packed rows in slabs, no object for any of them.

Owns: the memory of the holds. A ledger may have millions open, and nobody's order may wait while
some table of theirs grows (a dictionary of a million stopped for 0.1 s).

Must not: know what a hold is for, or move a balance: `kernel.ledger` does.

How it works: numbers are given out one after the other, so a slab has the rows of 1,024 that follow
each other, a row at its number's own place. With an eighth of them left, a slab that is no longer
the newest keeps the open holds' rows alone, in their order, and again with an eighth of those:
what stays open for long does not keep the memory of all that ended beside it. A slab without any
is gone. Nothing ever moves more than the rows of one slab.

Fails: going through the holds is a `RuntimeError` once one is opened or ends meanwhile. Nothing
else fails: the caller adds each number once, above all before it, with an amount above zero.
"""

from collections.abc import Iterator

from kernel import little_endian as le
from kernel.ledger_lines import Tenant

# These are C integers in the compiled form, so no other module can import them.
_NUMBER_BITS = 10
_NUMBERS_PER_SLAB = 1 << _NUMBER_BITS
_ROWS_PER_HOLD_MAX = 8  # with as many, a slab keeps the rows of its open holds alone
_NO_ROW = -1

# A row: the number's place in its slab u32, its tenant's u32, microcents i64 (0: not open).
_TENANT_AT = 4
_MICROCENTS_AT = 8
_ROW_BYTES = 16
_SLAB_BYTES = _NUMBERS_PER_SLAB * _ROW_BYTES  # fewer: a slab that keeps some rows alone
# A row as it is given out: number u64, the tenant's place among the caller's u32, microcents i64.
_GIVEN_BYTES = 20


class Slab:
    """The rows of numbers that follow each other, `number >> 10` being the same for all."""

    __slots__ = ("open_count", "rows")

    def __init__(self) -> None:
        self.rows = bytearray(_SLAB_BYTES)
        self.open_count = 0

    def row_at(self, place: int) -> int:
        """Where the row of the number at that place begins, or `_NO_ROW`: it is not kept."""
        rows = self.rows
        if len(rows) == _SLAB_BYTES:
            return place * _ROW_BYTES
        low, high = 0, len(rows) // _ROW_BYTES  # the rows are in ascending order of their places
        while low < high:
            middle = (low + high) // 2
            if le.load_u32(rows, middle * _ROW_BYTES) < place:
                low = middle + 1
            else:
                high = middle
        at = low * _ROW_BYTES
        return at if at < len(rows) and le.load_u32(rows, at) == place else _NO_ROW

    def make_sparse(self) -> None:
        """Keeps the rows of the open holds alone."""
        rows, kept, end = self.rows, bytearray(self.open_count * _ROW_BYTES), 0
        for at in range(0, len(rows), _ROW_BYTES):
            if le.load_i64(rows, at + _MICROCENTS_AT):
                le.store_bytes(kept, end, le.bytes_at(rows, at, _ROW_BYTES))
                end += _ROW_BYTES
        assert end == len(kept)
        self.rows = kept


class Hold:
    """A hold as it is now, to be looked at: whose, and what is left of it."""

    __slots__ = ("microcents", "number", "row_at", "slab", "tenant")

    def __init__(
        self, number: int, tenant: Tenant, microcents: int, slab: Slab, row_at: int
    ) -> None:
        self.number = number
        self.tenant = tenant
        self.microcents = microcents
        self.slab = slab
        self.row_at = row_at


class OpenHolds:
    """Numbers (i64 above zero) to whose hold it is and how much."""

    def __init__(self) -> None:
        self._tenants: list[Tenant] = []  # a row has a tenant's place here
        self._slabs: dict[int, Slab] = {}  # in ascending order of their numbers
        self._newest_number = 0
        self._newest: Slab | None = None
        self._open_count = 0
        self._changes = 0  # holds opened, and ended

    def __len__(self) -> int:
        return self._open_count

    def add_tenant(self, tenant: Tenant) -> None:
        """Holds of it may be added from now on; it gets its place."""
        tenant.place = len(self._tenants)
        self._tenants.append(tenant)

    def add(self, number: int, tenant: Tenant, microcents: int) -> None:
        """Opens a hold of a tenant that was added."""
        slab = self._newest
        if slab is None or number >> _NUMBER_BITS != self._newest_number:
            slab = self._begin_slab(number >> _NUMBER_BITS)
        place = number & (_NUMBERS_PER_SLAB - 1)
        at = place * _ROW_BYTES
        le.store_u32(slab.rows, at, place)
        le.store_u32(slab.rows, at + _TENANT_AT, tenant.place)
        le.store_i64(slab.rows, at + _MICROCENTS_AT, microcents)
        slab.open_count += 1
        self._open_count += 1
        self._changes += 1

    def get(self, number: int) -> Hold | None:
        """An open hold; None: there is none of that number."""
        slab = self._slabs.get(number >> _NUMBER_BITS)
        if slab is None:
            return None
        at = slab.row_at(number & (_NUMBERS_PER_SLAB - 1))
        return None if at == _NO_ROW else self._hold_at(number >> _NUMBER_BITS, slab, at)

    def lower(self, hold: Hold, by_microcents: int) -> None:
        """Takes a part of a hold away that `get` has just given; with the last of it, it ends."""
        slab = hold.slab
        hold.microcents -= by_microcents
        le.store_i64(slab.rows, hold.row_at + _MICROCENTS_AT, hold.microcents)
        if hold.microcents == 0:
            self._open_count -= 1
            self._changes += 1
            slab.open_count -= 1
            if slab is not self._newest:
                self._settle_slab(hold.number >> _NUMBER_BITS, slab)

    def __iter__(self) -> Iterator[Hold]:
        """The open holds by ascending number."""
        changes = self._changes
        for slab_number, slab in self._slabs.items():
            for at in range(0, len(slab.rows), _ROW_BYTES):
                hold = self._hold_at(slab_number, slab, at)
                if hold is not None:
                    yield hold
                    self._check_unchanged(changes)

    def rows(self, places: dict[str, int], count: int) -> Iterator[bytes]:
        """As `BudgetEngine.hold_rows`."""
        names = [tenant.tenant_id for tenant in self._tenants]
        tenant_places = [places.get(name) for name in names]
        piece_bytes, waiting, changes = count * _GIVEN_BYTES, bytearray(), self._changes
        for slab_number, slab in self._slabs.items():
            waiting += _given_rows(slab, slab_number << _NUMBER_BITS, names, tenant_places)
            while len(waiting) >= piece_bytes:
                yield bytes(waiting[:piece_bytes])
                self._check_unchanged(changes)
                del waiting[:piece_bytes]
        if waiting:
            yield bytes(waiting)

    def _hold_at(self, slab_number: int, slab: Slab, at: int) -> Hold | None:
        rows = slab.rows
        microcents = le.load_i64(rows, at + _MICROCENTS_AT)
        if microcents == 0:
            return None
        number = (slab_number << _NUMBER_BITS) + le.load_u32(rows, at)
        tenant = self._tenants[le.load_u32(rows, at + _TENANT_AT)]
        return Hold(number, tenant, microcents, slab, at)

    def _check_unchanged(self, changes: int) -> None:
        if self._changes != changes:
            raise RuntimeError("a hold was opened or has ended while they are gone through")

    def _begin_slab(self, slab_number: int) -> Slab:
        if self._newest is not None:
            self._settle_slab(self._newest_number, self._newest)
        self._newest_number, self._newest = slab_number, Slab()
        self._slabs[slab_number] = self._newest
        return self._newest

    def _settle_slab(self, slab_number: int, slab: Slab) -> None:
        """Gives back what a slab no longer needs that is not, or will not be, the newest."""
        if slab.open_count == 0:
            del self._slabs[slab_number]
        elif slab.open_count * (_ROWS_PER_HOLD_MAX * _ROW_BYTES) <= len(slab.rows):
            slab.make_sparse()


def _given_rows(
    slab: Slab, first_number: int, names: list[str], tenant_places: list[int | None]
) -> bytes:
    rows, given, end = slab.rows, bytearray(slab.open_count * _GIVEN_BYTES), 0
    for at in range(0, len(rows), _ROW_BYTES):
        microcents = le.load_i64(rows, at + _MICROCENTS_AT)
        if microcents:
            tenant = le.load_u32(rows, at + _TENANT_AT)
            tenant_place = tenant_places[tenant]
            if tenant_place is None:
                raise KeyError(names[tenant])
            le.store_u64(given, end, first_number + le.load_u32(rows, at))
            le.store_u32(given, end + 8, tenant_place)
            le.store_i64(given, end + 12, microcents)
            end += _GIVEN_BYTES
    return bytes(given)
