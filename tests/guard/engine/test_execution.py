"""Drop copies: a trade counts once, whichever of fill and execution comes first."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from execution_support import COPIED, LOTS, PRICE, copied, execution, plain, told
from guard.admin.fill_actions import plan_amendment
from guard.admin.messages import BustFill
from guard.engine import execution as executing
from guard.engine.amendments import AmendmentError
from guard.engine.events import FillBusted, FillCorrected, TradingReduced
from guard.engine.executions import Executions
from guard.engine.loosening import limit_loosenings
from guard.engine.positions import BUY, SELL
from guard.protocol.limits import LimitScope, normalized
from guard.protocol.messages import ErrorReply, Executed
from guard.record.applying import RecordFolder
from guard.record.codec import RecordError
from guard.replay.replay import replay_log
from guard_limits_support import T0, limited
from guard_support import (
    I64_MAX,
    KEY,
    ORDER_NOTIONAL,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    fill,
    fold,
    order,
    write_log,
)
from position_support import position, say, settled
from wal import ChainHasher


def figures(engine: LoggedEngine) -> Any:
    """Position, confirmed, working buys and sells; the desk's balances; is anything latched?"""
    return position(engine)[:4], balances(engine.state), engine.state.has_latches


@pytest.mark.parametrize("make", [plain, copied])
@pytest.mark.parametrize("price", [None, PRICE])
def test_whichever_comes_first_the_trade_counts_once(make: Any, price: int | None) -> None:
    results = []
    for requests in (
        (fill("F-1", 40, price=price), execution()),
        (execution(), fill("F-1", 40, price=price)),
    ):
        engine = make()
        for request in requests:
            engine.submit(request)
            settled(engine)
        results.append((figures(engine), position(engine)[4:]))
    assert results[0] == results[1]
    held = ORDER_NOTIONAL * 60 // 100
    assert results[0][0][0] == (40, 40, 60, 0)
    assert results[0][0][1][1:] == (held, 5_000)
    assert not results[0][0][2]


def test_what_is_answered() -> None:
    engine = plain()
    first = told(engine, execution())
    held = ORDER_NOTIONAL * 60 // 100
    assert first == Executed(
        "desk-alpha", "A-1", "F-1", first.wal_sequence, 60, held, ORDER_NOTIONAL - held, [], False
    )
    answer = engine.submit(fill("F-1", 40, price=PRICE))
    assert (answer.flags, answer.open_quantity, answer.released_microcents) == (["executed"], 60, 0)
    assert engine.submit(fill("F-1", 40, price=PRICE)).repeat
    again = told(engine, execution())
    assert (again.repeat, again.wal_sequence, again.flags) == (True, first.wal_sequence, [])
    engine.submit(fill("F-2", 60))
    last = told(engine, execution("F-2", 60))
    assert (last.flags, last.open_quantity, last.hold_microcents) == (["confirms"], 0, 0)
    settled(engine)


def test_the_last_lots_close_the_order_by_execution_alone() -> None:
    engine = plain()
    told(engine, execution(quantity=LOTS))
    assert engine.state.ledger.active_reservations == 0
    assert engine.submit(cancel()).code == "order_filled"
    late = told(engine, execution("F-2", 1))
    assert late.flags == ["overfill", "late"]
    assert position(engine)[:3] == (101, 100, 0)
    settled(engine)


NAME = {"desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1"}
DIFFERENT = {
    "more lots": ({"quantity": 50}, (50, 50, 50, 0)),
    "fewer lots": ({"quantity": 30}, (30, 30, 60, 0)),
    "price": ({"price": PRICE - 1}, (40, 40, 60, 0)),
    "side": ({"side": "sell"}, (-40, 0, 60, 0)),
}


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("make", [plain, copied])
def test_where_they_differ_the_execution_counts_and_the_desk_is_latched(
    make: Any, name: str
) -> None:
    changes, wanted = DIFFERENT[name]
    engine = make()
    engine.submit(fill("F-1", 40, price=PRICE))
    answer = told(engine, execution(**changes))
    assert answer.flags == ["confirms", "differs"]
    assert position(engine)[:4] == wanted
    assert engine.state.latches.of("desk-alpha", "") == {"execution_differs": answer.wal_sequence}
    assert engine.reject(order("A-2", quantity=1)).reason == "desk_reducing"
    settled(engine)


