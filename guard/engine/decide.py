# cython: annotation_typing=False, nonecheck=True
"""Decide: the state and a request → an outcome. Pure; changes nothing but the outcome, and of a
replace what it does not say itself.

Owns the rules for every type of request: for an order which checks it meets
(`guard.engine.checks`), the question to the kernel, and that a known id is answered as the first
time; what a fill frees and commits and what it is flagged with; what a cancel frees. Live, replay
and what-if run this code; recovery does not (`guard.engine.apply`).

A fill or a cancel reports a fact and is never refused because of a limit or a halt. The kernel is
asked twice and its bytes compared, so that a record's `replay_valid` is earned.

How it fails: `InvariantError` where the state lacks what start-up guarantees, or where the kernel
gives two answers to one question. Nothing of a request can cause either.
"""

from guard.engine import (
    chains,
    early,
    execution,
    fact_rates,
    overrides,
    positioning,
    reducing,
    remembered_rows,
    replacing,
    self_match,
    settling,
    short_sales,
    status,
)
from guard.engine.checks import (
    BEFORE_KERNEL_BY_VERSION,
    BEHIND_KERNEL_BY_VERSION,
    CHECKS_OF_LOWERING,
    Check,
)
from guard.engine.remembered_form import OrderPhase
from guard.engine.row_map import NO_ROW
from guard.engine.state import GuardState
from guard.protocol import fields
from guard.protocol.fields import (
    EARLY,
    LATE,
    ORIGINAL_DETAIL,
    OVERFILL,
    REFUSED,
    UNCHARGED,
    UNCOUNTED,
    UNKNOWN,
    stage_of_reason,
)
from guard.protocol.layout import Layout, json_steps
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import ErrorCode, Refusal
from guard.protocol.request import Request
from kernel import Action, InvariantError
from kernel import little_endian as le
from kernel.layout import DECISION, INPUT, OUTPUT_ROW_BYTES

# A venue's `output_cost` is per million "output tokens": asking for a million makes it per order.
_TOKENS_PER_ORDER = 1_000_000
_OUTPUT_BYTES = OUTPUT_ROW_BYTES
_REJECT, _SUBSTITUTE = int(Action.REJECT), int(Action.SUBSTITUTE)
_I64_MAX = I64_MAX
_NO_ROW = NO_ROW
_ACTION_AT, _REASON_AT, _VENUE_AT, _COST_AT = (
    DECISION.field(name).offset
    for name in ("action", "reason", "selected_model_id", "estimated_cost_microunits")
)
(_SEQUENCE_AT, _REQUESTED_AT, _INPUT_TOKENS_AT, _OUTPUT_TOKENS_AT, _VALUE_AT, _BUDGET_AT, _RISK_AT,
 _CONFIDENCE_AT, _QUALITY_AT, _LATENCY_AT, _CAPABILITIES_AT, _PROVIDERS_AT, _REGIONS_AT) = (
    field.offset for field in INPUT.fields
)  # fmt: skip

(_ADMITTED, _REJECTED, _REFUSED_ORDER, _FILLED, _RELEASED, _STATUS, _ERROR, _PONG, _STATS,
 _REDUCED, _EXECUTED, *_) = map(int, OutcomeKind)  # fmt: skip
_EXECUTION, _REPLACE = fields.EXECUTION, fields.REPLACE
_REPLACED, _REPLACE_REJECTED = fields.REPLACED, fields.REPLACE_REJECTED
_BY_EXECUTION, _DIFFERS = fields.EXECUTED, fields.DIFFERS
_ORDER, _FILL, _CANCEL, _STATUS_KIND, _PING, _STATS_KIND, _REDUCE = map(fields.KINDS.index, (
    "order", "fill", "cancel", "status", "ping", "stats", "reduce"
))  # fmt: skip
_OPEN, _PHASE_FILLED, _CANCELED, _PHASE_REFUSED = map(int, list(OrderPhase)[:4])
_REUSED = int(Refusal.CLIENT_ORDER_ID_REUSED)
_ORDER_STAGE = stage_of_reason(_REUSED)
_ORIGINAL_DETAIL = ORIGINAL_DETAIL
_OVERFILL, _LATE, _UNKNOWN, _REFUSED = OVERFILL, LATE, UNKNOWN, REFUSED
_FILL_WINDOW_FULL = ErrorCode.FILL_WINDOW_FULL
_UNCHARGED, _EARLY, _UNCOUNTED = UNCHARGED, EARLY, UNCOUNTED
# From this version of the rules on a fee is bounded, a debt collected, and early facts are kept.
_BOUNDED_FEES = 2
_BPS = 10_000
_FILL_ID_REUSED, _UNKNOWN_ORDER, _ORDER_REFUSED, _ORDER_FILLED = (
    ErrorCode.FILL_ID_REUSED,
    ErrorCode.UNKNOWN_ORDER,
    ErrorCode.ORDER_REFUSED,
    ErrorCode.ORDER_FILLED,
)
_BEFORE_KERNEL, _BEHIND_KERNEL = BEFORE_KERNEL_BY_VERSION, BEHIND_KERNEL_BY_VERSION
_OF_LOWERING = CHECKS_OF_LOWERING
# What makes two requests the same one: all fields but those of the key and the request's id.
_ORDER_CONTENT = Layout(json_steps(fields.RECORDED_FIELDS[fields.ORDER]))
_FILL_CONTENT = Layout(json_steps(fields.RECORDED_FIELDS[fields.FILL]))
_ORDER_KEY_FIELDS, _FILL_KEY_FIELDS = 2, 3
_ORIGINAL_FIELD = fields.ORDER_FIELDS.index("original_client_order_id")
_SAME = settling.SAME


