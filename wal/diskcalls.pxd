# diskcalls.py for the compiled log. The pipes' calls, and `state`, order the two threads' looks at a
# job.

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

cdef extern from *:
    """
    #include <errno.h>
    #include <limits.h>
    #include <linux/futex.h>
    #include <stdint.h>
    #include <sys/syscall.h>
    #include <time.h>
    #include <unistd.h>

    enum { PG_IDLE, PG_UNDER_WAY, PG_TOLD_BY_PIPE, PG_DONE };

    /* Where a job stands: written by both threads. The system wakes who waits for a change. */
    static inline void pg_give(int *state, int is_told_by_pipe) {
        int given = is_told_by_pipe ? PG_TOLD_BY_PIPE : PG_UNDER_WAY;
        __atomic_store_n(state, given, __ATOMIC_RELEASE);
    }

    /* Is it done within the time? If not, the pipe is to tell of it, which is said in one step. */
    static inline int pg_is_done_within(int *state, int64_t timeout_ns) {
        struct timespec end;
        clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += timeout_ns / 1000000000;
        end.tv_nsec += timeout_ns % 1000000000;
        if (end.tv_nsec >= 1000000000) { end.tv_sec++; end.tv_nsec -= 1000000000; }
        while (__atomic_load_n(state, __ATOMIC_ACQUIRE) == PG_UNDER_WAY) {
            /* With this operation the time is one of the monotonic clock, not a duration. */
            if (syscall(SYS_futex, state, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, PG_UNDER_WAY,
                        &end, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
                continue;
            if (errno == EAGAIN || errno == EINTR) continue;
            int expected = PG_UNDER_WAY;
            if (__atomic_compare_exchange_n(state, &expected, PG_TOLD_BY_PIPE, 0,
                                            __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return 0;
        }
        __atomic_store_n(state, PG_IDLE, __ATOMIC_RELEASE);
        return 1;
    }

    /* It is done: is the pipe to tell? */
    static inline int pg_end(int *state) {
        int before = __atomic_exchange_n(state, PG_DONE, __ATOMIC_ACQ_REL);
        if (before == PG_TOLD_BY_PIPE) return 1;
        syscall(SYS_futex, state, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
        return 0;
    }
    """
    void pg_give(int *state, bint is_told_by_pipe) nogil
    bint pg_is_done_within(int *state, i64 timeout_ns) nogil
    bint pg_end(int *state) nogil

cdef struct JobParts:
    int state
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


cdef inline int give(
    Job job, int descriptor, const u8[::1] lines, off_t offset, bint is_told_by_pipe
) except -1:
    job.descriptor = descriptor
    job.data = &lines[0]
    job.size = lines.shape[0]
    job.offset = offset
    pg_give(&job.state, is_told_by_pipe)
    return 0


cdef inline bint is_done_within(Job job, i64 timeout_ns) except -1:
    cdef bint is_done
    with nogil:
        is_done = pg_is_done_within(&job.state, timeout_ns)
    return is_done


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
            if pg_end(&job.state):
                while c_write(job.done_descriptor, &byte, 1) < 0 and errno == EINTR:
                    continue
    return 0


cdef inline bint stands(bytes path, u64 device, u64 inode, i64 size, i64 size_max):
    cdef c_facts facts
    if c_lstat(path, &facts) != 0:
        return False
    return size <= facts.st_size <= size_max and facts.st_ino == inode and facts.st_dev == device
