# The types of record_rules.py, for the compiler alone. Sequences and times fit an i64: the types of
# a record's fields hold them to it, and so do rows.

cimport cython
from libc.stdint cimport int64_t as i64

from guard cimport text
from guard.state cimport GuardState
from guard.wire cimport check_request

cdef i64 _UNKNOWN
cdef Py_ssize_t _WORD_LENGTH_MAX

cdef _check_is(field, value, wanted)
cdef _check_range(field, value, low, high)
cdef _check_answer(answer, request, sequence)

@cython.final
cdef class RecordRules:
    cdef GuardState _state
    cdef object _key_id
    cdef i64 _batch_first_sequence, _checkpoint_from

    @cython.locals(state=GuardState, batch=i64, last_ns=i64)
    cdef bint follows(
        self, i64 sequence, i64 received_at_ns, i64 batch_first_sequence
    ) except -1

    cdef note_batch(self, i64 batch_first_sequence)
    cpdef note(self, sequence, outcome)
    cpdef check(self, sequence, outcome, previous_hash)

    @cython.locals(state=GuardState, is_unsaid=bint)
    cdef _check_request(self, request)

    cdef _check_order(self, sequence, event)
    cdef _check_fill(self, sequence, event)
    cdef _check_release(self, sequence, event)
