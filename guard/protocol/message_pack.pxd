# message_pack.py for the compiled modules: the same writes, on a pointer.

from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64
from libc.string cimport memcmp, memcpy


cdef inline Py_ssize_t put_array_head(u8 *out, Py_ssize_t at, Py_ssize_t count) noexcept nogil:
    if count < 16:
        out[at] = <u8>(0x90 | count)
        return at + 1
    out[at] = 0xDC
    out[at + 1] = <u8>(count >> 8)
    out[at + 2] = <u8>count
    return at + 3


cdef inline Py_ssize_t put_unsigned(u8 *out, Py_ssize_t at, u64 value) noexcept nogil:
    cdef u8 head = 0xCC
    cdef int size = 1
    cdef int index
    if value < 0x80:
        out[at] = <u8>value
        return at + 1
    while size < 8 and value >> (8 * size):
        head += 1
        size *= 2
    out[at] = head
    for index in range(size):
        out[at + 1 + index] = <u8>(value >> (8 * (size - 1 - index)))
    return at + 1 + size


cdef inline Py_ssize_t put_signed(u8 *out, Py_ssize_t at, u64 value) noexcept nogil:
    cdef i64 signed = <i64>value
    cdef u8 head = 0xD0
    cdef int size = 1
    cdef int index
    if signed >= 0:
        return put_unsigned(out, at, value)
    if signed >= -32:
        out[at] = <u8>value
        return at + 1
    while size < 8 and signed < -(<i64>1 << (8 * size - 1)):
        head += 1
        size *= 2
    out[at] = head
    for index in range(size):
        out[at + 1 + index] = <u8>(value >> (8 * (size - 1 - index)))
    return at + 1 + size


cdef inline Py_ssize_t put_text(
    u8 *out, Py_ssize_t at, const u8 *source, Py_ssize_t start, Py_ssize_t count
) noexcept nogil:
    if count < 32:
        out[at] = <u8>(0xA0 | count)
        at += 1
    else:
        out[at] = 0xD9
        out[at + 1] = <u8>count
        at += 2
    memcpy(out + at, source + start, count)
    return at + count


cdef inline Py_ssize_t integer_bytes(
    const u8 *body, Py_ssize_t at, Py_ssize_t end
) noexcept nogil:
    cdef u8 head = body[at]
    cdef Py_ssize_t size
    if head < 0x80:
        return 0
    if head < 0xCC or head > 0xCF:
        return -1
    size = <Py_ssize_t>1 << (head - 0xCC)
    return size if at + 1 + size <= end else -1


cdef inline u64 integer_at(const u8 *body, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    cdef u64 value = 0
    cdef Py_ssize_t index
    if size == 0:
        return body[at]
    for index in range(size):
        value = value << 8 | body[at + 1 + index]
    return value


cdef inline Py_ssize_t map_count(
    const u8 *body, Py_ssize_t at, Py_ssize_t end
) noexcept nogil:
    if at >= end:
        return -1
    if 0x80 <= body[at] <= 0x8F:
        return body[at] & 0x0F
    if body[at] == 0xDE and at + 3 <= end:
        return <Py_ssize_t>body[at + 1] << 8 | body[at + 2]
    return -1


cdef inline Py_ssize_t map_head_bytes(const u8 *body, Py_ssize_t at) noexcept nogil:
    return 3 if body[at] == 0xDE else 1


cdef inline bint stands_at(
    const u8 *body, Py_ssize_t at, Py_ssize_t end, bytes piece
) noexcept:
    cdef Py_ssize_t count = len(piece)
    return at + count <= end and memcmp(body + at, <const u8 *>piece, count) == 0


cdef inline bytes bytes_at(const u8 *body, Py_ssize_t at, Py_ssize_t count):
    return body[at:at + count]


cdef inline void copy(u8 *out, const u8 *source, Py_ssize_t at, Py_ssize_t count) noexcept nogil:
    memcpy(out, source + at, count)
