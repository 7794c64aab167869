"""Orders that stand or fall together: each is decided with those before it admitted, and where one
is refused nothing is left but what rejects leave."""

from pathlib import Path

import pytest

from guard.engine.events import TradingHalted
from guard.engine.order_group import OrderGroup, apply_group, decide_group
from guard.protocol.messages import Admit, Order, Reject
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import WAIVED, limited
from guard_support import (
    ALPHA_BUDGET,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    dev_config,
    fields_of,
    fill,
    fold,
    order,
)
from kernel import InvariantError
from log_checks_support import checked
from order_group_support import together
from position_support import position
from replace_support import rejected, replace, replaced, stands

SHORT = f"{WAIVED}[limits.desk.desk-alpha]\n"
EVERYTHING = f"""{WAIVED}revalue_bps = 0
[limits.desk.desk-alpha]
duplicate_window_ms = 1000
open_orders_max = 3
rates = [{{ kind = "orders", max = 9, window_ms = 1000 }}]
exposure_gross_max = "100000.00"
self_match = "refuse"
"""


def asked(engine: LoggedEngine, *orders: Order, at_ns: int | None = None) -> list[str]:
    """The reasons, or what stands for an admission."""
    answers = together(engine, *orders, at_ns=at_ns).answers
    return ["admitted" if isinstance(answer, Admit) else answer.reason for answer in answers]


def test_all_are_admitted_by_one_record(tmp_path: Path) -> None:
    engine = LoggedEngine()
    at = engine.engine.next_sequence
    told = together(engine, order("A-1"), order("A-2", side="sell", venue=20), order("A-3"))
    assert told.refused_index is None
    assert [answer.wal_sequence for answer in told.answers] == [at, at, at]
    assert [answer.reservation_id for answer in told.answers if isinstance(answer, Admit)] == [
        1,
        2,
        3,
    ]
    assert engine.engine.next_sequence == at + 1
    held = sum(a.notional_microcents for a in told.answers if isinstance(a, Admit))
    assert balances(engine.state) == (ALPHA_BUDGET - held, held, 0)
    assert position(engine)[2:4] == (200, 100)
    # What follows is of each by itself.
    engine.submit(fill("F-1", 100, 0, client_order_id="A-1"))
    engine.submit(cancel("A-2"))
    checked(engine, tmp_path)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_one_that_is_refused_is_named_and_nothing_else_moves(
    tmp_path: Path, place: int
) -> None:
    engine, other = LoggedEngine(), LoggedEngine()
    orders = [order(f"A-{i}", quantity=10**6 if i == place else 1) for i in range(3)]
    told = together(engine, *orders)
    assert told.refused_index == place
    for index, answer in enumerate(told.answers):
        assert isinstance(answer, Reject)
        if index == place:
            assert answer.reason == "exposure_limit_exceeded"
            # Those before it count.
            assert answer.detail["used"] == sum(19_000 * 10**6 for _ in range(place))
        else:
            assert (answer.stage, answer.reason) == ("order", "all_or_none_refused")
            assert answer.detail == {"refused_index": place}
    assert balances(engine.state) == balances(other.state)
    assert engine.state.ledger.next_reservation_id == 1
    assert position(engine) == position(other)
    assert engine.state.positions.count == 0
    # As three rejects by themselves leave it, but for what they say and how many records they are.
    assert len(engine.state.orders) == 3
    assert engine.state.desks["desk-alpha"].share
    share = engine.state.orders.shares.of(engine.state.desks["desk-alpha"].share)
    assert (share.ids, share.open_count) == (3, 0)
    checked(engine, tmp_path)


def test_the_digest_after_a_refusal_is_that_of_rejects_alone() -> None:
    """What is tried leaves no trace: the state is the one to which the record folds that was never
    tried."""
    engine = limited(EVERYTHING, {"AAPL": (19_000, 1), "BTC-USD": (6_000_000, 1)})
    engine.admit(order("A-1", price=18_000))
    engine.submit(fill("F-1", 100, 0))
    orders = [
        order("B-1", side="sell", quantity=60, price=19_500),  # but reduces
        order("B-2", price=18_500),
        order("B-3", symbol="BTC-USD", quantity=1, price=6_000_000),
        order("B-4", price=18_400),
        order("B-5", price=18_300),
    ]
    told = together(engine, *orders)
    assert told.refused_index == 3
    assert told.reasons[3] == "open_orders_above_max"
    assert state_digest_hex(fold(engine.records).state) == state_digest_hex(engine.state)


