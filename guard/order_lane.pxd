# The types of order_lane.py, for the compiler alone. Every integer is below 2^64: the reader has
# checked an order's, and the others are the kernel's, the ledger's and the log's own.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport decide_entry, text
from guard.engine cimport Engine
from guard.order_pieces cimport Admission
from guard.order_reader cimport OrderReader
from guard.record_text cimport RecordText
from guard.state cimport Desk, GuardState
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant
from kernel.policy cimport PolicySnapshot
from wal.staging cimport Staging

ctypedef u8 *BufferPointer
ctypedef const u64 *Values

cdef extern from *:
    """
    typedef unsigned __int128 lane_u128;
    """
    ctypedef unsigned long long u128 "lane_u128"

cdef Py_ssize_t NOT_PLAIN, _OUTPUT_BYTES
cdef Py_ssize_t _QUANTITY, _PRICE, _VENUE, _RISK, _CONFIDENCE, _QUALITY, _LATENCY
cdef Py_ssize_t _CAPABILITIES, _PROVIDERS, _REGIONS, _MAX_FEE, _SENT_AT
cdef u8 _REJECT, _SUBSTITUTE
cdef u64 _U32_MAX, _U64_MAX, _I64_MAX

@cython.final
cdef class OrderLane:
    cdef GuardState _state
    cdef Staging _staging
    cdef object _instrument
    cdef Admission _admission
    cdef OrderReader _order
    cdef RecordText _text
    cdef Tenant _line
    cdef bytearray _memory, _input_row, _output_row, _output_again
    cdef u64 _numerator, _denominator
    cdef bint _is_watched
    cdef readonly Py_ssize_t reply_end

    cpdef begin_message(self, i64 received_at_ns, u64 batch_first_sequence)

    @cython.locals(key=bytes, notional_microcents=i64)
    cpdef bint admit(
        self, bytes body, Py_ssize_t at, Py_ssize_t end, bytearray reply, Py_ssize_t reply_at
    ) except -1

    @cython.locals(order=OrderReader, out=BufferPointer, at=Py_ssize_t)
    cdef bytes _key_of(self, const u8 *body)

    @cython.locals(
        state=GuardState, order=OrderReader, desk=Desk, received_at_ns=i64, sent_at_ns=i64,
        notional_microcents=i64, line=Tenant,
    )
    cdef i64 _notional_if_clear(self, const u8 *body, bytes key) except -2

    @cython.locals(order=OrderReader)
    cdef bint _is_own_currency(self, const u8 *body) except -1

    cdef _take_instrument(self, instrument)

    @cython.locals(
        state=GuardState, said=Admission, values=Values, policy=PolicySnapshot,
        row=BufferPointer, sequence=u64,
    )
    cdef bint _is_admitted_by_kernel(self, i64 notional_microcents) except -1

    @cython.locals(state=GuardState, record=RecordText, sequence=u64, at=Py_ssize_t)
    cdef _stage(self, const u8 *body)

    @cython.locals(
        state=GuardState, said=Admission, line=Tenant, received_at_ns=i64, given=i64,
        count=Py_ssize_t,
    )
    cdef _apply(self, const u8 *body, bytes key)

@cython.locals(wide_quantity=u128, size=u128, worth=u128, notional=u128)
cpdef i64 notional_of(u64 quantity, u64 price, u64 numerator, u64 denominator) noexcept
