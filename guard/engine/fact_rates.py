"""The rates of facts: cancels, which are flagged and never refused, and repeated executions, which
latch. Pure but for what is counted.

Owns what counts where. A cancel counts in the rates of the firm, of its desk, and where its order
is known of the symbol too; one more than the number within the window is flagged (`rate`). An order
counts with its first fill, for its desk in its symbol on its side, whichever scope says the number;
one more latches that desk in that symbol (`guard.engine.latches`). Facts whose record says no count
of time count at the last one that an order's said.

`guard.engine.decide` and `guard.engine.apply` ask where limits say such a rate at all.

How it fails: it does not.
"""

from guard.engine.limits import Effective
from guard.engine.rates import CANCELS, EXECUTIONS
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol.fields import RATE
from guard.protocol.request import Request


def cancel_flags(state: GuardState, order_row: int, request: Request) -> int:
    """RATE where a cancel is one more than any of its rates has; 0."""
    elapsed_ns = _elapsed_ns(state, request)
    for bucket in _of_cancel(state, order_row, request).buckets:
        if bucket.kind == CANCELS and bucket.used(elapsed_ns) >= bucket.max:
            return RATE
    return 0


def note_cancel(state: GuardState, request: Request) -> None:
    """A cancel was recorded: it counts in its rates."""
    row = state.orders.find(request, request.received_at_ns)
    elapsed_ns = _elapsed_ns(state, request)
    for bucket in _of_cancel(state, row, request).buckets:
        if bucket.kind == CANCELS:
            bucket.take(elapsed_ns, 1)


def note_filled(state: GuardState, order_row: int, request: Request) -> None:
    """The order in that row has its first fill."""
    orders, repeated = state.orders, state.limits.repeated
    orders.read(order_row)
    order, desk = orders.known, state.desks.get(request.desk)
    worth = state.worth_of(order)
    if desk is None or worth is None:
        return
    effective = state.limits.effective(desk.limit_class, worth.limit_class)
    key = desk.share, worth.number, order.side
    elapsed_ns = _elapsed_ns(state, request)
    repeated.note(key, elapsed_ns)
    if any(
        bucket.kind == EXECUTIONS and repeated.used(key, elapsed_ns, bucket.window_ms) > bucket.max
        for bucket in effective.buckets
    ):
        repeated.begin_anew(key)
        state.latch(desk.name, order.symbol, "repeated_executions")


def _of_cancel(state: GuardState, order_row: int, request: Request) -> Effective:
    """What counts for a cancel: of an order that is not known, what the firm and its desk say."""
    limits = state.limits
    desk_class, symbol_class = limits.desk_class(request.desk), 0
    if order_row != NO_ROW:
        state.orders.read(order_row)
        symbol_class = limits.symbol_class(state.orders.known.symbol)
    return limits.effective(desk_class, symbol_class)


def _elapsed_ns(state: GuardState, request: Request) -> int:
    return max(request.elapsed_ns, state.elapsed_ns)
