# sodium.py for the compiled door: the library's functions themselves, by their address.

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t as u8
from libc.string cimport memcpy

ctypedef int (*Boxing)(
    u8 *out, const u8 *content, unsigned long long size, const u8 *nonce, const u8 *key
) noexcept nogil
ctypedef size_t Function

cdef enum:
    MAC_BYTES = 16


cdef inline Function function(str name) except 0:
    from guard.server.sodium import address_of

    return address_of(name)


cdef inline bint unbox(
    Function opening, bytearray place, Py_ssize_t at, Py_ssize_t count, bytearray nonce, bytes key
) noexcept:
    # The content goes to where it stood sealed: the library need move nothing.
    cdef u8 *box = <u8 *>PyByteArray_AS_STRING(place) + at
    return (<Boxing>opening)(
        box + MAC_BYTES, box, count, <u8 *>PyByteArray_AS_STRING(nonce),
        <u8 *>PyBytes_AS_STRING(key),
    ) == 0


cdef inline bytes box(Function sealing, int flags, bytes payload, bytearray nonce, bytes key):
    cdef Py_ssize_t payload_bytes = PyBytes_GET_SIZE(payload)
    cdef Py_ssize_t size = 16 + MAC_BYTES + 1 + payload_bytes
    cdef Py_ssize_t head_bytes = 2 if size <= 255 else 9
    cdef bytes sealed = PyBytes_FromStringAndSize(NULL, head_bytes + size)
    cdef const u8 *counted = <const u8 *>PyByteArray_AS_STRING(nonce)
    cdef u8 *out = <u8 *>PyBytes_AS_STRING(sealed)
    cdef Py_ssize_t left = size
    cdef int index
    if head_bytes == 2:
        out[0] = 0
        out[1] = <u8>size
    else:
        out[0] = 2
        for index in range(8, 0, -1):
            out[index] = left & 0xFF
            left = left >> 8
    out += head_bytes
    memcpy(out, b"\x07MESSAGE", 8)
    memcpy(out + 8, counted + 16, 8)
    out += 16
    out[MAC_BYTES] = <u8>flags
    memcpy(out + MAC_BYTES + 1, PyBytes_AS_STRING(payload), payload_bytes)
    # The library seals the content where it stands, behind the place of the MAC.
    (<Boxing>sealing)(
        out, out + MAC_BYTES, 1 + payload_bytes, counted, <const u8 *>PyBytes_AS_STRING(key)
    )
    return sealed
