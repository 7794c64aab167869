"""Where a listener listens: `tcp://HOST:PORT` and `ipc://PATH`, as ZeroMQ writes them.

Owns the making of listening sockets and the file of a unix socket. A file that is in the way is
removed only where it is a socket that nobody listens on any more. A socket's file has its mode
before anybody can connect to it.

How it fails: `EndpointError`, which names the endpoint and says why.
"""

import contextlib
import os
import socket
import stat

from guard.config.endpoint import PORT_MAX, UNIX_PATH_BYTES_MAX


class EndpointError(OSError):
    """Nobody can listen there."""


class Endpoint:
    """A listening, non-blocking socket."""

    def __init__(self, text: str, waiting_max: int, socket_mode: int) -> None:
        """Binds and listens. Raises EndpointError."""
        transport, _, place = text.partition("://")
        self._file: tuple[int, int] | None = None  # its device and inode
        self._path = ""
        try:
            if transport == "ipc" and place:
                self.socket = self._bind_unix(place, socket_mode)
                self.text = text
            elif transport == "tcp":
                self.socket = _bind_tcp(place)
                host, port = self.socket.getsockname()[:2]
                self.text = f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
            else:
                raise EndpointError("allowed: tcp://ADDRESS:PORT, ipc://PATH")
            self.socket.listen(waiting_max)
        except OSError as error:
            self.close()
            if isinstance(error, EndpointError):
                raise
            raise EndpointError(error.errno, error.strerror or str(error)) from error

    def _bind_unix(self, place: str, socket_mode: int) -> socket.socket:
        name = os.fsencode(place)
        if not 0 < len(name) <= UNIX_PATH_BYTES_MAX:
            raise EndpointError(f"{len(name)} bytes of path; allowed: {UNIX_PATH_BYTES_MAX}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if place.startswith("@"):  # as ZeroMQ names a socket that has no file
            self.socket.bind(b"\0" + name[1:])
            return self.socket
        _remove_stale(place)
        self.socket.bind(name)
        self._path = place
        status = os.stat(place)
        self._file = status.st_dev, status.st_ino
        os.chmod(place, socket_mode)  # nobody can connect before `listen`
        return self.socket

    def close(self) -> None:
        """Listens no more, and takes its file away if it is still its own."""
        opened: socket.socket | None = getattr(self, "socket", None)
        if opened is None:
            return
        if self._file is not None:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(self._path)
                if (status.st_dev, status.st_ino) == self._file:
                    os.unlink(self._path)
            self._file = None
        opened.close()


def _remove_stale(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise EndpointError("a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass  # its queue is full: somebody listens
    raise EndpointError("another process listens there")


def _bind_tcp(place: str) -> socket.socket:
    host, separator, port_text = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port_text == "*" or (port_text.isdecimal() and int(port_text) <= PORT_MAX)
    if not separator or not host or not is_port:
        raise EndpointError("allowed: tcp://ADDRESS:PORT, with * for any")
    port = 0 if port_text == "*" else int(port_text)
    found = socket.getaddrinfo(
        None if host == "*" else host,
        port,
        socket.AF_INET if host == "*" else socket.AF_UNSPEC,
        socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    # Where a name has several addresses: the one that ZeroMQ would take, of the older family.
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
