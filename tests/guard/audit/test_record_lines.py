"""A record in one line: its words, its columns, what filters let pass."""

import json
from typing import Any

import pytest

from cancel_all_support import cancel_all
from guard.audit.record_lines import Filter, Memory, Seen, line_of, passes, seen_of
from guard.engine.events import TradingHalted
from guard.protocol.messages import Reduce
from guard_day_support import trading_day
from guard_support import LoggedEngine, actor, cancel, fill, order
from replace_support import rejected, replace, replaced


def seen_all(logged: LoggedEngine) -> list[Seen]:
    return [seen_of(number, json.loads(data)) for number, data in enumerate(logged.records, 1)]


def lines(logged: LoggedEngine, wanted: Filter | None = None, columns: int = 200) -> list[str]:
    memory, shown = Memory(), []
    for seen in seen_all(logged):
        memory.note(seen)
        if passes(seen, wanted or Filter(), memory):
            shown.append(line_of(seen, memory, columns))
    return shown


def day() -> LoggedEngine:
    logged = LoggedEngine()
    logged.submit(order("A-1"))
    logged.submit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=5, risk_bps=10_000))
    logged.submit(fill("F-1", quantity=40))
    logged.submit(cancel())
    halt = actor(logged.now_ns, 99, "ann", "runaway")
    logged.log(halt.event(TradingHalted, scope="desk", name="desk-alpha"))
    return logged


def test_the_lines_of_a_day() -> None:
    assert lines(day())[7:] == [
        "22:13:20.000         8 admit  desk-alpha/A-1: buy 100 AAPL at 190.00 to venue 10, "
        "19,000.00 held",
        "22:13:20.000         9 reject desk-beta/B-1: risk not below the policy's hard limit; "
        "buy 0.00000005 BTC-USD at 190.00",
        "22:13:20.000        10 fill   desk-alpha/A-1: 40 AAPL filled, fee 0.00005, 60 open",
        "22:13:20.000        11 cancel desk-alpha/A-1: 11,400.00 free again",
        "22:13:20.000        12 event  desk-alpha: entries stopped: desk desk-alpha (ann: runaway)",
    ]


def test_orders_that_one_record_ended() -> None:
    logged = LoggedEngine()
    logged.submit(order("A-1"))
    logged.submit(order("A-2"))
    cancel_all(logged, 8, of_desk="desk-alpha", of_symbol="AAPL")
    cancel_all(logged)
    cancels = frozenset({"cancel"})
    assert lines(logged, Filter(verdicts=cancels)) == [
        "22:13:20.000        10 cancel desk-alpha: 1 order in AAPL off, 19,000.00 free again",
        "22:13:20.000        11 cancel 1 order off, 19,000.00 free again",
    ]
    for wanted in (Filter(desks=frozenset({"desk-alpha"})), Filter(symbols=frozenset({"AAPL"}))):
        assert [line[19:29] for line in lines(logged, wanted)][-1] == " 10 cancel"


def test_whose_an_order_is() -> None:
    logged = LoggedEngine()
    logged.submit(order("A-2", trader="t.one", algo="vwap"))
    assert lines(logged, Filter(verdicts=frozenset({"admit"}))) == [
        "22:13:20.000         8 admit  desk-alpha/A-2: buy 100 AAPL at 190.00, of trader t.one, "
        "algo vwap to venue 10, 19,000.00 held",
    ]


def test_lots_that_were_taken_off() -> None:
    logged = LoggedEngine()
    logged.submit(order("A-2"))
    logged.submit(Reduce("desk-alpha", "A-2", "R-1", 30))
    logged.submit(Reduce("desk-alpha", "A-2", "R-2", 71))
    assert lines(logged, Filter(verdicts=frozenset({"reduce"}))) == [
        "22:13:20.000         9 reduce desk-alpha/A-2: 30 AAPL taken off, 70 open",
        "22:13:20.000        10 reduce desk-alpha/A-2: 71 AAPL taken off, nothing open",
    ]


def test_an_order_in_the_place_of_another() -> None:
    logged = LoggedEngine()
    logged.submit(order("A-1"))
    logged.submit(replace(quantity=150))
    logged.submit(replaced())
    logged.submit(replace("B-2", "B-1", quantity=2**40))
    logged.submit(rejected("B-2"))
    verdicts = frozenset({"admit", "reject", "settle"})
    assert lines(logged, Filter(verdicts=verdicts))[1:] == [
        "22:13:20.000         9 admit  desk-alpha/B-1: in place of A-1: buy 150 AAPL at 190.00 to "
        "venue 10, 28,500.00 worth",
        "22:13:20.000        10 settle desk-alpha/B-1: replaced, 150 open",
        "22:13:20.000        11 reject desk-alpha/B-2: more lots than an order may have; in place "
        "of B-1: buy 1,099,511,627,776 AAPL at 190.00",
    ]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_is_wider_than_it_may_be(columns: int) -> None:
    shown = lines(trading_day(), columns=columns)
    assert len(shown) == len(trading_day().records)
    assert max(map(len, shown)) <= columns


FILTERS: list[tuple[Filter, list[int]]] = [
    (Filter(desks=frozenset({"desk-beta"})), [7, 9]),
    (Filter(symbols=frozenset({"AAPL"})), [4, 8, 10, 11]),
    (Filter(verdicts=frozenset({"admit", "fill"})), [8, 10]),
    (Filter(reasons=frozenset({"risk_hard_limit"})), [9]),
    (Filter(orders=frozenset({"A-1"}), verdicts=frozenset({"cancel"})), [11]),
    (Filter(venues=frozenset({10}), desks=frozenset({"desk-alpha"})), [8, 10, 11]),
    (Filter(clients=frozenset({"nobody"})), []),
    (Filter(from_ns=2**62), []),
    (Filter(), list(range(1, 13))),
]


@pytest.mark.parametrize(("wanted", "sequences"), FILTERS)
def test_filters(wanted: Filter, sequences: list[int]) -> None:
    shown = [int(line[12:22].replace(",", "")) for line in lines(day(), wanted)]
    assert shown == sequences


def test_what_is_not_known_is_shown_as_it_is() -> None:
    seen = seen_of(1, {"event": "later_version", "received_at_ns": 1, "colour": "red"})
    assert line_of(seen, Memory(), 80) == "00:00:00.000         1 event  later version: colour red"
    request: dict[str, Any] = {"desk": "d", "client_order_id": "o", "symbol": "X", "quantity": 3}
    data = {"event": "order_refused", "received_at_ns": 0, "order": request, "answer": {}}
    assert "3 lots X at 0 ticks" in line_of(seen_of(2, data), Memory(), 120)


def test_the_memory_of_orders_is_bounded() -> None:
    memory = Memory(orders_max=2)
    logged = LoggedEngine()
    for number in range(4):
        logged.submit(order(f"A-{number}", quantity=1))
    for seen in seen_all(logged):
        memory.note(seen)
    assert [name for _, name in memory.orders] == ["A-2", "A-3"]
