"""Who may look: where the observer listens, and which requests it answers.

Owns the rule that it listens on loopback unless told otherwise, and the checks of each request
before anything else sees it: a browser must not be led here by a page of somebody else. There is
nothing to change here, but balances and orders to read.

* `Host` must be an address or `localhost`, or a name that was allowed: a name of somebody else's
  that resolves to here (DNS rebinding) is refused.
* A request that a page of another origin makes (`Sec-Fetch-Site`) is refused, a link to the page
  excepted. * Only GET and HEAD are.

How it fails: `DoorError` for an address that is not allowed or cannot be had.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BACKLOG: Final = 128
# Who takes nothing for so long while something waits for it is cut off by the system.
SILENCE_MS: Final = 60_000
_LISTEN: Final = re.compile(r"(\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})")
_HOST: Final = re.compile(r"(\[(?P<six>[^\]]*)\]|(?P<name>[^:]*))(:[0-9]*)?")


class DoorError(ValueError):
    """The observer cannot listen there."""


def parse_listen(text: str, *, allows_network: bool = False) -> tuple[str, int]:
    """The address and port of `ADDRESS:PORT`; port 0: any that is free. Raises DoorError."""
    found = _LISTEN.fullmatch(text)
    allowed = "allowed: a loopback ADDRESS:PORT, such as 127.0.0.1:9477 or [::1]:9477"
    if found is None:
        raise DoorError(f"--listen: {text!r} is not allowed; {allowed}")
    address, port = found["six"] or found["four"], int(found["port"])
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise DoorError(f"--listen: {text!r} is no address: {error}; {allowed}") from error
    if port > 65_535:
        raise DoorError(f"--listen: port {port} is not allowed; allowed: 0 to 65535")
    if not parsed.is_loopback and not allows_network:
        raise DoorError(
            f"--listen: {text!r} is not a loopback address: whoever reaches it reads balances and "
            f"orders of every desk; {allowed}, or any with --allow-network"
        )
    return address, port


def open_door(address: str, port: int) -> socket.socket:
    """Listens. Raises DoorError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS)
        listening.bind((address, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise DoorError(f"--listen: {address} port {port}: {error.strerror}") from error
    return listening


def is_own_host(host: str, names: Iterable[str]) -> bool:
    """Whether a `Host` is an address, `localhost`, or one of those names."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["six"] or found["name"] or "").lower()
    if name == "localhost" or name in {allowed.lower() for allowed in names}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Doorkeeper:
    """Refuses what must not come in, and says on every answer what a browser may do with it."""

    def __init__(self, app: ASGIApp, names: Iterable[str], headers: dict[str, str]) -> None:
        """`names`: of this machine, beside its addresses. `headers`: of every answer."""
        self._app = app
        self._names = tuple(names)
        self._headers = [(name.lower().encode(), text.encode()) for name, text in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        app = self._app
        if scope["type"] == "http":
            refused = self._refusal(scope)
            if refused is not None:
                app = PlainTextResponse(refused[1] + "\n", refused[0])
        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return 405, f"{scope['method']} is not allowed; allowed: GET, HEAD"
        host = headers.get("host", "")
        if not is_own_host(host, self._names):
            return 421, (
                f"Host {host!r} is not allowed; allowed: an address, localhost, or a name given by "
                "--allow-host"
            )
        is_link = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_link:
            return 403, "requests of other pages are not answered"
        return None
