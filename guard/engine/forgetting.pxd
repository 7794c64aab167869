# The types of forgetting.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.remembered cimport RememberedOrders
from guard.engine.row_map cimport RowMap
from guard.engine.shares cimport DeskIds, Shares

cdef Py_ssize_t _NO_ROW, _STEPS, _EXPIRES, _NEXT_CLOSED, _FIRST_FILL, _CLOSED_BEFORE, _CLOSED_AT
cdef Py_ssize_t _SHARE, _CHAIN, _NEXT_FILL, _FILL_EXPIRES

@cython.locals(share=DeskIds, rows=RowMap, fills=RowMap)
cpdef int forget_expired(RememberedOrders orders, i64 now_ns) except -1

@cython.locals(shares=Shares, fills=RowMap, other=DeskIds, _step=Py_ssize_t)
cpdef int forget_some(
    RememberedOrders orders, DeskIds share, u64 sequence, i64 now_ns
) except -1

@cython.locals(rows=RowMap, row=Py_ssize_t, fill_row=Py_ssize_t, _step=Py_ssize_t)
cdef int _forget_of(RememberedOrders orders, DeskIds share, i64 now_ns) except -1

@cython.locals(rows=RowMap, fills=RowMap)
cdef int _forget_fill(
    RememberedOrders orders, DeskIds share, Py_ssize_t row, Py_ssize_t fill_row
) except -1

@cython.locals(
    rows=RowMap, shares=Shares, share=DeskIds, fill_row=Py_ssize_t, before=Py_ssize_t,
    behind=Py_ssize_t, closed_at_ns=i64, chain=i64,
)
cpdef int forget_order(RememberedOrders orders, Py_ssize_t row) except -1
