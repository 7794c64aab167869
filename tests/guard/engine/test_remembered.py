"""What is remembered of an order or a fill: the bytes of the reference, which hold all of it."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, msgpack, structs

from guard.engine import remembered_orphans
from guard.engine.remembered import RememberedOrders
from guard.engine.request_events import FillRecorded, OrderDecided
from guard.engine.row_map import BLOB_BYTES_MAX
from guard.protocol.messages import (
    I64_MAX,
    U32_MAX,
    U64_MAX,
    Admit,
    Fill,
    Filled,
    Order,
    OrderType,
    Reject,
    Side,
    TimeInForce,
)
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.reasons import NOT_REMEMBERED, Refusal, Stage
from guard.protocol.request import Request
from guard.protocol.views import reply_of
from guard.record.reader import RecordReader
from guard.record.unusual import read_event
from guard_support import fields_of
from kernel import InvariantError, Reason
from reference.orders_codec import encode_fill, encode_order, order_key

WORDS = [*(reason.snake for reason in Reason), *(refusal.word for refusal in Refusal)]
FLAGS = ["overfill", "late", "unknown", "refused"]

names = st.text("abcXYZ019-_.", min_size=1, max_size=32)
identifiers = st.text("abcXYZ019-_.", min_size=1, max_size=64)
counts = st.integers(1, I64_MAX)
u32s = st.integers(0, U32_MAX)
u64s = st.integers(0, U64_MAX) | st.just(U64_MAX)
i63s = st.integers(0, I64_MAX)
i64s = st.integers(-(2**63), I64_MAX)
basis_points = st.integers(0, 10_000)
words = st.sampled_from(WORDS).filter(lambda word: word not in NOT_REMEMBERED) | st.text(
    max_size=30
)

orders = st.builds(
    Order,
    client_order_id=identifiers,
    desk=names,
    symbol=names,
    side=st.sampled_from(get_args(Side)),
    quantity=counts,
    price=counts,
    venue=u32s,
    risk_bps=basis_points,
    confidence_bps=basis_points,
    minimum_quality_bps=basis_points,
    max_p95_latency_ms=u32s,
    required_capabilities=u64s,
    allowed_providers=u64s,
    required_regions=u64s,
    max_fee_microcents=u64s,
    allow_substitute=st.booleans(),
    order_type=st.sampled_from(get_args(OrderType)),
    time_in_force=st.sampled_from(get_args(TimeInForce)),
    currency=st.none() | names,
    sent_at_ns=st.none() | counts,
    request_id=st.just(UNSET) | st.none() | i64s | names,
)
fills = st.builds(
    Fill,
    desk=names,
    client_order_id=identifiers,
    fill_id=identifiers,
    quantity=counts,
    fee_microcents=i64s,
    price=st.none() | counts,
    executed_at_ns=st.none() | counts,
    request_id=st.just(UNSET) | st.none() | i64s | names,
)


RECEIVED_AT_NS = 2**62 + 1


def remembered(event: Any, is_timed: bool = False) -> RememberedOrders:
    """What is remembered of the order of an event, as recovery has it."""
    request, outcome = Request(), Outcome()
    read_event(RecordReader(), event, request, outcome)
    orders = RememberedOrders()
    orders.add(orders.shares.of(0), request, outcome, is_timed)
    return orders


def check_order(order: Order, answer: Admit | Reject) -> None:
    """The payload is the reference's, and reading it gives the order and the answer again."""
    for is_timed in (False, True):
        check_order_form(order, answer, is_timed)


def check_order_form(order: Order, answer: Admit | Reject, is_timed: bool) -> None:
    recorded = structs.replace(order, request_id=UNSET)
    orders = remembered(OrderDecided(RECEIVED_AT_NS, "local", 1, recorded, answer), is_timed)
    dumped = b"".join(orders.dump())
    payload = encode_order(recorded, answer)
    if is_timed:  # one element more, at the end
        payload = bytes([payload[0] + 1]) + payload[1:] + msgpack.encode(RECEIVED_AT_NS)
    assert payload in dumped
    known, said = fields_of(recorded, 1), Outcome()
    row = orders.find(known, 1)
    orders.read_into(row, known, said)
    said.kind = OutcomeKind.ADMITTED if isinstance(answer, Admit) else OutcomeKind.REJECTED
    assert reply_of(known, said) == answer
    assert said.received_at_ns == (RECEIVED_AT_NS if is_timed else 0)
    again = RememberedOrders()
    known.received_at_ns = RECEIVED_AT_NS
    again.add(again.shares.of(0), known, said, is_timed)
    assert b"".join(again.dump()) == dumped


