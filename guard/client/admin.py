"""A client of the admin endpoint (`guard/ADMIN.md`), for one thread.

    with AdminClient("ipc:///var/lib/pretrade-guard/log.admin") as admin:
        print(admin.ask(Health()).troubles)
        admin.ask(Halt(scope="desk", name="desk-alpha", action_id="halt-17", why="runaway algo"))

A request without an answer is sent again, the same bytes: an action is done once under its id, so
that this is safe.

How it fails: `AdminRefusedError` for what the guard refuses, which changed nothing;
`AdminTimeoutError` where no answer came: an action may have been done, and the same one sent again
says so.
"""

import itertools
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import zmq

from guard.admin.messages import AnyReply, AnyRequest, Refused, decode_reply, encode_request
from guard.client.options import CurveKeys
from guard.client.securing import connect
from guard.clock import monotonic_ns

RESEND_AFTER_S: Final = 1.0
_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


class AdminRefusedError(ValueError):
    """The guard refuses the request; nothing has changed. `code` and `field` are its words."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.code = refused.code
        self.field = refused.field


class AdminTimeoutError(TimeoutError):
    """No answer came: nobody is there, or the disk does not answer."""


class AdminClient:
    """One connection. Not to be shared between threads."""

    def __init__(
        self, endpoint: str, *, timeout_s: float = 5.0, curve: CurveKeys | None = None
    ) -> None:
        """`timeout_s`: how long an answer is waited for, resends included.

        `curve`: where the endpoint asks for a key.
        """
        if not timeout_s > 0:
            raise ValueError(f"timeout_s: {timeout_s!r} is not allowed; allowed: above zero")
        self._endpoint = endpoint
        self._timeout_ns = round(timeout_s * _NS_PER_S)
        self._numbers = itertools.count(1)
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        try:
            self._socket.set(zmq.LINGER, 0)
            self._socket.set(zmq.SNDTIMEO, 0)
            connect(self._socket, endpoint, curve)
        except BaseException:
            self._socket.close(linger=0)
            raise

    def ask(self, request: AnyRequest) -> Any:
        """The reply to a request. Raises AdminRefusedError, AdminTimeoutError."""
        number = next(self._numbers)
        asked = msgspec.structs.replace(request, request_id=number)
        body = encode_request(asked)
        end_ns = monotonic_ns() + self._timeout_ns
        resend_ns = 0
        while (now_ns := monotonic_ns()) < end_ns:
            if now_ns >= resend_ns:
                self._send(body)
                resend_ns = now_ns + round(RESEND_AFTER_S * _NS_PER_S)
            wait_ns = min(resend_ns, end_ns) - now_ns
            if self._socket.poll(max(1, wait_ns // _NS_PER_MS)):
                reply = self._receive()
                if reply.request_id == number:
                    if isinstance(reply, Refused):
                        raise AdminRefusedError(reply)
                    return reply
        waited_s = self._timeout_ns / _NS_PER_S
        raise AdminTimeoutError(f"{self._endpoint}: no answer within {waited_s:g} s")

    def _send(self, body: bytes) -> None:
        try:
            self._socket.send(body, zmq.NOBLOCK)
        except zmq.Again:
            return  # nobody is connected yet: it is sent again

    def _receive(self) -> AnyReply:
        frames = self._socket.recv_multipart()
        return decode_reply(frames[-1])

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()
