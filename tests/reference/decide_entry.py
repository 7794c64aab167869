"""Decide an order: the state and an order → an outcome or a plain reply. Pure; changes nothing.

Owns the guard's rules for entries: which checks an order meets, and in which order (the table in
`guard/PROTOCOL.md`, 3.3). Live and replay run this code; recovery does not (`reference.apply`).

How it works: the result is `Decided`, which must be logged, applied and only then answered, or a
reply that changes nothing, a repeat. The kernel is asked twice and its bytes compared, so that a
record's `replay_valid` is earned.

How it fails: `InvariantError` where the state lacks what start-up guarantees, or where the kernel
gives two answers to one question. Nothing of a request can cause either.
"""

from typing import Any, Final, TypeAlias

import msgspec

from guard.engine.events import Decided, KernelRows
from guard.engine.request_events import OrderDecided, OrderRefused
from guard.protocol.messages import (
    I64_MAX,
    U32_MAX,
    U64_MAX,
    Admit,
    Order,
    Reject,
    Reply,
)
from guard.protocol.reasons import Refusal, Stage, stage_of
from kernel import (
    Action,
    ExposureLimitExceeded,
    Insufficient,
    InvariantError,
    Reason,
)
from kernel import little_endian as le
from kernel.layout import DECISION_ROW_BYTES, OUTPUT_ROW_BYTES, TRACE
from kernel.policy import PolicySnapshot
from reference.difference import first_difference
from reference.orders import OrderState
from reference.orders_codec import order_key
from reference.origin import Origin
from reference.state import Desk, GuardState

_EARLY_CANCELS = 2  # the rules' version from which on they are kept

# A venue's `output_cost` is per million "output tokens": asking for a million makes it per order.
_TOKENS_PER_ORDER = 1_000_000
_OUTPUT_BYTES = OUTPUT_ROW_BYTES
_REJECT, _SUBSTITUTE = int(Action.REJECT), int(Action.SUBSTITUTE)

_fields_of = msgspec.structs.astuple

REASON_WORD: Final = {int(reason): reason.snake for reason in Reason}

Detail: TypeAlias = dict[str, int]
Refused: TypeAlias = tuple[Refusal, Detail]


def decide_order(state: GuardState, order: Order, origin: Origin) -> Decided | Reply:
    """An order: its first answer again, or a refusal, or what kernel and ledger say."""
    now_ns = origin.received_at_ns
    fields = _fields_of(order)
    (client_order_id, desk_name, symbol, _, quantity, price, _, _, _, _, _, _, _, _, _, _, _, _, _,
     sent_at_ns, *_) = fields  # fmt: skip
    known = state.orders.find(desk_name, client_order_id, now_ns)
    if known is not None:
        return _answer_known_order(state, known, order, origin)
    refused = _refuse_by_window(state, sent_at_ns, now_ns)
    desk = state.desks.get(desk_name)
    instrument = state.instruments.get(symbol)
    if desk is None:
        refused = refused or (Refusal.UNKNOWN_DESK, {})
    elif instrument is None:
        refused = refused or (Refusal.UNKNOWN_SYMBOL, {})
    elif quantity > U32_MAX:
        asked = {"asked": quantity, "limit": U32_MAX, "used": 0}
        refused = refused or (Refusal.QUANTITY_OUT_OF_RANGE, asked)
    else:
        notional = instrument.notional_microcents(quantity, price)
        if notional <= I64_MAX:
            return _decide_by_kernel(state, desk, order, fields, notional, refused, origin)
        asked = {"asked": min(notional, U64_MAX), "limit": I64_MAX, "used": 0}
        refused = refused or (Refusal.OVERFLOW, asked)
    return _refuse_before_kernel(state, order, refused, origin)


def _answer_known_order(
    state: GuardState, known: OrderState, order: Order, origin: Origin
) -> Decided | Reply:
    field = first_difference(known.order, order)
    if field is None:
        return msgspec.structs.replace(known.answer, repeat=True)
    detail = {"original_wal_sequence": known.answer.wal_sequence}
    refused = (Refusal.CLIENT_ORDER_ID_REUSED, detail)
    decided = _refuse_before_kernel(state, order, refused, origin)
    decided.outcome.answer.field = field  # type: ignore[union-attr]
    return decided


