# little_endian.py for the compiled kernel. Written by the byte, so that the order of bytes in the
# machine does not matter; the compiler makes one load or store of each.

from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint16_t as u16, uint32_t as u32, uint64_t as u64
from libc.string cimport memcmp, memcpy


cdef inline u16 load_u16(const u8 *row, Py_ssize_t at) noexcept nogil:
    cdef const u8 *p = row + at
    return <u16>(p[0] | <u32>p[1] << 8)


cdef inline u32 load_u32(const u8 *row, Py_ssize_t at) noexcept nogil:
    cdef const u8 *p = row + at
    return p[0] | <u32>p[1] << 8 | <u32>p[2] << 16 | <u32>p[3] << 24


cdef inline u64 load_u64(const u8 *row, Py_ssize_t at) noexcept nogil:
    cdef const u8 *p = row + at
    return (
        p[0] | <u64>p[1] << 8 | <u64>p[2] << 16 | <u64>p[3] << 24
        | <u64>p[4] << 32 | <u64>p[5] << 40 | <u64>p[6] << 48 | <u64>p[7] << 56
    )


cdef inline i64 load_i64(const u8 *row, Py_ssize_t at) noexcept nogil:
    return <i64>load_u64(row, at)


cdef inline void store_u16(u8 *out, Py_ssize_t at, u16 value) noexcept nogil:
    cdef u8 *p = out + at
    p[0] = value & 0xFF
    p[1] = value >> 8


cdef inline void store_u32(u8 *out, Py_ssize_t at, u32 value) noexcept nogil:
    cdef u8 *p = out + at
    p[0] = value & 0xFF
    p[1] = value >> 8 & 0xFF
    p[2] = value >> 16 & 0xFF
    p[3] = value >> 24


cdef inline void store_u64(u8 *out, Py_ssize_t at, u64 value) noexcept nogil:
    cdef u8 *p = out + at
    p[0] = value & 0xFF
    p[1] = value >> 8 & 0xFF
    p[2] = value >> 16 & 0xFF
    p[3] = value >> 24 & 0xFF
    p[4] = value >> 32 & 0xFF
    p[5] = value >> 40 & 0xFF
    p[6] = value >> 48 & 0xFF
    p[7] = value >> 56


cdef inline void store_i64(u8 *out, Py_ssize_t at, i64 value) noexcept nogil:
    store_u64(out, at, <u64>value)


cdef inline bytes bytes_at(const u8 *row, Py_ssize_t at, Py_ssize_t count):
    return row[at:at + count]


cdef inline void store_bytes(u8 *out, Py_ssize_t at, bytes value) noexcept:
    memcpy(out + at, <const u8 *>value, len(value))


cdef inline void copy_bytes(
    u8 *out, Py_ssize_t at, const u8 *source, Py_ssize_t count
) noexcept nogil:
    memcpy(out + at, source, count)


cdef inline bint are_equal(const u8 *one, const u8 *other, Py_ssize_t count) noexcept nogil:
    return memcmp(one, other, count) == 0


cdef inline bytes bytes_of(const u8 *out, Py_ssize_t count):
    return out[:count]
