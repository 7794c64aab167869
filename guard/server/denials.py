"""What is said of requests that their sender's permit does not let through.

Owns the words of those errors, and the first few of each second for an operator to be told; how
many there were, a counter says.
"""

from typing import Final

from guard.protocol.errors import error_about
from guard.protocol.messages import ErrorReply
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request
from guard.server.permits import Permit, is_of_desk, words_of_denial

TOLD_MAX: Final = 8  # of one second


class Denials:
    """See the module."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def reply(self, permit: Permit, request: Request, refusal: int) -> ErrorReply:
        """The error, without the request's id. `refusal`: the number that the permit gave."""
        permit.denied += 1
        if refusal == ErrorCode.RATE_EXCEEDED:
            code, field = ErrorCode.RATE_EXCEEDED, ""
            words = "more orders in this second, or under way, than are taken of this client"
        else:
            code = ErrorCode.NOT_PERMITTED
            field, words = words_of_denial(permit, request)
            if len(self._told) < TOLD_MAX:
                self._told.append(f"client {permit.name!r} ({permit.person}): {words}")
        return error_of(request, code, field, words)

    def take(self) -> list[str]:
        """What was not permitted since this was asked last, the first few."""
        told, self._told = self._told, []
        return told


def error_of(request: Request, code: ErrorCode, field: str, words: str) -> ErrorReply:
    """An error that names the request's desk and order, where it has any."""
    if is_of_desk(request.kind):
        return error_about(request, code, field, words)
    return ErrorReply(code.word, field, words)  # its other fields are an earlier request's
