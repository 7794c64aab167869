# hints.py for the compiled kernel. A compiler that takes no hints is given none.

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define kernel_expect(condition, value) __builtin_expect(condition, value)
    #else
    #define kernel_expect(condition, value) (condition)
    #endif
    """
    long kernel_expect(long condition, long value) nogil


cdef inline bint likely(bint condition) noexcept nogil:
    return kernel_expect(condition, 1)


cdef inline bint unlikely(bint condition) noexcept nogil:
    return kernel_expect(condition, 0)
