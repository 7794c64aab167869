# libcrypto.py for the compiled kernel: SHA-256 of the OpenSSL that this process has loaded. The
# struct is the public one of <openssl/sha.h>, whose layout is part of that library's interface.

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


cdef inline bint digest_into(
    Functions functions, const u8 *first, Py_ssize_t first_size, const u8 *second,
    Py_ssize_t second_size, u8 *out,
) noexcept nogil:
    cdef Context context
    if functions.init == NULL:
        return False
    functions.init(&context)
    functions.update(&context, first, first_size)
    functions.update(&context, second, second_size)
    functions.final(out, &context)
    return True
