# The types of state_checks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64

from guard.engine.accounts cimport Account
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef int _FIRM, _DESK, _SYMBOL, _DESK_SYMBOL
cdef i64 _NO_LIMIT

cdef bint disk_low(GuardState, Request, Outcome, Found) except -1
cdef bint firm_halted(GuardState, Request, Outcome, Found) except -1
@cython.locals(account=Account)
cdef bint customer_halted(GuardState, Request, Outcome, Found) except -1
@cython.locals(account=Account)
cdef bint customer_reducing(GuardState, Request, Outcome, Found) except -1
@cython.locals(account=Account)
cdef bint account_halted(GuardState, Request, Outcome, Found) except -1
@cython.locals(account=Account)
cdef bint account_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint trader_halted(GuardState, Request, Outcome, Found) except -1
cdef bint trader_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint algo_halted(GuardState, Request, Outcome, Found) except -1
cdef bint algo_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_halted(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint desk_stopped(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint day_loss_above_max(GuardState, Request, Outcome, Found) except -1
cdef bint _has_lost(GuardState state, Outcome outcome, desk, symbol, int scope) except -1
cdef bint firm_reducing(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint desk_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint desk_symbol_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint desk_halted(GuardState, Request, Outcome, Found) except -1
