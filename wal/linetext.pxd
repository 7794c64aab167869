# linetext.py for the compiled staging.

from libc.stdint cimport uint8_t as u8, uint64_t as u64
from libc.string cimport memcpy

cdef extern from *:
    """
    static const char line_hex[] = "0123456789abcdef";
    """
    const char *line_hex


cdef inline Py_ssize_t digit_count(u64 value) noexcept nogil:
    cdef Py_ssize_t count = 1
    while value >= 10:
        value //= 10
        count += 1
    return count


cdef inline Py_ssize_t line_bytes(
    u64 sequence, bytes previous_hash, Py_ssize_t data_bytes
) noexcept:
    return 12 + digit_count(sequence) + 18 + len(previous_hash) + 16 + 64 + 9 + data_bytes + 2


cdef inline void put_line(
    u8 *out, Py_ssize_t at, u64 sequence, bytes previous_hash, const u8 *digest32, const u8 *data,
    Py_ssize_t data_bytes,
) noexcept:
    cdef Py_ssize_t digit = digit_count(sequence), length = len(previous_hash), index
    out += at
    memcpy(out, b'{"sequence":', 12)
    out += 12
    index = digit
    while index > 0:
        index -= 1
        out[index] = <u8>(48 + sequence % 10)
        sequence //= 10
    out += digit
    memcpy(out, b',"previous_hash":"', 18)
    memcpy(out + 18, <const u8 *>previous_hash, length)
    out += 18 + length
    memcpy(out, b'","entry_hash":"', 16)
    out += 16
    for index in range(32):
        out[2 * index] = line_hex[digest32[index] >> 4]
        out[2 * index + 1] = line_hex[digest32[index] & 15]
    out += 64
    memcpy(out, b'","data":', 9)
    memcpy(out + 9, data, data_bytes)
    memcpy(out + 9 + data_bytes, b"}\n", 2)
