"""The way of every request gives what the reference gives: the same replies, records and state.

Two guards get the same messages at the same times: the product, and the engine as it was when
objects went through it (`reference`), interpreted and written without any of the product's tables.
It has the rules of version 1, and of version 2 those of fees, debts and facts that come early.
"""

import contextlib
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.config.activation import opening_events
from guard.engine.engine import Engine
from guard.engine.events import Decided, TradingHalted, TradingResumed
from guard.engine.worth import Worth
from guard.protocol.instruments import define_instrument
from guard.protocol.messages import U64_MAX, StatsReply
from guard.recovery.checkpoint_payload import encode_state
from guard.server.counters import Counters
from guard.server.late_replies import LateReplies
from guard.server.request_path import RequestPath, record_event
from guard_support import (
    I64_MAX,
    KEY,
    LOG_ID,
    SECOND_NS,
    T0,
    U32_MAX,
    actor,
    dev_config,
    opened_under,
)
from guard_wire_support import ORDER
from reference.answering import Answering, record_outcome
from reference.engine import Engine as ReferenceEngine
from reference.replying import encode_replies
from wal import EMPTY_HEAD, ChainHasher, LogWriter

pack = msgspec.msgpack.encode


class Side:
    """A guard on a log of its own."""

    def __init__(self, directory: Path, *, is_reference: bool, rules_version: int) -> None:
        self.directory = directory
        self.now_ns = T0
        hasher = ChainHasher(KEY)
        self.writer = LogWriter.open(directory, hasher, EMPTY_HEAD, monotonic_ns=lambda: 0)
        self.counters = Counters()
        self.rules_version = rules_version
        config = dev_config(remembered_orders_max=50 if rules_version == 1 else 1_000)
        events = [
            opened_under(rules_version, event)
            for event in opening_events(config, actor(), LOG_ID, hasher.key_id)
        ]
        self.engine: Any
        self.path: Any
        if is_reference:
            self.engine = ReferenceEngine()
            for event in events:
                record_outcome(self.engine, self.writer, Decided(event))
            self.path = Answering(self.engine, self.writer, self.counters, lambda: self.now_ns)
        else:
            self.engine = Engine()
            for event in events:
                record_event(self.engine, self.writer, event)
            self.path = RequestPath(self.engine, self.writer, self.counters, lambda: self.now_ns)
        self.writer.sync_now()

    def end(self) -> tuple[Any, ...]:
        """All that is to be the same."""
        self.writer.sync_now()
        self.writer.close()
        log = b"".join(path.read_bytes() for path in sorted(self.directory.glob("*.jsonl")))
        if self.rules_version > 1:  # under which more is remembered than the reference knows of
            ledger = self.engine.state.ledger.export_state()
            return log, ledger.tenants, self.engine.state.desks.keys()
        return log, b"".join(encode_state(self.engine.state))


def late(answer: Any) -> bytes:
    """An answer that is known only when it leaves, as it would leave now."""
    if isinstance(answer, LateReplies):
        for reply in answer.replies:
            if isinstance(reply, StatsReply):  # the reference does not count
                reply.counters.clear()
        return answer.encode(answer.replies)
    return encode_replies(answer.message, answer.replies)


class Pair:
    """The two of them."""

    def __init__(self, root: Path, rules_version: int) -> None:
        for name in ("product", "reference"):
            (root / name).mkdir()
        version = {"rules_version": rules_version}
        self.product = Side(root / "product", is_reference=False, **version)
        self.reference = Side(root / "reference", is_reference=True, **version)

    def ask(self, body: bytes | None, after_ns: int = 1_000, frame_count: int = 1) -> Any:
        """One message to both; the answer, decoded, if it is the same."""
        answers = []
        for side in (self.product, self.reference):
            side.now_ns += after_ns
            answer = side.path.answer(body, frame_count)
            answers.append(answer if isinstance(answer, bytes) else late(answer))
        product, reference = answers
        assert product == reference
        is_json = product[:1] in (b"{", b"[")
        return msgspec.json.decode(product) if is_json else msgspec.msgpack.decode(product)

    def record(self, kind: Any, **fields: Any) -> None:
        """An event that no request asked for, to both."""
        for side in (self.product, self.reference):
            side.now_ns += 1_000
            first = side.engine.next_sequence - side.writer.staged_count
            event = actor(side.now_ns, first).event(kind, **fields)
            if side is self.product:
                record_event(side.engine, side.writer, event)
            else:
                record_outcome(side.engine, side.writer, Decided(event))

    def sync(self) -> None:
        self.product.writer.sync_now()
        self.reference.writer.sync_now()

    def end(self) -> None:
        assert self.product.end() == self.reference.end()
        assert self.product.counters == self.reference.counters


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(tmp_path, 1)
    yield pair
    pair.end()


