"""Permits: what each grant lets through, for which desks, how often."""

from typing import Any

import msgspec
import pytest

from guard.config.clients import GRANT_OF, GRANTS, ClientTerms
from guard.protocol.fields import KINDS
from guard.protocol.reasons import ErrorCode
from guard.protocol.request_reader import RequestReader
from guard.server.permits import NOBODY, Permit
from protocol_client import PING, STATS, cancel, fill, order, replace, status

T0_NS = 1_700_000_000_000_000_000
HELLO: dict[str, Any] = {"type": "hello"}
EACH = {
    "order": order("A-1"),
    "fill": fill("A-1", "F-1"),
    "cancel": cancel("A-1"),
    "status": status("A-1"),
    "ping": PING,
    "stats": STATS,
    "hello": HELLO,
    "mark": {"type": "mark", "symbol": "AAPL", "price": 1},
    "limits": {"type": "limits", "desk": "desk-alpha", "symbol": "AAPL"},
    "positions": {"type": "positions", "desk": "desk-alpha"},
    "reduce": {**cancel("A-1"), "type": "reduce", "reduce_id": "R-1", "quantity": 1},
    "cancel_all": {"type": "cancel_all", "through_sequence": 7, "of_desk": "desk-alpha"},
    "replace": replace("A-2", "A-1"),
    "replaced": {**cancel("A-2"), "type": "replaced"},
    "replace_rejected": {**cancel("A-2"), "type": "replace_rejected"},
    "execution": {
        **cancel("A-1"),
        "type": "execution",
        "execution_id": "F-1",
        "venue": 10,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 1,
        "price": 1,
    },
}


def permit(*may: str, desks: list[str] | None = None, orders_per_s: int | None = None) -> Permit:
    granted = None if desks is None else frozenset(desks)
    none = frozenset[str]()
    return Permit(ClientTerms("c", "c", None, 7, granted, frozenset(may), none, orders_per_s))


def refusal(of: Permit, body: dict[str, Any], at_ns: int = T0_NS) -> int:
    reader = RequestReader("local")
    reader.read(msgspec.json.encode(body), 1, "USD")
    assert reader.count == 1
    reader.requests[0].received_at_ns = at_ns
    return of.refusal(reader.requests[0])


def test_every_type_of_request_has_its_grant() -> None:
    assert set(EACH) <= set(KINDS)
    for kind in KINDS:
        grant = GRANT_OF.get(kind, kind)
        assert grant is None or grant in GRANTS


@pytest.mark.parametrize(
    "grant", [None, "orders", "facts", "status", "stats", "marks", "executions"]
)
def test_a_grant_lets_through_what_it_names_and_no_more(grant: str | None) -> None:
    of = permit(*([grant] if grant else []))
    let_through = {kind for kind, body in EACH.items() if refusal(of, body) == 0}
    expected = {kind for kind in EACH if GRANT_OF[kind] in (None, grant)}
    assert let_through == expected


@pytest.mark.parametrize(
    "kind",
    [
        "order",
        "fill",
        "cancel",
        "status",
        "limits",
        "positions",
        "reduce",
        "replace",
        "replaced",
        "replace_rejected",
    ],
)
def test_of_other_desks_nothing_is_taken(kind: str) -> None:
    of = permit("orders", "facts", "status", desks=["desk-alpha", "d"])
    for _ in range(2):  # the desk that was let through last is compared first
        assert refusal(of, EACH[kind]) == 0
        for desk in ("desk-beta", "desk-alphb", "desk-alph", "desk-alphaa", "D", "no-such"):
            assert refusal(of, EACH[kind] | {"desk": desk}) == ErrorCode.NOT_PERMITTED
        assert refusal(of, EACH[kind] | {"desk": "d"}) == 0


def test_what_ends_all_orders_needs_the_grant_of_all_desks() -> None:
    of = permit("facts", desks=["desk-alpha"])
    of_all = {"type": "cancel_all", "through_sequence": 7}
    assert refusal(of, of_all) == ErrorCode.NOT_PERMITTED
    assert refusal(of, EACH["cancel_all"]) == 0
    assert refusal(of, EACH["cancel_all"] | {"of_desk": "desk-beta"}) == ErrorCode.NOT_PERMITTED
    assert refusal(of, of_all | {"of_symbol": "AAPL"}) == ErrorCode.NOT_PERMITTED
    assert refusal(permit("facts"), of_all) == 0
    assert refusal(permit("orders"), of_all) == ErrorCode.NOT_PERMITTED


def test_all_desks_are_those_that_do_not_exist_too() -> None:
    assert refusal(permit("orders"), order("A-1", desk="no-such")) == 0


def test_who_has_no_permit_may_ask_whether_we_live() -> None:
    let_through = {kind for kind, body in EACH.items() if refusal(NOBODY, body) == 0}
    assert let_through == {"ping", "hello"}


def test_orders_of_a_second_are_counted_and_facts_are_not() -> None:
    of = permit("orders", "facts", orders_per_s=2)
    end_ns = T0_NS + 999_999_999
    taken = [refusal(of, EACH["order"], at_ns) for at_ns in (T0_NS, end_ns, end_ns)]
    assert taken == [0, 0, ErrorCode.RATE_EXCEEDED]
    assert refusal(of, EACH["fill"], end_ns) == refusal(of, EACH["cancel"], end_ns) == 0
    assert refusal(of, EACH["order"], end_ns + 1) == 0
    assert refusal(of, EACH["replace"], end_ns + 1) == 0  # counts as an order
    assert refusal(of, EACH["replace"], end_ns + 1) == ErrorCode.RATE_EXCEEDED
    assert refusal(of, EACH["replaced"], end_ns + 1) == 0
    other = order("A-1", desk="x")
    restricted = permit("orders", desks=["desk-alpha"], orders_per_s=1)
    assert refusal(restricted, other) == ErrorCode.NOT_PERMITTED  # and is not counted
    assert refusal(restricted, EACH["order"]) == 0


def test_orders_under_way_are_bounded_until_they_are_answered() -> None:
    granted = frozenset({"orders", "facts"})
    of = Permit(ClientTerms("c", "c", None, 7, None, granted, in_flight_max=2))
    assert [refusal(of, EACH["order"]) for _ in range(3)] == [0, 0, ErrorCode.RATE_EXCEEDED]
    assert refusal(of, EACH["cancel"]) == refusal(of, EACH["fill"]) == 0
    assert of.under_way == 2
    of.under_way -= 1
    assert [refusal(of, EACH["order"]) for _ in range(2)] == [0, ErrorCode.RATE_EXCEEDED]
