"""What an endpoint may be, told before anything is bound, and where operators are served. Pure.

Owns the form: `tcp://ADDRESS:PORT` and `ipc://PATH`, as `guard.server.endpoints` binds them. A name
is not looked up here: whether it is one of this machine shows when it is bound.
"""

import os
import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

PORT_MAX: Final = 65_535
UNIX_PATH_BYTES_MAX: Final = 107  # sun_path's size, less its end
# Of the admin endpoint: a unix socket beside the log, of the same name; none.
BESIDE_LOG: Final = "beside-log"
NO_ENDPOINT: Final = "none"
IPC_PREFIX: Final = "ipc://"

_TCP = re.compile(r"tcp://(\[[^\]]*\]|[^:\[\]]+):([^:]+)")
_PORT = re.compile(r"[0-9]{1,5}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_NAME_MAX: Final = 253
_LOOPBACK = re.compile(r"tcp://(127\.\d+\.\d+\.\d+|localhost|\[::1\]):(\d+|\*)|ipc://.+")


def admin_endpoint(configured: str, log_directory: str) -> str | None:
    """Where `endpoints.admin` says that operators are served; None for nowhere."""
    if configured == NO_ENDPOINT:
        return None
    if configured == BESIDE_LOG:
        return f"{IPC_PREFIX}{os.path.normpath(log_directory)}.admin"
    return configured


def endpoint_problem(endpoint: str) -> str | None:
    """What is allowed instead; None where somebody could listen there."""
    path = endpoint.removeprefix(IPC_PREFIX)
    if path != endpoint:
        size = len(os.fsencode(path))
        if not path or path == "@" or path.startswith("*"):
            return "allowed: ipc://PATH"
        if size > UNIX_PATH_BYTES_MAX:
            return f"its path has {size} bytes; allowed: {UNIX_PATH_BYTES_MAX}"
        return None
    found = _TCP.fullmatch(endpoint)
    if found is None:
        return "allowed: tcp://ADDRESS:PORT, ipc://PATH"
    host, port = found.groups()
    if port != "*" and not (_PORT.fullmatch(port) and int(port) <= PORT_MAX):
        return f"port {port}; allowed: 0 to {PORT_MAX}, or * for any"
    return _host_problem(host)


def is_loopback(endpoint: str) -> bool:
    """Can only this machine reach it? For an endpoint without a problem."""
    return _LOOPBACK.fullmatch(endpoint) is not None


def _host_problem(host: str) -> str | None:
    if host == "*":
        return None
    try:
        if host.startswith("["):
            IPv6Address(host[1:-1])
            return None
        if not _NAME.fullmatch(host):
            IPv4Address(host)
    except AddressValueError:
        return f"address {host}; allowed: such as 127.0.0.1, [::1], localhost, or * for all"
    return None if len(host) <= _NAME_MAX else f"a name of {len(host)}; allowed: {_NAME_MAX}"
