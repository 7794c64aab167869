# diskcalls.py for the compiled log. The pipes' calls order the two threads' looks at a job.

from libc.errno cimport EIO, EINTR, errno
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64
from libc.stdlib cimport calloc, free
from posix.types cimport off_t

cdef extern from "<unistd.h>" nogil:
    ssize_t c_read "read"(int descriptor, void *data, size_t size)
    ssize_t c_write "write"(int descriptor, const void *data, size_t size)
    ssize_t c_pwrite "pwrite"(int descriptor, const void *data, size_t size, off_t offset)
    int c_fdatasync "fdatasync"(int descriptor)

cdef extern from "<sys/stat.h>":
    struct c_facts "stat":
        u64 st_dev, st_ino
        i64 st_size
    int c_lstat "lstat"(const char *path, c_facts *facts)

cdef struct JobParts:
    int go_descriptor, done_descriptor, descriptor, error_number
    const u8 *data
    Py_ssize_t size, written
    off_t offset

ctypedef JobParts *Job


cdef inline Job new_job(int go_descriptor, int done_descriptor) except NULL:
    cdef Job job = <Job>calloc(1, sizeof(JobParts))
    if job == NULL:
        raise MemoryError
    job.go_descriptor = go_descriptor
    job.done_descriptor = done_descriptor
    return job


cdef inline void free_job(Job job) noexcept:
    free(job)


cdef inline int give(Job job, int descriptor, const u8[::1] lines, off_t offset) except -1:
    job.descriptor = descriptor
    job.data = &lines[0]
    job.size = lines.shape[0]
    job.offset = offset
    return 0


cdef inline void do_job(Job job) noexcept nogil:
    cdef ssize_t count
    job.written = 0
    job.error_number = 0
    while job.written < job.size:
        count = c_pwrite(
            job.descriptor, job.data + job.written, job.size - job.written,
            job.offset + job.written,
        )
        if count <= 0:
            job.error_number = errno if count < 0 else EIO
            return
        job.written += count
    if c_fdatasync(job.descriptor) != 0:
        job.error_number = errno


cdef inline int serve(Job job) except -1:
    cdef u8 byte = 46
    cdef ssize_t count
    with nogil:
        while True:
            count = c_read(job.go_descriptor, &byte, 1)
            if count < 0 and errno == EINTR:
                continue
            if count <= 0:
                break
            do_job(job)
            while c_write(job.done_descriptor, &byte, 1) < 0 and errno == EINTR:
                continue
    return 0


cdef inline bint stands(bytes path, u64 device, u64 inode, i64 size, i64 size_max):
    cdef c_facts facts
    if c_lstat(path, &facts) != 0:
        return False
    return size <= facts.st_size <= size_max and facts.st_ino == inode and facts.st_dev == device
