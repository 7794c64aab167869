# The types of chains.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine cimport settling
from guard.engine.remembered cimport RememberedOrders
from guard.engine.row_map cimport RowMap
from guard.engine.shares cimport DeskIds
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request

cdef Py_ssize_t _NO_ROW, _FIRST, _STANDING, _PENDING, _LOTS, _LOTS_EVER
cdef Py_ssize_t _HOLD, _FILLED, _RELEASE_SEQUENCE, _RELEASED, _REDUCED, _CHAIN
cdef i64 _REPLACED, _LATE

@cython.locals(chain=i64)
cpdef Py_ssize_t standing(RememberedOrders orders, Py_ssize_t first) except -2

@cython.locals(chain=i64)
cpdef Py_ssize_t pending(RememberedOrders orders, Py_ssize_t first) except -2

cpdef i64 lots_ever(RememberedOrders orders, Py_ssize_t first) except? -1

@cython.locals(left_ever=i64)
cpdef i64 admitted_of(
    RememberedOrders orders, Py_ssize_t first, i64 lots, i64 within
) except? -1

@cython.locals(chain=i64)
cpdef i64 lots(RememberedOrders orders, Py_ssize_t first) except? -1

@cython.locals(off=u64)
cpdef i64 lots_of(RememberedOrders orders, Py_ssize_t row, Request order) except? -1

cpdef i64 lots_left(i64 lots, i64 filled) noexcept

cpdef i64 hold_of(RememberedOrders orders, Py_ssize_t row, i64 filled) except? -1

@cython.locals(order=Request, answer=Outcome, quantity=i64, lots=i64, left=i64)
cdef tuple _lots_and_hold(RememberedOrders orders, Py_ssize_t row, i64 filled, i64 off)

@cython.locals(
    stands=Py_ssize_t, waits=Py_ssize_t, lots=i64, hold=i64, of_other=i64, held=i64
)
cpdef tuple larger(
    RememberedOrders orders, Py_ssize_t first, i64 filled, Py_ssize_t own=*, i64 off=*
)

@cython.locals(chain=i64, filled=i64)
cpdef i64 held_with(RememberedOrders orders, Py_ssize_t first, i64 left) except? -1

@cython.locals(chain=i64, lots=i64)
cpdef i64 begin(RememberedOrders orders, Py_ssize_t first) except? -1

@cython.locals(chain=i64, row=Py_ssize_t, rows=RowMap, chains=RowMap)
cpdef Py_ssize_t add(
    RememberedOrders orders, DeskIds share, Py_ssize_t first, Request request, Outcome outcome
) except -2

cdef int _count_lots(RememberedOrders orders, Py_ssize_t first) except -1

cpdef int take_off(RememberedOrders orders, Py_ssize_t row, i64 lots) except -1

@cython.locals(
    first=Py_ssize_t, rows=RowMap, chains=RowMap, chain=i64, sequence=i64, ended=Py_ssize_t
)
cpdef Py_ssize_t settle(
    RememberedOrders orders, Py_ssize_t row, Outcome outcome, bint is_replaced, bint is_late
) except -2

cpdef i64 settled_by(RememberedOrders orders, Py_ssize_t row) except? -1

@cython.locals(rows=RowMap, open_quantity=i64, sequence=i64)
cpdef int put_settled(RememberedOrders orders, Py_ssize_t row, Outcome outcome) except -1

@cython.locals(order=Request, answer=Outcome)
cpdef u64 sequence_of(RememberedOrders orders, Py_ssize_t row) except? 0
