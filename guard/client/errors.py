"""What can go wrong for a client, each with its own type.

Owns the exceptions of the client, so that a program can tell a refusal by the guard (nothing
changed) from an unknown outcome (something may have). A reject is no error: it is an answer.
"""

from collections.abc import Sequence

from msgspec import UNSET

from guard.protocol.messages import (
    AllOrNone,
    CancelAll,
    ErrorReply,
    Fill,
    Hello,
    Mark,
    Order,
    Ping,
    Reduce,
    Replace,
    ShowLimits,
    ShowPositions,
    Stats,
)
from guard.protocol.messages import AnyRequest as Request


class GuardClientError(Exception):
    """Base of everything that the client raises about an exchange with the guard."""


class GuardRequestError(GuardClientError):
    """The guard answered `error`: the request was malformed or impossible and changed nothing.

    `code` is for programs, `field` names the key to blame ("" for none), `message` is for people
    (`guard/PROTOCOL.md`, section 8). `serving`: of `not_serving`, where the guard is that serves;
    None where that is not known.
    """

    def __init__(self, code: str, field: str, message: str, serving: str | None = None) -> None:
        super().__init__(code, field, message)
        self.serving = serving
        self.code = code
        self.field = field
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @classmethod
    def of(cls, reply: ErrorReply) -> "GuardRequestError":
        serving = None if reply.serving is UNSET else reply.serving
        return cls(reply.code, reply.field, reply.message, serving)


class OutcomeUnknownError(GuardClientError):
    """The request may or may not have taken effect. `requests` are the ones concerned.

    They are as they were sent (ids and `sent_at_ns` kept), so that sending them again is safe.
    """

    def __init__(self, what_happened: str, requests: Sequence[Request]) -> None:
        super().__init__(
            f"{what_happened}; the outcome of {describe(requests)} is UNKNOWN: it may have taken "
            "effect. Send the very same request again until it is answered (call() or submit() "
            "with this error's .requests), or ask with status()"
        )
        self.requests = tuple(requests)


# The name says what the caller knows: patience ended. Nothing says that the guard failed.
class GuardTimeout(OutcomeUnknownError):  # noqa: N818
    """No reply within `timeout_s`, resends included."""


class GuardProtocolError(OutcomeUnknownError):
    """The peer sent what this protocol does not allow: another version, or not the guard."""


class GuardClosedError(OutcomeUnknownError):
    """The client was closed while the request was under way."""


def describe(requests: Sequence[Request]) -> str:
    """What a message asks, in words."""
    if len(requests) != 1:
        return f"{len(requests)} requests"
    request = requests[0]
    kind = type(request).__name__.lower()
    if isinstance(request, Ping | Stats | Hello):
        return kind
    if isinstance(request, Mark):
        return f"mark of symbol {request.symbol!r}"
    if isinstance(request, ShowLimits):
        return f"limits of desk {request.desk!r} in symbol {request.symbol!r}"
    if isinstance(request, ShowPositions):
        return f"positions of desk {request.desk!r}"
    if isinstance(request, AllOrNone):
        return f"{len(request.orders)} orders together"
    if isinstance(request, CancelAll):
        return f"end of all orders up to record {request.through_sequence}"
    text = f"{kind} {request.client_order_id!r} of desk {request.desk!r}"
    if isinstance(request, Fill):
        return f"{text}, fill {request.fill_id!r}"
    if isinstance(request, Reduce):
        return f"{text}, reduction {request.reduce_id!r}"
    if isinstance(request, Replace):
        return f"{text}, replacing {request.original_client_order_id!r}"
    if isinstance(request, Order):
        return f"{text}, symbol {request.symbol!r}"
    return text
