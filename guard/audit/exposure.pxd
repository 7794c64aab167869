# The types of exposure.py, for the compiler alone. What is held and spent together fits an i64, as
# kernel.ledger_lines says; times are Python's integers, whatever a log says of them.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64

from guard.engine.state cimport GuardState
from kernel.ledger cimport BudgetEngine
from kernel.ledger_lines cimport Tenant

@cython.final
cdef class ExposureRow:
    cdef i64 held_peak, used_peak, held, spent, granted, cap

    @cython.locals(held=i64, spent=i64)
    cdef int take(self, Tenant tenant) except -1
    cpdef int merge(self, ExposureRow later) except -1

@cython.final
cdef class DeskExposure:
    cdef public dict rows
    cdef public i64 held_peak_microcents, used_peak_microcents
    cdef public object held_peak_sequence, used_peak_sequence
    cdef public i64 held, spent, granted, cap

    cpdef bint stands_as(self, Tenant tenant) except -1

@cython.final
cdef class ExposureBook:
    cdef public dict desks
    cdef Py_ssize_t _rows_max, _row_count
    cdef object _grid, _index, _from_ns, _until_ns

    @cython.locals(
        tenant=Tenant, line=DeskExposure, row=ExposureRow, held=i64, used=i64, is_new=bint
    )
    cpdef note(self, desk, BudgetEngine ledger, u64 sequence, at_ns)
    @cython.locals(line=DeskExposure)
    cpdef int seed(self, GuardState state, u64 sequence, at_ns) except -1
