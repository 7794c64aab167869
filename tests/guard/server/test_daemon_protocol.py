"""The order protocol as `guard/PROTOCOL.md` describes it, against a real daemon, over every kind of
client: DEALER (with and without the empty frame) and REQ, JSON and MessagePack.

All expected values follow from the page and the configuration by hand: 100 lots at 19,000 ticks of
0.01 are 19,000.00, a hold of 1,900,000,000,000 microcents; venue 10 asks 14,000 an order and
ceil(100 × 8,200 / 1,000,000) = 1 for its lots.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_support import DESKS, KEY, OPENING_RECORDS, Daemon, Site, config_text, event_of
from guard.replay.replay import replay_log
from protocol_client import (
    PING,
    ProtocolClient,
    cancel,
    fill,
    order,
    status,
    without_times,
)
from wal import ChainHasher

pytestmark = pytest.mark.slow

HOLD = 1_900_000_000_000
FIRST = OPENING_RECORDS + 3  # the first record after the opening ones, with two desks more
SMALL_BUDGET = 10_000  # of desk-small, in microcents
CLIENTS = [
    {"kind": kind, "encoding": encoding, "empty": empty}
    for kind, empty in (("DEALER", False), ("DEALER", True), ("REQ", False))
    for encoding in ("json", "msgpack")
]
CLIENT_NAMES = [
    f"{each['kind']}{'-empty' * bool(each['empty'])}-{each['encoding']}" for each in CLIENTS
]
GATES = [
    "disabled",
    "quality",
    "risk_ceiling",
    "latency",
    "capability",
    "provider",
    "region",
    "budget",
    "utility",
]


IDS = {"desk": "desk-alpha", "client_order_id": "A-1"}


def counts(**stopped: int) -> dict[str, int]:
    return {**dict.fromkeys(GATES, 0), **stopped}


def admit(client_order_id: str, wal_sequence: int, reservation_id: int, **changes: Any) -> Any:
    return {
        "type": "admit",
        "client_order_id": client_order_id,
        "wal_sequence": wal_sequence,
        "reservation_id": reservation_id,
        "venue": 10,
        "substituted": False,
        "notional_microcents": HOLD,
        "fee_microcents": 14_001,
        "reason": "requested_model_maximizes_utility",
        "repeat": False,
        "desk": "desk-alpha",
        **changes,
    }


def reject(
    client_order_id: str, wal_sequence: int, stage: str, reason: str, detail: Any, **more: Any
) -> Any:
    return {
        "type": "reject",
        "client_order_id": client_order_id,
        "wal_sequence": wal_sequence,
        "stage": stage,
        "reason": reason,
        "detail": detail,
        "repeat": False,
        "desk": "desk-alpha",
        **more,
    }


def filled(client_order_id: str, fill_id: str, wal_sequence: int, **changes: Any) -> Any:
    return {
        "type": "filled",
        "desk": "desk-alpha",
        "client_order_id": client_order_id,
        "fill_id": fill_id,
        "wal_sequence": wal_sequence,
        "open_quantity": 0,
        "hold_microcents": 0,
        "released_microcents": 0,
        "fee_microcents": 5_000,
        "unpaid_fee_microcents": 0,
        "flags": [],
        "repeat": False,
        **changes,
    }


def released(client_order_id: str, wal_sequence: int, microcents: int, repeat: bool = False) -> Any:
    return {
        "type": "released",
        "desk": "desk-alpha",
        "client_order_id": client_order_id,
        "wal_sequence": wal_sequence,
        "released_microcents": microcents,
        "repeat": repeat,
    }


def state_of(client_order_id: str, state: str, answer: Any, numbers: tuple[int, int, int]) -> Any:
    return {
        "type": "status",
        "desk": "desk-alpha",
        "client_order_id": client_order_id,
        "state": state,
        "answer": answer,
        "filled_quantity": numbers[0],
        "open_quantity": numbers[1],
        "hold_microcents": numbers[2],
    }


class Client(ProtocolClient):
    """Its replies have no times: `test_when_an_order_was_received` looks at those."""

    def decode(self, body: bytes) -> Any:
        return without_times(super().decode(body))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    desks = {**DESKS, "desk-small": ("0.0001", "none"), "desk-spare": ("1.00", "none")}
    site = Site(tmp_path, config_text(desks=desks))
    with site.running() as daemon:
        yield daemon
        assert daemon.stop() == 0
    assert replay_log(site.log, ChainHasher(KEY)).events["session_closed"] == 1


@pytest.fixture(params=CLIENTS, ids=CLIENT_NAMES)
def client(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[Client]:
    with Client(daemon.endpoint, **request.param) as client:
        yield client


@pytest.fixture
def plain_client(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon.endpoint) as client:
        yield client


def _error(reply: Any, code: str, field: str = "", **more: Any) -> None:
    """The reply is this error, with a message for people."""
    message = reply.pop("message")
    assert isinstance(message, str)
    assert message
    assert reply == {"type": "error", "code": code, "field": field, **more}


def test_the_life_of_an_order(client: Client) -> None:
    ask, at = client.ask, FIRST
    first = admit("A-1", at, 1)
    assert ask(order("A-1")) == first
    assert ask(status("A-1")) == state_of("A-1", "open", first, (0, 100, HOLD))
    assert ask(order("A-1", request_id=7)) == {**first, "repeat": True, "request_id": 7}
    explicit = order("A-1", currency="USD", time_in_force="day", allowed_providers=2**64 - 1)
    assert ask(explicit) == {**first, "repeat": True}
    reused = {"original_wal_sequence": at}
    assert ask(order("A-1", price=19_001)) == reject(
        "A-1", at + 1, "order", "client_order_id_reused", reused, field="price"
    )
    part = filled("A-1", "F-1", at + 2, open_quantity=60, hold_microcents=1_140_000_000_000)
    part["released_microcents"] = 760_000_000_000
    assert ask(fill("A-1", "F-1", price=18_999, executed_at_ns=5)) == part
    assert ask(fill("A-1", "F-1", price=18_999, executed_at_ns=5)) == {**part, "repeat": True}
    about = {**IDS, "fill_id": "F-1"}
    _error(ask(fill("A-1", "F-1", price=18_999)), "fill_id_reused", "executed_at_ns", **about)
    numbers = (40, 60, 1_140_000_000_000)
    assert ask(status("A-1")) == state_of("A-1", "open", first, numbers)
    assert ask(cancel("A-1")) == released("A-1", at + 3, 1_140_000_000_000)
    assert ask(cancel("A-1")) == released("A-1", at + 3, 1_140_000_000_000, repeat=True)
    late = filled("A-1", "F-2", at + 4, flags=["late"], fee_microcents=-9)
    assert ask(fill("A-1", "F-2", fee_microcents=-9)) == late
    assert ask(order("A-1")) == {**first, "repeat": True}
    closed = ask(status("A-1"))
    assert (closed["state"], closed["answer"], closed["hold_microcents"]) == ("closed", first, 0)
    pong = ask({**PING, "request_id": "p"})
    head_hash, log_id = pong.pop("head_hash"), pong.pop("log_id")
    assert pong == {"type": "pong", "head_sequence": at + 4, "version": 1, "request_id": "p"}
    assert (len(bytes.fromhex(head_hash)), len(bytes.fromhex(log_id))) == (32, 16)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_when_an_order_was_received(tmp_path: Path, encoding: str) -> None:
    """An admit and a reject tell the time in the order's record, whose own answer has none."""
    site = Site(tmp_path)
    before_ns = time.time_ns()
    with site.running() as daemon, ProtocolClient(daemon.endpoint, encoding=encoding) as client:
        replies = client.ask([order("A-1"), order("A-2", symbol="NONE"), order("A-1", price=1)])
        replies.append(client.ask(order("B-1", desk="desk-beta")))
        assert daemon.stop() == 0
    assert [reply["type"] for reply in replies] == ["admit", "reject", "reject", "admit"]
    assert [reply["desk"] for reply in replies] == [*["desk-alpha"] * 3, "desk-beta"]
    times = [reply["received_at_ns"] for reply in replies]
    assert before_ns <= times[0] == times[1] == times[2] <= times[3] <= time.time_ns()
    events = [event_of(record) for record in site.records()]
    for reply in replies:
        event = events[reply["wal_sequence"] - 1]
        assert event["received_at_ns"] == reply.pop("received_at_ns")
        assert reply.pop("desk") == event["order"]["desk"]
        assert event["answer"] == reply


