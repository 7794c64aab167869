"""One frame in, one frame out: the few calls of libzmq that `guard.router` makes.

Owns nothing but these. As they stand here they are pyzmq's own methods. Compiled, `guard.router`
takes the same functions from `rawzmq.pxd` beside this file, which call libzmq's C interface in the
library that pyzmq has loaded, at `function_addresses`: a frame costs a tenth then. All of it is
non-blocking, and belongs to one thread at a time, as a socket does.

A frame that is lent (`put_lent`) is counted in a tally while libzmq holds it, which calls a
function when it is done, on a thread of its own. Compiled, that one is in C and takes it off an
atomic number. Here nothing is counted: pyzmq hears of a frame's end on a thread that wants the
interpreter for each. Beside a busy loop it falls behind, so that who reads would lose replies; and
when it is some thousand frames behind, and the loop is the one that frees the next, each waits for
the other for good (tried: it happened).

How it fails: an error of libzmq is a number (`Port.error`, or what `put` returns), never a guess. A
call that a signal interrupted is made again.
"""

import ctypes
import sys
from typing import Final

import zmq

# In the order in which rawzmq.pxd reads their addresses.
FUNCTIONS: Final = (
    "zmq_msg_init",
    "zmq_msg_init_size",
    "zmq_msg_init_data",
    "zmq_msg_close",
    "zmq_msg_data",
    "zmq_msg_size",
    "zmq_msg_more",
    "zmq_msg_get",
    "zmq_msg_recv",
    "zmq_msg_send",
    "zmq_getsockopt",
    "zmq_errno",
)
# Since 4.2 a `zmq_msg_t` has 64 bytes, which rawzmq.pxd sets aside; 5 may have others.
VERSION_MIN: Final = (4, 2)
VERSION_END: Final = (5,)

# As plain integers: pyzmq's flags are enums, and combining two costs as much as a receive.
_NOBLOCK: Final = int(zmq.NOBLOCK)
_MORE_NOBLOCK: Final = int(zmq.SNDMORE) | int(zmq.NOBLOCK)
_RCVMORE: Final = int(zmq.RCVMORE)
_EVENTS: Final = int(zmq.EVENTS)


def function_addresses() -> tuple[int, ...]:
    """Where `FUNCTIONS` lie in this process; empty where pyzmq's library does not show them all."""
    if not VERSION_MIN <= zmq.zmq_version_info() < VERSION_END:
        return ()
    backend = sys.modules[zmq.backend.Socket.__module__]
    try:
        library = ctypes.PyDLL(backend.__file__)
        functions = [getattr(library, name) for name in FUNCTIONS]
    except (OSError, AttributeError):
        return ()
    return tuple(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)


class Tally:
    """Compiled: the bytes of lent frames that libzmq holds. Here nothing is counted."""

    __slots__ = ()


class Port:
    """A socket's calls, and the error number of the last one that brought nothing."""

    __slots__ = ("error", "get", "recv", "send")

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        # By the backend's own methods: what `zmq.Socket` puts before them costs as much as they do.
        self.recv = zmq.backend.Socket.recv.__get__(socket)
        self.send = zmq.backend.Socket.send.__get__(socket)
        self.get = zmq.backend.Socket.get.__get__(socket)
        self.error = 0


def _number(error: zmq.ZMQError) -> int:
    assert error.errno is not None
    assert error.errno > 0
    return error.errno


def open_port(socket: "zmq.Socket[bytes]", _addresses: tuple[int, ...]) -> Port:
    """The port of an open socket, which must outlive it. Only rawzmq.pxd needs the addresses."""
    return Port(socket)


def detach(port: Port) -> None:
    """From now on every call fails with ENOTSOCK; before the socket is closed."""
    # pyzmq's methods know by themselves.


def free_port(port: Port) -> None:
    """Gives the port's memory back."""


def take(port: Port) -> bytes | None:
    """The next frame, or None, with `port.error` set: EAGAIN when there is none."""
    try:
        frame: bytes = port.recv(_NOBLOCK)
    except zmq.ZMQError as error:
        port.error = _number(error)
        return None
    return frame


def has_more(port: Port) -> bool:
    """Whether another frame of the same message follows the one just taken."""
    return bool(port.get(_RCVMORE))


def skip(port: Port) -> int:
    """Forgets the next frame, unread. Returns 0, or the error number."""
    return 0 if take(port) is not None else port.error


def skip_source(port: Port) -> int:
    """As `skip`; returns its connection's descriptor, -1 where that, or a frame, is not to be had.

    The descriptor is libzmq's, which may have closed it meanwhile. Interpreted it is never told.
    """
    skip(port)
    return -1


def put(port: Port, frame: bytes, is_last: bool) -> int:
    """Sends a frame of a message. Returns 0, or the error number."""
    try:
        port.send(frame, _NOBLOCK if is_last else _MORE_NOBLOCK)
    except zmq.ZMQError as error:
        return _number(error)
    return 0


def open_tally(_port: Port) -> Tally:
    """Of some of the port's lent frames, beside the port's own; it may end before they do."""
    return Tally()


def lent_bytes(_tally: Tally) -> int:
    """How many bytes libzmq holds of the frames that were put with this tally."""
    return 0


def all_lent_bytes(_port: Port) -> int:
    """How many bytes libzmq holds of all that was lent at this port."""
    return 0


def put_lent(port: Port, frame: bytes, _tally: Tally) -> int:
    """As `put`, of a last frame that is counted until libzmq is done with it, sent or not."""
    return put(port, frame, is_last=True)


def events(port: Port) -> int:
    """What the socket is ready for, as in `zmq.EVENTS`; minus the error number where it fails."""
    try:
        ready: int = port.get(_EVENTS)
    except zmq.ZMQError as error:
        return -(_number(error))
    return ready
