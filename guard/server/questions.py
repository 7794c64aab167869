"""Questions about limits and positions, and what is wrong with them or with a mark. Pure.

Owns which desk and symbol they may name (`guard/PROTOCOL.md`, 7.4 to 7.6). The answers themselves
are `guard.server.limits_shown`'s and `guard.server.positions_shown`'s; a mark is taken by
`guard.server.revaluing`.
"""

from guard.engine.state import GuardState
from guard.protocol import fields
from guard.protocol.errors import error_about
from guard.protocol.messages import ErrorReply, LimitsReply, PositionsReply
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import Request
from guard.server.limits_shown import show_limits
from guard.server.positions_shown import show_positions


def answer_question(
    state: GuardState, symbols: list[str], request: Request
) -> LimitsReply | PositionsReply | ErrorReply:
    """What counts for a desk, or what it has. `symbols`: all, in ascending order."""
    if request.kind == fields.POSITIONS:
        return position_answer(state, symbols, request)
    if request.desk not in state.desks:
        return _unknown_desk(request)
    if request.symbol not in state.instruments:
        return _unknown_symbol(request)
    return show_limits(state, request.desk, request.symbol)


def position_answer(
    state: GuardState, symbols: list[str], request: Request
) -> PositionsReply | ErrorReply:
    """What a desk has, as a guard that stands by says it, too."""
    if request.desk not in state.desks:
        return _unknown_desk(request)
    return show_positions(state, symbols, request.desk, request.symbol)


def mark_error(state: GuardState, mark: Request) -> ErrorReply:
    """Why a mark cannot be taken: of no symbol, or with a bid above its ask."""
    if mark.symbol not in state.instruments:
        return _unknown_symbol(mark)
    words = f"bid: {mark.bid} is not allowed; allowed: up to ask, {mark.ask}"
    return error_about(mark, ErrorCode.INVALID_FIELD, "bid", words)


def _unknown_desk(request: Request) -> ErrorReply:
    words = f"desk: there is no desk {request.desk!r}"
    return error_about(request, ErrorCode.UNKNOWN_DESK, "desk", words)


def _unknown_symbol(request: Request) -> ErrorReply:
    words = f"symbol: there is no symbol {request.symbol!r}"
    return error_about(request, ErrorCode.UNKNOWN_SYMBOL, "symbol", words)
