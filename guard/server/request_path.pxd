# The types of request_path.py, for the compiler alone.

cimport cython
from libc.stdint cimport int64_t as i64
from libc.stdint cimport uint8_t as u8, uint64_t as u64

from guard.engine cimport decide as deciding
from guard.engine.engine cimport Engine
from guard.engine.state cimport GuardState
from guard.protocol cimport replies
from guard.server.marks cimport Marks
from guard.protocol.outcome cimport Outcome
from guard.protocol.request cimport Request
from guard.protocol.request_reader cimport RequestReader
from guard.record.writer cimport RecordWriter
from guard.server.permits cimport Permit
from guard.server.revaluing cimport Revaluing
from kernel cimport little_endian as le
from wal.staging cimport Staging

ctypedef u8 *BufferPointer

cdef Py_ssize_t _REPLY_BYTES_MAX, _REPLIES_BYTES
cdef int _EVERYTHING
cdef int _MARKS_SINCE
cdef u64 _MARK, _LIMITS, _POSITIONS
cdef u64 _FILL, _CANCEL, _REDUCE, _EXECUTION, _REPLACE, _REPLACED, _REPLACE_REJECTED
cdef u64 _CANCEL_ALL
cdef u64 _BAD, _ORDER, _PING, _STATS, _HELLO, _ADMITTED, _REJECTED, _REFUSED, _FILLED, _ERROR
cdef u64 _EXECUTED, _OF_NO_ORDER
cdef u64 _FULL, _FILLS_FULL, _UNCHARGED
cdef i64 _CLOCK_TOLERANCE_NS, _TIME_NS_MAX
cdef u8 _COMMA, _ARRAY_END

@cython.final
cdef class RequestPath:
    cdef Engine _engine
    cdef GuardState _state
    cdef Staging _staging
    cdef object _writer
    cdef object _counters, _wall_ns, _system_ns, _greeter
    cdef RequestReader _reader
    cdef Outcome _outcome, _due_outcome
    cdef Request _due_request
    cdef readonly object noted
    cdef object _denials, _groups
    cdef bint _needs_permit
    cdef Permit _permit
    cdef int _refusal
    cdef RecordWriter _record
    cdef bytearray _replies
    cdef bint _is_watched
    cdef Py_ssize_t _records, _rejects
    cdef i64 _elapsed_ns, _last_wall_ns, _wall_now_ns
    cdef readonly Marks marks
    cdef Revaluing _revaluing
    cdef readonly Py_ssize_t messages, requests
    cdef public int refused

    @cython.locals(
        state=GuardState, reader=RequestReader, received_at_ns=i64, clock_ns=i64,
        wall_ns=i64, elapsed_ns=i64, counts_facts=bint,
        batch_first_sequence=u64,
        count=Py_ssize_t, is_late=bint, index=Py_ssize_t, request=Request,
    )
    cpdef answer(self, bytes body, Py_ssize_t frame_count, Permit permit=*)

    cdef i64 _elapsed_at(self, i64 wall_ns) except? -1

    @cython.locals(system_ns=i64)
    cdef i64 _other_clock_ns(self, i64 received_at_ns) except? -1

    @cython.locals(reader=RequestReader, at=Py_ssize_t, index=Py_ssize_t)
    cdef bytes _answer_each(self, Py_ssize_t count)

    @cython.locals(reader=RequestReader, index=Py_ssize_t, request=Request, parts=list)
    cdef _answer_late(self, Py_ssize_t count)

    cpdef dict decided_counters(self, Py_ssize_t taken=*)

    @cython.locals(reader=RequestReader, request=Request, outcome=Outcome)
    cdef Py_ssize_t _answer_one(self, Py_ssize_t index, Py_ssize_t at) except -1

    cdef int _say_mark(self, Request order) except -1
    @cython.locals(reader=RequestReader, first=Request, index=Py_ssize_t)
    cdef bytes _answer_together(self, Py_ssize_t count)
    @cython.locals(at=Py_ssize_t)
    cpdef _put_raw(self, Request request, Outcome outcome)
    cdef _take_together(self, Request first)
    @cython.locals(permit=Permit)
    cdef bint _refuses(self, Request request, Py_ssize_t orders=*) except -1
    cdef Py_ssize_t _put_denial(self, Request request, Py_ssize_t at) except -1
    cpdef list take_denied(self)
    @cython.locals(in_force=u64)
    cdef Py_ssize_t _take_mark(self, Request mark, Py_ssize_t at) except -1
    cdef Py_ssize_t _answer_question(self, Request request, Py_ssize_t at) except -1

    cdef bint _is_refused(self, Request request)
    cdef Py_ssize_t _refuse_for_disk(self, Request request, Py_ssize_t at) except -1

    @cython.locals(record=RecordWriter, size=Py_ssize_t)
    cdef int _take(self, Request request, Outcome outcome) except -1

    @cython.locals(request=Request, outcome=Outcome)
    cdef _take_due(self, Request order)
    @cython.locals(data=bytes)
    cdef _revalue(self, Request order)


    cdef Py_ssize_t _put_error(self, reply, Py_ssize_t at) except -1

    @cython.locals(body=bytes)
    cdef Py_ssize_t _put_message(self, reply, Py_ssize_t at) except -1

    cdef _echo(self, Request request, reply)
    cdef _make_room(self, Py_ssize_t end)

cdef bint is_fact(u64 kind) noexcept
