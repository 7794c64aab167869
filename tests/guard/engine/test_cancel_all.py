"""`cancel_all`: what is open of a scope is off, by one record.

Every record goes through its bytes; each test's log is replayed, folded, and its state taken
through a checkpoint (`engines`). A twin gets a cancel for each order instead, and must come to the
same balances and positions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from cancel_all_support import ask, cancel_all
from form_support import played
from guard.admin.actions import plan
from guard.admin.messages import AddLocate
from guard.engine.state import GuardState
from guard.protocol.messages import ErrorReply, Released
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import WAIVED, limited
from guard_support import (
    ORDER_NOTIONAL,
    LoggedEngine,
    actor,
    balances,
    cancel,
    fill,
    order,
    status,
)
from kernel import InvariantError
from log_checks_support import check_states, checked_at_end
from replace_support import rejected, replace, replaced

DESKS = ("desk-alpha", "desk-beta")


def counted(state: GuardState) -> Any:
    """Balances, positions, open orders and their prices."""
    kept = state.positions
    return (
        {desk: balances(state, desk) for desk in DESKS},
        b"".join(kept.dump()),
        kept.open_exits,
        [share.open_count for share in state.orders.shares.all],
        state.book.dump(),
        [desk.unpaid_fees_microcents for desk in state.desks.values()],
    )


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, held_well)


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), counted(state)


def held_well(engine: LoggedEngine, place: Path) -> None:
    check_states(engine, place, shown)


def test_whoever_is_permitted_may_ask_for_it(engines: list[LoggedEngine]) -> None:
    """A client with a name of its own: a start and a replay take the record."""
    engine = LoggedEngine()
    engines.append(engine)
    engine.admit(order())
    engine.request.set_text("client", b"gateway-1")
    assert cancel_all(engine).orders == 1
    assert b'"client":"gateway-1"' in engine.records[-1]


def begun(engines: list[LoggedEngine], text: str = 'self_match = "flag"') -> LoggedEngine:
    engine = limited(f"{WAIVED}{text}")
    engines.append(engine)
    return engine


ORDERS: tuple[dict[str, Any], ...] = (
    {},
    {"side": "sell", "price": 20_000},
    {"desk": "desk-beta"},
    {"symbol": "BTC-USD", "quantity": 2, "price": 5_000_000},
    {"desk": "desk-beta", "symbol": "BTC-USD", "quantity": 2, "price": 5_000_000},
    {"venue": 30, "quantity": 10},
)
SCOPES = st.fixed_dictionaries(
    {},
    optional={
        "of_desk": st.sampled_from(DESKS),
        "of_symbol": st.sampled_from(("AAPL", "BTC-USD")),
        "of_venue": st.sampled_from((10, 20, 30)),
    },
)


@settings(max_examples=played(40), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kinds=st.lists(st.integers(0, len(ORDERS) - 1), min_size=1, max_size=8),
    filled=st.lists(st.integers(0, 7), max_size=4),
    ended=st.lists(st.integers(0, 7), max_size=3),
    through=st.integers(0, 8),
    scope=SCOPES,
)
def test_it_comes_to_what_a_cancel_for_each_order_comes_to(
    kinds: list[int], filled: list[int], ended: list[int], through: int, scope: dict[str, Any]
) -> None:
    engine, twin = (limited(f'{WAIVED}self_match = "flag"') for _ in range(2))
    placed: list[tuple[Any, Any]] = []
    for number, kind in enumerate(kinds):
        one = order(f"A-{number}", **ORDERS[kind])
        twin.admit(one)
        placed.append((one, engine.admit(one)))
    for number, at in enumerate(filled):
        if at < len(placed):
            one = placed[at][0]
            name = {"desk": one.desk, "client_order_id": one.client_order_id}
            for each in (engine, twin):
                each.submit(fill(f"F-{number}", 1, fee=10_000, **name))
    gone = {at for at in ended if at < len(placed)}
    for at in gone:
        for each in (engine, twin):
            each.submit(cancel(placed[at][0].client_order_id, placed[at][0].desk))
    last = placed[min(through, len(placed) - 1)][1].wal_sequence
    released = count = 0
    for at, (one, admit) in enumerate(placed):
        is_meant = (
            admit.wal_sequence <= last
            and scope.get("of_desk") in (None, one.desk)
            and scope.get("of_symbol") in (None, one.symbol)
            and scope.get("of_venue") in (None, admit.venue)
        )
        if is_meant and at not in gone:
            reply = twin.submit(cancel(one.client_order_id, one.desk))
            if isinstance(reply, Released):
                released, count = released + reply.released_microcents, count + 1
    answer = cancel_all(engine, last, **scope)
    assert (answer.orders, answer.released_microcents) == (count, released)
    assert counted(engine.state) == counted(twin.state)
    assert cancel_all(engine, last, **scope).orders == 0


def test_what_becomes_of_its_orders(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    first = engine.admit(order())
    engine.submit(fill("F-1", 40, fee=0))
    engine.admit(order("A-2"))
    later = engine.admit(order("A-3"))
    answer = cancel_all(engine, later.wal_sequence - 1, of_desk="desk-alpha")
    assert (answer.orders, answer.wal_sequence) == (2, engine.state.next_sequence - 1)
    assert answer.released_microcents == 160 * 19_000 * 1_000_000
    states = [engine.submit(status(name)).state for name in ("A-1", "A-2", "A-3")]
    assert states == ["closed", "closed", "open"]
    # A cancel of one of them is a repeat of that record; a fill that comes is late.
    again = engine.submit(cancel())
    assert (again.repeat, again.wal_sequence) == (True, answer.wal_sequence)
    assert again.released_microcents == 60 * 19_000 * 1_000_000
    late = engine.submit(fill("F-2", 5, fee=0))
    assert late.flags == ["late"]
    assert first.wal_sequence < answer.wal_sequence


def test_an_exit_is_closed_as_others(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order())
    engine.submit(fill("F-1", 100, fee=0))
    assert engine.admit(order("S-1", side="sell", quantity=30)).reducing is True
    answer = cancel_all(engine, of_symbol="AAPL")
    assert (answer.orders, answer.released_microcents) == (1, 0)
    assert engine.state.positions.open_exits == 0
    assert engine.admit(order("S-2", side="sell", quantity=100)).reducing is True


def test_what_comes_free_pays_what_each_desk_owes(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order("A-1", quantity=5_000))
    engine.admit(order("A-2", quantity=100))
    engine.admit(order("B-1", desk="desk-beta"))
    engine.submit(fill("F-1", 1, fee=3 * 10**14, client_order_id="A-2"))
    owed = engine.state.desks["desk-alpha"].unpaid_fees_microcents
    assert owed > 0
    answer = cancel_all(engine)
    assert answer.orders == 3
    assert answer.collected_microcents == answer.released_microcents - ORDER_NOTIONAL
    desk = engine.state.desks["desk-alpha"]
    assert desk.unpaid_fees_microcents == owed - answer.collected_microcents


def test_at_the_bound_and_one_above_it(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    for name in ("A-1", "A-2", "A-3"):
        engine.admit(order(name, quantity=1))
    error = ask(engine, orders_max=2)
    assert isinstance(error, ErrorReply)
    assert (error.code, error.field) == ("too_many_orders", "through_sequence")
    third = engine.submit(status("A-3")).answer.wal_sequence
    assert ask(engine, third - 1, orders_max=2).answer.orders == 2
    assert ask(engine, orders_max=3).answer.orders == 3
    for looked_max, is_taken in ((2, False), (3, True)):
        for scope in ({}, {"of_symbol": "BTC-USD"}, {"of_desk": "desk-alpha"}):
            found = ask(engine, looked_max=looked_max, **scope)
            assert isinstance(found, ErrorReply) != is_taken
    assert ask(engine, looked_max=2, of_desk="desk-beta").answer.orders == 0
    assert cancel_all(engine, of_desk="desk-beta").orders == 0
    assert cancel_all(engine).orders == 3


REFUSED = [
    ({"through": 2**63 - 1}, "unknown_record", "through_sequence"),
    ({"of_desk": "nobody"}, "unknown_desk", "of_desk"),
    ({"of_symbol": "NONE"}, "unknown_symbol", "of_symbol"),
]


@pytest.mark.parametrize(("asked", "code", "field"), REFUSED)
def test_what_cannot_be(
    asked: dict[str, Any], code: str, field: str, engines: list[LoggedEngine]
) -> None:
    engine = begun(engines)
    engine.admit(order())
    error = ask(engine, **asked)
    assert isinstance(error, ErrorReply)
    assert (error.code, error.field) == (code, field)
    one_above = ask(engine, engine.state.next_sequence)
    assert isinstance(one_above, ErrorReply)
    assert ask(engine, of_venue=4_000_000_000).answer.orders == 0


@pytest.mark.parametrize("field", ["orders", "released_microcents", "collected_microcents"])
def test_a_record_that_says_otherwise_is_no_record(field: str) -> None:
    engine = limited(f"{WAIVED}")
    engine.admit(order())
    found = ask(engine)
    answer = structs.replace(found.answer, **{field: 2})
    with pytest.raises(InvariantError, match="closes"):
        engine.engine.apply_event(engine.state.next_sequence, structs.replace(found, answer=answer))


def test_a_locate_gets_back_what_was_not_sold(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, 'short_sales = "locate"')
    named = {"locate_id": "L-1", "desk": "desk-alpha", "symbol": "AAPL", "quantity_lots": 50}
    add = AddLocate(**named, action_id="x", why="lent")
    engine.log(plan(engine.state, add, actor(engine.now_ns)).event)
    engine.admit(order("S-1", side="sell", quantity=40, locate_id="L-1"))
    engine.submit(fill("F-1", 15, fee=0, client_order_id="S-1"))
    cancel_all(engine)
    assert engine.state.locates.entries()[0][4] == 15


@pytest.mark.parametrize("is_rejected", [True, False])
def test_orders_that_replace_each_other_are_one(
    engines: list[LoggedEngine], is_rejected: bool
) -> None:
    engine = begun(engines)
    engine.admit(order())
    newest = engine.admit(replace(quantity=150)).wal_sequence
    other = engine.admit(order("A-2"))
    early = cancel_all(engine, newest - 1)
    assert (early.orders, early.released_microcents) == (0, 0)  # the pending one is behind it
    engine.submit(rejected() if is_rejected else replaced())
    again = cancel_all(engine, newest - 1)
    assert again.orders == (1 if is_rejected else 0)  # what stands now is behind it, or is not
    done = cancel_all(engine, newest)
    assert done.orders == (0 if is_rejected else 1)
    freed = again.released_microcents + done.released_microcents
    assert freed == ORDER_NOTIONAL * (100 if is_rejected else 150) // 100
    for name in ("A-1", "B-1"):
        assert engine.submit(status(name)).state == "closed"
        assert engine.submit(cancel(name)).repeat
    assert balances(engine.state)[1] == other.notional_microcents


def test_what_a_replace_raised_is_freed_with_it(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order())
    newest = engine.admit(replace(quantity=150)).wal_sequence
    done = cancel_all(engine, newest)
    assert (done.orders, done.released_microcents) == (1, ORDER_NOTIONAL * 3 // 2)
    late = engine.submit(replaced())
    assert (late.flags, late.hold_microcents, balances(engine.state)[1]) == (["late"], 0, 0)