def test_a_price_that_the_fill_did_not_say_is_no_difference() -> None:
    engine = copied()
    engine.submit(fill("F-1", 40))
    assert told(engine, execution(price=PRICE + 7)).flags == ["confirms"]
    cost = 40 * (PRICE + 7) * 1_000_000
    assert position(engine)[:2] + position(engine)[6:] == (40, 40, cost, 0)
    assert not engine.state.has_latches
    settled(engine)


@pytest.mark.parametrize("changes", [{"quantity": 41}, {"price": PRICE + 1}])
def test_a_fill_that_differs_from_its_execution_before_it(changes: dict[str, int]) -> None:
    engine = plain()
    told(engine, execution())
    answer = engine.submit(fill("F-1", **{"quantity": 40, "price": PRICE} | changes))
    assert answer.flags == ["executed", "differs"]
    assert position(engine)[:3] == (40, 40, 60)
    assert engine.state.latches.has("desk-alpha", "")
    say(engine, FillBusted)
    assert position(engine)[0] == 0, "what counted is what is taken back"
    settled(engine)


@pytest.mark.parametrize("symbol", ["BTC-USD", "NONE"])
def test_another_symbol_than_the_orders(symbol: str) -> None:
    engine = plain()
    answer = told(engine, execution(symbol=symbol, quantity=10))
    assert (answer.flags, answer.open_quantity) == (["differs"], 90)
    assert position(engine)[:3] == (0, 0, 90)
    if symbol != "NONE":
        assert position(engine, symbol=symbol)[:2] == (10, 0)
    assert engine.state.latches.has("desk-alpha", "")
    answer = engine.submit(fill("F-1", 10))
    assert (answer.flags, answer.released_microcents) == (["executed", "differs"], 0)
    assert position(engine)[:3] == (0, 0, 90), "it is the execution's fill, and counts no more"
    settled(engine)


@pytest.mark.parametrize("lots", [10, 5])
@pytest.mark.parametrize("changes", [{"side": "sell"}, {"symbol": "BTC-USD"}, {"symbol": "NONE"}])
@pytest.mark.parametrize("make", [plain, copied])
def test_whichever_comes_first_another_side_or_symbol_counts_once(
    make: Any, changes: dict[str, str], lots: int
) -> None:
    results = []
    said = execution("F-2", 10, **changes)
    for requests in ((fill("F-2", lots), said), (said, fill("F-2", lots))):
        engine = make()
        for request in requests:
            answer = engine.submit(request)
            settled(engine)
        assert "differs" in answer.flags
        assert engine.state.latches.of("desk-alpha", "").keys() == {"execution_differs"}
        kept = engine.state.executions
        assert (kept.unconfirmed, kept.unreported) == ({}, {}), "they have met"
        other = position(engine, symbol="BTC-USD")[:2] if "BTC-USD" in changes.values() else None
        results.append((figures(engine), other))
    assert results[0] == results[1]
    assert results[0][0][0] == (-10 if "side" in changes else 0, 0, 90, 0)


