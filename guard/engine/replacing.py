# cython: annotation_typing=False, nonecheck=True
"""A replace, and the two facts that end it: what decides them, and what they change. Pure.

Owns the rule (`guard/PROTOCOL.md`, 5.2). A replace is decided as the order that it becomes, which
is the open one with another id, total, price, type and time in force, at the venue where that
works. It is asked for no more than it adds: lots to positions and exposure, microcents to budget
and cap.
One that only lowers risk is refused by no limit, no state and no kernel. Admitted, it waits beside
the open order in one chain (`guard.engine.chains`) until the venue has spoken; then what is no
longer needed is free.

It counts since rules version 3. The checks themselves `guard.engine.decide` walks through.

How it fails: `InvariantError` where a record does not follow from the state, as
`guard.engine.apply` does.
"""

from guard.engine import chains, exits, limit_checks, positioning, settling
from guard.engine.found import Found
from guard.engine.positions import NO_POSITION
from guard.engine.remembered import RememberedOrders
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol import fields, json_text, slots
from guard.protocol.fields import ORIGINAL_DETAIL, SETTLED_LATE, TEXT_NAMES, stage_of_reason
from guard.protocol.layout import Layout, json_steps
from guard.protocol.limits import ORDER_TYPES as _TYPES_KEY
from guard.protocol.limits import WORDS_OF_KEY
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import ErrorCode, Refusal
from guard.protocol.request import TEXTS, Request
from kernel import InvariantError
from kernel.ledger_raises import raise_hold

_SINCE_RULES, _SETTLED_LATE = 3, SETTLED_LATE
_NO_ROW, _NO_POSITION, _SAME = NO_ROW, NO_POSITION, settling.SAME
_OPEN, _FILLED, _CANCELED, _REFUSED, _REPLACED = map(int, OrderPhase)
_REPLACED_KIND = fields.REPLACED
_ADMITTED, _REJECTED, _REFUSED_KIND = map(int, list(OutcomeKind)[:3])
_OUTCOME_REPLACED, _OUTCOME_REJECTED, _ERROR = map(
    int, (OutcomeKind.REPLACED, OutcomeKind.REPLACE_REJECTED, OutcomeKind.ERROR)
)
_REUSED = int(Refusal.CLIENT_ORDER_ID_REUSED)
_ORDER_STAGE, _ORIGINAL_DETAIL = stage_of_reason(_REUSED), ORIGINAL_DETAIL
_MARKET = WORDS_OF_KEY[_TYPES_KEY].index("market")
_BUY = 0
# What makes two replaces the same one: all fields but those of the key and the request's id.
_CONTENT = Layout(json_steps(fields.RECORDED_FIELDS[fields.REPLACE]))
_KEY_FIELDS = 2
_ORDER_FIELD_OF = [fields.ORDER_FIELDS.index(name) for name in fields.REPLACE_FIELDS]
_ORIGINAL_FIELD = fields.ORDER_FIELDS.index("original_client_order_id")
_TEXTS_KEPT = [
    (TEXT_NAMES.index(name), TEXTS[name][0]) for name in ("symbol", "currency", *fields.ORDER_NAMES)
]
_DESK_AT, _DESK_TEXT = TEXTS["desk"][0], TEXT_NAMES.index("desk")
_ID_AT, _ORIGINAL_AT = TEXTS["client_order_id"][0], TEXTS["original_client_order_id"][0]


def find_original(state: GuardState, request: Request) -> int:
    """The row of the very order that the replace names; NO_ROW."""
    named = state.found.named
    slots.copy_text(named, request, _DESK_TEXT, _DESK_AT)
    count = request.original_client_order_id_bytes
    json_text.put_slice(named.texts, _ID_AT, request.texts, _ORIGINAL_AT, count)
    named.client_order_id_bytes = count
    return state.orders.find_named(named, request.received_at_ns)


def complete(state: GuardState, request: Request) -> int:
    """Puts what the replace does not say, which is the order's that stands; the named one's row.

    Where the order that it names is not known nothing is known of it: NO_ROW.
    """
    orders = state.orders
    named = find_original(state, request)
    if named == _NO_ROW or state.rules_version < _SINCE_RULES:
        request.symbol_bytes = request.currency_bytes = request.fill_id_bytes = 0
        request.account_bytes = request.trader_bytes = request.algo_bytes = 0
        return _NO_ROW
    row = named
    if orders.phase(named) != _REFUSED:
        row = chains.standing(orders, orders.first_of(named))
    orders.read(row)
    order, answer = orders.known, orders.known_outcome
    for index in range(len(_TEXTS_KEPT)):
        text, place = _TEXTS_KEPT[index]
        slots.copy_text(request, order, text, place)
    request.side, request.venue = order.side, answer.venue
    request.risk_bps, request.confidence_bps = order.risk_bps, order.confidence_bps
    request.minimum_quality_bps = order.minimum_quality_bps
    request.max_p95_latency_ms = order.max_p95_latency_ms
    request.required_capabilities = order.required_capabilities
    request.allowed_providers = order.allowed_providers
    request.required_regions = order.required_regions
    request.max_fee_microcents = order.max_fee_microcents
    request.allow_substitute = request.fill_id_bytes = 0  # it has no locate of its own
    return named


