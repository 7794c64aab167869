# The types of state_checks.py, for the compiler alone.

cimport cython

from guard.engine.state cimport Desk, Found, GuardState
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef bint disk_low(GuardState, Request, Outcome, Found) except -1
cdef bint firm_halted(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_halted(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint desk_stopped(GuardState, Request, Outcome, Found) except -1
cdef bint firm_reducing(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint desk_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint symbol_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint desk_symbol_reducing(GuardState, Request, Outcome, Found) except -1
cdef bint desk_halted(GuardState, Request, Outcome, Found) except -1
