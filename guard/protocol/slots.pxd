# slots.py for the compiled modules.

from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64
from libc.string cimport memcmp, memcpy

from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request


cdef inline u64 number_of(Request request, Outcome outcome, Py_ssize_t slot) noexcept:
    return (&request.kind)[slot] if slot < 64 else (&outcome.kind)[slot - 64]


cdef inline void set_number(
    Request request, Outcome outcome, Py_ssize_t slot, u64 value
) noexcept:
    if slot < 64:
        (&request.kind)[slot] = value
    else:
        (&outcome.kind)[slot - 64] = value


cdef inline void set_signed(
    Request request, Outcome outcome, Py_ssize_t slot, u64 value
) noexcept:
    set_number(request, outcome, slot, value)


cdef inline i64 as_signed(u64 value) noexcept nogil:
    return <i64>value


cdef inline u64 negative(u64 value) noexcept nogil:
    return 0 - value


cdef inline Py_ssize_t text_bytes(Request request, Py_ssize_t text) noexcept:
    return (&request.client_order_id_bytes)[text]


cdef inline void set_text_bytes(Request request, Py_ssize_t text, Py_ssize_t count) noexcept:
    (&request.client_order_id_bytes)[text] = count


cdef inline void set_outcome_number(
    Outcome outcome, Py_ssize_t first, Py_ssize_t place, u64 value
) noexcept:
    (&outcome.kind)[first - 64 + place] = value


cdef inline u64 outcome_number(Outcome outcome, Py_ssize_t place) noexcept:
    return (&outcome.kind)[place]


cdef inline u64 request_number(Request request, Py_ssize_t slot) noexcept:
    return (&request.kind)[slot]


cdef inline bint is_same_text(
    Request one, Request other, Py_ssize_t text, Py_ssize_t place
) noexcept:
    cdef Py_ssize_t count = text_bytes(one, text)
    return count == text_bytes(other, text) and (
        memcmp(<const void *>(one.texts + place), <const void *>(other.texts + place), count) == 0
    )


cdef inline void copy_text(
    Request to, Request of, Py_ssize_t text, Py_ssize_t place
) noexcept:
    cdef Py_ssize_t count = text_bytes(of, text)
    memcpy(<void *>(to.texts + place), <const void *>(of.texts + place), count)
    set_text_bytes(to, text, count)
