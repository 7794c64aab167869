# The types of row_map.py, for the compiler alone. Nothing here changes what the code means: rows and
# slots are fewer than 2^32 and places less than 2^48, so that nothing wraps.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from kernel cimport little_endian as le

cdef Py_ssize_t _GRAIN_BYTES, _GRAINS_MAX, _BLOB_SLAB_BYTES, _ROWS_PER_SLAB, _ROWS_MAX, _SLOTS_MIN
cdef Py_ssize_t _BLOB_END_MAX, _INDEX_LOAD_PERCENT, _KEY_BYTES_AT, _BLOB_BYTES_AT, _FIELDS_AT
cdef u64 _U32_MAX
cdef int _ROW_BITS

cdef Py_ssize_t _slots_for(Py_ssize_t entries_max) except -1

@cython.final
cdef class RowMap:
    cdef object _pack_fields, _unpack_fields, _free_rows
    cdef list _row_slabs, _blob_slabs
    cdef dict _free_blobs
    cdef Py_ssize_t _field_count, _row_bytes, _row_count, _blob_end, _entry_count, _entries_max
    cdef u64 _mask
    cdef u64[::1] _index

    @cython.locals(old=u64[::1], old_slots=Py_ssize_t, slot=Py_ssize_t, held=u64)
    cpdef reserve(self, Py_ssize_t entries_max)

    @cython.locals(index=u64[::1], mask=u64, tag=u64, slot=u64, held=u64, row=Py_ssize_t)
    cpdef Py_ssize_t find(self, bytes key) except? -1

    @cython.locals(
        index=u64[::1], mask=u64, tag=u64, slot=u64, held=u64, key_bytes=Py_ssize_t,
        blob_bytes=Py_ssize_t, row=Py_ssize_t, place=Py_ssize_t,
        blob_slab=bytearray, slab=bytearray, at=Py_ssize_t,
    )
    cdef Py_ssize_t add_packed(
        self, bytes key, const u8 *payload, Py_ssize_t payload_bytes, const u8 *packed
    ) except -1

    cpdef Py_ssize_t add(self, bytes key, bytes payload, tuple values) except -1

    @cython.locals(slab=bytearray)
    cpdef tuple values(self, Py_ssize_t row)

    @cython.locals(slab=bytearray, at=Py_ssize_t)
    cpdef set_values(self, Py_ssize_t row, tuple values)

    @cython.locals(slab=bytearray)
    cpdef i64 value(self, Py_ssize_t row, Py_ssize_t field) except? -1

    cpdef set_value(self, Py_ssize_t row, Py_ssize_t field, value)

    @cython.locals(row=Py_ssize_t)
    cpdef Py_ssize_t find_value(
        self, Py_ssize_t field, i64 value, Py_ssize_t begin, Py_ssize_t end
    ) except? -1

    cpdef Py_ssize_t row_end(self) noexcept

    @cython.locals(slab=bytearray)
    cdef int put(self, Py_ssize_t row, Py_ssize_t field, i64 value) except -1

    @cython.locals(slab=bytearray, at=Py_ssize_t, place=Py_ssize_t, blob_slab=bytearray)
    cpdef bytes key(self, Py_ssize_t row)

    @cython.locals(
        slab=bytearray, at=Py_ssize_t, place=Py_ssize_t, blob_slab=bytearray,
        key_bytes=Py_ssize_t, payload_bytes=Py_ssize_t,
    )
    cpdef bytes payload(self, Py_ssize_t row)

    @cython.locals(
        slab=bytearray, at=Py_ssize_t, place=Py_ssize_t, blob_slab=bytearray,
        blob_bytes=Py_ssize_t, grains=Py_ssize_t,
    )
    cpdef remove(self, Py_ssize_t row)

    @cython.locals(
        row=Py_ssize_t, used_count=Py_ssize_t, slab=bytearray, at=Py_ssize_t,
        blob_bytes=Py_ssize_t, grains=Py_ssize_t, tag=u64,
    )
    cdef _index_rows(self)

    @cython.locals(fits=bint, end=u64)
    cdef _check_block(self, u64 place, u64 grains)
    cdef _set_index(self, Py_ssize_t slots)

    @cython.locals(slab=bytearray)
    cdef bint _is_used(self, Py_ssize_t row) except -1

    cdef bytearray _slab_of(self, Py_ssize_t row)
    cdef Py_ssize_t _field_at(self, Py_ssize_t row, Py_ssize_t field) except -1
    cdef bytes _pack(self, tuple values)

    @cython.locals(slab=bytearray, at=Py_ssize_t, place=Py_ssize_t, blob_slab=bytearray)
    cdef bint _has_key(self, Py_ssize_t row, bytes key) except -1

    @cython.locals(row=Py_ssize_t)
    cdef Py_ssize_t _take_row(self) except -1

    @cython.locals(place=Py_ssize_t)
    cdef Py_ssize_t _take_block(self, Py_ssize_t grains) except -1

    @cython.locals(slot=u64)
    cdef u64 _empty_slot(self, u64 tag) except? 0

    @cython.locals(index=u64[::1], mask=u64, hole=u64, slot=u64, held=u64, home=u64)
    cdef _remove_from_index(self, u64 tag, Py_ssize_t row)
