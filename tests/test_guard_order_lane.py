"""The short lane gives what the engine gives: the same replies, records and state, byte for byte.

Two guards get the same messages at the same times, one with the lane and one without it.
"""

import contextlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.activation import opening_events
from guard.answering import Answering, record_outcome
from guard.checkpoint import encode_state
from guard.counters import Counters
from guard.engine import Engine
from guard.messages import U64_MAX, Admit, Order
from guard.order_lane import OrderLane, notional_of
from guard.order_pieces import REPLY_BYTES_MAX
from guard.outcomes import Decided
from guard_support import I64_MAX, KEY, LOG_ID, SECOND_NS, T0, U32_MAX, actor, dev_config
from guard_wire_support import ORDER
from wal import EMPTY_HEAD, ChainHasher, LogWriter

pack = msgspec.msgpack.encode


class Side:
    """A guard, with the lane or without it, on a log of its own."""

    def __init__(self, directory: Path, *, has_lane: bool) -> None:
        self.directory = directory
        self.now_ns = T0
        self.engine = Engine()
        hasher = ChainHasher(KEY)
        self.writer = LogWriter.open(directory, hasher, EMPTY_HEAD, monotonic_ns=lambda: 0)
        config = dev_config(remembered_orders_max=50)
        for event in opening_events(config, actor(), LOG_ID, hasher.key_id):
            record_outcome(self.engine, self.writer, Decided(event))
        self.writer.sync_now()
        self.counters = Counters()
        self.answering = Answering(
            self.engine, self.writer, self.counters, lambda: self.now_ns, has_lane
        )

    def end(self) -> tuple[Any, ...]:
        """All that is to be the same."""
        self.writer.sync_now()
        self.writer.close()
        log = b"".join(path.read_bytes() for path in sorted(self.directory.glob("*.jsonl")))
        return log, b"".join(encode_state(self.engine.state))


class Pair:
    """The two of them; their counters count the same unless the lane was asked past one."""

    def __init__(self, root: Path) -> None:
        for name in ("short", "long"):
            (root / name).mkdir()
        self.short = Side(root / "short", has_lane=True)
        self.long = Side(root / "long", has_lane=False)
        self.are_counters_equal = True

    def ask(self, body: bytes, after_ns: int = 1_000) -> Any:
        """One message to both; the answer, decoded, if it is the same."""
        answers = []
        for side in (self.short, self.long):
            side.now_ns += after_ns
            answers.append(side.answering.answer(body, 1))
        short, long = answers
        if not isinstance(long, bytes):
            assert short == long
            return long
        assert short == long
        return (
            msgspec.json.decode(long) if body[:1] in (b"{", b"[") else msgspec.msgpack.decode(long)
        )

    def sync(self) -> None:
        self.short.writer.sync_now()
        self.long.writer.sync_now()

    def end(self) -> None:
        assert self.short.end() == self.long.end()
        assert not self.are_counters_equal or self.short.counters == self.long.counters


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path)
    yield pair
    pair.end()


def takes(pair: Pair, body: bytes) -> bool:
    """Does the lane itself take the one order of the body? Asked of the guard that has no lane."""
    pair.are_counters_equal = False
    side = pair.long
    state = side.engine.state
    lane = OrderLane(side.engine, side.writer, "local")
    before = state.next_sequence
    reply = bytearray(REPLY_BYTES_MAX)
    now_ns = side.now_ns = max(side.now_ns, pair.short.now_ns) + 1
    lane.begin_message(now_ns, before - side.writer.staged_count)
    taken = lane.admit(body, 0, len(body), reply, 0)
    assert taken == (state.next_sequence > before)
    # The other one follows, so that both are at the same place again.
    pair.short.now_ns = now_ns
    if taken:
        answer = pair.short.answering.answer(body, 1)
        assert answer == bytes(reply[: lane.reply_end])
    return taken


def plain(number: int = 1, **changes: Any) -> dict[str, Any]:
    return ORDER | {"client_order_id": f"A-{number}"} | changes