def test_fills_that_break_rules_are_recorded(client: Client) -> None:
    ask, at = client.ask, FIRST
    ask(order("A-1"))
    over = filled("A-1", "F-1", at + 1, released_microcents=HOLD, flags=["overfill"])
    assert ask(fill("A-1", "F-1", quantity=150)) == over
    again = ask(fill("A-1", "F-2", quantity=1))
    assert sorted(again.pop("flags")) == ["late", "overfill"]
    assert {**again, "flags": []} == filled("A-1", "F-2", at + 2)
    _error(ask(cancel("A-1")), "order_filled", "client_order_id", **IDS)
    uncharged = ["unknown", "uncharged"]
    assert ask(fill("X-1", "F-1")) == filled("X-1", "F-1", at + 3, flags=uncharged)
    early = ask({**cancel("X-1"), "request_id": 2**64 - 1})
    assert early == {
        "type": "released",
        "desk": "desk-alpha",
        "client_order_id": "X-1",
        "wal_sequence": at + 4,
        "released_microcents": 0,
        "repeat": False,
        "flags": ["early"],
        "request_id": 2**64 - 1,
    }
    about = {"desk": "desk-none", "client_order_id": "X-1"}
    unknown = ask({**cancel("X-1"), "desk": "desk-none"})
    _error(unknown, "unknown_order", "client_order_id", **about)
    assert ask(status("X-1")) == state_of("X-1", "unknown", None, (0, 0, 0))
    refused = reject("R-1", at + 5, "order", "unknown_symbol", {})
    assert ask(order("R-1", symbol="NONE")) == refused
    assert ask(order("R-1", symbol="NONE")) == {**refused, "repeat": True}
    assert ask(status("R-1")) == state_of("R-1", "refused", refused, (0, 0, 0))
    about = {**IDS, "client_order_id": "R-1"}
    _error(ask(cancel("R-1")), "order_refused", "client_order_id", **about)
    flagged = ask(fill("R-1", "F-1"))
    assert sorted(flagged["flags"]) == ["refused", "uncharged", "unknown"]
    small = {"desk": "desk-small"}
    beyond = filled("X-2", "F-1", at + 7, flags=uncharged, **small)
    beyond |= {"fee_microcents": 1_000_000}
    assert ask(fill("X-2", "F-1", fee_microcents=1_000_000, **small)) == beyond
    assert ask(order("X-1"))["reason"] == "canceled_before_arrival"