def test_sent_again_they_get_the_first_answers(tmp_path: Path) -> None:
    engine = LoggedEngine()
    first = together(engine, order("A-1"), order("A-2"))
    refused = together(engine, order("B-1"), order("B-2", quantity=10**6))
    count = len(engine.records)
    for orders, was in (
        ([order("A-1"), order("A-2")], first),
        ([order("B-1"), order("B-2", quantity=10**6)], refused),
    ):
        again = together(engine, *orders)
        assert again.repeat
        assert again.refused_index == was.refused_index
        assert [(a.reason, a.wal_sequence, a.repeat) for a in again.answers] == [
            (a.reason, a.wal_sequence, True) for a in was.answers
        ]
    for each in (order("A-1"), order("B-1"), order("B-2", quantity=10**6)):
        assert engine.submit(each).repeat is True
    assert len(engine.records) == count
    checked(engine, tmp_path)


@pytest.mark.parametrize(
    ("orders", "place", "field"),
    [
        ([order("A-1"), order("N-1")], 0, "client_order_id"),
        ([order("N-1"), order("A-2")], 1, "client_order_id"),
        ([order("A-1"), order("A-2", price=1)], 0, "client_order_id"),
        ([order("A-2", price=1), order("N-1")], 0, "price"),
        ([order("A-1"), order("S-1")], 0, "client_order_id"),
        ([order("N-1"), order("S-1")], 1, "client_order_id"),
        ([order("A-1"), order("B-1")], 0, "client_order_id"),
    ],
)
def test_ids_of_which_some_are_known_are_refused_and_keep_their_answers(
    tmp_path: Path, orders: list[Order], place: int, field: str
) -> None:
    engine = LoggedEngine()
    together(engine, order("A-1"), order("A-2"))
    together(engine, order("B-1"), order("B-2"))
    engine.admit(order("S-1"))
    told = together(engine, *orders)
    assert not told.repeat
    assert told.refused_index == place
    refused = told.answers[place]
    assert isinstance(refused, Reject)
    assert (refused.reason, refused.field) == ("client_order_id_reused", field)
    assert refused.detail["original_wal_sequence"] < refused.wal_sequence
    assert all(a.reason == "all_or_none_refused" for a in told.answers if a is not refused)
    # No id is used up by that: the new one may come again.
    assert together(engine, order("A-1"), order("A-2")).repeat
    assert asked(engine, order("N-1")) == ["admitted"]
    checked(engine, tmp_path)


def test_rates_duplicates_and_counts_take_all_of_them_together(tmp_path: Path) -> None:
    rates = 'rates = [{ kind = "orders", max = 3, window_ms = 1000 }]\n'
    engine = limited(f"{SHORT}{rates}")
    a, b, c, d = (order(f"A-{i}") for i in range(4))
    assert asked(engine, a, b, c, d)[3] == "order_rate_exceeded"
    assert asked(engine, *(order(f"B-{i}") for i in range(3))) == ["admitted"] * 3
    assert asked(engine, order("C-1")) == ["order_rate_exceeded"]
    later = T0 + 3 * SECOND_NS
    assert asked(engine, *(order(f"D-{i}") for i in range(3)), at_ns=later) == ["admitted"] * 3
    checked(engine, tmp_path)
    twice = limited(f"{SHORT}duplicate_window_ms = 1000\n")
    assert asked(twice, order("A-1"), order("A-2", price=18_999), order("A-3"))[2] == (
        "duplicate_order"
    )
    assert asked(twice, order("B-1"), order("B-2", price=18_999)) == ["admitted"] * 2
    assert asked(twice, order("C-1", price=18_999)) == ["duplicate_order"]
    checked(twice, tmp_path / "twice")


def test_orders_that_would_meet_each_other_are_refused_where_that_is_refused(
    tmp_path: Path,
) -> None:
    engine = limited(f'{SHORT}self_match = "refuse"\n')
    assert asked(engine, order("A-1"), order("A-2", side="sell"))[1] == "self_match"
    assert asked(engine, order("B-1"), order("B-2", side="sell", price=19_001)) == ["admitted"] * 2
    checked(engine, tmp_path)