def decide(state: GuardState, request: Request, outcome: Outcome) -> int:
    """What the rules give for a request: an outcome to record and apply, or but to answer."""
    kind = request.kind
    if state.has_facts and state.facts.due and not early.is_in_turn(state, request):
        due = state.facts.due[0]
        raise InvariantError(f"the early fill {due!r} is due, as it was reported, and nothing else")
    if state.losses_due:
        raise InvariantError("a loss beyond its limit is to be recorded before anything is decided")
    outcome.sequence = state.next_sequence
    outcome.repeat = 0
    outcome.received_at_ns = request.received_at_ns
    if kind == _ORDER:
        decide_order(state, request, outcome)
    elif kind == _FILL:
        decide_fill(state, request, outcome)
    elif kind == _CANCEL:
        decide_cancel(state, request, outcome)
    elif kind == _REDUCE:
        reducing.decide_reduction(state, request, outcome)
    elif kind == _STATUS_KIND:
        status.answer_status(state, request, outcome)
    elif kind == _EXECUTION:
        execution.decide_execution(state, request, outcome)
    elif kind == _REPLACE:
        if replacing.begin(state, request, outcome) != 0:
            state.found.overridden = None
            _decide_new(state, request, outcome)
    elif kind in (_REPLACED, _REPLACE_REJECTED):
        replacing.decide_settled(state, request, outcome)
    elif kind == _PING:
        outcome.kind = _PONG
    elif kind == _STATS_KIND:
        outcome.kind = _STATS
    else:
        raise InvariantError(f"a request of kind {kind} is decided")
    return 0


def is_recorded(outcome: Outcome) -> bool:
    """Is it an outcome to record and apply? Else it changes nothing."""
    kind = outcome.kind
    return (kind <= _RELEASED or kind >= _REDUCED) and outcome.repeat == 0


def decide_order(state: GuardState, request: Request, outcome: Outcome) -> int:
    """An order: its first answer again, or a refusal, or what kernel and ledger say."""
    if answer_known(state, request, outcome):
        return 0
    overridden = overrides.checks_for(state, request) if state.has_overrides else None
    return decide_unknown(state, request, outcome, overridden)


def answer_known(state: GuardState, request: Request, outcome: Outcome) -> bool:
    """Is an order of that id known? Its answer is put then, as `_answer_known_order` says."""
    known_row = state.orders.find_named(request, request.received_at_ns)
    if known_row == _NO_ROW:
        return False
    _answer_known_order(state, known_row, request, outcome)
    return True


def decide_unknown(
    state: GuardState, request: Request, outcome: Outcome, overridden: frozenset[int] | None
) -> int:
    """An order whose id is not known; `overridden`: checks that two people let it pass."""
    found = state.found
    found.is_exit = found.is_replace = found.is_lowering = False
    found.asked_lots, found.short_lots = request.quantity, 0
    found.overridden = overridden
    if state.positions.is_kept:
        found.is_exit = positioning.reduces(state, request)
    return _decide_new(state, request, outcome)


