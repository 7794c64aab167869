# libcrypto.py for the compiled log: SHA-256 of the OpenSSL that this process has loaded. The struct
# is the public one of <openssl/sha.h>, whose layout is part of that library's interface.

from libc.stdint cimport uint8_t as u8, uint32_t as u32
from libc.string cimport memset

ctypedef int (*Init)(Context *context) noexcept nogil
ctypedef int (*Update)(Context *context, const void *data, size_t size) noexcept nogil
ctypedef int (*Final)(u8 *digest, Context *context) noexcept nogil

cdef extern from "<dlfcn.h>" nogil:
    void *dlopen(const char *path, int mode)
    void *dlsym(void *library, const char *name)
    int RTLD_LAZY, RTLD_NOLOAD

cdef struct Context:
    u32[8] state
    u32[2] bit_count
    u32[16] block
    u32 block_bytes, digest_bytes

cdef struct Functions:  # all three, or none
    Init init
    Update update
    Final final

cdef struct Prepared:
    Functions functions
    bint is_keyed
    Context inner, outer  # behind the key's blocks; each is copied for a message


# A library and what it depends on are searched. It was loaded before and stays: nothing is closed.
cdef inline Functions look_up(bytes path) noexcept:
    cdef Functions found
    cdef void *library = dlopen(<const char *>path, RTLD_LAZY | RTLD_NOLOAD)
    memset(&found, 0, sizeof(found))
    if library != NULL:
        found.init = <Init>dlsym(library, "SHA256_Init")
        found.update = <Update>dlsym(library, "SHA256_Update")
        found.final = <Final>dlsym(library, "SHA256_Final")
        if found.init == NULL or found.update == NULL or found.final == NULL:
            memset(&found, 0, sizeof(found))
    return found


cdef inline Functions no_functions() noexcept:
    cdef Functions none
    memset(&none, 0, sizeof(none))
    return none


cdef inline Prepared prepare(
    Functions functions, bint is_keyed, bytes inner_block, bytes outer_block
) noexcept:
    cdef Prepared prepared
    memset(&prepared, 0, sizeof(prepared))
    prepared.functions = functions
    prepared.is_keyed = is_keyed
    if functions.init != NULL:
        functions.init(&prepared.inner)
        functions.update(&prepared.inner, <const u8 *>inner_block, len(inner_block))
        functions.init(&prepared.outer)
        functions.update(&prepared.outer, <const u8 *>outer_block, len(outer_block))
    return prepared


cdef inline bint digest_into(
    Prepared prepared, bytes first, const u8 *text, Py_ssize_t start, Py_ssize_t end, u8 *out
) noexcept:
    cdef Context context
    if prepared.functions.init == NULL:
        return False
    context = prepared.inner
    prepared.functions.update(&context, <const u8 *>first, len(first))
    prepared.functions.update(&context, text + start, end - start)
    prepared.functions.final(out, &context)
    if prepared.is_keyed:
        context = prepared.outer
        prepared.functions.update(&context, out, 32)
        prepared.functions.final(out, &context)
    return True