@pytest.mark.parametrize(
    "changes",
    [{}, {"quantity": LOTS + 5}, {"side": "sell"}, {"symbol": "BTC-USD"}, {"symbol": "NO"}],
)
@pytest.mark.parametrize("make", [plain, copied])
def test_an_execution_without_its_fill_can_be_busted(make: Any, changes: dict[str, Any]) -> None:
    engine = make()
    engine.submit(fill("F-0", 20))
    told(engine, execution("F-0", 20))
    symbols = ["AAPL", "BTC-USD"]
    before = [(*position(engine, symbol=one)[:2], position(engine)[4:]) for one in symbols]
    request = execution(**changes)
    answer = told(engine, request)
    asked = BustFill(action_id="B-1", why="not so", **NAME)
    plan = plan_amendment(engine.state, asked, actor(engine.now_ns))
    assert plan.changes == ["fill desk-alpha/A-1/F-1: busted, 0.00 return to the budget"]
    say(engine, FillBusted)
    settled(engine)
    after = [(*position(engine, symbol=one)[:2], position(engine)[4:]) for one in symbols]
    assert after == before
    assert position(engine)[2] == answer.open_quantity, "what it freed stays freed"
    assert engine.state.executions.unreported == {}
    assert told(engine, request).repeat, "sent again it moves nothing"
    with pytest.raises(AmendmentError, match="no such fill is known"):
        say(engine, FillBusted)
    engine.submit(fill("F-1", 10))
    assert position(engine)[0] == 30, "what says that it did happen counts"
    settled(engine)


def test_a_venue_to_which_the_order_did_not_go_confirms_nothing() -> None:
    engine = copied()
    engine.submit(fill("F-1", 40))
    assert told(engine, execution(venue=20)).flags == ["differs"]
    assert position(engine)[:3] == (80, 0, 20)
    assert told(engine, execution()).flags == ["confirms"]
    assert position(engine)[:3] == (80, 40, 20)
    settled(engine)


def test_only_confirmed_lots_entitle_to_reduce() -> None:
    engine = copied()
    engine.submit(fill("F-1", LOTS))
    assert position(engine)[:2] == (LOTS, 0)
    assert engine.state.positions.pending_entries() == [(0, LOTS, 0)]
    engine.log(actor(engine.now_ns).event(TradingReduced, scope="desk", name="desk-alpha"))
    exit_order = {"side": "sell", "quantity": LOTS}
    assert engine.reject(order("S-1", **exit_order)).reason == "desk_reducing"
    told(engine, execution(quantity=60))
    told(engine, execution("F-2", 40))
    assert engine.admit(order("S-2", side="sell", quantity=60)).reducing is True
    settled(engine)


def test_sells_that_wait_count_against_what_may_be_reduced_at_once() -> None:
    engine = copied()
    told(engine, execution(quantity=LOTS))
    engine.admit(order("S-1", side="sell", quantity=60))
    engine.submit(fill("F-9", 60, client_order_id="S-1"))
    kept = engine.state.positions
    assert (kept.reducible(0, SELL), kept.reducible(0, BUY)) == (40, 0)
    # A forged buy makes the position larger, and nothing more of it can be reduced.
    engine.admit(order("A-2", quantity=50))
    engine.submit(fill("X-1", 50, client_order_id="A-2"))
    assert kept.reducible(0, SELL) == 40
    sold = {"client_order_id": "S-1", "side": "sell", "quantity": 60}
    told(engine, execution("F-9", **sold))
    assert kept.reducible(0, SELL) == 40
    settled(engine)


def test_a_bust_or_a_correction_of_what_waits() -> None:
    engine = copied()
    engine.submit(fill("F-1", 40))
    engine.submit(fill("F-2", 20))
    say(engine, FillCorrected, "F-2", quantity=10)
    assert engine.state.positions.pending_entries() == [(0, 50, 0)]
    say(engine, FillBusted)
    assert (position(engine)[:2], engine.state.positions.pending(0, BUY)) == ((10, 0), 10)
    assert told(engine, execution("F-2", 10)).flags == ["confirms"]
    assert position(engine)[:2] == (10, 10)
    answer = told(engine, execution())  # it did happen
    assert answer.flags == ["confirms", "differs"]
    assert position(engine)[0] == 50
    settled(engine)


def test_without_a_drop_copy_of_the_venue_nothing_waits() -> None:
    engine = limited(COPIED + "drop_copy_venues = [20]\n")
    engine.admit(order(), T0)
    engine.submit(fill("F-1", 40))
    assert (position(engine)[:2], engine.state.executions.unconfirmed) == ((40, 40), {})


