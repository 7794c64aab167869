"""What a query shows of a state. Pure; reads the state and changes nothing.

Owns the replies to queries, one function each, found by a table, and the bound on what one of them
looks at. How the process and its disk are, `guard.server.admin_door` adds.

How it fails: `AdminError` for a name that is not there.
"""

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.admin import messages as asked
from guard.admin.account_actions import accounts_reply
from guard.admin.locate_actions import locates_reply
from guard.admin.messages import (
    SCANNED_MAX,
    AdminError,
    ConfigurationReply,
    DeskLine,
    DesksReply,
    FillLine,
    InstrumentLine,
    OpenOrder,
    OpenOrdersReply,
    PositionLine,
    PositionsReply,
    StoryReply,
    UnchargedFillsReply,
)
from guard.admin.people_actions import pending_reply
from guard.admin.reconcile import unreconciled
from guard.admin.shown_orders import ExecutionLine, ReductionLine
from guard.admin.trading import trading_of
from guard.admin.uncharged import uncharged_fills
from guard.engine import chains, remembered_rows
from guard.engine.decide import decide
from guard.engine.execution_rows import executions_of
from guard.engine.facts import Amendment
from guard.engine.found import Desk
from guard.engine.measures import GROSS
from guard.engine.positions import POSITION_ROW
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.engine.suspects import is_suspect
from guard.engine.unrealised import unrealised_microcents
from guard.protocol import fields
from guard.protocol.fields import FLAG_SETS, ValueKind
from guard.protocol.instruments import counted, money_text
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from guard.protocol.views import reply_of

_SIDES: Final = ("buy", "sell")


def answer(state: GuardState, query: asked.AnyQuery, now_ns: int) -> Any:
    """The reply to a query, `health` excepted. `now_ns`: the guard's time."""
    return _ANSWERS[type(query)](state, query, now_ns)


def desk_line(state: GuardState, desk: Desk) -> DeskLine:
    """A desk's balances and its state."""
    line = state.ledger.line(desk.name)
    assert line is not None  # opened with the desk
    trading, why = trading_of(state, desk)
    return DeskLine(
        desk.name,
        line.initial,
        line.reserved,
        line.committed,
        line.remaining,
        line.cap or None,
        desk.unpaid_fees_microcents,
        trading,
        why,
        desk.returned_microcents,
        *_at_prices(state, desk),
    )


def _at_prices(state: GuardState, desk: Desk) -> tuple[int | None, int | None]:
    """A desk's gross exposure and what it has made since the day's turn, where that is kept."""
    exposure = state.positions.exposure
    if not exposure.is_on:
        return None, None
    measure = exposure.desk(desk.share)
    return (None, None) if measure.unpriced else (measure.figure(GROSS), measure.day.profit())


def _desks(state: GuardState, query: asked.ListDesks, _now_ns: int) -> DesksReply:
    names = [name for name in sorted(state.desks) if name > query.after]
    page = names[: query.limit]
    return DesksReply(
        [desk_line(state, state.desks[name]) for name in page],
        page[-1] if len(names) > len(page) else None,
        state.next_sequence - 1,
    )


def _open_orders(state: GuardState, query: asked.ListOpenOrders, now_ns: int) -> OpenOrdersReply:
    _check_names(state, query)
    orders, row = state.orders, query.cursor
    end = min(row + SCANNED_MAX, orders.row_end())
    found: list[OpenOrder] = []
    while len(found) < query.limit:
        row = orders.find_open(row, end)
        if row == NO_ROW:
            row = end
            break
        order = _open_order(state, row, now_ns)
        if order is not None and _is_asked_for(order, query):
            found.append(order)
        row += 1
    return OpenOrdersReply(found, row if row < orders.row_end() else None, state.next_sequence - 1)


def _check_names(state: GuardState, query: asked.ListOpenOrders | asked.ListPositions) -> None:
    for field, name, known in (
        ("desk", query.desk, state.desks),
        ("symbol", query.symbol, state.instruments),
    ):
        if name is not None and name not in known:
            raise AdminError(f"unknown_{field}", field, f"there is no {field} {name!r}")


