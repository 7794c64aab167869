"""The messages' shapes: fields, order and defaults are the protocol's, and the log's."""

import re
from typing import Any, get_args

import pytest
from msgspec import UNSET, json, structs

from guard.protocol.messages import (
    PROTOCOL_VERSION,
    REQUEST_TYPES,
    Admit,
    AllOrNoneAnswer,
    Cancel,
    CanceledAll,
    ErrorReply,
    Executed,
    Fill,
    Filled,
    HelloReply,
    InstrumentSizes,
    LimitLine,
    LimitsReply,
    Marked,
    Order,
    Pong,
    PositionsReply,
    Reduced,
    Reject,
    Released,
    ReplaceSettled,
    Reply,
    StatsReply,
    StatusReply,
    SymbolPosition,
    VenueOffered,
)
from guard_support import CHECKOUT, U64_MAX, fill, order
from reference.difference import content_of

PROTOCOL = (CHECKOUT / "guard" / "PROTOCOL.md").read_text()
ADMIT = Admit("A-1", 12, 1, 10, False, 1, 2, "r", False)

REPLIES: list[tuple[Any, str]] = [
    (
        ADMIT,
        '{"type":"admit","client_order_id":"A-1","wal_sequence":12,"reservation_id":1,"venue":10,'
        '"substituted":false,"notional_microcents":1,"fee_microcents":2,"reason":"r",'
        '"repeat":false}',
    ),
    (
        Reject(
            "A-2", 13, "ledger", "r", {"asked": 1, "limit": 2, "used": 0}, True, "price", "d", 7, 5
        ),
        '{"type":"reject","client_order_id":"A-2","wal_sequence":13,"stage":"ledger","reason":"r",'
        '"detail":{"asked":1,"limit":2,"used":0},"repeat":true,"field":"price","desk":"d",'
        '"received_at_ns":7,"request_id":5}',
    ),
    (
        Filled("d", "A", "F", 14, 60, 1, 2, -3, 0, ["late"], False, request_id="x"),
        '{"type":"filled","desk":"d","client_order_id":"A","fill_id":"F","wal_sequence":14,'
        '"open_quantity":60,"hold_microcents":1,"released_microcents":2,"fee_microcents":-3,'
        '"unpaid_fee_microcents":0,"flags":["late"],"repeat":false,"request_id":"x"}',
    ),
    (
        Released("d", "A", 15, 1, False),
        '{"type":"released","desk":"d","client_order_id":"A","wal_sequence":15,'
        '"released_microcents":1,"repeat":false}',
    ),
    (
        Released("d", "A", 15, 0, False, 3, ["early"], 1),
        '{"type":"released","desk":"d","client_order_id":"A","wal_sequence":15,'
        '"released_microcents":0,"repeat":false,"collected_microcents":3,"flags":["early"],'
        '"request_id":1}',
    ),
    (
        Reduced("d", "A", "R", 15, 7, 8, 9, ["late"], False, 3, 1),
        '{"type":"reduced","desk":"d","client_order_id":"A","reduce_id":"R","wal_sequence":15,'
        '"open_quantity":7,"hold_microcents":8,"released_microcents":9,"flags":["late"],'
        '"repeat":false,"collected_microcents":3,"request_id":1}',
    ),
    (
        CanceledAll(14, "d", None, 10, 15, 2, 9, 3, 1),
        '{"type":"canceled_all","through_sequence":14,"of_desk":"d","of_symbol":null,'
        '"of_venue":10,"wal_sequence":15,"orders":2,"released_microcents":9,'
        '"collected_microcents":3,"request_id":1}',
    ),
    (
        ReplaceSettled("d", "A", 15, 7, 8, 9, ["late"], False, 3, 1),
        '{"type":"replace_settled","desk":"d","client_order_id":"A","wal_sequence":15,'
        '"open_quantity":7,"hold_microcents":8,"released_microcents":9,"flags":["late"],'
        '"repeat":false,"collected_microcents":3,"request_id":1}',
    ),
    (
        StatusReply("d", "A", "open", ADMIT, 40, 60, 1),
        '{"type":"status","desk":"d","client_order_id":"A","state":"open","answer":{"type":'
        '"admit","client_order_id":"A-1","wal_sequence":12,"reservation_id":1,"venue":10,'
        '"substituted":false,"notional_microcents":1,"fee_microcents":2,"reason":"r",'
        '"repeat":false},"filled_quantity":40,"open_quantity":60,"hold_microcents":1}',
    ),
    (
        Pong(15, "h", "l", 1),
        '{"type":"pong","head_sequence":15,"head_hash":"h","log_id":"l","version":1}',
    ),
    (
        StatsReply({"messages": 3}, [(100_000, 2)], {"kernel": "compiled"}, [(200_000, 1)]),
        '{"type":"stats","counters":{"messages":3},"syncs_by_latency_ns":[[100000,2]],'
        '"build":{"kernel":"compiled"},"answers_by_latency_ns":[[200000,1]]}',
    ),
    (
        HelloReply(
            1,
            "0",
            "l",
            "USD",
            {"ping": ["request_id"]},
            {"listed_max": 1},
            [InstrumentSizes("S", "0.01", "1", "2")],
            ["d"],
            [VenueOffered(10, 3, True)],
            "T",
        ),
        '{"type":"hello","version":1,"software_version":"0","log_id":"l","currency":"USD",'
        '"requests":{"ping":["request_id"]},"limits":{"listed_max":1},"instruments":[{"symbol":'
        '"S","tick_size":"0.01","lot_size":"1","multiplier":"2"}],"desks":["d"],"venues":'
        '[{"venue":10,"provider":3,"enabled":true}],"next_symbol":"T","next_desk":null,'
        '"next_venue":null}',
    ),
    (Marked("S", 1), '{"type":"marked","symbol":"S","price":1}'),
    (
        LimitsReply("d", "S", [LimitLine("value_max", "firm", None), LimitLine("r", "desk", 2, 1)]),
        '{"type":"limits","desk":"d","symbol":"S","limits":[{"limit":"value_max","scope":"firm",'
        '"value":null,"used":null},{"limit":"r","scope":"desk","value":2,"used":1}]}',
    ),
    (
        PositionsReply("d", [SymbolPosition("S", -1, 2, 3, 4, 5, 6, -7)], 8, "T", 9),
        '{"type":"positions","desk":"d","positions":[{"symbol":"S","position_lots":-1,'
        '"confirmed_lots":2,"working_buys":3,"working_sells":4,"cost_microcents":5,'
        '"average_cost_microcents":6,"realised_microcents":-7}],"since_sequence":8,'
        '"next_symbol":"T","request_id":9}',
    ),
    (
        Executed("d", "A", "E", 1, 2, 3, 4, ["late"], False, 5, 6),
        '{"type":"executed","desk":"d","client_order_id":"A","execution_id":"E","wal_sequence":1,'
        '"open_quantity":2,"hold_microcents":3,"released_microcents":4,"flags":["late"],'
        '"repeat":false,"collected_microcents":5,"request_id":6}',
    ),
    (
        AllOrNoneAnswer("d", 12, False, True, [ADMIT], 2, "r"),
        '{"type":"all_or_none","desk":"d","wal_sequence":12,"admitted":false,"repeat":true,'
        '"answers":[{"type":"admit","client_order_id":"A-1","wal_sequence":12,"reservation_id":1,'
        '"venue":10,"substituted":false,"notional_microcents":1,"fee_microcents":2,"reason":"r",'
        '"repeat":false}],"refused_index":2,"request_id":"r"}',
    ),
    (ErrorReply("c", "f", "m"), '{"type":"error","code":"c","field":"f","message":"m"}'),
    (
        ErrorReply("c", "f", "m", "d", "A", "F", request_id=1),
        '{"type":"error","code":"c","field":"f","message":"m","desk":"d","client_order_id":"A",'
        '"fill_id":"F","request_id":1}',
    ),
]


