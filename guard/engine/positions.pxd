# The types of positions.py, for the compiler alone. Lots and microcents are i64 from the checks of
# requests on; products of two are of 128 bits.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.exposure cimport Exposure
from guard.engine.measures cimport SymbolBook, is_at_end
from kernel cimport little_endian as le

cdef extern from *:
    """
    typedef __int128 positions_i128;
    """
    ctypedef long long i128 "positions_i128"

cdef int _KEY, _POSITION, _CONFIRMED, _WORKING_BUYS, _WORKING_SELLS, _EXITING_BUYS, _EXITING_SELLS
cdef int _BOUGHT, _SOLD, _COST, _REALISED, _SURPLUS, _BUY, _SYMBOL_BITS
cdef Py_ssize_t _NO_ROW, _FIELD_COUNT, _ROW_BYTES, _ROWS_PER_SLAB, _SLOTS_MIN
cdef u64 _HASH_FACTOR, _U64_MAX
cdef i64 _SYMBOL_MASK
cdef i64 _I64_MAX, _I64_LOW

@cython.final
cdef class Positions:
    cdef public bint is_kept
    cdef public u64 since_sequence
    cdef public dict symbols
    cdef readonly Py_ssize_t count
    cdef readonly u64 moves
    cdef public i64 open_exits
    cdef dict _surplus, _pending
    cdef set _uncounted
    cdef readonly Exposure exposure
    cdef list _slabs
    cdef bytearray _turned
    cdef u64 _mask
    cdef int _shift
    cdef u64[::1] _index

    @cython.locals(key=u64, slot=u64, held=u64)
    cpdef Py_ssize_t find(self, u64 desk, u64 symbol) except? -1

    @cython.locals(row=Py_ssize_t, each=Py_ssize_t)
    cpdef Py_ssize_t obtain(self, u64 desk, u64 symbol) except -1

    @cython.locals(row=Py_ssize_t, key=u64, slot=u64)
    cpdef int drop_rows(self, Py_ssize_t count) except -1

    @cython.locals(slab=bytearray)
    cpdef i64 value(self, Py_ssize_t row, int field) except? -1

    @cython.locals(slab=bytearray)
    cpdef int put(self, Py_ssize_t row, int field, i64 value) except -1

    @cython.locals(position=i64, confirmed=i64, lots=i64)
    cpdef i64 reducible(self, Py_ssize_t row, u64 side) except? -1

    cpdef i64 position(self, Py_ssize_t row) except? -1
    cpdef i64 working(self, Py_ssize_t row, u64 side) except? -1
    cpdef i64 exiting(self, Py_ssize_t row, u64 side) except? -1
    @cython.locals(field=int)
    cpdef int work(self, Py_ssize_t row, u64 side, i64 lots, bint is_exit) except -1
    cdef int _add_working(self, Py_ssize_t row, int field, i64 lots) except -1
    cpdef int trade(self, Py_ssize_t row, u64 side, i64 lots, i64 confirmed, i64 microcents) except -1
    cpdef int confirm(self, Py_ssize_t row, u64 side, i64 lots) except -1
    cpdef int pend(self, Py_ssize_t row, u64 side, i64 lots) except -1
    cpdef i64 pending(self, Py_ssize_t row, u64 side) except? -1
    cpdef int undo(self, Py_ssize_t row, u64 side, i64 lots, i64 confirmed, i64 microcents) except -1
    cpdef i64 surplus_of(self, u64 desk) except? -1
    cpdef int count_exit(self, i64 change) except -1
    @cython.locals(buys=i64, sells=i64, before=i64, surplus=i64)
    cdef int _note_surplus(self, Py_ssize_t row) except -1
    cdef _add_surplus(self, desk, change)
    cpdef dict surpluses(self)
    @cython.locals(realised=i64, position=i64)
    cdef int _note_ends(self, Py_ssize_t row, i64 microcents) except -1
    @cython.locals(key=u64)
    cdef int _note_exposure(self, Py_ssize_t row) except -1
    cpdef i64 turn_equity(self, Py_ssize_t row) except? -1
    @cython.locals(
        turned=bytearray, is_any=bint, row=Py_ssize_t, book=SymbolBook, position=i64, cost=i64,
        owed=i64, made=i64
    )
    cpdef turn_day(self)
    @cython.locals(row=Py_ssize_t)
    cpdef int revalue(self, Py_ssize_t symbol, u64 price) except -1
    @cython.locals(row=Py_ssize_t)
    cpdef count_exposure(self, bint is_on)
    cdef int _add(self, Py_ssize_t row, int field, i64 value) except -1

    @cython.locals(position=i64)
    cdef int _move(
        self, Py_ssize_t row, u64 side, i64 lots, i64 confirmed, i64 microcents
    ) except -1

    @cython.locals(is_long=bint, size=u64, cost=i64, part=i64, got=i64, opening=i64)
    cdef int _close(self, Py_ssize_t row, i64 position, u64 lots, i64 microcents) except -1

    @cython.locals(key=u64, slot=u64)
    cdef int _index_row(self, Py_ssize_t row) except -1

@cython.locals(wide=i128)
cdef i64 _sum(i64 one, i64 other) noexcept

@cython.locals(wide=i128, part=i128)
cdef i64 _part(i64 microcents, u64 lots, u64 size, bint is_up) noexcept
