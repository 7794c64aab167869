# rawzmq.py for the compiled router: libzmq's C interface, by the addresses of its functions.

from cpython.bytes cimport PyBytes_AsStringAndSize, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.errno cimport EINTR
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint64_t as u64
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

# zmq.h's ZMQ_DONTWAIT, ZMQ_SNDMORE, ZMQ_SRCFD and ZMQ_EVENTS: numbers that libzmq never changes.
cdef enum:
    DONTWAIT = 1
    SNDMORE = 2
    SOURCE = 2
    EVENTS = 15

ctypedef u64[8] Message  # a zmq_msg_t: 64 bytes, aligned as a pointer is

ctypedef int (*InitFunction)(void *message) noexcept nogil
ctypedef int (*InitSizeFunction)(void *message, size_t size) noexcept nogil
ctypedef void (*DoneFunction)(void *data, void *hint) noexcept nogil
ctypedef int (*InitDataFunction)(
    void *message, void *data, size_t size, DoneFunction done, void *hint
) noexcept nogil
ctypedef void *(*DataFunction)(void *message) noexcept nogil
ctypedef size_t (*SizeFunction)(const void *message) noexcept nogil
ctypedef int (*PropertyFunction)(const void *message, int property) noexcept nogil
ctypedef int (*TransferFunction)(void *message, void *socket, int flags) noexcept nogil
ctypedef int (*GetFunction)(void *socket, int option, void *value, size_t *size) noexcept nogil
ctypedef int (*ErrorFunction)() noexcept nogil

cdef extern from *:
    """
    #define rawzmq_add(cell, count) __atomic_add_fetch(cell, count, __ATOMIC_ACQ_REL)
    #define rawzmq_load(cell) __atomic_load_n(cell, __ATOMIC_ACQUIRE)
    """
    i64 atomic_add "rawzmq_add"(i64 *cell, i64 count) noexcept nogil
    i64 atomic_load "rawzmq_load"(i64 *cell) noexcept nogil

# The bytes of lent frames that libzmq holds. The interpreter's thread adds, libzmq's take away.
ctypedef struct TallyState:
    i64 lent_bytes
    i64 holders  # its owner and every frame counted in it; the last to leave frees it
    TallyState *above  # the port's own, which has this one among its holders; NULL there

ctypedef TallyState *Tally

# What stands before a lent frame's bytes, in the same piece of memory.
ctypedef struct LentState:
    Tally tally
    size_t size

ctypedef struct PortState:
    void *socket  # NULL once closed, for which libzmq answers ENOTSOCK
    int error
    bint has_more
    Tally lent
    InitFunction init
    InitSizeFunction init_size
    InitDataFunction init_data
    InitFunction close
    DataFunction data
    SizeFunction size
    InitFunction more
    PropertyFunction property
    TransferFunction recv
    TransferFunction send
    GetFunction get
    ErrorFunction last_error

ctypedef PortState *Port


cdef inline Tally new_tally(Tally above) except NULL:
    cdef Tally tally = <Tally>malloc(sizeof(TallyState))
    if tally == NULL:
        raise MemoryError
    tally.lent_bytes = 0
    tally.holders = 1
    tally.above = above
    if above != NULL:
        atomic_add(&above.holders, 1)
    return tally


cdef inline void leave_tally(Tally tally) noexcept nogil:
    cdef Tally above
    while tally != NULL and atomic_add(&tally.holders, -1) == 0:
        above = tally.above
        free(tally)
        tally = above


cdef inline Port open_port(socket, tuple addresses) except NULL:
    cdef size_t init, init_size, init_data, close, data, size, more, property
    cdef size_t recv, send, get, last_error
    (
        init, init_size, init_data, close, data, size, more, property,
        recv, send, get, last_error,
    ) = addresses
    cdef size_t handle = socket.underlying
    cdef Tally lent = new_tally(NULL)
    cdef Port port = <Port>PyMem_Malloc(sizeof(PortState))
    if port == NULL:
        leave_tally(lent)
        raise MemoryError
    port.lent = lent
    port.socket = <void *>handle
    port.error = 0
    port.has_more = False
    port.init = <InitFunction>init
    port.init_size = <InitSizeFunction>init_size
    port.init_data = <InitDataFunction>init_data
    port.close = <InitFunction>close
    port.data = <DataFunction>data
    port.size = <SizeFunction>size
    port.more = <InitFunction>more
    port.property = <PropertyFunction>property
    port.recv = <TransferFunction>recv
    port.send = <TransferFunction>send
    port.get = <GetFunction>get
    port.last_error = <ErrorFunction>last_error
    return port