def _refuse_by_window(state: GuardState, sent_at_ns: int | None, now_ns: int) -> Refused | None:
    """Would the order's id be forgotten too early, or is there no room to remember it?"""
    window_ns = state.remembered_order_window_ns
    if sent_at_ns is not None and abs(now_ns - sent_at_ns) > window_ns:
        return Refusal.STALE_ORDER, {"asked": sent_at_ns, "limit": window_ns, "used": now_ns}
    if state.orders.is_full(state.remembered_orders_max, now_ns):
        ids_max = state.remembered_orders_max
        return Refusal.IDEMPOTENCY_WINDOW_FULL, {"asked": 1, "limit": ids_max, "used": ids_max}
    return None


def _reject(order: Order, sequence: int, stage: Stage, reason: str, detail: Detail) -> Reject:
    return Reject(order.client_order_id, sequence, stage, reason, detail, False)


def _refuse_before_kernel(
    state: GuardState, order: Order, refused: Refused, origin: Origin
) -> Decided:
    refusal, detail = refused
    answer = _reject(order, state.next_sequence, stage_of(refusal), refusal.word, detail)
    event = OrderRefused(
        origin.received_at_ns, origin.client, origin.batch_first_sequence, order, answer
    )
    return Decided(event)


def _decide_by_kernel(
    state: GuardState,
    desk: Desk,
    order: Order,
    fields: tuple[Any, ...],
    notional_microcents: int,
    refused: Refused | None,
    origin: Origin,
) -> Decided:
    """Asks the kernel, then for the exposure.

    `fields`: the order's, in their order. `refused`: what its window already said.
    """
    policy = state.policy
    if policy is None:
        raise InvariantError("an order is decided before any policy is active")
    rows = _ask_kernel(state, policy, fields, notional_microcents)
    halt = state.entries_halt
    canceled = state.facts.cancel_of(
        order_key(order.desk, order.client_order_id), origin.received_at_ns
    )
    if refused is None and canceled and state.rules_version >= _EARLY_CANCELS:
        refused = (Refusal.CANCELED_BEFORE_ARRIVAL, {"original_wal_sequence": canceled})
    if refused is None and state.is_firm_stopped:
        refused = (Refusal.FIRM_HALTED, {})
    if refused is None and halt is not None:
        sizes = {"free_bytes": halt.free_bytes, "reserve_bytes": halt.reserve_bytes}
        refused = (Refusal.DISK_LOW, sizes)
    if refused is None and (desk.is_halted or desk.is_stopped):
        unpaid = min(desk.unpaid_fees_microcents, U64_MAX)
        refused = (Refusal.DESK_HALTED, {"asked": 0, "limit": 0, "used": unpaid})
    if refused is None and order.symbol in state.stopped_symbols:
        refused = (Refusal.SYMBOL_HALTED, {})
    answer: Admit | Reject
    if refused is not None:
        refusal, detail = refused
        answer = _reject(order, state.next_sequence, stage_of(refusal), refusal.word, detail)
    else:
        answer = _answer_by_kernel(state, policy, order, notional_microcents, rows)
    event = OrderDecided(
        origin.received_at_ns, origin.client, origin.batch_first_sequence, order, answer
    )
    return Decided(event, rows)


def _ask_kernel(
    state: GuardState,
    policy: PolicySnapshot,
    fields: tuple[Any, ...],
    notional_microcents: int,
) -> KernelRows:
    input_row = _input_row(state.next_sequence, notional_microcents, fields)
    output_row = policy.decide_row(input_row)
    if policy.decide_row(input_row) != output_row:
        raise InvariantError(f"the kernel decided sequence {state.next_sequence} in two ways")
    if len(output_row) != _OUTPUT_BYTES:  # it is read by offset from here on
        raise InvariantError(f"the kernel gave {len(output_row)} bytes, not {_OUTPUT_BYTES}")
    return KernelRows(input_row, output_row, state.policy_digest_hex)


