"""One desk's ids never stop another's: what each may have, and that nothing is forgotten early."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.engine.shares import DeskIds, Shares
from guard.protocol.messages import Admit
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_support import (
    SECOND_NS,
    T0,
    LoggedEngine,
    cancel,
    describe,
    dev_config,
    fold,
    order,
    status,
)
from guard_windows_support import reloaded, replayed, restart_with

FULL = "idempotency_window_full"


def shares_of(ids_max: int, desk_count: int) -> Shares:
    shares = Shares()
    shares.is_split = True
    shares.set_ids_max(ids_max)
    for _ in range(desk_count):
        shares.open_desk()
    return shares


def limit_of(shares: Shares, share: DeskIds) -> int:
    """The page's rule, worked out from what everybody has."""
    desks = shares.all[1:]
    count, ids_max = len(desks), shares.ids_max
    if share.number == 0:
        return max(1, ids_max // 64)
    if count == 1:
        return ids_max
    minimum = ids_max // (2 * count)
    others = sum(max(0, each.ids - minimum) for each in desks if each is not share)
    left = ids_max - minimum * count - others
    return minimum + max(0, -(-left // 2))


@given(
    ids_max=st.integers(1, 200),
    desk_count=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=300),
)
def test_a_share_is_what_the_page_says(
    ids_max: int, desk_count: int, steps: list[tuple[int, bool]]
) -> None:
    shares = shares_of(ids_max, desk_count)
    for number, adds in steps:
        share = shares.of(number % (desk_count + 1))
        assert shares.ids_limit(share) == limit_of(shares, share)
        if adds and share.ids < shares.ids_limit(share):
            shares.add_id(share)
        elif not adds and share.ids:
            shares.drop_id(share)
        assert sum(each.ids for each in shares.all[1:]) <= ids_max <= shares.ids_expected()
        for each in shares.all[1:]:  # whatever the others do
            assert shares.ids_limit(each) >= ids_max // (2 * desk_count)


@pytest.mark.parametrize(
    ("ids_max", "desks", "minimum", "alone", "unknown"),
    [
        (1, 1, 1, 1, 1),
        (1, 2, 0, 1, 1),
        (4, 2, 1, 2, 1),
        (1_000_000, 1, 1_000_000, 1_000_000, 15_625),
        (1_000_000, 2, 250_000, 500_000, 15_625),
        (1_000_000, 10, 50_000, 300_000, 15_625),
    ],
)
def test_what_a_desk_has_where_the_others_have_nothing(
    ids_max: int, desks: int, minimum: int, alone: int, unknown: int
) -> None:
    shares = shares_of(ids_max, desks)
    assert shares.minimum == minimum
    assert shares.ids_limit(shares.of(1)) == alone
    assert shares.ids_limit(shares.of(0)) == unknown


def test_a_further_desk_and_another_bound_are_counted_anew() -> None:
    shares = shares_of(100, 2)
    for _ in range(50):
        shares.add_id(shares.of(1))
    assert (shares.minimum, shares.pool_used) == (25, 25)
    shares.open_desk()
    assert (shares.minimum, shares.pool, shares.pool_used) == (16, 52, 34)
    shares.set_ids_max(10)
    # The first one keeps what it has; the others still have their minima, and room is made for it.
    assert shares.ids_limit(shares.of(1)) < shares.of(1).ids
    assert shares.ids_limit(shares.of(2)) == shares.minimum == 1
    assert shares.ids_expected() == 1 + 50 + 2


def small(ids_max: int = 8, **settings: Any) -> LoggedEngine:
    """Two desks: a minimum of two each, and a pool of four."""
    return LoggedEngine(dev_config(remembered_orders_max=ids_max, **settings))


def refused(number: int, desk: str = "desk-alpha") -> Any:
    return order(f"R-{number}", desk=desk, risk_bps=10_000)


def test_a_desk_that_loops_on_refused_orders_stops_alone() -> None:
    engine = small()
    reasons = [engine.reject(refused(number)).reason for number in range(20)]
    assert reasons == ["risk_hard_limit"] * 4 + [FULL] * 16
    answer = engine.reject(refused(99))
    assert answer.detail == {"asked": 1, "limit": 4, "used": 4}
    # The other one has its minimum, and half of what is left of the pool.
    for number in range(3):
        assert isinstance(engine.submit(order(f"B-{number}", desk="desk-beta", quantity=1)), Admit)
    assert engine.reject(order("B-9", desk="desk-beta", quantity=1)).reason == FULL
    # Exits go on, and what is known is answered.
    assert engine.submit(refused(0)).repeat is True
    assert engine.submit(cancel("B-0", "desk-beta")).released_microcents > 0


def test_desks_that_do_not_exist_share_one_small_part() -> None:
    engine = LoggedEngine(dev_config(remembered_orders_max=192))
    reasons = [engine.reject(refused(n, f"nobody-{n % 7}")).reason for n in range(10)]
    assert reasons == ["unknown_desk"] * 3 + [FULL] * 7
    assert engine.reject(refused(11, "nobody-9")).detail == {"asked": 1, "limit": 3, "used": 3}
    assert engine.state.orders.shares.pool_used == 0
    engine.admit(order())


def test_no_id_is_forgotten_early_and_room_comes_with_time() -> None:
    engine = small(remembered_order_window_s=10)
    for number in range(4):
        engine.reject(refused(number))
    last_ns = T0 + 10 * SECOND_NS
    assert engine.reject(refused(5), last_ns).reason == FULL
    assert all(engine.submit(refused(number)).repeat for number in range(4))
    # The first order behind the window's end is not refused for what is only not swept out yet.
    assert engine.reject(refused(5), last_ns + 1).reason == "risk_hard_limit"
    assert engine.submit(status("R-0")).state == "unknown"
    assert engine.state.orders.shares.of(1).ids == 1


def test_what_was_sent_for_a_desk_that_is_opened_later_stays_where_it_was() -> None:
    engine = small(remembered_order_window_s=10)
    first = engine.reject(order("L-1", desk="late"))
    late = '[[desks]]\ndesk = "late"\nbudget = "9000.00"\nexposure_cap = "none"\n\n'
    more = ('[[desks]]\ndesk = "desk-beta"', late + '[[desks]]\ndesk = "desk-beta"')
    restart_with(engine, dev_config(more, remembered_orders_max=8, remembered_order_window_s=10))
    assert engine.submit(order("L-1", desk="late")).wal_sequence == first.wal_sequence
    late_ns = T0 + 11 * SECOND_NS
    assert isinstance(engine.submit(order("L-1", desk="late", quantity=1), late_ns), Admit)
    shares = engine.state.orders.shares
    assert [share.ids for share in shares.all] == [0, 0, 0, 1]
    assert len(engine.state.orders) == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_counts_are_those_of_what_is_remembered(seed: int, tmp_path: Any) -> None:
    """In any history; behind a checkpoint, a fold and a replay it is the same state."""
    chance = random.Random(seed)
    engine = small(12, remembered_order_window_s=2)
    engine.is_checked = False
    for _ in range(400):
        desk = chance.choice(("desk-alpha", "desk-beta", "nobody"))
        name, kind = f"N-{chance.randrange(12)}", chance.random()
        at_ns = engine.now_ns + chance.choice((0, 1, SECOND_NS // 2, 3 * SECOND_NS))
        if kind < 0.7:
            risk_bps = chance.choice((200, 10_000))
            engine.submit(order(name, desk=desk, quantity=1, risk_bps=risk_bps), at_ns)
        else:
            engine.submit(cancel(name, desk), at_ns)
        if chance.random() < 0.05:
            digest_hex = state_digest_hex(engine.state)
            engine.engine.state = reloaded(engine.state)
            assert state_digest_hex(engine.state) == digest_hex
    orders, state = engine.state.orders, engine.state
    counts = {"": 0, "desk-alpha": 0, "desk-beta": 0}
    for row in orders._orders.rows():
        desk = orders._orders.key(row).split(b"\0")[0].decode()
        counts[desk if desk in counts else ""] += 1
    assert [share.ids for share in orders.shares.all] == list(counts.values())
    assert orders.shares.pool_used == sum(max(0, n - 3) for n in list(counts.values())[1:])
    assert describe(fold(engine.records).state) == describe(state)
    assert describe(replayed(engine.records, tmp_path)) == describe(state)
