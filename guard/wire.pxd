# The types of wire.py, for the compiler alone.

from guard cimport text as texts

cpdef parse_message(bytes body, currency)
cpdef bytes encode_replies(message, list replies)
cpdef parse_request(form, bytes body, currency)
cdef _checked(request, currency)
cpdef check_request(request, currency)
cdef _check_order(order, currency)
cdef set _names

cpdef bint is_name(str text) except -1
cpdef bint is_identifier(str text) except -1
