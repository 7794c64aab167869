# rawbytes.py for the compiled modules.

from libc.stdint cimport uint8_t as u8, uint64_t as u64
from libc.string cimport memcmp, memcpy


cdef extern from *:
    """
    #if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    #define wal_first_marked(mask) (__builtin_ctzll(mask) >> 3)
    #else
    #define wal_first_marked(mask) 0
    #endif
    """
    Py_ssize_t wal_first_marked(u64 mask) nogil


# Eight bytes at a time, as long as all are plain. (x - k * ones) & ~x has the top bit set of the
# lowest byte that is below k, and of none where no byte is; above that one it may err.
cdef inline Py_ssize_t plain_end(const u8 *text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    cdef u64 ones = <u64>0xFFFFFFFFFFFFFFFF // 255
    cdef u64 eight, quote, backslash, marks
    while at + 8 <= size:
        memcpy(&eight, text + at, 8)
        quote = eight ^ ones * 0x22
        backslash = eight ^ ones * 0x5C
        marks = (
            eight - ones * 0x20 & ~eight | quote - ones & ~quote | backslash - ones & ~backslash
        ) & ones * 0x80
        if marks != 0:
            at += wal_first_marked(marks)
            break
        at += 8
    while text[at] >= 0x20 and text[at] != 0x22 and text[at] != 0x5C:
        at += 1
    return at


cdef inline bint is_hex_digit(u8 byte) noexcept nogil:
    return 0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66


cdef inline bint is_surrogate(u8 first, u8 second) noexcept nogil:
    return first | 0x20 == 0x64 and (0x38 <= second <= 0x39 or 0x61 <= (second | 0x20) <= 0x66)


cdef inline bint is_escaped(u8 byte) noexcept nogil:
    return (
        byte == 0x22 or byte == 0x5C or byte == 0x2F or byte == 0x62 or byte == 0x66
        or byte == 0x6E or byte == 0x72 or byte == 0x74
    )


# By the byte and stopping where they differ: no literal holds the newline that ends the block.
cdef inline bint has_at(
    const u8 *text, Py_ssize_t at, const u8 *literal, Py_ssize_t count
) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(count):
        if text[at + index] != literal[index]:
            return False
    return True


cdef inline bint holds(
    const u8 *text, Py_ssize_t at, const u8 *literal, Py_ssize_t count, Py_ssize_t size
) noexcept nogil:
    return at + count <= size and memcmp(text + at, literal, count) == 0


cdef inline bint same_at(
    const u8 *text, Py_ssize_t at, const u8 *secret, Py_ssize_t count
) noexcept nogil:
    cdef u8 differs = 0
    cdef Py_ssize_t index
    for index in range(count):
        differs |= text[at + index] ^ secret[index]
    return differs == 0


cdef inline bint same_rows(
    const u8 *left, Py_ssize_t left_at, const u8 *right, Py_ssize_t right_at, Py_ssize_t count
) noexcept nogil:
    return memcmp(left + left_at, right + right_at, count) == 0


cdef inline bytes bytes_at(const u8 *text, Py_ssize_t at, Py_ssize_t count):
    return text[at:at + count]


cdef inline bytes bytes_of(const u8 *out, Py_ssize_t count):
    return out[:count]


cdef inline void store_bytes(u8 *out, bytes value) noexcept:
    memcpy(out, <const u8 *>value, len(value))


cdef inline bint is_ascii(const u8 *text, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef u8 seen = 0
    cdef Py_ssize_t index
    for index in range(start, end):
        seen |= text[index]
    return seen < 0x80


cdef inline bint is_utf8(bytes message) except -1:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


cdef inline bint is_hex_of(const u8 *text, Py_ssize_t at, const u8 *digest) noexcept nogil:
    cdef u8 differs = 0
    cdef u8 high
    cdef u8 low
    cdef Py_ssize_t index
    for index in range(32):
        high = digest[index] >> 4
        low = digest[index] & 15
        differs |= text[at + 2 * index] ^ (high + (0x30 if high < 10 else 0x57))
        differs |= text[at + 2 * index + 1] ^ (low + (0x30 if low < 10 else 0x57))
    return differs == 0
