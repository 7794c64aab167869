"""What is remembered of an order or a fill comes back as it was, without its sending's id."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs

from guard.messages import (
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
from guard.orders_codec import (
    decode_fill,
    decode_order,
    encode_fill,
    encode_order,
    fill_key,
    order_key,
)
from guard.engine.row_map import BLOB_BYTES_MAX
from guard.reasons import Refusal, Stage
from kernel import InvariantError, Reason

WORDS = [*(reason.snake for reason in Reason), *(refusal.word for refusal in Refusal)]
FLAGS = ["overfill", "late", "unknown", "refused"]

names = st.text("abcXYZ019-_.é", min_size=1, max_size=32)
identifiers = st.text("abcXYZ019-_.", min_size=1, max_size=64)
counts = st.integers(1, I64_MAX)
u32s = st.integers(0, U32_MAX)
u64s = st.integers(0, U64_MAX) | st.just(U64_MAX)
i64s = st.integers(-(2**63), I64_MAX)
basis_points = st.integers(0, 10_000)
words = st.sampled_from(WORDS) | st.text(max_size=30)

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


def check_order(order: Order, answer: Admit | Reject) -> None:
    payload = encode_order(order, answer)
    decoded = decode_order(order.desk, order.client_order_id, payload)
    assert decoded == (structs.replace(order, request_id=UNSET), answer)
    assert type(decoded[1]) is type(answer)
    assert encode_order(*decoded) == payload


@given(
    order=orders,
    numbers=st.tuples(counts, counts, u32s, st.booleans(), u64s, u64s),
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
    numbers=st.tuples(counts, u64s, u64s, u64s),
    unpaid=u64s,
    chosen=st.sets(st.sampled_from(FLAGS)),
)
def test_a_fill(fill: Fill, numbers: tuple[Any, ...], unpaid: int, chosen: set[str]) -> None:
    flags = [flag for flag in FLAGS if flag in chosen]
    identity = (fill.desk, fill.client_order_id, fill.fill_id)
    answer = Filled(*identity, *numbers, fill.fee_microcents, unpaid, flags, False)
    payload = encode_fill(fill, answer)
    decoded = decode_fill(*identity, payload)
    assert decoded == (structs.replace(fill, request_id=UNSET), answer)
    assert encode_fill(*decoded) == payload


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
    numbers = (I64_MAX, I64_MAX, U32_MAX, True, U64_MAX, U64_MAX)
    admit = Admit(order.client_order_id, *numbers, word, False)
    check_order(order, admit)
    blob = order_key(order.desk, order.client_order_id) + encode_order(order, admit)
    assert len(blob) <= BLOB_BYTES_MAX // 8


def test_a_known_word_is_two_bytes_at_most_and_an_unknown_one_is_itself() -> None:
    order = greatest_order()
    sizes = {
        word: len(encode_order(order, Admit("", 1, 1, 1, False, 1, 1, word, False)))
        for word in (*WORDS, "unheard_of")
    }
    least = min(sizes.values())
    assert all(sizes[word] - least <= 2 for word in WORDS)
    assert sizes["unheard_of"] > least + 2
    assert len(set(WORDS)) == len(WORDS)


def test_an_integer_beyond_any_request_is_our_bug() -> None:
    admit = Admit("A-1", 2**64, 1, 1, False, 1, 1, "recommended", False)
    with pytest.raises(InvariantError, match="holds an integer that no request can"):
        encode_order(greatest_order(), admit)


def test_keys_differ_where_identities_do() -> None:
    assert order_key("a", "bc") == b"a\0bc"
    assert order_key("ab", "c") != order_key("a", "bc")
    assert fill_key("a", "b", "cd") == b"a\0b\0cd"
    assert fill_key("a", "bc", "d") != fill_key("a", "b", "cd")
