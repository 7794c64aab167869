# The types of exposure.py, for the compiler alone. A row's and a symbol's amounts are i64, sums of
# them 128 bits wide.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.day_loss cimport Losses, place_of
from guard.engine.measures cimport Measure, OwnLimits, SymbolBook, bounded, is_at_end
from kernel cimport little_endian as le

cdef extern from *:
    """
    typedef __int128 exposure_i128;
    """
    ctypedef long long i128 "exposure_i128"

cdef Py_ssize_t _GROSS, _NET, _LONG, _SHORT, _FIGURES, _OF_DESK, _OF_SYMBOL, _OF_FIRM, _NO_ROW
cdef Py_ssize_t _OWN_COUNT, _ROW_BYTES, _ROWS_PER_SLAB
cdef int _WORST_LONG, _WORST_SHORT, _LONG_SIDE, _SHORT_SIDE, _EQUITY, _NEXT, _DESK, _BUY
cdef int _DAY_PROFIT
cdef i64 _FIRM_PLACE, _ALL_SYMBOLS
cdef i64 _I64_MAX, _I64_LOW, _UNKNOWN

@cython.final
cdef class Proposal:
    cdef bint counts, overflows
    cdef i64 value
    cdef i128[12] before
    cdef i128[12] after
    cdef i64[3] share_before
    cdef i64[3] share
    cdef list limits

    cdef int put(self, Py_ssize_t place, Py_ssize_t number, i128 before, i128 after) except -1
    @cython.locals(wide_more=i128, wide_gross=i128, wide_side=i128)
    cdef int put_measure(
        self, Measure measure, Py_ssize_t place, bint is_buy, i64 own, i64 other, i64 after
    ) except -1
    @cython.locals(above_before=i64, above_after=i64, gross_before=i64)
    cdef int put_book(
        self, SymbolBook book, bint is_buy, i64 own, i64 other, i64 after
    ) except -1

@cython.final
cdef class Exposure:
    cdef readonly bint is_on
    cdef readonly Losses losses
    cdef readonly Measure firm
    cdef list _desks, _books, _slabs
    cdef Py_ssize_t _count

    cpdef Measure desk(self, Py_ssize_t number)
    cpdef SymbolBook book(self, Py_ssize_t number)
    cpdef Py_ssize_t next_row(self, Py_ssize_t row) except? -1
    @cython.locals(long=i64, short=i64)
    cpdef i64 gross_of(self, Py_ssize_t row) except? -1
    @cython.locals(book=SymbolBook, row=Py_ssize_t, change=i64)
    cpdef int set_price(self, Py_ssize_t symbol, u64 price) except -1
    @cython.locals(
        book=SymbolBook, measure=Measure, wide_long=i128, wide_short=i128, worst_long=i64,
        worst_short=i64, had_long=i64, had_short=i64, has=bint, had=bint, equity=i64,
        owed=i64, equity_after=i64, wide_made=i128, made=i64
    )
    cdef int note(
        self, Py_ssize_t row, Py_ssize_t desk, Py_ssize_t symbol, i64 position, i64 buys,
        i64 sells, i64 cost, i64 realised, i64 turn_equity, bint is_counted
    ) except -1
    @cython.locals(made=i64)
    cpdef i64 day_profit_of(self, Py_ssize_t row) except? -1
    @cython.locals(before=i64)
    cdef int _note_day(
        self, Py_ssize_t row, SymbolBook book, Measure measure, i64 made
    ) except -1
    @cython.locals(losses=Losses)
    cdef int _look_at_losses(self, Py_ssize_t row, Py_ssize_t desk, Py_ssize_t symbol) except -1
    cdef int _add_row(self, Py_ssize_t row, i64 desk, SymbolBook book) except -1
    cpdef int drop_last(self, SymbolBook book) except -1
    @cython.locals(measure=Measure)
    cdef int _count_unpriced(self, SymbolBook book, Py_ssize_t desk, i64 change) except -1
    @cython.locals(long=i64, short=i64, long_after=i64, short_after=i64, wide_short=i128)
    cdef int _note_sides(
        self, Py_ssize_t row, SymbolBook book, Measure measure, i64 worst_long, i64 worst_short
    ) except -1
    @cython.locals(wide_change=i128, long_after=i64, short_after=i64)
    cdef int _note_book(
        self, SymbolBook book, i64 worst_long, i64 had_long, i64 worst_short, i64 had_short
    ) except -1
    @cython.locals(
        measure=Measure, book=SymbolBook, firm=Measure, of_firm=bint, of_book=bint, is_buy=bint,
        wide_lots=i128, long=i64, short=i64, own=i64, other=i64, after=i64
    )
    cdef int propose(
        self, Proposal proposal, Py_ssize_t row, Py_ssize_t desk, Py_ssize_t symbol, u64 side,
        u64 quantity
    ) except -1
    @cython.locals(slab=bytearray)
    cdef i64 _get(self, Py_ssize_t row, int field) except? -1
    @cython.locals(slab=bytearray)
    cdef int _put(self, Py_ssize_t row, int field, i64 value) except -1
