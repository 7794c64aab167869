"""What to say of a request that is well formed and cannot be done.

Owns the words of the errors that the state is the reason of (`guard/PROTOCOL.md`, 4, 5 and 8);
those of requests that are not well formed are `guard.protocol.wire`'s.
"""

from typing import Final

from msgspec import UNSET

from guard.protocol.fields import (
    CANCEL_ALL,
    EXECUTION,
    EXECUTION_FIELDS,
    FILL,
    FILL_FIELDS,
    LIMITS,
    MARK,
    POSITIONS,
    REDUCE,
    REDUCE_FIELDS,
    REPLACE,
)
from guard.protocol.messages import ErrorReply
from guard.protocol.outcome import Outcome
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request

# Of facts that have an id of their own.
_NAMES: Final = {REDUCE: "reduce_id", EXECUTION: "execution_id"}
# Of the order that a request names.
_IN_THE_WAY: Final = {
    ErrorCode.UNKNOWN_ORDER: "is not known to the guard",
    ErrorCode.ORDER_REFUSED: "was refused: it holds nothing",
    ErrorCode.ORDER_FILLED: "has nothing left that is open",
    ErrorCode.ORDER_CANCELED: "was canceled: nothing of it is open",
    ErrorCode.ORDER_REPLACED: "does not stand any more: record {} is of the order that does",
    ErrorCode.REPLACE_PENDING: "waits for the venue's word on its replace in record {}",
    ErrorCode.NO_REPLACE: "replaces no order",
    ErrorCode.REPLACE_SETTLED: "has been settled otherwise, by record {}",
}


def error_about(request: Request, code: ErrorCode, field: str, message: str) -> ErrorReply:
    """An error that names the order, fill or reduction that it is about; without a request's id."""
    if request.kind in (MARK, LIMITS, POSITIONS, CANCEL_ALL):
        return ErrorReply(code.word, field, message)
    fill_id = request.fill_id if request.kind == FILL else UNSET
    reduce_id = request.fill_id if request.kind == REDUCE else UNSET
    execution_id = request.fill_id if request.kind == EXECUTION else UNSET
    of = request.desk, request.client_order_id
    return ErrorReply(code.word, field, message, *of, fill_id, reduce_id, execution_id)


def error_reply(request: Request, outcome: Outcome) -> ErrorReply:
    """The reply, without the request's id."""
    code = ErrorCode(outcome.error)
    if code is ErrorCode.FILL_ID_REUSED:
        field = FILL_FIELDS[outcome.field]
        text = f"{field}: fill_id {request.fill_id!r} is known with another {field}"
        return error_about(request, code, field, text)
    if code is ErrorCode.REDUCE_ID_REUSED:
        field = REDUCE_FIELDS[outcome.field]
        text = f"{field}: reduce_id {request.fill_id!r} is known with another {field}"
        return error_about(request, code, field, text)
    if code is ErrorCode.EXECUTION_ID_REUSED:
        field = EXECUTION_FIELDS[outcome.field]
        text = (
            f"{field}: execution_id {request.fill_id!r} of desk {request.desk!r} at venue "
            f"{request.venue} is known with another {field}"
        )
        return error_about(request, code, field, text)
    if code is ErrorCode.FILL_WINDOW_FULL:
        named = _NAMES.get(request.kind, "fill_id")
        text = (
            f"{named}: no further fill of order {request.client_order_id!r} of desk "
            f"{request.desk!r} can be remembered now; nothing has changed"
        )
        return error_about(request, code, named, text)
    is_replace = request.kind == REPLACE
    named = "original_client_order_id" if is_replace else "client_order_id"
    name = request.original_client_order_id if is_replace else request.client_order_id
    words = _IN_THE_WAY[code].format(outcome.original_wal_sequence)
    text = f"{named}: {name!r} of desk {request.desk!r} {words}"
    return error_about(request, code, named, text)
