# The types of order_lane.py, for the compiler alone. Every integer is below 2^64: the reader has
# checked an order's, and the others are the kernel's, the ledger's and the log's own.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport decide_entry, packing, record_text, text
from guard.engine cimport Engine
from guard.order_reader cimport OrderReader
from guard.orders cimport RememberedOrders
from guard.record_text cimport RecordText
from guard.state cimport Desk, GuardState
from kernel cimport little_endian as le
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant
from kernel.policy cimport PolicySnapshot

ctypedef u8 *BufferPointer
ctypedef const u8 *RowPointer
ctypedef const u64 *Values

cdef extern from *:
    """
    typedef unsigned __int128 lane_u128;
    """
    ctypedef unsigned long long u128 "lane_u128"

cdef Py_ssize_t NOT_PLAIN, _INPUT_BYTES, _OUTPUT_BYTES
cdef Py_ssize_t _QUANTITY, _PRICE, _VENUE, _RISK, _CONFIDENCE, _QUALITY, _LATENCY
cdef Py_ssize_t _CAPABILITIES, _PROVIDERS, _REGIONS, _MAX_FEE, _SENT_AT
cdef u8 _REJECT, _SUBSTITUTE
cdef u64 _U32_MAX, _U64_MAX, _I64_MAX

@cython.final
cdef class OrderLane:
    cdef GuardState _state
    cdef object _writer, _client, _instrument, _currency
    cdef OrderReader _order
    cdef RecordText _text
    cdef Tenant _line
    cdef bytearray _memory, _input_row, _output_row, _output_again
    cdef bytes _currency_packed
    cdef u64 _numerator, _denominator
    cdef readonly Py_ssize_t reply_end

    @cython.locals(
        order=OrderReader, key=bytes, notional_microcents=i64,
        state=GuardState, sequence=u64, output_row=RowPointer, reservation_id=i64,
    )
    cpdef bint admit(
        self, bytes body, Py_ssize_t at, Py_ssize_t end, i64 received_at_ns,
        u64 batch_first_sequence, bytearray reply, Py_ssize_t reply_at,
    ) except -1

    @cython.locals(order=OrderReader, out=BufferPointer, at=Py_ssize_t)
    cdef bytes _key_of(self, const u8 *body)

    @cython.locals(
        state=GuardState, order=OrderReader, desk=Desk, orders=RememberedOrders,
        sent_at_ns=u64, notional_microcents=i64, line=Tenant,
    )
    cdef i64 _notional_if_clear(self, const u8 *body, bytes key, i64 received_at_ns) except -2

    @cython.locals(order=OrderReader)
    cdef bint _is_own_currency(self, const u8 *body) except -1

    cdef _take_instrument(self, instrument)

    @cython.locals(policy=PolicySnapshot, row=BufferPointer, values=Values)
    cdef _ask_kernel(self, u64 sequence, i64 notional_microcents)

    @cython.locals(action=u8)
    cdef bint _is_admission(self, const u8 *row) noexcept

    @cython.locals(
        writer=RecordText, at=Py_ssize_t, out=BufferPointer, order=OrderReader, row=RowPointer,
    )
    cdef _stage(
        self, const u8 *body, u64 sequence, u64 reservation_id, u64 notional_microcents,
        const u8 *output_row, i64 received_at_ns, u64 batch_first_sequence,
    )

    @cython.locals(order=OrderReader, index=Py_ssize_t)
    cdef Py_ssize_t _put_order(self, u8 *out, Py_ssize_t at, const u8 *body) except -2

    @cython.locals(state=GuardState, given=i64, count=Py_ssize_t)
    cdef _apply(
        self, const u8 *body, bytes key, u64 sequence, i64 reservation_id,
        i64 notional_microcents, const u8 *output_row, i64 received_at_ns,
    )

    @cython.locals(
        order=OrderReader, out=BufferPointer, at=Py_ssize_t, index=Py_ssize_t, currency=bytes
    )
    cdef Py_ssize_t _put_memory(
        self, const u8 *body, u64 sequence, u64 reservation_id, u64 notional_microcents,
        const u8 *row,
    ) except -1

    cdef bytes _packed_currency(self)

    @cython.locals(order=OrderReader, has_request_id=bint)
    cdef Py_ssize_t _put_reply(
        self, const u8 *body, u8 *out, Py_ssize_t at, u64 sequence, u64 reservation_id,
        u64 notional_microcents, const u8 *row,
    ) except -1

@cython.locals(wide_quantity=u128, size=u128, worth=u128, notional=u128)
cpdef i64 notional_of(
    u64 quantity, u64 price, u64 numerator, u64 denominator
) noexcept
