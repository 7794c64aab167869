# The types of checks.py, for the compiler alone: one line a rule.

cimport cython
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine cimport (
    exposure_checks, limit_checks, order_checks, position_checks, self_match,
    short_sales, state_checks
)
from guard.engine.found cimport Found
from guard.engine.state cimport GuardState
from guard.protocol cimport slots
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from kernel cimport little_endian as le
from kernel.ledger_lines cimport Tenant

ctypedef bint (*Function)(GuardState, Request, Outcome, Found) except -1

cdef u64 _I64_MAX, _RISK_LIMIT, _CONFIDENCE_LIMIT
cdef Py_ssize_t _ACTION_AT, _REASON_AT, _VENUE_AT, _COUNTS_AT, _FIRST_GATE, _GATE_COUNT
cdef u8 _REJECT, _SUBSTITUTE
cdef int _FIRST_VERSION, _LAST_VERSION, _LIMITS_SINCE

@cython.final
cdef class Check:
    cdef readonly u64 number, stage, detail
    cdef readonly object scope, key
    cdef readonly bint bars_kernel, spares_exits
    cdef readonly int since_version, until_version
    cdef Function function

    @cython.locals(function=Function)
    cpdef bint refuses(
        self, GuardState state, Request request, Outcome outcome, Found found
    ) except -1

@cython.locals(check=Check)
cdef Check row(
    number, scope, Function function, bint bars_kernel=*, int since_version=*, int until_version=*,
    key=*, bint spares_exits=*
)

cdef Check limit_row(number, Function function, key)
cdef Check sparing_row(number, Function function, key)
cdef Check entry_row(number, scope, Function function, int since_version=*)

cdef bint kernel_rejects(GuardState, Request, Outcome, Found) except -1
cdef bint substitution_not_allowed(GuardState, Request, Outcome, Found) except -1
@cython.locals(line=Tenant)
cdef bint holds_overflow(GuardState, Request, Outcome, Found) except -1
@cython.locals(line=Tenant)
cdef bint exposure_limit_exceeded(GuardState, Request, Outcome, Found) except -1
@cython.locals(line=Tenant)
cdef bint insufficient(GuardState, Request, Outcome, Found) except -1

@cython.locals(gate=Py_ssize_t, count=u64)
cdef void _take_counts(Outcome outcome) noexcept
