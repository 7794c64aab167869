"""The written decision record against the encoder: the same bytes, or none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from guard.record.codec import decode_data, encode_data, encode_decision
from guard.messages import Admit, Order, Reject
from guard.outcomes import Decided, KernelRows, OrderDecided
from guard.record_text import RecordText
from guard.text import put, put_hex, put_i64, put_string, put_u64
from guard.wire import is_identifier
from guard_day_support import trading_day
from guard_support import I64_MAX, U32_MAX, U64_MAX, LoggedEngine, order
from kernel import Action, Reason
from kernel.layout import DECISION, DECISION_ROW_BYTES, INPUT

WRITER = RecordText()
HEX = "0123456789abcdef" * 4


def edges(first: int, last: int) -> st.SearchStrategy[int]:
    """Integers of a range, its ends and powers of ten among them."""
    powers = [10**n + d for n in range(21) for d in (-1, 0, 1) if first <= 10**n + d <= last]
    return st.sampled_from([first, last, *powers]) | st.integers(first, last)


U16, U32, U64 = edges(0, 2**16 - 1), edges(0, U32_MAX), edges(0, U64_MAX)
I64 = edges(-I64_MAX - 1, I64_MAX)
COUNT = edges(1, I64_MAX)
PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)
NAME = st.from_regex(r"\A[A-Za-z0-9._:/-]{1,32}\Z")
REASON_CODES = st.sampled_from([int(reason) for reason in Reason])

INPUTS = st.tuples(U64, U32, U32, U32, I64, U64, U16, U16, U16, U32, U64, U64, U64)
DECISIONS = st.tuples(
    U64, st.sampled_from([int(action) for action in Action]), REASON_CODES, U32, U16, U64, I64,
    U32, I64, U16, U16, U64, U64,
)  # fmt: skip
BPS = st.integers(0, 10_000)
ORDERS = st.builds(
    Order, PRINTABLE, NAME, NAME, st.sampled_from(["buy", "sell"]), COUNT, COUNT, U32, BPS, BPS,
    BPS, U32, U64, U64, U64, U64, st.booleans(), st.sampled_from(["limit", "market"]),
    st.sampled_from(["day", "ioc", "fok", "gtc"]),
    st.none() | st.from_regex(r"\A[A-Z]{3}\Z"), st.none() | COUNT,
)  # fmt: skip
ADMITS = st.builds(
    Admit, PRINTABLE, U64, U64, U32, st.booleans(), U64, U64, PRINTABLE, st.booleans()
)
REJECTS = st.builds(
    Reject, PRINTABLE, U64, st.sampled_from(["order", "kernel", "ledger"]), PRINTABLE,
    st.dictionaries(PRINTABLE, U64, max_size=12), st.booleans(),
)  # fmt: skip
EVENTS = st.builds(OrderDecided, COUNT, PRINTABLE, U64, ORDERS, ADMITS | REJECTS)
DIGESTS = st.sampled_from([HEX, HEX[::-1]])


def decided(
    event: OrderDecided, input_values: Any, decision_values: Any, digest_hex: str
) -> Decided:
    rows = KernelRows(INPUT.pack(input_values), DECISION.pack(decision_values), digest_hex)
    return Decided(event, rows)


def written(each: Decided) -> bytes | None:
    rows = each.kernel
    assert rows is not None
    return WRITER.decision(each.outcome, rows.input_row, rows.output_row, rows.policy_digest_hex)


@given(event=EVENTS, of_input=INPUTS, of_decision=DECISIONS, digest_hex=DIGESTS)
def test_every_record_is_written_as_the_encoder_writes_it(
    event: OrderDecided, of_input: Any, of_decision: Any, digest_hex: str
) -> None:
    each = decided(event, of_input, of_decision, digest_hex)
    assert written(each) == encode_decision(each) == encode_data(each)


def test_every_decision_of_a_day_is_written() -> None:
    count = 0
    for data in trading_day().records:
        each = decode_data(data)
        if each.kernel is not None:
            assert written(each) == data
            count += 1
    assert count == 10


def admitted(**changes: Any) -> Decided:
    """An admission as it was recorded, its order changed."""
    engine = LoggedEngine()
    engine.admit(order())
    each = decode_data(engine.records[-1])
    event = each.outcome
    assert isinstance(event, OrderDecided)
    return Decided(
        structs.replace(event, order=structs.replace(event.order, **changes)), each.kernel
    )


def replaced(each: Decided, **changes: Any) -> Decided:
    return Decided(structs.replace(each.outcome, **changes), each.kernel)


REJECT = Reject("A", 1, "order", "unknown_desk", {}, False)


@pytest.mark.parametrize(
    "each",
    [
        admitted(client_order_id="ü"),
        admitted(client_order_id="tab\t"),
        admitted(client_order_id="\x7f"),
        admitted(desk="d" * 129),
        admitted(currency="€"),
        admitted(request_id=1),
        admitted(side="\0"),
        admitted(symbol="😀"),
        admitted(client_order_id="é" * 64),
        replaced(admitted(), client="\n"),
        replaced(admitted(), answer=structs.replace(REJECT, field="side")),
        replaced(admitted(), answer=structs.replace(REJECT, request_id="r")),
        replaced(admitted(), answer=structs.replace(REJECT, detail={"ü": 1})),
        replaced(admitted(), answer=structs.replace(REJECT, detail={"a": -1})),
        replaced(admitted(), answer=structs.replace(REJECT, detail={str(n): n for n in range(17)})),
        replaced(admitted(), batch_first_sequence=-1),
        replaced(admitted(), received_at_ns=-(2**63)),
    ],
)
def test_what_it_is_not_made_for_is_left_to_the_encoder(each: Decided) -> None:
    text = written(each)
    assert text is None or text == encode_decision(each)
    assert encode_data(each) == encode_decision(each)


@pytest.mark.parametrize("changes", [{"quantity": 2**64}, {"price": -1}, {"sent_at_ns": 2**70}])
def test_integers_beyond_64_bits_are_left_to_the_encoder(changes: Any) -> None:
    assert written(admitted(**changes)) is None


def test_a_policy_with_another_digest_or_epoch_is_not_mistaken_for_the_last_one() -> None:
    one = admitted()
    rows = one.kernel
    assert rows is not None
    assert written(one) == encode_decision(one)
    values = DECISION.unpack(rows.output_row[:DECISION_ROW_BYTES])
    for at in (-2, -1):
        changed = list(values)
        changed[at] += 1
        event: Any = one.outcome
        other = decided(event, INPUT.unpack(rows.input_row), changed, rows.policy_digest_hex)
        assert written(other) == encode_decision(other)
    other = Decided(one.outcome, structs.replace(rows, policy_digest_hex=HEX))
    assert written(other) == encode_decision(other)
    assert written(Decided(one.outcome, structs.replace(rows, policy_digest_hex='"'))) is None


def test_a_decision_row_of_no_known_action_is_refused() -> None:
    one = admitted()
    rows = one.kernel
    assert rows is not None
    row = bytearray(rows.output_row)
    row[8] = 9
    for call in (written, encode_decision):
        with pytest.raises(KeyError):
            call(Decided(one.outcome, structs.replace(rows, output_row=bytes(row))))


@given(value=U64, signed=I64, at=st.integers(0, 40))
def test_integers_are_put_as_they_are_printed(value: int, signed: int, at: int) -> None:
    out = bytearray(80)
    assert out[at : put_u64(out, at, value)] == str(value).encode()
    assert out[at : put_i64(out, at, signed)] == str(signed).encode()


@given(value=st.text(max_size=140))
def test_strings_are_put_as_the_encoder_quotes_them_or_not_at_all(value: str) -> None:
    out = bytearray(300)
    end = put_string(out, 3, value)
    is_plain = value.isascii() and value.isprintable() and len(value) <= 128
    assert (end > 0) is is_plain
    if is_plain:
        assert out[3:end] == json.encode(value)


def test_what_follows_upon_a_failed_string_writes_nothing() -> None:
    out = bytearray(8)
    assert put(out, -1, b"x") == put_u64(out, -1, 1) == put_i64(out, -1, -1) == -1
    assert put_string(out, -1, "x") == -1
    assert out == bytes(8)
    assert out[: put_hex(out, 0, b"\x00\xfe", 2)] == b"00fe"


def test_integers_that_do_not_fit_are_refused_by_name_of_the_bound() -> None:
    for call, value in ((put_u64, -1), (put_u64, 2**64), (put_i64, 2**63), (put_i64, -(2**63) - 1)):
        with pytest.raises(OverflowError):
            call(bytearray(80), 0, value)


@given(value=st.text(max_size=70) | PRINTABLE)
def test_an_identifier_is_printable_ascii_without_spaces(value: str) -> None:
    assert is_identifier(value) is all("!" <= character <= "~" for character in value)


@pytest.mark.parametrize("value", ["\ud800", "a\ud800", "\x7f", " ", "a b", "\x00", "ä"])
def test_what_is_no_identifier(value: str) -> None:
    assert is_identifier(value) is False
    assert put_string(bytearray(300), 0, value) < 0 or value.isprintable()
