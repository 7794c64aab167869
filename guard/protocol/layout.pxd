# The types of layout.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_text as text
from guard.protocol cimport message_pack as pack
from guard.protocol cimport slots
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef int _NUMBER, _SIGNED, _OPTIONAL_NUMBER, _TEXT, _OPTIONAL_TEXT, _WORD, _DETAIL, _SAME_TEXT
cdef int _SAME_SIGNED, _ECHO
cdef bytes _NULL, _NIL
cdef list _DETAILS_JSON, _DETAILS_PACK

@cython.final
cdef class Layout:
    cdef readonly Py_ssize_t count
    cdef readonly list pieces, words, numbers, alphabets
    cdef readonly bytes tail
    cdef int[64] kinds
    cdef Py_ssize_t[64] slots, text_ats, text_maxes
    cdef u64[64] lows, highs, defaults
    cdef u64 required, sparse

cdef bint is_absent(Layout layout, Py_ssize_t index, Request request, Outcome outcome) noexcept

cdef void leave_out(
    Layout layout, Py_ssize_t index, Request request, Outcome outcome
) noexcept

@cython.locals(count=Py_ssize_t, index=Py_ssize_t)
cdef Py_ssize_t count_written(Layout layout, Request request, Outcome outcome) noexcept

@cython.locals(pieces=list, index=Py_ssize_t, kind=int, slot=Py_ssize_t, count=Py_ssize_t, value=u64)
cdef Py_ssize_t write_json(
    Layout layout, u8 *out, Py_ssize_t at, Request request, Outcome outcome
) except -2

@cython.locals(pieces=list, index=Py_ssize_t, kind=int, slot=Py_ssize_t, count=Py_ssize_t, value=u64)
cdef Py_ssize_t write_pack(
    Layout layout, u8 *out, Py_ssize_t at, Request request, Outcome outcome
) except -2

cdef bytes _word(list words, u64 number)
