"""Non-blocking reads, writes and waits: the few system calls that the door makes for a message.

Owns nothing but these. As they stand here they are Python's own methods. Compiled, the door takes
the same functions from `rawio.pxd` beside this file, which make the calls themselves: neither an
exception where nothing waits, nor the interpreter given away and won back for a microsecond's work.

How it fails: an error is minus its number, never a guess; EINTR is tried again.
"""

import errno
import select
import socket
from typing import TypeAlias

PIECES_MAX = 256  # of one write; the system takes 1,024

Link: TypeAlias = socket.socket
Poller: TypeAlias = select.epoll


def open_link(of: socket.socket) -> Link:
    """What the calls below take for a socket."""
    return of


def open_poller(of: select.epoll) -> Poller:
    """What `wait` takes for a set of descriptors."""
    return of


def receive(link: Link, place: bytearray, at: int, count: int) -> int:
    """Reads up to `count` bytes into `place` from `at` on; how many, 0 at the end."""
    try:
        return link.recv_into(memoryview(place)[at : at + count])
    except OSError as error:
        return -(error.errno or errno.EIO)


def send(link: Link, pieces: list[bytes], index: int, offset: int) -> int:
    """Writes the pieces from `index` on, the first one from `offset` on; how many bytes went."""
    first = memoryview(pieces[index])[offset:]
    try:
        return link.sendmsg([first, *pieces[index + 1 : index + PIECES_MAX]])
    except OSError as error:
        return -(error.errno or errno.EIO)


def wait(poller: Poller, events_max: int) -> list[tuple[int, int]] | None:
    """(Descriptor, what it is ready for) of those that are now; None where none is."""
    return poller.poll(0, events_max) or None