cdef inline void detach(Port port) noexcept:
    port.socket = NULL


cdef inline void free_port(Port port) noexcept:
    if port != NULL:
        leave_tally(port.lent)
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


cdef inline int skip(Port port) noexcept:
    cdef Message message
    port.init(message)
    while port.recv(message, port.socket, DONTWAIT) < 0:
        port.error = port.last_error()
        if port.error != EINTR:
            port.close(message)
            return port.error
    port.has_more = port.more(message)
    port.close(message)
    return 0


cdef inline int skip_source(Port port) noexcept:
    cdef Message message
    cdef int descriptor
    port.init(message)
    while port.recv(message, port.socket, DONTWAIT) < 0:
        port.error = port.last_error()
        if port.error != EINTR:
            port.close(message)
            return -1
    port.has_more = port.more(message)
    descriptor = port.property(message, SOURCE)
    port.close(message)
    return descriptor


cdef inline int put(Port port, frame, bint is_last) except -1:
    cdef Message message
    cdef char *from_
    cdef Py_ssize_t size
    PyBytes_AsStringAndSize(frame, &from_, &size)
    if port.init_size(message, size) < 0:
        raise MemoryError
    memcpy(port.data(message), from_, size)
    return _send(port, message, DONTWAIT if is_last else DONTWAIT | SNDMORE)


cdef inline int _send(Port port, void *message, int flags) noexcept:
    cdef int error
    while port.send(message, port.socket, flags) < 0:
        error = port.last_error()
        if error != EINTR:
            port.close(message)
            return error
    return 0


cdef inline open_tally(Port port):
    cdef Tally tally = new_tally(port.lent)
    try:
        return PyCapsule_New(tally, NULL, _close_tally)
    except:
        leave_tally(tally)
        raise


cdef inline void _close_tally(capsule) noexcept:
    leave_tally(<Tally>PyCapsule_GetPointer(capsule, NULL))


cdef inline i64 lent_bytes(tally) except -1:
    return atomic_load(&(<Tally>PyCapsule_GetPointer(tally, NULL)).lent_bytes)


cdef inline i64 all_lent_bytes(Port port) noexcept:
    return atomic_load(&port.lent.lent_bytes)


cdef inline int put_lent(Port port, frame, tally) except -1:
    cdef Message message
    cdef char *from_
    cdef Py_ssize_t size
    cdef Tally client = <Tally>PyCapsule_GetPointer(tally, NULL)
    PyBytes_AsStringAndSize(frame, &from_, &size)
    cdef LentState *lent = <LentState *>malloc(sizeof(LentState) + size)
    if lent == NULL:
        raise MemoryError
    lent.tally = client
    lent.size = size
    memcpy(lent + 1, from_, size)
    atomic_add(&client.holders, 1)
    atomic_add(&client.lent_bytes, size)
    atomic_add(&client.above.lent_bytes, size)
    if port.init_data(message, lent + 1, size, _end_lent, lent) < 0:
        _end_lent(NULL, lent)
        raise MemoryError
    return _send(port, message, DONTWAIT)


# Called by whichever of libzmq's threads, or ours, closes the frame last. No interpreter here.
cdef inline void _end_lent(void *_data, void *hint) noexcept nogil:
    cdef LentState *lent = <LentState *>hint
    cdef Tally client = lent.tally
    atomic_add(&client.above.lent_bytes, -<i64>lent.size)
    atomic_add(&client.lent_bytes, -<i64>lent.size)
    leave_tally(client)
    free(lent)


cdef inline int events(Port port) noexcept:
    cdef int ready = 0
    cdef size_t size = sizeof(ready)
    cdef int error
    while port.get(port.socket, EVENTS, &ready, &size) < 0:
        error = port.last_error()
        if error != EINTR:
            return -error
    return ready
