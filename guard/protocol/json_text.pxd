# json_text.py for the compiled modules: the same writes, on a pointer.

from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64
from libc.string cimport memcpy

ctypedef u8[20] Digits

cdef extern from *:
    """
    static const char text_pairs[] =
        "0001020304050607080910111213141516171819"
        "2021222324252627282930313233343536373839"
        "4041424344454647484950515253545556575859"
        "6061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    static const char text_hex[] = "0123456789abcdef";
    """
    const char *text_pairs
    const char *text_hex


cdef inline Py_ssize_t put(u8 *out, Py_ssize_t at, bytes piece) noexcept:
    memcpy(out + at, <const u8 *>piece, len(piece))
    return at + len(piece)


cdef inline Py_ssize_t put_slice(
    u8 *out, Py_ssize_t at, const u8 *source, Py_ssize_t start, Py_ssize_t count
) noexcept:
    memcpy(out + at, source + start, count)
    return at + count


cdef inline Py_ssize_t put_quoted(
    u8 *out, Py_ssize_t at, const u8 *source, Py_ssize_t start, Py_ssize_t count
) noexcept:
    cdef Py_ssize_t index
    cdef u8 character
    out[at] = 34  # a quotation mark
    at += 1
    for index in range(start, start + count):
        character = source[index]
        if character == 34 or character == 92:
            out[at] = 92  # a backslash
            at += 1
        out[at] = character
        at += 1
    out[at] = 34
    return at + 1


cdef inline Py_ssize_t put_u64(u8 *out, Py_ssize_t at, u64 value) noexcept nogil:
    cdef Digits digits
    cdef Py_ssize_t first = 20
    cdef const char *pair
    while value >= 100:
        pair = text_pairs + 2 * (value % 100)
        value //= 100
        first -= 2
        digits[first] = pair[0]
        digits[first + 1] = pair[1]
    if value >= 10:
        pair = text_pairs + 2 * value
        first -= 2
        digits[first] = pair[0]
        digits[first + 1] = pair[1]
    else:
        first -= 1
        digits[first] = <u8>(48 + value)
    memcpy(out + at, digits + first, 20 - first)
    return at + 20 - first


cdef inline Py_ssize_t put_i64(u8 *out, Py_ssize_t at, i64 value) noexcept nogil:
    if value >= 0:
        return put_u64(out, at, <u64>value)
    out[at] = 45  # a minus
    return put_u64(out, at + 1, 0 - <u64>value)


cdef inline Py_ssize_t put_hex(
    u8 *out, Py_ssize_t at, const u8 *value, Py_ssize_t count
) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(count):
        out[at + 2 * index] = text_hex[value[index] >> 4]
        out[at + 2 * index + 1] = text_hex[value[index] & 15]
    return at + 2 * count
