# The types of replies.py, for the compiler alone.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.protocol cimport json_text as text
from guard.protocol cimport layout as tables
from guard.protocol cimport message_pack as pack
from guard.protocol.layout cimport Layout
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _SHORT_MAP_MAX
cdef Py_ssize_t _ECHO_AT, _STATUS_MEMBERS
cdef Py_ssize_t _ADMIT, _REJECT, _ADMIT_UNTIMED, _REJECT_UNTIMED
cdef Py_ssize_t _REJECT_REUSED, _FILL, _RELEASE, _STATUS_BEFORE, _REDUCE, _EXECUTION, _SETTLED
cdef u64 _ADMITTED, _FILLED, _RELEASED, _STATUS, _REDUCED, _EXECUTED, _FOREIGN, _REFUSED, _REUSED
cdef u64 _REPLACED, _REPLACE_REJECTED
cdef u8 _ARRAY
cdef u64 _UNKNOWN_STATE, _REFUSED_STATE
cdef bytes _JSON_ECHO, _PACK_ECHO, _JSON_END, _JSON_ANSWER, _PACK_ANSWER, _JSON_NULL, _PACK_NIL
cdef list _JSON, _PACK
cdef Layout _JSON_BEHIND, _PACK_BEHIND

cdef Py_ssize_t put_reply(
    u8 *out, Py_ssize_t at, Request request, Outcome outcome, bint is_json
) except -2

@cython.locals(out=bytearray)
cpdef bytes reply_body(Request request, Outcome outcome)

@cython.locals(answer=Py_ssize_t, layout=Layout, count=Py_ssize_t)
cdef Py_ssize_t _put_answer(
    u8 *out, Py_ssize_t at, Request request, Outcome outcome, bint is_json, bint has_echo
) except -2

@cython.locals(body=bytes, count=Py_ssize_t)
cdef Py_ssize_t _put_foreign(
    u8 *out, Py_ssize_t at, Request request, Outcome outcome, bint is_json, bint has_echo
) except -2

@cython.locals(kind=u64, is_timed=bint)
cdef Py_ssize_t _answer_of(Outcome outcome) noexcept

@cython.locals(state=u64, members=Py_ssize_t)
cdef Py_ssize_t _put_status(
    u8 *out, Py_ssize_t at, Request request, Outcome outcome, bint is_json
) except -2

cdef Py_ssize_t put_map_head(u8 *out, Py_ssize_t at, Py_ssize_t count) noexcept
cdef Py_ssize_t put_array_head(u8 *out, Py_ssize_t count, bint is_json) noexcept