def test_a_plain_order_takes_the_lane(pair: Pair) -> None:
    assert takes(pair, pack(plain(1)))
    assert takes(pair, pack(plain(2, request_id=7)))
    assert takes(pair, pack(plain(3, request_id="seven", currency="USD", sent_at_ns=T0)))
    assert takes(pair, pack(plain(4, order_type="market", time_in_force="gtc", side="sell")))
    assert takes(pair, pack(plain(5, currency=None, sent_at_ns=None, request_id=None)))


OFF_THE_LANE = {
    "reject_by_risk": {"risk_bps": 9_999},
    "over_the_cap": {"quantity": 100_000},
    "another_currency": {"currency": "EUR"},
    "unknown_desk": {"desk": "desk-omega"},
    "unknown_symbol": {"symbol": "NONE"},
    "quantity_beyond_u32": {"quantity": U32_MAX + 1},
    "notional_beyond_i64": {"quantity": U32_MAX, "price": I64_MAX},
    "stale": {"sent_at_ns": 1},
    "no_substitute": {"venue": 99, "allow_substitute": False},
    "bad_identifier": {"client_order_id": "a b"},
    "long_identifier": {"client_order_id": "x" * 65},
    "foreign_letters": {"client_order_id": "ä"},
    "bad_name": {"desk": "desk alpha"},
    "bad_side": {"side": "hold"},
    "zero": {"quantity": 0},
    "negative": {"price": -1},
    "a_float": {"price": 1.0},
    "a_text": {"price": "1"},
    "risk_beyond": {"risk_bps": 10_001},
    "a_number_for_a_truth": {"allow_substitute": 1},
    "an_unknown_field": {"colour": "red"},
    "a_negative_request_id": {"request_id": -1},
    "a_long_request_id": {"request_id": "r" * 65},
    "a_request_id_with_space": {"request_id": "r r"},
}


@pytest.mark.parametrize("name", OFF_THE_LANE)
def test_what_is_no_plain_admission_does_not(pair: Pair, name: str) -> None:
    body = pack(plain() | OFF_THE_LANE[name])
    before = b"".join(encode_state(pair.long.engine.state))
    assert not takes(pair, body)
    assert b"".join(encode_state(pair.long.engine.state)) == before
    pair.ask(body)  # and both give the same answer to it


def test_an_order_is_read_to_its_end_and_no_further(pair: Pair) -> None:
    body = pack(plain())
    for end in range(len(body)):
        assert not takes(pair, body[:end])
    assert not takes(pair, body + b"\xc0")
    assert not takes(pair, body[:1] + body[1:] * 2)
    assert takes(pair, body)


def test_a_second_order_of_one_id_does_not(pair: Pair) -> None:
    body = pack(plain())
    assert takes(pair, body)
    assert not takes(pair, body)
    assert pair.ask(body)["repeat"] is True
    assert pair.ask(pack(plain(price=5)))["reason"] == "client_order_id_reused"


def test_a_field_twice_does_not(pair: Pair) -> None:
    body = pack(plain())
    twice = bytes((body[0] + 1,)) + body[1:] + pack("price") + pack(5)
    assert not takes(pair, twice)
    pair.ask(twice)


def test_fields_in_any_order(pair: Pair) -> None:
    generator = random.Random(7)
    for number in range(40):
        fields = list(plain(number).items())
        generator.shuffle(fields)
        assert takes(pair, pack(dict(fields)))
        number += 100
        fields = list(plain(number).items())
        generator.shuffle(fields)
        pair.ask(pack(dict(fields)))
        if number % 10 == 9:
            break


def test_a_full_window_and_an_expired_order(pair: Pair) -> None:
    for number in range(50):
        pair.ask(pack(plain(number, quantity=1, price=1)))
    assert pair.ask(pack(plain(99)))["reason"] == "idempotency_window_full"
    cancel = {"type": "cancel", "desk": "desk-alpha", "client_order_id": "A-0"}
    assert pair.ask(pack(cancel))["type"] == "released"
    assert pair.ask(pack(plain(99)), 2 * 86_400 * SECOND_NS)["type"] == "admit"
    pair.ask(pack(plain(0, quantity=1, price=1)), 2 * 86_400 * SECOND_NS)


