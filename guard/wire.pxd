# The types of wire.py, for the compiler alone.

cpdef parse_message(bytes body, currency)
cdef _checked(request, currency)
cpdef check_request(request, currency)
cdef _check_order(order, currency)
cpdef bint is_identifier(str text) except -1
