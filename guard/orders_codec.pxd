# The types of orders_codec.py, for the compiler alone.

cimport cython

cpdef bytes order_key(desk, client_order_id)
cpdef bytes fill_key(desk, client_order_id, fill_id)
cdef bytes _encode(tuple values)
cpdef bytes encode_order(order, answer)

cpdef tuple decode_order(desk, client_order_id, bytes payload)
cpdef bytes encode_fill(fill, answer)
cpdef fill_sequence(bytes payload)
cpdef tuple decode_fill(desk, client_order_id, fill_id, bytes payload)