def _positions(state: GuardState, query: asked.ListPositions, _now_ns: int) -> PositionsReply:
    _check_names(state, query)
    kept, row = state.positions, query.cursor
    desks = {desk.share: name for name, desk in state.desks.items()}
    symbols = list(kept.symbols)
    end = min(row + SCANNED_MAX, kept.count)
    found: list[PositionLine] = []
    while row < end and len(found) < query.limit:
        desk, symbol = kept.key_of(row)
        names = desks[desk], symbols[symbol]
        if query.desk in (None, names[0]) and query.symbol in (None, names[1]):
            values = (kept.value(row, field) for field in range(1, len(POSITION_ROW)))
            line = PositionLine(*names, *values)
            line.price_ticks = state.prices.price(symbol) or None
            instrument = state.instruments[line.symbol]
            line.unrealised_microcents = unrealised_microcents(state, instrument, row)
            found.append(line)
        row += 1
    next_cursor = row if row < kept.count else None
    return PositionsReply(found, kept.since_sequence, next_cursor, state.next_sequence - 1)


def _is_asked_for(order: OpenOrder, query: asked.ListOpenOrders) -> bool:
    return (
        query.desk in (None, order.desk)
        and query.symbol in (None, order.symbol)
        and (order.suspect or not query.suspect)
        and (query.older_than_ns == 0 or (order.age_ns or 0) >= query.older_than_ns)
    )


def _open_order(state: GuardState, row: int, now_ns: int) -> OpenOrder | None:
    """None for one in whose place another one of its chain stands."""
    orders = state.orders
    begins = orders.first_of(row)
    is_pending = row == chains.pending(orders, begins)
    if not is_pending and row != chains.standing(orders, begins):
        return None
    orders.read(row)
    known, first = orders.known, orders.known_outcome
    desk, client_order_id = remembered_rows.id_of(orders, row)
    sent_at_ns = known.sent_at_ns or None
    return OpenOrder(
        desk,
        client_order_id,
        known.symbol,
        _SIDES[known.side],
        known.quantity,
        known.price,
        first.venue,
        orders.filled_quantity(begins),
        0 if is_pending else orders.hold_microcents(begins),
        first.sequence,
        None if sent_at_ns is None else max(0, now_ns - sent_at_ns),
        sent_at_ns,
        is_suspect(state, begins, now_ns),
        known.original_client_order_id if is_pending else UNSET,
        max(0, now_ns - first.received_at_ns) if is_pending else UNSET,
    )


def _uncharged(state: GuardState, query: asked.ListUncharged, now_ns: int) -> UnchargedFillsReply:
    return uncharged_fills(state, query.desk, query.cursor, query.limit, now_ns)


def _story(state: GuardState, query: asked.OrderStory, now_ns: int) -> StoryReply:
    request, outcome = Request(), Outcome()
    request.kind = fields.STATUS
    request.set_text("desk", query.desk.encode())
    request.set_text("client_order_id", query.client_order_id.encode())
    request.received_at_ns = now_ns
    row = state.orders.find(request, now_ns)
    if row == NO_ROW:
        name = f"{query.desk}/{query.client_order_id}"
        raise AdminError("unknown_order", "client_order_id", f"order {name} is not remembered")
    decide(state, request, outcome)
    status: Any = msgspec.to_builtins(reply_of(request, outcome))
    orders, named = state.orders, state.orders.find_named(request, now_ns)
    is_canceled = orders.phase(row) == OrderPhase.CANCELED
    return StoryReply(
        query.desk,
        query.client_order_id,
        status["state"],
        _order_of(state, named),
        status["answer"],
        status["filled_quantity"],
        status["open_quantity"],
        status["hold_microcents"],
        orders.release_sequence(row) if is_canceled else None,
        orders.released_microcents(row) if is_canceled else None,
        _fills_of(state, row),
        state.next_sequence - 1,
        _reductions_of(state, row),
        _executions_of(state, row),
    )