def test_an_array_of_everything(pair: Pair) -> None:
    fill = {
        "type": "fill", "desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1",
        "quantity": 40, "fee_microcents": 5_000,
    }  # fmt: skip
    status = {"type": "status", "desk": "desk-alpha", "client_order_id": "A-1"}
    replies = pair.ask(
        pack([plain(1), fill, plain(2, risk_bps=9_999), plain(1), status, plain(3, price=0)])
    )
    kinds = [reply["type"] for reply in replies]
    assert kinds == ["admit", "filled", "reject", "admit", "status", "error"]
    pair.ask(pack([plain(4), {"type": "ping"}, {"type": "stats"}]))
    pair.ask(pack([plain(number, quantity=1) for number in range(10, 30)]))
    pair.ask(pack([status] * 256))
    pair.ask(pack([plain(5)] * 257))
    pair.ask(pack([]))
    pair.ask(pack([[]]))
    pair.ask(pack([plain(6)])[:-1])
    pair.ask(pack([plain(6)]) + b"\x00")
    pair.ask(b"")


@pytest.mark.parametrize("last", ["ping", "stats", "fill", "status", "order"])
@pytest.mark.parametrize("first", ["order", "fill", "cancel", "status"])
def test_of_two_types_the_last_counts(pair: Pair, first: str, last: str) -> None:
    two = b"\x82" + pack("type") + pack(first) + pack("type") + pack(last)
    pair.ask(two)
    pair.ask(b"\x92" + pack(plain()) + two)
    long_key = b"\x82" + pack("type") + pack(first) + b"\xd9\x04type" + pack(last)
    pair.ask(long_key)
    pair.ask(b"\x92" + pack(plain(2)) + long_key)


@pytest.mark.parametrize("depth", [1, 50, 100_000])
def test_what_is_nested_is_asked_about_as_a_whole(pair: Pair, depth: int) -> None:
    nested = b"\x82" + pack("type") + pack("order") + pack("x") + b"\x91" * depth + b"\xc0"
    pair.ask(b"\x92" + pack(plain()) + nested)


def test_a_clock_that_is_ahead_is_no_hindrance(pair: Pair) -> None:
    now_ns = pair.long.now_ns
    assert takes(pair, pack(plain(1, sent_at_ns=now_ns + SECOND_NS)))
    assert takes(pair, pack(plain(2, sent_at_ns=now_ns - SECOND_NS)))
    assert not takes(pair, pack(plain(3, sent_at_ns=now_ns + 2 * 86_400 * SECOND_NS)))
    assert not takes(pair, pack(plain(3, sent_at_ns=I64_MAX)))


def test_every_step_is_reached_by_its_name(pair: Pair) -> None:
    reached: list[str] = []
    with patch("wal.failpoint._hook", reached.append):
        assert takes(pair, pack(plain()))
    steps = ["decide.before", "decide.after", "append.after", "apply.after"]
    assert reached[: len(steps)] == steps