@given(
    order=orders,
    numbers=st.tuples(counts, counts, u32s, st.booleans(), counts, u64s),
    word=words,
)
def test_an_admitted_order(order: Order, numbers: tuple[Any, ...], word: str) -> None:
    check_order(order, Admit(order.client_order_id, *numbers, word, False))


@given(
    order=orders,
    sequence=counts,
    stage=st.sampled_from(get_args(Stage)),
    word=words,
    detail=st.dictionaries(names, i64s | u64s, max_size=4),
)
def test_a_refused_order(
    order: Order, sequence: int, stage: Stage, word: str, detail: dict[str, int]
) -> None:
    check_order(order, Reject(order.client_order_id, sequence, stage, word, detail, False))


@given(
    fill=fills,
    numbers=st.tuples(counts, i63s, i63s, i63s),
    unpaid=i63s,
    chosen=st.sets(st.sampled_from(FLAGS)),
)
def test_a_fill(fill: Fill, numbers: tuple[Any, ...], unpaid: int, chosen: set[str]) -> None:
    recorded = structs.replace(fill, request_id=UNSET)
    flags = [flag for flag in FLAGS if flag in chosen]
    identity = (fill.desk, fill.client_order_id, fill.fill_id)
    answer = Filled(*identity, *numbers, fill.fee_microcents, unpaid, flags, False)
    request, outcome = Request(), Outcome()
    event = FillRecorded(1, "local", 1, recorded, answer, False)
    read_event(RecordReader(), event, request, outcome)
    orders = RememberedOrders()
    remembered_orphans.add(orders, request, outcome, 10, 5)
    dumped = b"".join(orders.dump())
    assert encode_fill(recorded, answer) in dumped
    known, said = fields_of(recorded, 1), Outcome()
    orders.read_fill(orders.find_fill(known, 1), known, said)
    said.kind = OutcomeKind.FILLED
    assert reply_of(known, said) == answer


def greatest_order(**changes: Any) -> Order:
    fields = {
        "client_order_id": "i" * 64, "desk": "d" * 32, "symbol": "s" * 32, "side": "sell",
        "quantity": I64_MAX, "price": I64_MAX, "venue": U32_MAX, "risk_bps": 10_000,
        "confidence_bps": 10_000, "minimum_quality_bps": 10_000, "max_p95_latency_ms": U32_MAX,
        "required_capabilities": U64_MAX, "allowed_providers": U64_MAX,
        "required_regions": U64_MAX, "max_fee_microcents": U64_MAX, "order_type": "market",
        "time_in_force": "day", "currency": "USD", "sent_at_ns": I64_MAX,
    }  # fmt: skip
    return Order(**(fields | changes))


@pytest.mark.parametrize("word", [*WORDS, "a_reason_of_a_later_version", ""])
def test_every_word_with_the_greatest_of_all_values(word: str) -> None:
    order = greatest_order()
    numbers = (I64_MAX, I64_MAX, U32_MAX, True, I64_MAX, U64_MAX)
    admit = Admit(order.client_order_id, *numbers, word, False)
    check_order(order, admit)
    blob = order_key(order.desk, order.client_order_id) + encode_order(order, admit)
    assert len(blob) <= BLOB_BYTES_MAX // 8


def test_an_integer_beyond_any_request_is_our_bug() -> None:
    event = OrderDecided(
        1, "local", 1, greatest_order(), Reject("i" * 64, 1, "order", "of_old", {"a": 2**64}, False)
    )
    with pytest.raises(InvariantError, match="holds an impossible integer"):
        remembered(event)
