"""What a `cancel_all` is answered, and its record. Pure; changes nothing.

Owns the conditions that the state has to meet (`guard/PROTOCOL.md`, 5.3), and the words where it
does not; what the record does, `guard.engine.cancel_all` says.
"""

from msgspec import UNSET

from guard.engine.cancel_all import LOOKED_MAX, ORDERS_MAX, SINCE_RULES, assess
from guard.engine.request_events import CanceledAllRecorded
from guard.engine.state import GuardState
from guard.protocol.messages import CanceledAll, CancelScope, ErrorReply
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request


def canceled_all(
    state: GuardState,
    request: Request,
    orders_max: int = ORDERS_MAX,
    looked_max: int = LOOKED_MAX,
) -> CanceledAllRecorded | ErrorReply:
    """The record that closes the orders that the request names; or why there is none."""
    desk, symbol = request.desk or None, request.symbol or None
    asked = CancelScope(request.quantity, desk, symbol, request.venue or None)
    head = state.next_sequence - 1
    if state.rules_version < SINCE_RULES:  # which no start of this software leaves in force
        words = f"cancel_all is known since version {SINCE_RULES} of the rules"
        return _error(ErrorCode.UNKNOWN_TYPE, "type", words)
    if asked.through_sequence > head:
        words = f"{asked.through_sequence} is not allowed; allowed: 1 to {head}, the last record"
        return _error(ErrorCode.UNKNOWN_RECORD, "through_sequence", words)
    if desk is not None and desk not in state.desks:
        return _error(ErrorCode.UNKNOWN_DESK, "of_desk", f"there is no desk {desk!r}")
    if symbol is not None and symbol not in state.instruments:
        return _error(ErrorCode.UNKNOWN_SYMBOL, "of_symbol", f"there is no symbol {symbol!r}")
    ending = assess(state, asked, orders_max, looked_max)
    if ending is None:
        words = (
            f"more than {orders_max:,} open orders are in this scope, or more than {looked_max:,} "
            "in that of its desk; nothing has changed; allowed: a desk, a narrower scope, or an "
            "earlier record"
        )
        return _error(ErrorCode.TOO_MANY_ORDERS, "through_sequence", words)
    answer = CanceledAll(
        asked.through_sequence,
        desk,
        symbol,
        asked.of_venue,
        head + 1,
        len(ending.rows),
        ending.released_microcents,
        ending.collected_microcents or UNSET,
    )
    return CanceledAllRecorded(
        received_at_ns=request.received_at_ns,
        client=request.client,
        batch_first_sequence=request.batch_first_sequence,
        cancel_all=asked,
        answer=answer,
    )


def _error(code: ErrorCode, field: str, words: str) -> ErrorReply:
    return ErrorReply(code.word, field, f"{field}: {words}")
