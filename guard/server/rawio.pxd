# rawio.py for the compiled door: the system calls themselves, by descriptor.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t as u32, uint64_t as u64

cdef extern from "sys/uio.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "sys/socket.h" nogil:
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
    Py_ssize_t recv_ "recv"(int descriptor, void *place, size_t size, int flags)
    Py_ssize_t sendmsg_ "sendmsg"(int descriptor, const msghdr *message, int flags)

cdef extern from "sys/epoll.h" nogil:
    union epoll_data:
        int fd
    struct epoll_event:
        u32 events
        epoll_data data
    int epoll_wait_ "epoll_wait"(int descriptor, epoll_event *events, int events_max, int timeout)

cdef extern from "string.h" nogil:
    void *memset(void *place, int value, size_t size)

cdef enum:
    PIECES_MAX = 256
    EVENTS_MAX = 256

ctypedef int Link
ctypedef int Poller


cdef inline Link open_link(of) except -1:
    return of.fileno()


cdef inline Poller open_poller(of) except -1:
    return of.fileno()


cdef inline Py_ssize_t receive(
    Link link, bytearray place, Py_ssize_t at, Py_ssize_t count
) noexcept:
    cdef Py_ssize_t received
    while True:
        received = recv_(link, PyByteArray_AS_STRING(place) + at, count, MSG_DONTWAIT)
        if received >= 0:
            return received
        if errno != EINTR:
            return -errno


cdef inline Py_ssize_t send(Link link, list pieces, Py_ssize_t index, Py_ssize_t offset):
    cdef iovec[PIECES_MAX] vectors
    cdef msghdr message
    cdef Py_ssize_t sent
    cdef int count = 0
    cdef Py_ssize_t piece_count = len(pieces)
    cdef object piece
    while count < PIECES_MAX and index < piece_count:
        piece = pieces[index]
        vectors[count].iov_base = PyBytes_AS_STRING(piece) + offset
        vectors[count].iov_len = PyBytes_GET_SIZE(piece) - offset
        offset = 0
        count += 1
        index += 1
    memset(&message, 0, sizeof(message))
    message.msg_iov = vectors
    message.msg_iovlen = count
    while True:
        sent = sendmsg_(link, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
        if sent >= 0:
            return sent
        if errno != EINTR:
            return -errno


cdef inline list wait(Poller poller, int events_max):
    cdef epoll_event[EVENTS_MAX] events
    cdef int count, index
    cdef list ready
    while True:
        count = epoll_wait_(poller, events, min(events_max, <int>EVENTS_MAX), 0)
        if count == 0:
            return None
        if count > 0:
            break
        if errno != EINTR:
            raise OSError(errno, "epoll_wait")
    ready = []
    for index in range(count):
        ready.append((events[index].data.fd, events[index].events))
    return ready