def _decide_new(state: GuardState, request: Request, outcome: Outcome) -> int:
    """An order, or a replace as the order that it becomes; `found` says which."""
    found = state.found
    found.is_overruled = False
    reason = 0
    checks = _BEFORE_KERNEL[state.rules_version]
    for index in range(len(checks)):
        check = checks[index]
        if reason == 0:
            if found.is_exit and check.spares_exits:
                continue
            if check.refuses(state, request, outcome, found):
                reason = check.number
                outcome.detail, outcome.stage = check.detail, check.stage
                if check.bars_kernel:
                    _refuse(outcome, _REFUSED_ORDER, reason)
                    return 0
        elif check.bars_kernel and _is_barred_too(check, state, request, outcome):
            _refuse(outcome, _REFUSED_ORDER, reason)
            return 0
    ask_kernel(state, request, outcome)
    assert found.desk is not None
    found.line = state.ledger.line(found.desk.name)
    checks = _BEHIND_KERNEL[state.rules_version]
    if found.is_lowering:
        checks = _OF_LOWERING
        if outcome.output_row[_ACTION_AT] in (_REJECT, _SUBSTITUTE):
            replacing.overrule(state, request)
    for index in range(len(checks)):
        if reason != 0:
            break
        check = checks[index]
        if found.is_exit and check.spares_exits:
            continue
        if check.refuses(state, request, outcome, found):
            # Asked all the same: what it works out, those behind it use.
            if found.overridden is not None and check.number in found.overridden:
                continue
            outcome.stage = check.stage
            reason = check.number
            if reason == 0:
                reason = outcome.reason  # the kernel's own, with its detail
            else:
                outcome.detail = check.detail
    if reason != 0:
        _refuse(outcome, _REJECTED, reason)
        return 0
    _admit(state, request, outcome)
    return 0