def test_they_reduce_a_position_together_no_further_than_it_goes(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    engine.submit(fill("F-1", 100, 0))
    free = balances(engine.state)[0]
    told = together(
        engine,
        order("B-1", side="sell", quantity=60),
        order("B-2", side="sell", quantity=40),
        order("B-3", side="sell", quantity=1),
    )
    assert told.refused_index is None
    assert [a.reducing for a in told.answers if isinstance(a, Admit)][:2] == [True, True]
    assert balances(engine.state)[0] == free - 19_000 * 10**6  # of the one lot beyond
    checked(engine, tmp_path)


def test_what_a_person_has_stopped_stops_all_of_them(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.log(actor(T0).event(TradingHalted, scope="symbol", name="BTC-USD"))
    btc = order("A-2", symbol="BTC-USD", quantity=1, price=6_000_000)
    assert asked(engine, order("A-1"), btc) == ["all_or_none_refused", "symbol_halted"]
    assert asked(engine, order("B-1")) == ["admitted"]
    checked(engine, tmp_path)


def test_a_desk_that_there_is_not(tmp_path: Path) -> None:
    engine = LoggedEngine()
    told = together(engine, order("A-1", desk="desk-omega"), order("A-2", desk="desk-omega"))
    assert told.reasons == ["unknown_desk", "all_or_none_refused"]
    assert together(engine, order("A-1", desk="desk-omega"), order("A-2", desk="desk-omega")).repeat
    checked(engine, tmp_path)


def test_ids_are_counted_one_upon_the_other(tmp_path: Path) -> None:
    config = dev_config(remembered_orders_max=1_024)
    engine = LoggedEngine(config)
    engine.is_checked = False
    share = engine.state.orders.shares
    limit = share.ids_limit(share.of(engine.state.desks["desk-alpha"].share))
    for number in range(limit - 2):
        engine.submit(order(f"Z-{number}", symbol="NONE"))
    told = together(engine, order("A-1"), order("A-2"), order("A-3"))
    assert (told.refused_index, told.reasons[2]) == (2, "idempotency_window_full")
    assert len(engine.state.orders) == limit - 2  # none of the three is remembered
    assert asked(engine, order("A-1"), order("A-2")) == ["admitted"] * 2
    # What has expired makes room, for as many as there are.
    later = T0 + WINDOW_NS + SECOND_NS
    assert asked(engine, *(order(f"B-{i}") for i in range(64)), at_ns=later) == ["admitted"] * 64
    checked(engine, tmp_path)


def test_an_id_that_was_forgotten_in_the_meantime_is_new(tmp_path: Path) -> None:
    engine = LoggedEngine()
    together(engine, order("A-1"), order("A-2"))
    engine.submit(cancel("A-1"))
    later = T0 + WINDOW_NS + SECOND_NS
    told = together(engine, order("A-1"), order("A-2"), at_ns=later)
    assert (told.refused_index, told.reasons[1]) == (1, "client_order_id_reused")
    assert asked(engine, order("A-1")) == ["admitted"]
    checked(engine, tmp_path)


def test_the_last_ones_of_the_most_there_may_be(tmp_path: Path) -> None:
    engine = LoggedEngine()
    orders = [order(f"A-{i}", quantity=1) for i in range(64)]
    assert asked(engine, *orders) == ["admitted"] * 64
    assert engine.state.ledger.next_reservation_id == 65
    checked(engine, tmp_path)


def test_early_fills_are_due_in_the_orders_order(tmp_path: Path) -> None:
    engine = LoggedEngine()
    for name in ("A-2", "A-1"):
        engine.submit(fill(f"F-{name}", 10, 0, client_order_id=name))
    together(engine, order("A-1"), order("A-2"))
    assert [record[:15] for record in engine.records[-3:]] == [
        b'{"event":"all_o', b'{"event":"fill"', b'{"event":"fill"',
    ]  # fmt: skip
    assert b"F-A-1" in engine.records[-2]
    checked(engine, tmp_path)


def _group(engine: LoggedEngine, *orders: Order) -> OrderGroup:
    group = OrderGroup()
    group.begin([fields_of(each, engine.now_ns) for each in orders])
    return group


def test_each_may_be_replaced_by_itself(tmp_path: Path) -> None:
    """Two of one record have one sequence, and each a chain of its own."""
    engine = LoggedEngine()
    together(engine, order("A-1"), order("A-2"), order("A-3"))
    for name in ("A-1", "A-2", "A-3"):
        answer = engine.submit(replace(f"{name}.2", name, quantity=50))
        assert isinstance(answer, Admit)
    engine.submit(replaced("A-1.2"))
    engine.submit(rejected("A-2.2"))
    assert [stands(engine, name)[2] for name in ("A-1", "A-2", "A-3.2")] == [50, 100, 100]
    checked(engine, tmp_path)


def test_what_cannot_follow_is_an_invariant_error() -> None:
    engine = LoggedEngine()
    group = _group(engine, order("A-1"), order("A-2"))
    assert decide_group(engine.state, group)
    group.outcomes[1].reservation_id += 1
    with pytest.raises(InvariantError, match="the ledger gave 2"):
        apply_group(engine.state, group)
    other = LoggedEngine()
    group = _group(other, order("A-1"))
    assert decide_group(other.state, group)
    group.outcomes[0].sequence += 1
    with pytest.raises(InvariantError, match="is applied where"):
        apply_group(other.state, group)


def test_money_is_counted_one_upon_the_other(tmp_path: Path) -> None:
    engine = LoggedEngine()
    fits = ALPHA_BUDGET // ORDER_NOTIONAL  # more than the cap lets through
    cap = 150_000_000_000_000 // ORDER_NOTIONAL
    assert cap < fits
    told = together(engine, *(order(f"A-{i}", quantity=200) for i in range(cap // 2 + 1)))
    assert told.refused_index == cap // 2
    assert told.reasons[-1] == "exposure_limit_exceeded"
    assert (
        asked(engine, *(order(f"B-{i}", quantity=200) for i in range(cap // 2)))[-1] == "admitted"
    )
    checked(engine, tmp_path)
