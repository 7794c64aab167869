# The types of order_rows.py, for the compiler alone. Offsets are as in record_rows.pxd.

cimport cython
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64

from guard cimport packing, text
from guard.record_reader cimport RecordReader
from kernel cimport little_endian as le
from kernel.digest cimport decision_digest_of_row, input_digest_of_row
from wal cimport rawbytes as raw

cdef Py_ssize_t _FIXED_BYTES, _NAME_BYTES_MAX, _IDENTIFIER_BYTES_MAX, _HEX_LENGTH
cdef u8 _EXECUTE, _SUBSTITUTE, _REJECT
cdef u16 _BPS_MAX, _RISK_LIMIT, _CONFIDENCE_LIMIT, _REASONS_MAX
cdef Py_ssize_t _GATES, _COUNTS_BYTES
cdef u32 _TOKENS_PER_ORDER
cdef u64 _I64_MAX
cdef bytes _AUDIT, _CATALOG, _POLICY, _INPUT_DIGEST, _DECISION_DIGEST, _INPUT, _DECISION, _RECEIVED
cdef bytes _ORDER_ID, _DESK, _SYMBOL, _SIDE, _QUANTITY, _PRICE, _VENUE, _RISK
cdef bytes _CONFIDENCE, _QUALITY, _LATENCY, _CAPABILITIES, _PROVIDERS, _REGIONS, _MAX_FEE, _ALLOWED
cdef bytes _NOT_ALLOWED, _TYPE, _TIME, _CURRENCY, _SENT_AT, _ANSWER, _SEQUENCE, _RESERVATION
cdef bytes _SUBSTITUTED, _NOT_SUBSTITUTED, _NOTIONAL, _FEE, _REASON, _END, _NULL
cdef bytes _REJECT_ANSWER, _STAGE, _DETAIL, _ASKED, _LIMIT, _REJECT_END, _REJECT_CONTENT_HEAD
cdef bytes _KERNEL_STAGE, _ASKED_KEY, _LIMIT_KEY, _COUNTS_HEAD, _COUNTS_AND_LIMIT_HEAD
cdef list _COUNTS, _COUNT_KEYS
cdef bytes _CONTENT_HEAD, _TRUE, _FALSE, _NIL
cdef list _REASONS, _SIDES, _TYPES, _TIMES, _PACKED_SIDES, _PACKED_TYPES, _PACKED_TIMES

@cython.locals(index=Py_ssize_t, high=u8, low=u8)
cdef bint put_digest(u8 *out, Py_ssize_t at, const u8 *text_of, Py_ssize_t start) noexcept
cdef u8 nibble_of(u8 character) noexcept

@cython.final
cdef class DecidedReader(RecordReader):
    cdef bytes currency
    cdef Py_ssize_t _id_at, _id_bytes, _desk_at, _desk_bytes
    cdef Py_ssize_t _symbol_at, _symbol_bytes, _currency_at, _currency_bytes
    cdef Py_ssize_t _side, _type, _time
    cdef bint _is_substitute_allowed

    cdef Py_ssize_t read(
        self, const u8 *block, Py_ssize_t at, Py_ssize_t end, u64 sequence, u8 *out,
        Py_ssize_t row,
    ) except -1

    @cython.locals(
        policy_epoch=u64, catalog_epoch=u64, input_hex_at=Py_ssize_t,
        decision_hex_at=Py_ssize_t, at=Py_ssize_t, digest=bytes,
    )
    cdef bint _read_opening(
        self, const u8 *block, u8 *out, Py_ssize_t row, u64 sequence
    ) except -1

    @cython.locals(action=u8, reason=u16)
    cdef bint _agree(
        self, const u8 *out, Py_ssize_t row, u64 sequence, u64 policy_epoch, u64 catalog_epoch
    ) noexcept

    cdef bint _read_event(self, const u8 *block, u8 *out, Py_ssize_t row) except -1

    @cython.locals(quantity=u32, risk=u16, confidence=u16, quality=u16, price=u64)
    cdef bint _read_numbers(self, const u8 *block, u8 *out, Py_ssize_t row) noexcept

    @cython.locals(sent_at=u64)
    cdef bint _read_rest_of_order(self, const u8 *block, u8 *out, Py_ssize_t row) except -1

    @cython.locals(count=Py_ssize_t)
    cdef bint _is_same_currency(self, const u8 *block) noexcept

    @cython.locals(substituted=bint, reason=bytes)
    cdef bint _read_answer(
        self, const u8 *block, u8 *out, Py_ssize_t row, u64 sequence
    ) except -1

    @cython.locals(code=u16, index=Py_ssize_t, asked=u16)
    cdef bint _read_refusal(
        self, const u8 *block, u8 *out, Py_ssize_t row, u64 sequence
    ) except -1

    cdef bint _is_id_again(self, const u8 *block, bytes piece) noexcept

    @cython.locals(
        key_bytes=Py_ssize_t, at=Py_ssize_t, payload_at=Py_ssize_t, is_refusal=bint,
    )
    cdef Py_ssize_t _put_memory(self, const u8 *block, u8 *out, Py_ssize_t row) except -1

    @cython.locals(sent_at=u64)
    cdef Py_ssize_t _put_order(
        self, const u8 *block, u8 *out, Py_ssize_t row, Py_ssize_t at
    ) except -1

cdef Py_ssize_t put_admission(u8 *out, Py_ssize_t row, Py_ssize_t at) except -1

@cython.locals(code=u16, has_limit=bint, index=Py_ssize_t, asked=u16)
cdef Py_ssize_t put_refusal(u8 *out, Py_ssize_t row, Py_ssize_t at) except -1
