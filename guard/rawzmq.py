"""One frame in, one frame out: the few calls of libzmq that `guard.router` makes.

Owns nothing but these. As they stand here they are pyzmq's own methods. Compiled, `guard.router`
takes the same functions from `rawzmq.pxd` beside this file, which call libzmq's C interface in the
library that pyzmq has loaded, at `function_addresses`: a frame costs a tenth then. All of it is
non-blocking, and belongs to one thread at a time, as a socket does.

A frame that is lent (`put_lent`) is counted in a tally while libzmq holds it: it says so when it is
done, on a thread of its own. Compiled, that is a function in C and two atomic numbers; here the
frame is a Python object whose end, which pyzmq brings about on a thread of its own, counts it back.

How it fails: an error of libzmq is a number (`Port.error`, or what `put` returns), never a guess. A
call that a signal interrupted is made again.
"""

import ctypes
import sys
from collections import deque
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
    """The bytes of lent frames that libzmq holds. Lends on one thread; they end on any."""

    __slots__ = ("_bytes", "ended")

    def __init__(self) -> None:
        self._bytes = 0
        self.ended: deque[int] = deque()  # sizes, in bytes; appended on other threads

    def add(self, size: int) -> None:
        self._bytes += size

    def count(self) -> int:
        while self.ended:
            self._bytes -= self.ended.popleft()
        assert self._bytes >= 0
        return self._bytes


class LentFrame(bytes):
    """A body that libzmq reads where it lies; pyzmq drops it when libzmq has done with it."""

    tallies: tuple[Tally, ...] = ()

    def __del__(self) -> None:
        for tally in self.tallies:
            tally.ended.append(len(self))


class Port:
    """A socket's calls, and the error number of the last one that brought nothing."""

    __slots__ = ("error", "get", "lent", "recv", "send")

    def __init__(self, socket: "zmq.Socket[bytes]") -> None:
        # By the backend's own methods: what `zmq.Socket` puts before them costs as much as they do.
        self.recv = zmq.backend.Socket.recv.__get__(socket)
        self.send = zmq.backend.Socket.send.__get__(socket)
        self.get = zmq.backend.Socket.get.__get__(socket)
        self.error = 0
        self.lent = Tally()


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


def lent_bytes(tally: Tally) -> int:
    """How many bytes libzmq holds of the frames that were put with this tally."""
    return tally.count()


def all_lent_bytes(port: Port) -> int:
    """How many bytes libzmq holds of all that was lent at this port."""
    return port.lent.count()


def put_lent(port: Port, frame: bytes, tally: Tally) -> int:
    """As `put`, of a last frame that is counted until libzmq is done with it, sent or not."""
    lent = LentFrame(frame)
    lent.tallies = (tally, port.lent)
    for each in lent.tallies:
        each.add(len(lent))
    try:
        port.send(zmq.Frame(lent, copy=False), _NOBLOCK)
    except zmq.ZMQError as error:
        return _number(error)
    return 0


def events(port: Port) -> int:
    """What the socket is ready for, as in `zmq.EVENTS`; minus the error number where it fails."""
    try:
        ready: int = port.get(_EVENTS)
    except zmq.ZMQError as error:
        return -(_number(error))
    return ready