def test_stats_of_another_version_are_understood() -> None:
    text = '{"type":"stats","counters":{"new":1},"syncs_by_latency_ns":[],"tomorrow":[1]}'
    assert json.decode(text, type=StatsReply) == StatsReply({"new": 1}, [])


@pytest.mark.parametrize(("reply", "text"), REPLIES, ids=lambda value: type(value).__name__)
def test_the_text_of_every_reply_is_pinned(reply: Any, text: str) -> None:
    assert json.encode(reply).decode() == text
    assert json.decode(text, type=Reply) == reply


def test_every_reply_is_pinned() -> None:
    assert {type(reply) for reply, _ in REPLIES} == set(get_args(Reply))


def test_requests_and_their_defaults_are_pinned() -> None:
    assert json.encode(order()).decode() == (
        '{"type":"order","client_order_id":"A-1","desk":"desk-alpha","symbol":"AAPL","side":"buy",'
        '"quantity":100,"price":19000,"venue":10,"risk_bps":200,"confidence_bps":9000,'
        '"minimum_quality_bps":0,"max_p95_latency_ms":0,"required_capabilities":0,'
        f'"allowed_providers":{U64_MAX},"required_regions":0,"max_fee_microcents":{U64_MAX},'
        '"allow_substitute":true,"order_type":"limit","time_in_force":"day","currency":"USD",'
        '"sent_at_ns":null}'
    )
    assert json.encode(fill()).decode() == (
        '{"type":"fill","desk":"desk-alpha","client_order_id":"A-1","fill_id":"F-1",'
        '"quantity":40,"fee_microcents":5000,"price":null,"executed_at_ns":null}'
    )
    assert json.encode(Cancel("d", "A")) == b'{"type":"cancel","desk":"d","client_order_id":"A"}'


@pytest.mark.parametrize("kind", [Order, Fill])
def test_the_protocol_pages_table_has_the_fields_in_their_order(kind: type) -> None:
    heading = {Order: "### 3.1 `order`", Fill: "## 4. `fill`"}[kind]
    section = re.split(r"\n##", PROTOCOL.split(heading, 1)[1])[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    fields = [field.name for field in structs.fields(kind) if field.name != "request_id"]
    assert names[: len(fields)] == fields


def test_the_content_is_all_but_the_request_id() -> None:
    for request in (order(request_id=1), fill(request_id="x")):
        assert type(request).__struct_fields__[-1] == "request_id"
        assert len(content_of(request)) == len(request.__struct_fields__) - 1
    assert content_of(order(request_id=1)) == content_of(order())
    assert order().request_id is UNSET


def test_names() -> None:
    names = ["order", "fill", "cancel", "status", "ping", "stats", "hello", "mark", "limits"]
    names += ["positions", "reduce", "execution", "cancel_all"]
    names += ["replace", "replaced", "replace_rejected"]
    assert list(REQUEST_TYPES) == names
    for name in names:
        assert f"`{name}`" in PROTOCOL
    assert PROTOCOL_VERSION == 1
