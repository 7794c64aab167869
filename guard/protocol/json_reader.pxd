# The types of json_reader.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_text as text
from guard.protocol cimport layout as layout_of
from guard.protocol cimport message_pack as pack
from guard.protocol cimport slots
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef Py_ssize_t NOT_PLAIN, _WORDS_LOOKED_THROUGH, _REQUEST_ID_BYTES_MAX
cdef u64 _U64_MAX, _I64_LIMIT, _TENTH
cdef bytes _NULL
cdef int _NUMBER, _SIGNED, _OPTIONAL_NUMBER, _TEXT, _OPTIONAL_TEXT, _WORD, _DETAIL, _SAME_TEXT
cdef int _SAME_SIGNED, _ECHO
cdef list _DETAIL_OF_REASON, _DETAILS

@cython.final
cdef class JsonReader:
    cdef u64 value
    cdef Py_ssize_t count
    cdef bint is_negative
    cdef bytearray _again

    @cython.locals(index=Py_ssize_t, piece=bytes)
    cdef Py_ssize_t read(
        self, Layout layout, const u8 *source, Py_ssize_t at, Py_ssize_t end, Request request,
        Outcome outcome,
    ) except -2

    @cython.locals(kind=int, slot=Py_ssize_t, place=Py_ssize_t, count=Py_ssize_t, detail=Py_ssize_t)
    cdef Py_ssize_t read_value(
        self, Layout layout, Py_ssize_t index, const u8 *source, Py_ssize_t at, Py_ssize_t end,
        Request request, Outcome outcome,
    ) except -2

    cdef Py_ssize_t _signed(
        self, int kind, const u8 *source, Py_ssize_t at, Py_ssize_t end, Request request,
        Outcome outcome, Py_ssize_t slot,
    ) except -2

    @cython.locals(
        words=list, count=Py_ssize_t, behind=Py_ssize_t, word=bytes, number=Py_ssize_t,
        numbers=dict,
    )
    cdef Py_ssize_t _word(
        self, Layout layout, Py_ssize_t index, const u8 *source, Py_ssize_t at, Py_ssize_t end,
        Request request, Outcome outcome,
    ) except -2

    @cython.locals(start=Py_ssize_t, behind=Py_ssize_t)
    cdef Py_ssize_t _echo(
        self, const u8 *source, Py_ssize_t at, Py_ssize_t end, Request request, Py_ssize_t place
    ) except -2

    @cython.locals(start=Py_ssize_t, value=u64, digit=u8)
    cdef Py_ssize_t number(self, const u8 *source, Py_ssize_t at, Py_ssize_t end) noexcept

    @cython.locals(count=Py_ssize_t, character=u8)
    cdef Py_ssize_t string(
        self, const u8 *source, Py_ssize_t at, Py_ssize_t end, Request request, Py_ssize_t place,
        Py_ssize_t bytes_max,
    ) noexcept

@cython.locals(index=Py_ssize_t)
cdef bint is_made_of(
    Request request, Py_ssize_t place, Py_ssize_t count, const u8 *alphabet
) noexcept

@cython.locals(index=Py_ssize_t)
cdef bint is_same(
    const u8 *source, Py_ssize_t at, Py_ssize_t end, const u8 *again, Py_ssize_t count
) noexcept
