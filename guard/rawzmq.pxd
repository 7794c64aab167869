# rawzmq.py for the compiled router: libzmq's C interface, by the addresses of its functions.

from cpython.bytes cimport PyBytes_AsStringAndSize, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EINTR
from libc.stdint cimport uint64_t as u64
from libc.string cimport memcpy

# zmq.h's ZMQ_DONTWAIT, ZMQ_SNDMORE and ZMQ_EVENTS: numbers that libzmq never changes.
cdef enum:
    DONTWAIT = 1
    SNDMORE = 2
    EVENTS = 15

ctypedef u64[8] Message  # a zmq_msg_t: 64 bytes, aligned as a pointer is

ctypedef int (*InitFunction)(void *message) noexcept nogil
ctypedef int (*InitSizeFunction)(void *message, size_t size) noexcept nogil
ctypedef void *(*DataFunction)(void *message) noexcept nogil
ctypedef size_t (*SizeFunction)(const void *message) noexcept nogil
ctypedef int (*TransferFunction)(void *message, void *socket, int flags) noexcept nogil
ctypedef int (*GetFunction)(void *socket, int option, void *value, size_t *size) noexcept nogil
ctypedef int (*ErrorFunction)() noexcept nogil

ctypedef struct PortState:
    void *socket  # NULL once closed, for which libzmq answers ENOTSOCK
    int error
    bint has_more
    InitFunction init
    InitSizeFunction init_size
    InitFunction close
    DataFunction data
    SizeFunction size
    InitFunction more
    TransferFunction recv
    TransferFunction send
    GetFunction get
    ErrorFunction last_error

ctypedef PortState *Port


cdef inline Port open_port(socket, tuple addresses) except NULL:
    cdef size_t init, init_size, close, data, size, more, recv, send, get, last_error
    init, init_size, close, data, size, more, recv, send, get, last_error = addresses
    cdef size_t handle = socket.underlying
    cdef Port port = <Port>PyMem_Malloc(sizeof(PortState))
    if port == NULL:
        raise MemoryError
    port.socket = <void *>handle
    port.error = 0
    port.has_more = False
    port.init = <InitFunction>init
    port.init_size = <InitSizeFunction>init_size
    port.close = <InitFunction>close
    port.data = <DataFunction>data
    port.size = <SizeFunction>size
    port.more = <InitFunction>more
    port.recv = <TransferFunction>recv
    port.send = <TransferFunction>send
    port.get = <GetFunction>get
    port.last_error = <ErrorFunction>last_error
    return port


cdef inline void detach(Port port) noexcept:
    port.socket = NULL


cdef inline void free_port(Port port) noexcept:
    PyMem_Free(port)


cdef inline bytes take(Port port):
    cdef Message message
    port.init(message)
    while port.recv(message, port.socket, DONTWAIT) < 0:
        port.error = port.last_error()
        if port.error != EINTR:
            port.close(message)
            return None
    try:
        port.has_more = port.more(message)
        return PyBytes_FromStringAndSize(<char *>port.data(message), port.size(message))
    finally:
        # At once: libzmq reuses the buffer that it reads into when nobody holds a part of it.
        port.close(message)


cdef inline bint has_more(Port port) noexcept:
    return port.has_more


cdef inline int put(Port port, frame, bint is_last) except -1:
    cdef Message message
    cdef char *from_
    cdef Py_ssize_t size
    cdef int error
    PyBytes_AsStringAndSize(frame, &from_, &size)
    if port.init_size(message, size) < 0:
        raise MemoryError
    memcpy(port.data(message), from_, size)
    while port.send(message, port.socket, DONTWAIT if is_last else DONTWAIT | SNDMORE) < 0:
        error = port.last_error()
        if error != EINTR:
            port.close(message)
            return error
    return 0


cdef inline int events(Port port) noexcept:
    cdef int ready = 0
    cdef size_t size = sizeof(ready)
    cdef int error
    while port.get(port.socket, EVENTS, &ready, &size) < 0:
        error = port.last_error()
        if error != EINTR:
            return -error
    return ready