def test_of_an_order_that_is_not_known_nothing_moves() -> None:
    engine = LoggedEngine()
    for desk in ("desk-alpha", "desk-omega"):
        answer = told(engine, execution(desk=desk))
        assert (answer.flags, answer.released_microcents) == (["unknown"], 0)
    again = told(engine, execution())
    assert (again.repeat, again.flags) == (True, ["unknown"])
    assert engine.submit(execution(quantity=41)).code == "execution_id_reused"
    assert engine.state.positions.count == 0
    settled(engine)
    engine.admit(order())
    assert told(engine, execution()).flags == []
    assert position(engine)[:3] == (40, 40, 60)
    assert len(engine.state.executions.unknown) == 0
    settled(engine)


def test_beyond_the_window_it_is_recorded_and_not_applied() -> None:
    engine = plain()
    engine.submit(fill("F-1", LOTS))
    engine.now_ns += WINDOW_NS + 2
    assert told(engine, execution("F-9", 1)).flags == ["unknown"]
    assert position(engine)[0] == LOTS


def test_of_a_refused_order_it_counts_and_confirms_nothing() -> None:
    engine = LoggedEngine()
    engine.reject(order(risk_bps=9_999))
    assert told(engine, execution()).flags == ["refused"]
    assert position(engine)[:2] == (40, 0)
    engine.submit(fill("F-2", 5))
    told(engine, execution("F-2", 5))
    assert position(engine)[:2] == (45, 0)
    settled(engine)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"client_order_id": "A-2"}, "client_order_id"),
        ({"symbol": "BTC-USD"}, "symbol"),
        ({"side": "sell"}, "side"),
        ({"quantity": 39}, "quantity"),
        ({"price": 1}, "price"),
        ({"executed_at_ns": 5}, "executed_at_ns"),
    ],
)
def test_one_identity_has_one_content(changes: dict[str, Any], field: str) -> None:
    engine = plain()
    told(engine, execution())
    before = figures(engine)
    error = engine.submit(execution(**changes))
    assert isinstance(error, ErrorReply)
    assert (error.code, error.field) == ("execution_id_reused", field)
    assert (error.desk, error.client_order_id, error.execution_id) == (
        "desk-alpha", changes.get("client_order_id", "A-1"), "F-1",
    )  # fmt: skip
    assert figures(engine) == before
    other = told(engine, execution(venue=20))
    assert (other.repeat, other.flags) == (False, ["differs"]), "another venue's is another one"


def test_huge_sizes_neither_wrap_nor_stop_anything() -> None:
    engine = copied()
    assert told(engine, execution(quantity=I64_MAX, price=I64_MAX)).flags == ["overfill"]
    told(engine, execution("F-2", I64_MAX, price=I64_MAX))
    assert position(engine)[:3] == (I64_MAX, LOTS, 0)
    engine.submit(fill("F-3", I64_MAX))
    told(engine, execution("F-3", I64_MAX, price=1))
    settled(engine)


def test_what_is_remembered_is_bounded_as_fills_are() -> None:
    engine = copied()
    shares = engine.state.orders.shares
    shares.fills_per_order_max = 3
    told(engine, execution("F-1", 1))
    engine.submit(fill("F-1", 1))
    told(engine, execution("F-2", 1))
    error = engine.submit(execution("F-3", 1))
    assert (error.code, error.field) == ("fill_window_full", "execution_id")
    assert (error.execution_id, error.fill_id) == ("F-3", UNSET)
    assert told(engine, execution("F-2", 1)).repeat
    assert shares.of(engine.state.desks["desk-alpha"].share).fills == 3


