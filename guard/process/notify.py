"""Messages to the service manager (systemd's sd_notify protocol).

Owns the one datagram socket of that protocol. Does nothing where `NOTIFY_SOCKET` is not set, which
is every start by hand. Source: sd_notify(3).

How it fails: no call waits; a manager that does not read, or is gone, is an `OSError`. What it must
be told once (`announce`) is kept, and goes ahead of whatever is sent next.
"""

import os
import socket
from typing import Final

# It stands still until its manager has read: an answer to an order does not wait for that.
_NEVER_WAITS: Final = socket.MSG_DONTWAIT


class ServiceNotifier:
    """Tells the service manager how the daemon fares; silent outside of one."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "0")
        watchdog_pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        is_ours = watchdog_us.isdigit() and watchdog_pid == str(os.getpid())
        self.watchdog_s = int(watchdog_us) / 1_000_000 if is_ours else 0.0
        self._socket: socket.socket | None = None
        self._kept = b""

    def announce(self, *assignments: str) -> None:
        """Sends `KEY=value` lines that must arrive, in place of earlier ones that have not."""
        self._kept = "\n".join(assignments).encode()
        try:
            self.flush()
        except OSError:
            return  # kept: the next call tells

    def send(self, *assignments: str) -> None:
        """Sends `KEY=value` lines, such as `WATCHDOG=1`. Raises OSError: they are forgotten."""
        self.flush()
        self._send("\n".join(assignments).encode())

    def flush(self) -> None:
        """Sends what must arrive and has not. Raises OSError: it is still kept."""
        if self._kept:
            self._send(self._kept)
            self._kept = b""

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes) -> None:
        if not self._address:
            return
        if self._socket is None:  # and held, so that telling needs no descriptor later on
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        self._socket.sendto(message, _NEVER_WAITS, address)