def plain(number: int = 1, **changes: Any) -> dict[str, Any]:
    return ORDER | {"client_order_id": f"A-{number}"} | changes


def in_json(body: Any) -> bytes:
    return msgspec.json.encode(body)


ENCODINGS = [pack, in_json]


@pytest.mark.parametrize("encode", ENCODINGS)
def test_plain_orders(pair: Pair, encode: Any) -> None:
    pair.ask(encode(plain(1)))
    pair.ask(encode(plain(2, request_id=7)))
    pair.ask(encode(plain(3, request_id="seven", currency="USD", sent_at_ns=T0)))
    pair.ask(encode(plain(4, order_type="market", time_in_force="gtc", side="sell")))
    pair.ask(encode(plain(5, currency=None, sent_at_ns=None, request_id=None)))


OTHERWISE = {
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


@pytest.mark.parametrize("encode", ENCODINGS)
@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_no_plain_admission(pair: Pair, name: str, encode: Any) -> None:
    body = encode(plain() | OTHERWISE[name])
    pair.ask(body)
    pair.ask(body)
    pair.ask(encode([plain(2), plain() | OTHERWISE[name], plain(3)]))


@pytest.mark.parametrize("encode", ENCODINGS)
def test_an_order_is_read_to_its_end_and_no_further(pair: Pair, encode: Any) -> None:
    body = encode(plain())
    for end in range(len(body)):
        assert pair.ask(body[:end])["type"] == "error"
    assert pair.ask(body + b"\xc0")["type"] == "error"
    assert pair.ask(body[:1] + body[1:] * 2)["type"] == "error"
    assert pair.ask(body)["type"] == "admit"


@pytest.mark.parametrize("encode", ENCODINGS)
def test_a_second_order_of_one_id(pair: Pair, encode: Any) -> None:
    body = encode(plain(1, request_id="ä"))
    assert pair.ask(body)["repeat"] is False
    assert pair.ask(body)["repeat"] is True
    assert pair.ask(encode(plain(price=5)))["reason"] == "client_order_id_reused"


def test_a_field_twice(pair: Pair) -> None:
    body = pack(plain())
    twice = bytes((body[0] + 1,)) + body[1:] + pack("price") + pack(5)
    pair.ask(twice)


@pytest.mark.parametrize("encode", ENCODINGS)
def test_fields_in_any_order(pair: Pair, encode: Any) -> None:
    generator = random.Random(7)
    for number in range(40):
        members = list(plain(number).items())
        generator.shuffle(members)
        pair.ask(encode(dict(members)))


@pytest.mark.parametrize("space", ["", " ", "\t\r\n "])
def test_json_with_spaces(pair: Pair, space: str) -> None:
    for body in (plain(1), [plain(2), {"type": "status", "desk": "d", "client_order_id": "A"}]):
        text = json.dumps(body, separators=(f"{space},{space}", f"{space}:{space}"))
        pair.ask(f"{text}{space}".encode())
        pair.ask(f"{space}{text}".encode())


def test_a_full_window_and_an_expired_order(pair: Pair) -> None:
    for number in range(50):
        pair.ask(pack(plain(number, quantity=1, price=1)))
    assert pair.ask(pack(plain(99)))["reason"] == "idempotency_window_full"
    assert (pair.product.counters.rejects, pair.product.counters.full_windows) == (1, 1)
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
    now_ns = pair.product.now_ns
    for number, sent_at_ns in enumerate(
        [now_ns + SECOND_NS, now_ns - SECOND_NS, now_ns + 2 * 86_400 * SECOND_NS, I64_MAX]
    ):
        pair.ask(pack(plain(number, sent_at_ns=sent_at_ns)))


def test_every_step_is_reached_by_its_name(pair: Pair) -> None:
    reached: list[str] = []
    with patch("wal.failpoint._hook", reached.append):
        pair.ask(pack(plain()))
    steps = ["decide.before", "decide.after", "append.after", "apply.after"]
    assert reached == steps + steps


@given(
    quantity=st.integers(1, U32_MAX),
    price=st.integers(1, I64_MAX),
    tick=st.sampled_from(["0.01", "1", "0.000000000000000001", "999999999999999999"]),
    lot=st.sampled_from(["1", "0.00000001", "7", "123456789.123456789"]),
)
def test_a_notional_is_the_instruments(quantity: int, price: int, tick: str, lot: str) -> None:
    instrument = define_instrument("X", tick, lot, "1")
    exact = instrument.notional_microcents(quantity, price)
    assert Worth(instrument).notional_microcents(quantity, price) == min(exact, U64_MAX)


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
        lambda order_id, fill_id, quantity, fee, optional: {
            "type": "fill", "desk": "desk-alpha", "client_order_id": order_id,
            "fill_id": fill_id, "quantity": quantity, "fee_microcents": fee, **optional,
        },
        IDS, st.sampled_from(["F-1", "F-2", "F-3"]),
        st.sampled_from([0, 1, 40, 100, 10_000, I64_MAX, I64_MAX + 1]),
        st.sampled_from([0, 3, -1, -32, -33, -129, -40_000, -(2**63), 10**13, I64_MAX, 2**63]),
        st.fixed_dictionaries({}, optional={
            "price": st.sampled_from([None, 1, I64_MAX]),
            "executed_at_ns": st.sampled_from([None, 1, T0]),
            "request_id": st.sampled_from([None, -1, "r", "é"]),
            "desk": st.sampled_from(["desk-beta", "desk-?"]),
        }),
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
    st.lists(REQUESTS, max_size=6).map(lambda requests: json.dumps(requests).encode()),
    st.tuples(REQUESTS.map(pack), st.integers(0, 400), st.integers(0, 255)).map(
        lambda drawn: drawn[0][: drawn[1]] + bytes((drawn[2],)) + drawn[0][drawn[1] + 1 :]
    ),
    st.binary(max_size=40),
)
HALTS = st.tuples(
    st.sampled_from([TradingHalted, TradingResumed]),
    st.sampled_from([("firm", ""), ("desk", "desk-alpha"), ("symbol", "AAPL")]),
)
_numbers = itertools.count()


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(MESSAGES | MESSAGES | HALTS, min_size=1, max_size=25),
    sync_each=st.integers(1, 9),
)
def test_any_messages_give_the_same_on_both_ways(
    tmp_path_factory: pytest.TempPathFactory, messages: list[Any], sync_each: int
) -> None:
    root = tmp_path_factory.mktemp(f"ways-{next(_numbers)}")
    pair = Pair(root, 1)
    with contextlib.ExitStack() as stack:
        stack.callback(pair.product.writer.close)
        stack.callback(pair.reference.writer.close)
        for place, message in enumerate(messages):
            if isinstance(message, bytes):
                pair.ask(message)
            else:
                kind, (scope, name) = message
                pair.record(kind, scope=scope, name=name)
            if place % sync_each == 0:
                pair.sync()
        pair.end()