def complete_ahead(state: GuardState, request: Request) -> int:
    """The same of one that is decided next, which need not do it again, unless a record comes
    between.
    """
    found = state.found
    found.completed_row = complete(state, request)
    found.completed, found.completed_sequence = request, state.next_sequence
    return 0


def begin(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Whether there is a replace to be decided as an order, 1; else it is answered, 0."""
    orders, found, now_ns = state.orders, state.found, request.received_at_ns
    is_complete = found.completed is request and found.completed_sequence == state.next_sequence
    found.completed = None
    own = orders.find_named(request, now_ns)
    if own != _NO_ROW:
        orders.read(own)
        if (
            orders.known.original_client_order_id_bytes > 0
            and difference(orders.known, request) == _SAME
        ):
            orders.read_answer(own, outcome)
            outcome.kind = _ADMITTED if orders.phase(own) != _REFUSED else _REJECTED
            outcome.repeat = 1
            return 0
    named = found.completed_row if is_complete else complete(state, request)
    if named == _NO_ROW:
        return _fail(outcome, ErrorCode.UNKNOWN_ORDER)
    if orders.phase(named) == _REFUSED:
        return _fail(outcome, ErrorCode.ORDER_REFUSED)
    if own != _NO_ROW:
        return _refuse_reused(state, own, request, outcome)
    first = orders.first_of(named)
    phase, waits = orders.phase(first), chains.pending(orders, first)
    if phase != _OPEN:
        code = ErrorCode.ORDER_CANCELED if phase == _CANCELED else ErrorCode.ORDER_FILLED
        return _fail(outcome, code)
    if waits != _NO_ROW:
        outcome.original_wal_sequence = chains.sequence_of(orders, waits)
        return _fail(outcome, ErrorCode.REPLACE_PENDING)
    stands = chains.standing(orders, first)
    if stands != named:
        outcome.original_wal_sequence = chains.sequence_of(orders, stands)
        return _fail(outcome, ErrorCode.ORDER_REPLACED)
    _measure(state, found, first, stands, request)
    return 1


def _refuse_reused(state: GuardState, own: int, request: Request, outcome: Outcome) -> int:
    """Its id is another order's, or another replace's."""
    orders = state.orders
    orders.read(own)
    outcome.original_wal_sequence = orders.known_outcome.sequence
    outcome.field = difference(orders.known, request)
    outcome.stage, outcome.detail = _ORDER_STAGE, _ORIGINAL_DETAIL
    outcome.kind, outcome.reason = _REFUSED_KIND, _REUSED
    return 0


def difference(known: Request, request: Request) -> int:
    """The first field in which the remembered order and the replace differ; -1: in none."""
    if known.original_client_order_id_bytes == 0:
        return _ORIGINAL_FIELD
    field = settling.first_difference(_CONTENT, _KEY_FIELDS, known, request)
    return field if field == _SAME else _ORDER_FIELD_OF[field]


def _measure(state: GuardState, found: Found, first: int, stands: int, request: Request) -> int:
    """What the open order has, for those checks that ask for no more than what is added."""
    orders = state.orders
    found.is_replace = True
    filled = orders.filled_quantity(first)
    orders.read(first)
    found.reservation_id = orders.known_outcome.reservation_id
    left = orders.left(first)
    found.held_microcents, found.filled_lots = orders.hold_microcents(first), filled
    left_then = chains.lots_left(request.quantity, filled)
    found.asked_lots = left_then - left if left_then > left else 0
    orders.read(stands)
    order = orders.known
    found.lowered_microcents = 0
    found.is_lowering = left_then <= left and _is_no_easier(order, request)
    if found.is_lowering:
        found.lowered_microcents = _share(
            orders.known_outcome.notional_microcents, request.quantity, order.quantity
        )
    found.left_lots, found.is_exit, found.short_lots = left_then, False, 0
    if found.reservation_id == 0:
        found.reducible_lots = _reducible(state, request, left)
        found.is_exit = left_then <= found.reducible_lots
    return 0


def _is_no_easier(order: Request, request: Request) -> bool:
    """Is the replace of the same type and time in force, at a price no easier to trade at?"""
    if (order.order_type, order.time_in_force) != (request.order_type, request.time_in_force):
        return False
    if order.order_type == _MARKET:
        return True
    is_no_higher = request.price <= order.price
    return is_no_higher if order.side == _BUY else request.price >= order.price


def _share(microcents: int, lots: int, quantity: int) -> int:
    """Of what an order was worth the share of so many lots of it, rounded down; 1 at least."""
    wide = microcents
    share = wide * lots // quantity
    return share if share > 0 else 1


def _reducible(state: GuardState, request: Request, left: int) -> int:
    """How many lots of its desk's position an order may reduce, beside what else works that way;
    `left`: of its own work."""
    desk, worth, positions = state.desk_of(request), state.worth_of(request), state.positions
    if desk is None or worth is None:
        return 0
    row = positions.find(desk.share, worth.number)
    if row == _NO_POSITION:
        return 0
    others = positions.working(row, request.side) - left
    lots = positions.reducible(row, request.side) - others
    return lots if lots > 0 else 0


def overrule(state: GuardState, request: Request) -> int:
    """A replace that only lowers risk stays at its venue, whatever the kernel says of it now."""
    found = state.found
    if not exits.overrule(state, request):
        found.overruled_fee_microcents = 0
    found.is_overruled = True
    return 0


def apply_replace(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Folds an admitted replace into the state."""
    orders = state.orders
    named = find_original(state, request)
    desk = state.desk_of(request)
    if named == _NO_ROW or desk is None or orders.phase(named) != _OPEN:
        raise InvariantError(f"record {outcome.sequence} replaces an order that is not open")
    first = orders.first_of(named)
    if chains.pending(orders, first) != _NO_ROW or chains.standing(orders, first) != named:
        raise InvariantError(f"record {outcome.sequence} replaces an order that does not stand")
    filled, held = orders.filled_quantity(first), orders.hold_microcents(first)
    orders.read(first)
    reservation_id, left = orders.known_outcome.reservation_id, orders.left(first)
    if outcome.reservation_id != reservation_id:
        raise InvariantError(
            f"record {outcome.sequence} holds reservation {outcome.reservation_id}, its order "
            f"{reservation_id}"
        )
    lots_filled = filled if filled < request.quantity else request.quantity
    then = settling.hold_after(outcome.notional_microcents, lots_filled, request.quantity)
    more = then - held if then > held else 0
    if more > 0 and not raise_hold(state.ledger, reservation_id, more):
        raise InvariantError(
            f"record {outcome.sequence} holds {more} microcents more, which the ledger does not"
        )
    if reservation_id != 0 and state.limits.counts_orders:
        worth = state.worth_of(request)
        if worth is None:
            raise InvariantError(f"record {outcome.sequence} replaces an order of no known symbol")
        effective = state.limits.of_order(
            desk.limit_class, worth.limit_class, request, state.accounts
        )
        limit_checks.note_replaced(request, more, effective)
    chains.add(orders, state.share_of(request), first, request, outcome)
    orders.note_fill(first, filled, held + more)
    if state.book.is_kept:
        worth = state.worth_of(request)
        if worth is None:
            raise InvariantError(f"record {outcome.sequence} replaces an order of no known symbol")
        state.book.add(worth.number, outcome.venue, request)
    left_then = orders.left(first)
    if state.positions.is_kept and left_then > left:
        positioning.note_more(state, request, left_then - left, reservation_id == 0)
    return 0


# What the venue says of it.


def decide_settled(state: GuardState, request: Request, outcome: Outcome) -> int:
    """`replaced` or `replace_rejected`: which of the two stands, and what is free then."""
    orders = state.orders
    is_replaced = request.kind == _REPLACED_KIND
    outcome.flags = outcome.collected_microcents = 0
    row = orders.find_named(request, request.received_at_ns)
    if row == _NO_ROW or state.rules_version < _SINCE_RULES:
        return _fail(outcome, ErrorCode.UNKNOWN_ORDER)
    if orders.phase(row) == _REFUSED:
        return _fail(outcome, ErrorCode.ORDER_REFUSED)
    first = orders.first_of(row)
    if first == row:
        return _fail(outcome, ErrorCode.NO_REPLACE)
    outcome.kind = _OUTCOME_REPLACED if is_replaced else _OUTCOME_REJECTED
    by = chains.settled_by(orders, row)
    if by != 0 and (by > 0) != is_replaced:
        outcome.original_wal_sequence = by if by > 0 else -by
        return _fail(outcome, ErrorCode.REPLACE_SETTLED)
    if by != 0:
        outcome.repeat = 1
        outcome.flags = _SETTLED_LATE if chains.put_settled(orders, row, outcome) else 0
        if state.has_facts:
            key, now_ns = orders.order_key(request), request.received_at_ns
            outcome.collected_microcents = state.facts.collected_of(key, now_ns)
        return 0
    outcome.open_quantity = outcome.hold_microcents = outcome.released_microcents = 0
    if orders.phase(first) != _OPEN:
        outcome.flags = _SETTLED_LATE
        return 0
    kept = row if is_replaced else chains.standing(orders, first)
    filled, order = orders.filled_quantity(first), Request()
    orders.read_into(kept, order, Outcome())
    outcome.open_quantity = chains.lots_left(chains.lots_of(orders, kept, order), filled)
    outcome.hold_microcents = chains.hold_of(orders, kept, filled)
    released = orders.hold_microcents(first) - outcome.hold_microcents
    outcome.released_microcents = released
    outcome.collected_microcents = settling.collected(state, request, released, 0)
    return 0


def apply_settled(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Folds what the venue said into the state, but for what it pays of a debt.

    The row of the chain's first order where nothing of it is open any more, which is read then;
    NO_ROW.
    """
    orders, now_ns = state.orders, request.received_at_ns
    row = orders.find_named(request, now_ns)
    first = row if row == _NO_ROW else orders.first_of(row)
    if first == row or chains.settled_by(orders, row) != 0:
        raise InvariantError(f"record {outcome.sequence} settles what waits for nothing")
    is_replaced = request.kind == _REPLACED_KIND
    is_open = orders.phase(first) == _OPEN
    held, filled, left = orders.hold_microcents(first), orders.filled_quantity(first), 0
    if is_open:
        orders.read(first)
        left = orders.left(first)
    _check_settled(state, row, first, is_open, request, outcome)
    orders.read(first)
    hold = orders.known_outcome.reservation_id
    if hold != 0 and outcome.released_microcents > 0:
        settling.settle(state, hold, 0, outcome)
    gone = left - outcome.open_quantity
    if is_open and gone > 0 and state.positions.is_kept:
        positioning.note_reduced(state, first, gone)
    ended = chains.settle(orders, row, outcome, is_replaced, not is_open)
    if is_open and state.book.is_kept:
        state.note_working(ended, False)
    if is_open:
        orders.note_fill(first, filled, held - outcome.released_microcents)
        if ended != first:
            _close_ended(state, ended, request)
    if outcome.collected_microcents > 0:
        expires_at_ns = state.cancel_expires_at_ns(now_ns)
        key = orders.order_key(request)
        state.facts.keep_collected(key, outcome.collected_microcents, expires_at_ns)
        state.note_facts()
    orders.read(first)
    return first if is_open and outcome.open_quantity == 0 else _NO_ROW


def _check_settled(
    state: GuardState, row: int, first: int, is_open: bool, request: Request, outcome: Outcome
) -> int:
    """Does the record say what follows from the state? Raises InvariantError."""
    orders = state.orders
    left = hold = held = 0
    if is_open:
        kept = row if request.kind == _REPLACED_KIND else chains.standing(orders, first)
        filled, order = orders.filled_quantity(first), Request()
        orders.read_into(kept, order, Outcome())
        left = chains.lots_left(chains.lots_of(orders, kept, order), filled)
        hold, held = chains.hold_of(orders, kept, filled), orders.hold_microcents(first)
    said = outcome.open_quantity, outcome.hold_microcents, outcome.released_microcents
    if said != (left, hold, held - hold) or (outcome.flags != 0) == is_open:
        raise InvariantError(
            f"record {outcome.sequence} leaves {said[0]} lots and {said[1]} microcents, and frees "
            f"{said[2]}, of an order with {left} lots and {held} microcents, of which {hold} stay"
        )
    return 0


def _close_ended(state: GuardState, row: int, request: Request) -> int:
    """The order in that row is closed: another one of its chain stands, or stood all the time."""
    orders, order = state.orders, Request()
    orders.read_into(row, order, Outcome())
    since_ns = max(order.sent_at_ns, request.received_at_ns)
    expires_at_ns = state.cancel_expires_at_ns(since_ns)
    return orders.close_member(row, _REPLACED, since_ns, expires_at_ns)


def put_chain(orders: RememberedOrders, first: int, outcome: Outcome) -> int:
    """Puts which record is of the order that stands in a chain, and which of the one that waits."""
    other = chains.pending(orders, first)
    outcome.standing_wal_sequence = chains.sequence_of(orders, chains.standing(orders, first))
    if other != _NO_ROW:
        outcome.pending_wal_sequence = chains.sequence_of(orders, other)
    return 0


def _fail(outcome: Outcome, code: ErrorCode) -> int:
    outcome.kind, outcome.error, outcome.repeat = _ERROR, int(code), 0
    return 0