# One row a reason: what differs from the page's order, and the answer.
_U63, _U64 = 2**63 - 1, 2**64 - 1
REJECTS: dict[str, tuple[dict[str, Any], str, dict[str, int]]] = {
    "unknown_desk": ({"desk": "desk:none/1"}, "order", {}),
    "unknown_symbol": ({"symbol": "aapl"}, "order", {}),
    "quantity_out_of_range": (
        {"quantity": 2**32},
        "order",
        {"asked": 2**32, "limit": 2**32 - 1, "used": 0},
    ),
    "overflow": (
        {"quantity": 2**32 - 1, "price": _U63},
        "ledger",
        {"asked": _U64, "limit": _U63, "used": 0},
    ),
    "risk_hard_limit": (
        {"risk_bps": 9_601},
        "kernel",
        counts(asked=9_601, limit=9_600),
    ),
    "confidence_hard_limit": (
        {"confidence_bps": 6_999},
        "kernel",
        counts(asked=6_999, limit=7_000),
    ),
    "quality_constraint": ({"minimum_quality_bps": 9_901}, "kernel", counts(quality=2)),
    "latency_constraint": ({"max_p95_latency_ms": 41}, "kernel", counts(latency=2)),
    "capability_constraint": ({"required_capabilities": 2**63}, "kernel", counts(capability=2)),
    "provider_constraint": ({"allowed_providers": 4}, "kernel", counts(provider=2)),
    "risk_ceiling_constraint": ({"risk_bps": 9_501}, "kernel", counts(risk_ceiling=2)),
    "budget_constraint": ({"max_fee_microcents": 1}, "kernel", counts(budget=2)),
    "non_positive_utility": (
        {"symbol": "BTC-USD", "quantity": 1, "price": 1},
        "kernel",
        counts(utility=2),
    ),
    "substitution_not_allowed": (
        {"venue": 20, "allow_substitute": False},
        "kernel",
        counts(asked=20, chosen=10),
    ),
    "exposure_limit_exceeded": (
        {"quantity": 7_895},
        "ledger",
        {"asked": 150_005_000_000_000, "limit": 150_000_000_000_000, "used": 0},
    ),
    "insufficient": (
        {"desk": "desk-beta", "quantity": 2_632},
        "ledger",
        {"asked": 50_008_000_000_000, "limit": 50_000_000_000_000, "used": 0},
    ),
}


