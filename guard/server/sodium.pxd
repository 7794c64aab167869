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


cdef inline bytes box(
    Function sealing, bytes head, int flags, bytes payload, bytearray nonce, bytes key
):
    cdef Py_ssize_t head_bytes = PyBytes_GET_SIZE(head)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef bytes sealed = PyBytes_FromStringAndSize(NULL, head_bytes + MAC_BYTES + 1 + size)
    cdef u8 *out = <u8 *>PyBytes_AS_STRING(sealed)
    memcpy(out, PyBytes_AS_STRING(head), head_bytes)
    out += head_bytes
    out[MAC_BYTES] = <u8>flags
    memcpy(out + MAC_BYTES + 1, PyBytes_AS_STRING(payload), size)
    # The library moves the content to behind the place of the MAC: it stands there already.
    (<Boxing>sealing)(
        out, out + MAC_BYTES, 1 + size, <u8 *>PyByteArray_AS_STRING(nonce),
        <u8 *>PyBytes_AS_STRING(key),
    )
    return sealed