LATER = st.one_of(
    st.builds(
        lambda order_id, desk, quantity: plain() | {
            "client_order_id": order_id, "desk": desk, "quantity": quantity
        },
        st.sampled_from("ABCD"), st.sampled_from(["desk-alpha", "desk-beta"]),
        st.sampled_from([1, 100, 2_000]),
    ),
    st.builds(
        lambda order_id, desk, fill_id, quantity, fee: {
            "type": "fill", "desk": desk, "client_order_id": order_id, "fill_id": fill_id,
            "quantity": quantity, "fee_microcents": fee,
        },
        st.sampled_from("ABCD"), st.sampled_from(["desk-alpha", "desk-beta", "desk-?"]),
        st.sampled_from(["F-1", "F-2", "F-3"]), st.sampled_from([1, 40, 3_000, I64_MAX]),
        st.sampled_from([0, -1, 7, 10**13, 3 * 10**14]),
    ),
    st.builds(
        lambda kind, order_id, desk: {"type": kind, "desk": desk, "client_order_id": order_id},
        st.sampled_from(["cancel", "cancel", "status"]), st.sampled_from("ABCD"),
        st.sampled_from(["desk-alpha", "desk-beta", "desk-?"]),
    ),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(messages=st.lists(st.lists(LATER, min_size=1, max_size=5), min_size=1, max_size=25))
def test_fees_debts_and_early_facts_are_the_same_on_both_ways(
    tmp_path_factory: pytest.TempPathFactory, messages: list[list[Any]]
) -> None:
    pair = Pair(tmp_path_factory.mktemp(f"later-{next(_numbers)}"), 2)
    with contextlib.ExitStack() as stack:
        stack.callback(pair.product.writer.close)
        stack.callback(pair.reference.writer.close)
        for message in messages:
            pair.ask(pack(message))
        pair.end()
