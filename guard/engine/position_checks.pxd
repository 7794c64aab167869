# The types of position_checks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.limits cimport Effective
from guard.engine.positions cimport Positions
from guard.engine.shares cimport DeskIds
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef extern from *:
    """
    typedef __int128 position_checks_i128;
    """
    ctypedef long long i128 "position_checks_i128"

cdef i64 _UNSAID
cdef Py_ssize_t _NO_POSITION, _LONG_MAX, _SHORT_MAX, _OPEN_ORDERS_MAX
cdef u64 _BUY, _U64_MAX

cdef bint long_above_max(GuardState, Request, Outcome, Found) except -1
cdef bint exit_beyond_position(GuardState, Request, Outcome, Found) except -1
cdef bint short_above_max(GuardState, Request, Outcome, Found) except -1
@cython.locals(effective=Effective, share=DeskIds, limit=i64)
cdef bint open_orders_above_max(GuardState, Request, Outcome, Found) except -1
@cython.locals(
    effective=Effective, desk=Desk, worth=Worth, positions=Positions, row=Py_ssize_t,
    wide_before=i128, wide_asked=i128, limit=i64
)
cdef bint _is_beyond(
    GuardState state, Request request, Outcome outcome, Found found, Py_ssize_t number
) except -1