def _order_of(state: GuardState, row: int) -> dict[str, Any]:
    """The order as it was sent, by its fields' names; what was left out has its default."""
    state.orders.read(row)
    known: Any = state.orders.known
    said: dict[str, Any] = {}
    for field in fields.RECORDED_FIELDS[fields.ORDER]:
        if field.name in ("desk", "client_order_id"):
            continue
        if field.kind in (ValueKind.TEXT, ValueKind.OPTIONAL_TEXT):
            text = known.text(fields.TEXT_NAMES[field.slot])
            if text or not field.is_sparse:
                said[field.name] = text or None
        elif field.words:
            said[field.name] = field.words[getattr(known, field.name)]
        else:
            said[field.name] = getattr(known, field.name)
    return said


def _fills_of(state: GuardState, row: int) -> list[FillLine]:
    orders, request, outcome = state.orders, Request(), Outcome()
    found: list[FillLine] = []
    for fill_row in islice(remembered_rows.fills_of(orders, row), asked.PAGE_MAX):
        orders.read_fill(fill_row, request, outcome)
        found.append(
            FillLine(
                remembered_rows.fill_id_of(orders, fill_row),
                request.quantity,
                request.price or None,
                request.fee_microcents,
                outcome.unpaid_fee_microcents,
                outcome.released_microcents,
                FLAG_SETS[outcome.flags],
                outcome.sequence,
                _said_of(
                    state.facts.amendment_of(
                        remembered_rows.key_of_fill(orders, fill_row), outcome.sequence
                    )
                ),
            )
        )
    return found[::-1]


def _reductions_of(state: GuardState, row: int) -> list[ReductionLine]:
    orders, request, outcome = state.orders, Request(), Outcome()
    found: list[ReductionLine] = []
    for fact_row in islice(remembered_rows.reductions_of(orders, row), asked.PAGE_MAX):
        orders.read_fill(fact_row, request, outcome)
        found.append(
            ReductionLine(
                remembered_rows.reduce_id_of(orders, fact_row),
                request.quantity,
                outcome.released_microcents,
                fields.REDUCED_FLAGS[outcome.flags],
                outcome.sequence,
            )
        )
    return found[::-1]


def _executions_of(state: GuardState, row: int) -> list[ExecutionLine]:
    found = [
        ExecutionLine(
            execution_id,
            venue,
            one.symbol,
            _SIDES[one.side],
            one.quantity,
            one.price,
            one.released_microcents,
            fields.EXECUTION_FLAG_SETS[one.flags],
            one.sequence,
        )
        for execution_id, venue, one in islice(executions_of(state, row), asked.PAGE_MAX)
    ]
    return found[::-1]


def _said_of(amendment: Amendment) -> list[str]:
    """What people have said of a fill, in words."""
    said = ["accepted: its fee was charged"] if amendment.is_accepted else []
    if amendment.is_corrected:
        price = "" if amendment.price is None else f" at {amendment.price} ticks"
        fee = money_text(amendment.fee_microcents or 0)
        said.append(f"corrected: {counted(amendment.quantity or 0, 'lot')}{price}, fee {fee}")
    if amendment.is_busted:
        said.append("busted: it did not happen")
    return said


def _configuration(
    state: GuardState, _query: asked.Configuration, _now_ns: int
) -> ConfigurationReply:
    return ConfigurationReply(
        state.rules_version,
        state.currency,
        state.remembered_orders_max,
        state.remembered_order_window_ns,
        None if state.policy is None else state.policy.as_dict(),
        state.policy_digest_hex,
        [
            InstrumentLine(
                one.symbol,
                one.tick_size,
                one.lot_size,
                one.multiplier,
                one.symbol in state.stopped_symbols,
            )
            for _, one in sorted(state.instruments.items())
        ],
        state.next_sequence - 1,
    )


_ANSWERS: Final[dict[type, Callable[[GuardState, Any, int], Any]]] = {
    asked.ListDesks: _desks,
    asked.ListOpenOrders: _open_orders,
    asked.ListPositions: _positions,
    asked.ListUncharged: _uncharged,
    asked.ListUnreconciled: unreconciled,
    asked.OrderStory: _story,
    asked.Configuration: _configuration,
    asked.ListPending: pending_reply,
    asked.ListLocates: locates_reply,
    asked.ListAccounts: accounts_reply,
}
