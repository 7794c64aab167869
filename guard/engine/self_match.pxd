# The types of self_match.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.limits cimport Effective
from guard.engine.found cimport Found
from guard.engine.state cimport GuardState
from guard.engine.working_book cimport WorkingBook
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le

cdef Py_ssize_t _SELF_MATCH, _VENUE_AT
cdef i64 _FLAG, _REFUSE

@cython.locals(effective=Effective, worth=Worth, venue=u64)
cdef bint meets_own_order(GuardState, Request, Outcome, Found) except -1

@cython.locals(effective=Effective, worth=Worth)
cdef bint is_flagged(
    GuardState state, Request request, Outcome outcome, Found found
) except -1