def test_every_reject_has_its_reason_and_detail(plain_client: Client) -> None:
    asked = [order(f"R-{reason}", **changes) for reason, (changes, _, _) in REJECTS.items()]
    expected = [
        reject(f"R-{reason}", FIRST + index, stage, reason, detail, desk=each["desk"])
        for index, ((reason, (_, stage, detail)), each) in enumerate(
            zip(REJECTS.items(), asked, strict=True)
        )
    ]
    assert plain_client.ask(asked) == expected
    assert plain_client.ask(asked) == [{**each, "repeat": True} for each in expected]


def test_a_substitute_is_named(plain_client: Client) -> None:
    chosen = {"substituted": True, "reason": "alternative_maximizes_utility"}
    assert plain_client.ask(order("A-1", venue=20)) == admit("A-1", FIRST, 1, **chosen)
    # Notional between 2^63 and 2^64 is told as it is.
    big = plain_client.ask(order("A-2", quantity=1, price=10**13))
    assert big["detail"] == {"asked": 10**19, "limit": _U63, "used": 0}


def test_a_stale_order_is_not_remembered(plain_client: Client) -> None:
    stale = plain_client.ask(order("A-1", sent_at_ns=1))
    guard_time = stale["detail"].pop("used")
    assert guard_time > 1_600_000_000_000_000_000
    detail = {"asked": 1, "limit": 86_400_000_000_000}
    assert stale == reject("A-1", FIRST, "order", "stale_order", detail)
    assert plain_client.ask(order("A-1", sent_at_ns=guard_time)) == admit("A-1", FIRST + 1, 1)


def test_a_full_window_refuses_entries(tmp_path: Path) -> None:
    site = Site(tmp_path, config_text(settings="remembered_orders_max = 4"))
    with site.running() as daemon, Client(daemon.endpoint) as client:
        replies = client.ask([order("A-1"), order("A-2"), order("A-3"), order("A-1")])
        detail = {"asked": 1, "limit": 2, "used": 2}
        full = reject("A-3", 10, "order", "idempotency_window_full", detail)
        first = admit("A-1", 8, 1)
        expected = [first, admit("A-2", 9, 2), full, {**first, "repeat": True}]
        assert replies == expected


def test_no_venue_shares_a_region(tmp_path: Path) -> None:
    venue = (
        "[[policy.venues]]\nvenue = 10\nprovider = 0\nquality_bps = 1\nrisk_ceiling_bps = 9000\n"
        "p95_latency_ms = 1\nfee_microcents_per_million_lots = 1\nfee_microcents_per_order = 1\n"
        "regions = 6\n"
    )
    site = Site(tmp_path, config_text(venues=venue))
    with site.running() as daemon, Client(daemon.endpoint) as client:
        expected = reject("A-1", 8, "kernel", "region_constraint", counts(region=1))
        assert client.ask(order("A-1", required_regions=9)) == expected
