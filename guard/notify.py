"""Messages to the service manager (systemd's sd_notify protocol).

Owns the one datagram socket of that protocol. Does nothing where `NOTIFY_SOCKET` is not set, which
is every start by hand. Source: sd_notify(3).
"""

import os
import socket


class ServiceNotifier:
    """Tells the service manager how the daemon fares; silent outside of one."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        watchdog_us = os.environ.get("WATCHDOG_USEC", "0")
        watchdog_pid = os.environ.get("WATCHDOG_PID", str(os.getpid()))
        is_ours = watchdog_us.isdigit() and watchdog_pid == str(os.getpid())
        self.watchdog_s = int(watchdog_us) / 1_000_000 if is_ours else 0.0

    def send(self, *assignments: str) -> None:
        """Sends `KEY=value` lines, such as `READY=1`. Raises OSError if the socket is gone."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.sendto("\n".join(assignments).encode(), address)