def test_what_is_kept_goes_with_its_order() -> None:
    engine = copied(quantity=2)
    told(engine, execution("F-1", 1))
    engine.submit(fill("F-2", 1))
    kept = engine.state.executions
    assert (len(kept.unreported), len(kept.unconfirmed)) == (1, 1)
    engine.now_ns += WINDOW_NS + 2
    for number in range(4):
        name = f"B-{number}"
        engine.admit(order(name, quantity=2))
        said = {"client_order_id": name, "quantity": 1}
        told(engine, execution(f"F-{number}", **said))
        engine.submit(fill(f"G-{number}", 1, client_order_id=name))
    assert not any(key.startswith(b"desk-alpha\0A-1\0") for key in kept.unreported)
    assert not any(key.startswith(b"desk-alpha\0A-1\0") for key in kept.unconfirmed)
    settled(engine)


@pytest.mark.parametrize(
    "said",
    [
        {"require_reconciliation": True},
        {"drop_copy_venues": [10]},
        {"symbol": "AAPL", "reconcile_s": 1, "require_reconciliation": True},
    ],
)
def test_limits_of_drop_copies_that_cannot_be(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        normalized([LimitScope(**said)])


@pytest.mark.parametrize(
    ("before", "after", "is_looser"),
    [
        (None, [10], True),
        ([10, 20], [10], True),
        ([10], [10, 20], False),
        ([10], None, False),
    ],
)
def test_fewer_venues_with_a_drop_copy_is_a_loosening(
    before: list[int] | None, after: list[int] | None, is_looser: bool
) -> None:
    trees = [
        [LimitScope(reconcile_s=1, drop_copy_venues=UNSET if venues is None else venues)]
        for venues in (before, after)
    ]
    found = limit_loosenings(*trees, [])
    assert found == (["limits.drop_copy_venues"] if is_looser else [])


def test_replay_decides_all_of_it_again(tmp_path: Path) -> None:
    engine = copied()
    told(engine, execution("X", client_order_id="A-9"))
    engine.submit(fill("F-1", 40, price=PRICE))
    told(engine, execution(quantity=41))
    told(engine, execution("F-2", 10))
    engine.submit(fill("F-2", 10, price=PRICE + 1))
    engine.submit(cancel())
    told(engine, execution("F-3", 1))
    write_log(tmp_path, engine.records)
    replay_log(tmp_path, ChainHasher(KEY))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"flags":["confirms"]', b'"flags":["mood"]'),
        (b'"type":"executed","desk":"desk-alpha"', b'"type":"executed","desk":"d"'),
        (b'"execution_id":"F-1","wal_sequence"', b'"execution_id":"F-2","wal_sequence"'),
        (b'"repeat":false', b'"repeat":true'),
    ],
)
def test_no_log_says_otherwise(old: bytes, new: bytes) -> None:
    engine = plain()
    engine.submit(fill("F-1", 40))
    before = fold(engine.records)
    told(engine, execution())
    data = engine.records[-1].replace(old, new)
    assert data != engine.records[-1]
    folder = RecordFolder(before, "test-key-id")
    with pytest.raises(RecordError):
        folder.read(before.next_sequence, data, "")
    assert folder.read(before.next_sequence, engine.records[-1], "") is None


def test_no_log_of_earlier_rules_has_one() -> None:
    data = plain().records
    engine = LoggedEngine(rules_version=2)
    engine.admit(order())
    newer = plain()
    told(newer, execution())
    assert len(data) == len(engine.records)
    with pytest.raises(RecordError, match="since version 3"):
        RecordFolder(engine.engine, "test-key-id").read(
            engine.engine.next_sequence, newer.records[-1], ""
        )


@pytest.mark.parametrize(
    "entry",
    [
        ("unknown", b"d\0E", 5, [1, 2]),
        ("mood", b"d\0\0001/E", 5, [1, 2]),
        ("unconfirmed", b"d\0A\0F", 0, [1, 2]),
    ],
)
def test_a_dump_that_cannot_be_is_refused(entry: Any) -> None:
    with pytest.raises((ValueError, msgspec.ValidationError)):
        Executions().load([msgspec.msgpack.encode(entry)])


def test_a_planted_double_count_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "reported_before", lambda *_: None)
    with pytest.raises(AssertionError):
        test_whichever_comes_first_the_trade_counts_once(plain, PRICE)
