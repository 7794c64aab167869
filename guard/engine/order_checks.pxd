# The types of order_checks.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine cimport limit_checks, settling
from guard.engine.accounts cimport Account
from guard.engine.remembered cimport RememberedOrders
from guard.engine.shares cimport DeskIds, Shares
from guard.engine.found cimport Desk, Found
from guard.engine.state cimport GuardState
from guard.engine.worth cimport Worth
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef u64 _I64_MAX, _U32_MAX
cdef i64 _NS_PER_MS

@cython.locals(sent_at_ns=i64, window_ns=i64, now_ns=i64)
cdef bint stale_order(GuardState, Request, Outcome, Found) except -1
@cython.locals(ids_max=i64, orders=RememberedOrders, shares=Shares, share=DeskIds)
cdef bint window_full(GuardState, Request, Outcome, Found) except -1
cdef bint unknown_desk(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint account_missing(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk, account=Account)
cdef bint account_unknown(GuardState, Request, Outcome, Found) except -1
cdef bint unknown_symbol(GuardState, Request, Outcome, Found) except -1
cdef bint quantity_out_of_range(GuardState, Request, Outcome, Found) except -1
@cython.locals(worth=Worth, notional=u64, desk_class=Py_ssize_t, symbol_class=Py_ssize_t)
cdef bint notional_overflow(GuardState, Request, Outcome, Found) except -1
@cython.locals(quantity=u64, filled=u64, held=u64)
cdef u64 _more(Request request, Found found, u64 notional) except? 0
@cython.locals(desk=Desk, sent_at_ns=i64, age_max_ms=i64, now_ns=i64)
cdef bint order_too_old(GuardState, Request, Outcome, Found) except -1
@cython.locals(desk=Desk)
cdef bint order_age_unknown(GuardState, Request, Outcome, Found) except -1
@cython.locals(shares=Shares, share=DeskIds)
cdef bint fill_window_full(GuardState, Request, Outcome, Found) except -1
cdef bint unknown_venue(GuardState, Request, Outcome, Found) except -1
cdef bint canceled_before_arrival(GuardState, Request, Outcome, Found) except -1
