# The types of policy.py, for the compiler alone: they let `prescribe` go from object to row and
# back without a Python call.

from libc.stdint cimport uint8_t as u8

from kernel.prescribe cimport DecisionTable
from kernel.records cimport KernelDecision, KernelInput, decision_of_output_row

cdef class PolicySnapshot:
    cdef bytes _row, _digest
    cdef tuple _models, _values
    cdef DecisionTable _table

    cpdef bytes decide_row(self, bytes input_row)

    cdef int decide_into(self, const u8 *input_row, u8 *output_row) except -1

    cpdef KernelDecision prescribe(self, KernelInput request)
