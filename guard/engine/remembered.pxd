# The types of remembered.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine.row_map cimport RowMap
from guard.engine.shares cimport DeskIds, Shares
from guard.protocol cimport json_text as text
from guard.protocol cimport layout as tables
from guard.protocol cimport slots
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.pack_reader cimport PackReader
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

ctypedef u8 *BufferPointer

cdef Py_ssize_t _DESK, _ID, _NO_ROW, _DESK_AT, _ID_AT, _FILL_ID_AT
cdef Py_ssize_t _PHASE, _HOLD, _FILLED, _EXPIRES, _RELEASE_SEQUENCE, _RELEASED, _NEXT_CLOSED
cdef Py_ssize_t _FIRST_FILL, _NEXT_FILL, _FILL_EXPIRES, _CLOSED_BEFORE, _CLOSED_AT, _FILL_COUNT
cdef Py_ssize_t _SHARE, _REDUCED, _CHAIN, _FIRST, _STANDING, _PENDING, _LOTS, _LOTS_EVER
cdef i64 _NEVER, _OPEN, _REFUSED, _REPLACED
cdef u64 _ADMITTED, _FOREIGN, _REDUCE, _REPLACE
cdef u8 _COLLECTING_MARK, _REDUCTION_MARK, _NAMES_MARK
cdef list _LAYOUTS
cdef bytes _NUL, _REDUCTION
cdef Layout _CONTENT_LAYOUT, _ADMITTED_LAYOUT, _REJECTED_LAYOUT, _FILL_LAYOUT
cdef Layout _ADMITTED_TIMED, _ADMITTED_NOTED, _REJECTED_NOTED, _REJECTED_TIMED, _COLLECTING_LAYOUT, _REDUCTION_LAYOUT
cdef Layout _REPLACE_LAYOUT, _REPLACE_REJECTED_LAYOUT, _NAMES_LAYOUT

@cython.final
cdef class RememberedOrders:
    cdef readonly RowMap _orders, _fills, _chains
    cdef public Shares shares
    cdef public i64 forgotten_close_ns
    cdef public bint is_wide, has_chains
    cdef bytearray _key_bytes, _row_bytes, _payload
    cdef PackReader _reader
    cdef readonly Request known
    cdef Request _aside, _asked
    cdef bytes _asked_key
    cdef readonly Outcome known_outcome
    cdef public Py_ssize_t _known_row
    cdef public Py_ssize_t _orphan_first, _orphan_last, _orphan_count
    cdef public object _last_orphan_sequence
    cdef public list _outlasting

    @cython.locals(out=BufferPointer, at=Py_ssize_t)
    cpdef bytes order_key(self, Request request)

    cpdef Py_ssize_t first_fill(self, Py_ssize_t row) except -2
    cpdef Py_ssize_t next_fill(self, Py_ssize_t fill_row) except -2

    @cython.locals(key=bytes, row=Py_ssize_t)
    cpdef bytes fill_key(self, Request request)
    cpdef bytes said_fill_key(self, Request request)
    @cython.locals(out=BufferPointer, at=Py_ssize_t)
    cdef bytes _fact_key(self, bytes order_key, Request request)

    @cython.locals(row=Py_ssize_t)
    cpdef Py_ssize_t find(self, Request request, i64 now_ns) except -2
    @cython.locals(row=Py_ssize_t)
    cpdef Py_ssize_t find_named(self, Request request, i64 now_ns) except -2
    @cython.locals(chain=i64)
    cpdef Py_ssize_t first_of(self, Py_ssize_t row) except -2
    @cython.locals(chain=i64)
    cpdef i64 chain_of(self, Py_ssize_t row) except? -1

    @cython.locals(phase=i64)
    cpdef i64 phase(self, Py_ssize_t row) except -1
    cpdef i64 hold_microcents(self, Py_ssize_t row) except? -1
    cpdef i64 filled_quantity(self, Py_ssize_t row) except? -1
    cpdef i64 reduced_quantity(self, Py_ssize_t row) except? -1

    @cython.locals(gone=i64, quantity=i64, chain=i64)
    cpdef i64 left(self, Py_ssize_t row) except? -1
    cpdef Py_ssize_t share_number(self, Py_ssize_t row) except -1
    cpdef i64 release_sequence(self, Py_ssize_t row) except? -1
    cpdef i64 released_microcents(self, Py_ssize_t row) except? -1
    cpdef int read(self, Py_ssize_t row) except -1

    cpdef int read_answer(self, Py_ssize_t row, Outcome outcome) except -1

    @cython.locals(payload=bytes, at=Py_ssize_t, end=Py_ssize_t, layout=Layout)
    cpdef int read_into(self, Py_ssize_t row, Request request, Outcome outcome) except -1

    cdef _read_foreign(
        self, Py_ssize_t row, bytes payload, Request request, Outcome outcome
    )

    @cython.locals(at=Py_ssize_t)
    cdef Py_ssize_t _put_foreign(
        self, Request request, Outcome outcome, bint is_timed, Py_ssize_t at
    ) except -1

    @cython.locals(
        row=Py_ssize_t, order_row=Py_ssize_t, expires_at_ns=i64, is_orphan=bint
    )
    cpdef Py_ssize_t find_fill(self, Request request, i64 now_ns) except -2

    @cython.locals(payload=bytes, end=Py_ssize_t, layout=Layout)
    cpdef int read_fill(self, Py_ssize_t row, Request request, Outcome outcome) except -1

    @cython.locals(payload=bytes)
    cpdef bint is_reduction(self, Py_ssize_t fill_row) except -1
    cpdef bint is_full(self, DeskIds share, i64 ids_max, i64 now_ns) except -1
    cpdef i64 fill_count(self, Py_ssize_t row) except? -1

    @cython.locals(
        key=bytes, before=Py_ssize_t, is_admitted=bint, layout=Layout, count=Py_ssize_t,
        row=BufferPointer,
    )
    cpdef Py_ssize_t add(
        self, DeskIds share, Request request, Outcome outcome, bint is_timed
    ) except -1

    cpdef int note_fill(self, Py_ssize_t row, i64 filled_quantity, i64 hold_microcents) except -1
    cpdef int note_reduced(self, Py_ssize_t row, i64 lots, i64 hold_microcents) except -1
    cpdef int release(self, Py_ssize_t row, i64 sequence, i64 released_microcents) except -1

    @cython.locals(share=DeskIds, chain=i64, other=Py_ssize_t, field=Py_ssize_t)
    cpdef int close(
        self, Py_ssize_t row, i64 phase, i64 closed_at_ns, i64 expires_at_ns
    ) except -1

    @cython.locals(share=DeskIds)
    cpdef int close_member(
        self, Py_ssize_t row, i64 phase, i64 closed_at_ns, i64 expires_at_ns
    ) except -1

    cpdef int _enqueue(self, DeskIds share, Py_ssize_t row, i64 expires_at_ns) except -1

    @cython.locals(orders=RowMap, row=Py_ssize_t, share=DeskIds, count=i64)
    cpdef Py_ssize_t add_fill(
        self, Py_ssize_t order_row, Request request, Outcome outcome
    ) except -1

    @cython.locals(key=bytes, count=Py_ssize_t, row=BufferPointer, layout=Layout)
    cpdef Py_ssize_t _add_fill(
        self, Request request, Outcome outcome, Py_ssize_t next_row, i64 expires_at_ns
    ) except -1

    cpdef Py_ssize_t add_early_fill(
        self, Request request, Outcome outcome, i64 expires_at_ns
    ) except -1