def _input_row(sequence: int, notional_microcents: int, fields: tuple[Any, ...]) -> bytes:
    """An order's fields and its notional as the kernel's input row (`kernel.layout.INPUT`)."""
    (_, _, _, _, quantity, _, venue, risk_bps, confidence_bps, minimum_quality_bps,
     max_p95_latency_ms, required_capabilities, allowed_providers, required_regions,
     max_fee_microcents, *_) = fields  # fmt: skip
    row = [0] * 70  # compiled: an array on the stack
    put_input_row(
        row, sequence, notional_microcents, quantity, venue, risk_bps, confidence_bps,
        minimum_quality_bps, max_p95_latency_ms, required_capabilities, allowed_providers,
        required_regions, max_fee_microcents,
    )  # fmt: skip
    return le.bytes_of(row, 70)


def put_input_row(
    row: bytearray | list[int],
    sequence: int,
    notional_microcents: int,
    quantity: int,
    venue: int,
    risk_bps: int,
    confidence_bps: int,
    minimum_quality_bps: int,
    max_p95_latency_ms: int,
    required_capabilities: int,
    allowed_providers: int,
    required_regions: int,
    max_fee_microcents: int,
) -> None:
    """Writes the row's 70 bytes."""
    le.store_u64(row, 0, sequence)
    le.store_u32(row, 8, venue)
    le.store_u32(row, 12, quantity)
    le.store_u32(row, 16, _TOKENS_PER_ORDER)
    le.store_i64(row, 20, notional_microcents)
    le.store_u64(row, 28, max_fee_microcents)
    le.store_u16(row, 36, risk_bps)
    le.store_u16(row, 38, confidence_bps)
    le.store_u16(row, 40, minimum_quality_bps)
    le.store_u32(row, 42, max_p95_latency_ms)
    le.store_u64(row, 46, required_capabilities)
    le.store_u64(row, 54, allowed_providers)
    le.store_u64(row, 62, required_regions)


def _answer_by_kernel(
    state: GuardState,
    policy: PolicySnapshot,
    order: Order,
    notional_microcents: int,
    rows: KernelRows,
) -> Admit | Reject:
    sequence = state.next_sequence
    output_row = rows.output_row
    row = output_row  # its fields: `kernel.layout.DECISION`
    action = row[8]
    reason_code = le.load_u16(row, 9)
    venue = le.load_u32(row, 11)
    if action == _REJECT:
        detail = _gate_counts(rows)
        if reason_code == Reason.RISK_HARD_LIMIT:
            detail |= {"asked": order.risk_bps, "limit": policy.hard_risk_limit_bps}
        elif reason_code == Reason.CONFIDENCE_HARD_LIMIT:
            detail |= {"asked": order.confidence_bps, "limit": policy.minimum_confidence_bps}
        return _reject(order, sequence, "kernel", REASON_WORD[reason_code], detail)
    is_substituted = action == _SUBSTITUTE
    if is_substituted and not order.allow_substitute:
        detail = {"asked": order.venue, "chosen": venue, **_gate_counts(rows)}
        word = Refusal.SUBSTITUTION_NOT_ALLOWED.word
        return _reject(order, sequence, "kernel", word, detail)
    refused = _refuse_by_ledger(state, order.desk, notional_microcents)
    if refused is not None:
        refusal, detail = refused
        return _reject(order, sequence, "ledger", refusal.word, detail)
    return Admit(
        order.client_order_id,
        sequence,
        state.ledger.next_reservation_id,
        venue,
        is_substituted,
        notional_microcents,
        le.load_u64(row, 17),
        REASON_WORD[reason_code],
        False,
    )


def _gate_counts(rows: KernelRows) -> Detail:
    counts = TRACE.unpack(rows.output_row[DECISION_ROW_BYTES:])
    return dict(zip(TRACE.field_names, counts, strict=True))


def _refuse_by_ledger(state: GuardState, desk: str, notional_microcents: int) -> Refused | None:
    ledger = state.ledger
    if ledger.can_reserve(desk, notional_microcents):
        return None
    result = ledger.assess_reserve(desk, notional_microcents)
    used = ledger.reserved_microcents(desk) or 0
    if isinstance(result, ExposureLimitExceeded):
        refusal, limit = Refusal.EXPOSURE_LIMIT_EXCEEDED, result.max_reserved_microcents
    elif isinstance(result, Insufficient):
        refusal, limit = Refusal.INSUFFICIENT, ledger.initial_microcents(desk) or 0
        used = limit - result.remaining_microcents
    else:
        refusal, limit = Refusal.OVERFLOW, I64_MAX
    return refusal, {"asked": notional_microcents, "limit": limit, "used": used}