def _admit(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Where the order goes, and what is held for it: nothing where it but reduces a position.

    A replace stays under its order's hold.
    """
    found, row = state.found, outcome.output_row
    outcome.kind = _ADMITTED
    outcome.reservation_id = state.ledger.next_reservation_id
    if found.is_replace:
        outcome.reservation_id = found.reservation_id
    elif found.is_exit:
        outcome.reservation_id = 0
    outcome.reducing = outcome.reservation_id == 0
    if outcome.reducing:
        outcome.notional_microcents = 0
    outcome.venue = le.load_u32(row, _VENUE_AT)
    outcome.substituted = row[_ACTION_AT] == _SUBSTITUTE
    outcome.fee_microcents = le.load_u64(row, _COST_AT)
    if found.is_overruled:
        outcome.venue, outcome.substituted = request.venue, 0
        outcome.fee_microcents = found.overruled_fee_microcents
    outcome.reason = le.load_u16(row, _REASON_AT)
    outcome.self_match = self_match.is_flagged(state, request, outcome, found)
    outcome.located_lots = 0
    if found.short_lots != 0:
        outcome.located_lots = short_sales.located_lots(state, request, found)
    return 0


def _refuse(outcome: Outcome, kind: int, reason: int) -> None:
    outcome.kind = kind
    outcome.reason = reason


def _is_barred_too(check: Check, state: GuardState, request: Request, outcome: Outcome) -> bool:
    """Does the check bar the kernel? What the first refusal says stays as it is."""
    asked, limit, used = outcome.asked, outcome.limit, outcome.used
    is_barred = check.refuses(state, request, outcome, state.found)
    outcome.asked, outcome.limit, outcome.used = asked, limit, used
    return is_barred


def _answer_known_order(state: GuardState, row: int, request: Request, outcome: Outcome) -> int:
    """The first answer again; or a refusal, for an order with other content."""
    orders = state.orders
    orders.read(row)
    field = _ORIGINAL_FIELD
    if orders.known.original_client_order_id_bytes == 0:
        field = settling.first_difference(_ORDER_CONTENT, _ORDER_KEY_FIELDS, orders.known, request)
    if field == _SAME:
        orders.read_answer(row, outcome)
        outcome.kind = _ADMITTED if orders.phase(row) != _PHASE_REFUSED else _REJECTED
        outcome.repeat = 1
        return 0
    outcome.original_wal_sequence = orders.known_outcome.sequence
    outcome.field = field
    outcome.stage, outcome.detail = _ORDER_STAGE, _ORIGINAL_DETAIL
    _refuse(outcome, _REFUSED_ORDER, _REUSED)
    return 0


def ask_kernel(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Puts the kernel's input and its output into the outcome's rows."""
    policy = state.policy
    if policy is None:
        raise InvariantError("an order is decided before any policy is active")
    put_input(request, outcome)
    policy.decide_into(outcome.input_row, outcome.output_row)
    policy.decide_into(outcome.input_row, outcome.output_again)
    if not le.are_equal(outcome.output_row, outcome.output_again, _OUTPUT_BYTES):
        raise InvariantError(f"the kernel decided sequence {outcome.sequence} in two ways")
    return 0


def put_input(request: Request, outcome: Outcome) -> None:
    """An order's fields and its notional as the kernel's input row (`kernel.layout.INPUT`)."""
    row = outcome.input_row
    le.store_u64(row, _SEQUENCE_AT, outcome.sequence)
    le.store_u32(row, _REQUESTED_AT, request.venue)
    le.store_u32(row, _INPUT_TOKENS_AT, request.quantity)
    le.store_u32(row, _OUTPUT_TOKENS_AT, _TOKENS_PER_ORDER)
    le.store_i64(row, _VALUE_AT, outcome.notional_microcents)
    le.store_u64(row, _BUDGET_AT, request.max_fee_microcents)
    le.store_u16(row, _RISK_AT, request.risk_bps)
    le.store_u16(row, _CONFIDENCE_AT, request.confidence_bps)
    le.store_u16(row, _QUALITY_AT, request.minimum_quality_bps)
    le.store_u32(row, _LATENCY_AT, request.max_p95_latency_ms)
    le.store_u64(row, _CAPABILITIES_AT, request.required_capabilities)
    le.store_u64(row, _PROVIDERS_AT, request.allowed_providers)
    le.store_u64(row, _REGIONS_AT, request.required_regions)


def decide_fill(state: GuardState, request: Request, outcome: Outcome) -> int:
    """A fill: recorded whatever it says, unless it is a repeat or contradicts an earlier one."""
    orders = state.orders
    now_ns = request.received_at_ns
    outcome.kind = _FILLED
    is_due = state.has_facts and len(state.facts.due) > 0
    if not is_due:
        fill_row = orders.find_fill(request, now_ns)
        if fill_row != _NO_ROW:
            _answer_known_fill(state, fill_row, request, outcome)
            return 0
    row = orders.find(request, now_ns)
    if not is_due and row != _NO_ROW and settling.is_fill_window_full(state, row, request):
        outcome.kind = _ERROR
        outcome.error = _FILL_WINDOW_FULL
        return 0
    outcome.released_microcents = outcome.hold_microcents = outcome.open_quantity = 0
    outcome.flags = _UNKNOWN
    if row != _NO_ROW:
        phase = orders.phase(row)
        if phase == _PHASE_REFUSED:
            outcome.flags = _UNKNOWN | _REFUSED
        else:
            orders.read(row)
            left, quantity = orders.left(row), orders.known.quantity
            outcome.flags = _OVERFILL if request.quantity > left else 0
            filled = orders.filled_quantity(row) + request.quantity
            if filled > _I64_MAX and state.rules_version >= _BOUNDED_FEES:
                outcome.flags = outcome.flags | _UNCOUNTED
            if phase == _OPEN:
                held = orders.hold_microcents(row)
                first = orders.known_outcome.notional_microcents
                left -= request.quantity if request.quantity < left else left
                if orders.chain_of(row) != 0:
                    after = chains.held_with(orders, row, left)
                else:
                    after = settling.hold_after(first, quantity - left, quantity)
                outcome.hold_microcents = after
                outcome.released_microcents = held - after
                outcome.open_quantity = left
            else:
                outcome.flags = outcome.flags | _LATE
    if is_due:
        outcome.flags = outcome.flags | _EARLY
    if row != _NO_ROW and len(state.executions.unreported) > 0:
        _follow_execution(state, row, request, outcome)
    _decide_fee(state, request, outcome)
    return 0


def _follow_execution(state: GuardState, row: int, request: Request, outcome: Outcome) -> int:
    """Of a fill whose execution came before it nothing moves but the fee."""
    orders = state.orders
    reported = execution.reported_before(state, request)
    if reported is None:
        return 0
    outcome.flags = _BY_EXECUTION
    if execution.differs_from(reported, request):
        outcome.flags = outcome.flags | _DIFFERS
    outcome.released_microcents = outcome.hold_microcents = outcome.open_quantity = 0
    orders.read(row)
    if orders.phase(row) == _OPEN:
        outcome.hold_microcents = orders.hold_microcents(row)
        outcome.open_quantity = orders.left(row)
    return 0


def _decide_fee(state: GuardState, request: Request, outcome: Outcome) -> int:
    """Whether the fee is charged, what of it cannot be paid, and what is left for a debt."""
    outcome.collected_microcents = 0
    released, fee = outcome.released_microcents, request.fee_microcents
    if state.rules_version < _BOUNDED_FEES:
        outcome.unpaid_fee_microcents = settling.unpaid_fee(state, request, released)
    elif fee > 0 and not _is_chargeable(state, request, outcome):
        outcome.flags = outcome.flags | _UNCHARGED
        outcome.unpaid_fee_microcents = 0
        outcome.collected_microcents = settling.collected(state, request, released, 0)
    else:
        unpaid = settling.unpaid_fee(state, request, released)
        outcome.unpaid_fee_microcents = unpaid
        paid = fee - unpaid if fee > 0 else 0
        outcome.collected_microcents = settling.collected(state, request, released, paid)
    outcome.halts_desk = outcome.unpaid_fee_microcents > 0
    return 0


def _is_chargeable(state: GuardState, request: Request, outcome: Outcome) -> bool:
    """Is the fee one of an order that was admitted, and within its desk's bound?"""
    if outcome.flags & _UNKNOWN:
        return False
    desk = state.desk_of(request)
    if desk is None or desk.fee_bound_bps < 0:
        return desk is not None
    order = state.orders.known
    worth = state.worth_of(order)
    if worth is None and outcome.flags & _BY_EXECUTION:
        return False  # of an order that was refused: nothing says what its fee may come to
    if worth is None:
        raise InvariantError(f"an order of {order.symbol} was admitted, which is not defined")
    price = request.price if request.price > 0 else order.price
    wide_bound = worth.notional_microcents(request.quantity, price)
    wide_bound = wide_bound * desk.fee_bound_bps
    wide_minimum = desk.fee_minimum_microcents
    wide_fee = request.fee_microcents
    return wide_fee * _BPS <= wide_bound + wide_minimum * _BPS


def _answer_known_fill(state: GuardState, row: int, request: Request, outcome: Outcome) -> int:
    """The first answer again; or an error, for a fill with other content."""
    known = state.found.request
    state.orders.read_fill(row, known, outcome)
    field = settling.first_difference(_FILL_CONTENT, _FILL_KEY_FIELDS, known, request)
    if field == _SAME:
        outcome.repeat = 1
        if state.has_facts:
            outcome.flags = outcome.flags | early.amended_flags(state, request, outcome)
        return 0
    outcome.kind = _ERROR
    outcome.error = _FILL_ID_REUSED
    outcome.field = field
    return 0


def decide_cancel(state: GuardState, request: Request, outcome: Outcome) -> int:
    """A cancel: what the order still holds is freed, once."""
    orders = state.orders
    outcome.flags = outcome.collected_microcents = 0
    if state.has_facts:
        sequence = early.early_cancel(state, request)
        if sequence != 0:
            outcome.kind, outcome.flags, outcome.repeat = _RELEASED, _EARLY, 1
            outcome.sequence, outcome.released_microcents = sequence, 0
            return 0
    row = orders.find(request, request.received_at_ns)
    outcome.kind = _ERROR
    if row == _NO_ROW:
        outcome.error = _UNKNOWN_ORDER
        if state.rules_version >= _BOUNDED_FEES and early.may_keep_cancel(state, request):
            outcome.kind, outcome.flags, outcome.released_microcents = _RELEASED, _EARLY, 0
            _flag_rate(state, row, request, outcome)
        return 0
    phase = orders.phase(row)
    if phase == _PHASE_REFUSED:
        outcome.error = _ORDER_REFUSED
    elif phase == _PHASE_FILLED:
        outcome.error = _ORDER_FILLED
    else:
        outcome.kind = _RELEASED
        outcome.released_microcents = orders.hold_microcents(row)
        if phase == _CANCELED:
            outcome.repeat = 1
            outcome.sequence = orders.release_sequence(row)
            outcome.released_microcents = orders.released_microcents(row)
            if state.has_facts:
                key, now_ns = remembered_rows.key_of(orders, row), request.received_at_ns
                outcome.collected_microcents = state.facts.collected_of(key, now_ns)
        elif state.rules_version >= _BOUNDED_FEES:
            released = outcome.released_microcents
            outcome.collected_microcents = settling.collected(state, request, released, 0)
    if outcome.kind == _RELEASED and outcome.repeat == 0:
        _flag_rate(state, row, request, outcome)
    return 0


def _flag_rate(state: GuardState, row: int, request: Request, outcome: Outcome) -> None:
    """Flags a cancel that is one more than its rates have."""
    if state.limits.counts_facts:
        outcome.flags = outcome.flags | fact_rates.cancel_flags(state, row, request)