@given(
    quantity=st.integers(1, U32_MAX),
    price=st.integers(1, I64_MAX),
    numerator=st.integers(1, U64_MAX),
    denominator=st.integers(1, U64_MAX),
)
def test_a_notional_is_the_instruments_or_not_the_lanes(
    quantity: int, price: int, numerator: int, denominator: int
) -> None:
    exact = -(-quantity * price * numerator // denominator)
    expected = exact if exact <= I64_MAX and quantity * price <= U64_MAX else -1
    assert notional_of(quantity, price, numerator, denominator) == expected


IDS = st.sampled_from(["A-1", "A-2", "B", '"q"', "\\", "x" * 64, "~!", "Ä", "", "a b"])
LIMITED = {
    "quantity": st.sampled_from([1, 100, 127, 128, 255, 256, 65_536, U32_MAX, U32_MAX + 1, 0]),
    "price": st.sampled_from([1, 7, 19_000, 2**31, I64_MAX, I64_MAX + 1, "5", 1.5]),
    "venue": st.sampled_from([10, 20, 30, 99, U32_MAX, U32_MAX + 1, -1]),
    "risk_bps": st.sampled_from([0, 200, 5_000, 10_000, 10_001]),
    "confidence_bps": st.sampled_from([0, 6_000, 9_000, 10_000, None]),
}
OPTIONAL = {
    "minimum_quality_bps": st.integers(0, 10_000),
    "max_p95_latency_ms": st.sampled_from([0, 50, 100, U32_MAX]),
    "required_capabilities": st.sampled_from([0, 1, 2**63, U64_MAX, U64_MAX + 1 - 1]),
    "allowed_providers": st.sampled_from([0, 1, 7, U64_MAX]),
    "required_regions": st.sampled_from([0, 1, U64_MAX]),
    "max_fee_microcents": st.sampled_from([0, 14_000, 14_001, U64_MAX]),
    "allow_substitute": st.sampled_from([True, False, None]),
    "order_type": st.sampled_from(["limit", "market", "stop"]),
    "time_in_force": st.sampled_from(["day", "ioc", "fok", "gtc", "GTC"]),
    "currency": st.sampled_from(["USD", "EUR", None, "ß"]),
    "sent_at_ns": st.sampled_from([None, 1, T0, T0 + 10**9, I64_MAX]),
    "request_id": st.sampled_from([None, 0, 5, U64_MAX, -7, "", "r-1", "r r", "é", "r" * 64]),
    "colour": st.just("red"),
}
ORDERS = st.builds(
    lambda needed, optional, shuffle: dict(
        random.Random(shuffle).sample(
            list({**ORDER, **needed, **optional}.items()), len({**ORDER, **needed, **optional})
        )
        if shuffle
        else list({**ORDER, **needed, **optional}.items())
    ),
    st.fixed_dictionaries(
        {"client_order_id": IDS},
        optional={
            **LIMITED,
            "desk": st.sampled_from(["desk-alpha", "desk-beta", "desk-?", "d" * 33]),
            "symbol": st.sampled_from(["AAPL", "BTC-USD", "NONE", ""]),
            "side": st.sampled_from(["buy", "sell", "short"]),
        },
    ),
    st.fixed_dictionaries({}, optional=OPTIONAL),
    st.integers(0, 3),
)
OTHERS = st.one_of(
    st.builds(
        lambda order_id, fill_id, quantity: {
            "type": "fill", "desk": "desk-alpha", "client_order_id": order_id,
            "fill_id": fill_id, "quantity": quantity, "fee_microcents": 3,
        },
        IDS, st.sampled_from(["F-1", "F-2"]), st.integers(0, 120),
    ),
    st.builds(
        lambda kind, order_id: {"type": kind, "desk": "desk-alpha", "client_order_id": order_id},
        st.sampled_from(["cancel", "status"]), IDS,
    ),
    st.just({"type": "ping"}),
    st.just({"desk": "desk-alpha"}),
    st.just(5),
)  # fmt: skip
REQUESTS = st.one_of(ORDERS, ORDERS, ORDERS, OTHERS)
MESSAGES = st.one_of(
    REQUESTS.map(pack),
    st.lists(REQUESTS, max_size=6).map(pack),
    REQUESTS.map(msgspec.json.encode),
    st.tuples(REQUESTS.map(pack), st.integers(0, 400), st.integers(0, 255)).map(
        lambda drawn: drawn[0][: drawn[1]] + bytes((drawn[2],)) + drawn[0][drawn[1] + 1 :]
    ),
    st.binary(max_size=40),
)
_numbers = itertools.count()


@settings(max_examples=60, deadline=None)
@given(messages=st.lists(MESSAGES, min_size=1, max_size=25), sync_each=st.integers(1, 9))
def test_any_messages_give_the_same_on_both_ways(
    tmp_path_factory: pytest.TempPathFactory, messages: list[bytes], sync_each: int
) -> None:
    root = tmp_path_factory.mktemp(f"lane-{next(_numbers)}")
    pair = Pair(root)
    with contextlib.ExitStack() as stack:
        stack.callback(pair.short.writer.close)
        stack.callback(pair.long.writer.close)
        for place, message in enumerate(messages):
            pair.ask(message)
            if place % sync_each == 0:
                pair.sync()
        pair.end()


def test_the_lane_knows_every_field_of_an_order_and_an_admission() -> None:
    """A field more must be read, recorded, remembered and answered here too."""
    assert len(Order.__struct_fields__) == 21
    assert len(Admit.__struct_fields__) == 10
