# The types of barethread.py, for the compiler alone.

from wal cimport diskcalls

cdef class BareThread:
    cdef int _go_read, _go_write, _done_read, _done_write
    cdef diskcalls.Job _job
    cdef object _name, _thread, _loop, _lines, _on_done
