# The types of exposure_checks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.day_loss cimport Losses, place_of
from guard.engine.exposure cimport Exposure, Proposal
from guard.engine.measures cimport Measure, OwnLimits, SymbolBook
from guard.engine.positions cimport Positions
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef extern from *:
    """
    typedef __int128 exposure_checks_i128;
    """
    ctypedef long long i128 "exposure_checks_i128"

cdef Py_ssize_t _GROSS, _NET, _LONG, _SHORT, _FIGURES, _CONCENTRATION_BPS, _CONCENTRATION_FROM
cdef Py_ssize_t _OF_DESK, _OF_FIRM, _PLACES, _NO_POSITION
cdef i64 _UNSAID, _BPS, _FIRM
cdef u64 _U64_MAX

@cython.locals(
    desk=Desk, worth=Worth, proposal=Proposal, positions=Positions, exposure=Exposure,
    row=Py_ssize_t, measure=Measure, book=SymbolBook, firm=Measure, is_missing=bint, losses=Losses
)
cdef bint price_of_positions_missing(GuardState, Request, Outcome, Found) except -1
cdef bint gross_above_max(GuardState, Request, Outcome, Found) except -1
cdef bint net_above_max(GuardState, Request, Outcome, Found) except -1
cdef bint long_above_max(GuardState, Request, Outcome, Found) except -1
cdef bint short_above_max(GuardState, Request, Outcome, Found) except -1
@cython.locals(
    proposal=Proposal, place=Py_ssize_t, limits=OwnLimits, wide_before=i128, wide_after=i128,
    is_within=bint
)
cdef bint _is_beyond(Outcome outcome, Found found, Py_ssize_t number) except -1
cdef int _say(
    Outcome outcome, Found found, Py_ssize_t place, i64 limit, i128 wide_before, i128 wide_after
) except -1
@cython.locals(
    proposal=Proposal, place=Py_ssize_t, limits=OwnLimits, wide_whole=i128, wide_share=i128
)
cdef bint concentration_above_max(GuardState, Request, Outcome, Found) except -1
