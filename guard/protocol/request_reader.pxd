# The types of request_reader.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_reader, slots
from guard.protocol cimport json_text as text
from guard.protocol cimport message_pack as pack
from guard.protocol.json_reader cimport JsonReader
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.pack_reader cimport PackReader
from guard.protocol.request cimport Request

cdef Py_ssize_t NOT_PLAIN, _BODY_BYTES_MAX, _REQUESTS_MAX, _CURRENCY_AT, _CURRENCY_BYTES_MAX
cdef Py_ssize_t _ORDER
cdef int _TEXT, _OPTIONAL_TEXT, _ECHO, _BAD
cdef list _TYPES_PACK, _TYPES_JSON, _BY_PACK, _BY_JSON
cdef bytes _TYPE_KEY

@cython.final
cdef class RequestReader:
    cdef bytes _client, _currency
    cdef str _currency_text
    cdef readonly list requests, errors
    cdef readonly Py_ssize_t count
    cdef readonly bint is_array, is_json, is_together
    cdef readonly bytes together_echo
    cdef JsonReader _json
    cdef PackReader _pack
    cdef Outcome _unused

    cpdef read(self, bytes body, Py_ssize_t frame_count, str currency)
    cpdef take(self, Request request, message)

    @cython.locals(body=bytes)
    cdef _take(self, Request request, message)

    @cython.locals(request=Request)
    cdef _grow(self, Py_ssize_t count)

    @cython.locals(end=Py_ssize_t, head=u8, count=Py_ssize_t, at=Py_ssize_t, index=Py_ssize_t)
    cdef Py_ssize_t _read_body(self, bytes body) except -2

    @cython.locals(count=Py_ssize_t, at=Py_ssize_t)
    cdef Py_ssize_t _read_json_body(self, const u8 *body, Py_ssize_t end) except -2

    @cython.locals(
        count=Py_ssize_t, kind=Py_ssize_t, layout=Layout, seen=u64, key=Py_ssize_t, _=Py_ssize_t,
        piece=bytes,
    )
    cdef Py_ssize_t read_pack(
        self, Request request, const u8 *body, Py_ssize_t at, Py_ssize_t end
    ) except -2

    @cython.locals(kind=Py_ssize_t, layout=Layout, seen=u64, key=Py_ssize_t)
    cdef Py_ssize_t read_json(
        self, Request request, const u8 *body, Py_ssize_t at, Py_ssize_t end
    ) except -2

    @cython.locals(index=Py_ssize_t)
    cdef int _begin(self, Request request, Layout layout, Py_ssize_t kind) except -1

    @cython.locals(count=Py_ssize_t)
    cdef bint _is_whole(
        self, Request request, Layout layout, u64 seen, Py_ssize_t kind
    ) except -1

@cython.locals(kind=int)
cdef void set_default(Request request, Outcome outcome, Layout layout, Py_ssize_t index) noexcept

@cython.locals(count=Py_ssize_t, key=Py_ssize_t, _=Py_ssize_t, pieces=list)
cdef Py_ssize_t key_at(
    Layout layout, const u8 *body, Py_ssize_t at, Py_ssize_t end, Py_ssize_t expected
) except -2

@cython.locals(number=Py_ssize_t)
cdef Py_ssize_t word_at(list words, const u8 *body, Py_ssize_t at, Py_ssize_t end) except -2

cdef Py_ssize_t behind_space(const u8 *body, Py_ssize_t at, Py_ssize_t end) noexcept
cdef Py_ssize_t behind_colon(const u8 *body, Py_ssize_t at, Py_ssize_t end) noexcept
cdef bint has_text(Request request, Py_ssize_t place, bytes words, Py_ssize_t count) noexcept

@cython.locals(one=u64)
cdef u64 bit(Py_ssize_t place) noexcept
