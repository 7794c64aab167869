# The types of order_reader.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard cimport packing
from kernel cimport little_endian as le

cdef Py_ssize_t NOT_PLAIN
cdef Py_ssize_t _TYPE, _ORDER_ID, _DESK, _SYMBOL, _SIDE, _FIRST_INTEGER, _BEHIND_INTEGERS
cdef Py_ssize_t _ALLOW_SUBSTITUTE, _ORDER_TYPE, _TIME_IN_FORCE, _CURRENCY, _SENT_AT, _REQUEST_ID
cdef Py_ssize_t _KEY_COUNT
cdef Py_ssize_t _IDENTIFIER_BYTES_MAX, _NAME_BYTES_MAX, _REQUEST_ID_BYTES_MAX, _NAMES_KEPT_MAX
cdef int _NO_REQUEST_ID, _INTEGER_REQUEST_ID, _TEXT_REQUEST_ID
cdef Py_ssize_t _SENT_AT_PLACE

@cython.final
cdef class OrderReader:
    cdef u64[12] values, _lowest, _highest, _assumed
    cdef u64 _required
    cdef list _keys
    cdef dict _known_names
    cdef readonly str desk, symbol
    cdef Py_ssize_t order_id_at, order_id_bytes, desk_at, desk_bytes, symbol_at, symbol_bytes
    cdef Py_ssize_t currency_at, currency_bytes, request_id_at, request_id_bytes
    cdef Py_ssize_t side, order_type, time_in_force
    cdef bint allow_substitute, has_currency
    cdef int request_id_kind
    cdef u64 request_number

    @cython.locals(count=Py_ssize_t, seen=u64, key=Py_ssize_t)
    cdef Py_ssize_t read(self, const u8 *body, Py_ssize_t at, Py_ssize_t end) except -2

    @cython.locals(index=Py_ssize_t)
    cdef void _assume(self) noexcept

    @cython.locals(keys=list, offset=Py_ssize_t, key=Py_ssize_t)
    cdef Py_ssize_t _key_at(
        self, const u8 *body, Py_ssize_t at, Py_ssize_t end, Py_ssize_t expected
    ) except -2

    cdef Py_ssize_t _read_value(
        self, const u8 *body, Py_ssize_t at, Py_ssize_t end, Py_ssize_t key
    ) except -2

    @cython.locals(size=Py_ssize_t, value=u64)
    cdef Py_ssize_t _read_integer(
        self, const u8 *body, Py_ssize_t at, Py_ssize_t end, Py_ssize_t index
    ) except -2

    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _read_request_number(
        self, const u8 *body, Py_ssize_t at, Py_ssize_t end
    ) except -2

    @cython.locals(head=u8, count=Py_ssize_t, start=Py_ssize_t, behind=Py_ssize_t)
    cdef Py_ssize_t _read_text(
        self, const u8 *body, Py_ssize_t at, Py_ssize_t end, Py_ssize_t key
    ) except -2

    cdef bint _is_taken(
        self, const u8 *body, Py_ssize_t start, Py_ssize_t count, Py_ssize_t key
    ) except -1

    @cython.locals(raw=bytes)
    cdef str _name(self, const u8 *body, Py_ssize_t start, Py_ssize_t count)

@cython.locals(place=Py_ssize_t)
cdef Py_ssize_t place_of(
    const u8 *body, Py_ssize_t start, Py_ssize_t count, list choices
) except -2

cdef bint is_text(const u8 *body, Py_ssize_t start, Py_ssize_t count, bytes text) noexcept
