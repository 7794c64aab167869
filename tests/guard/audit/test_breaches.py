"""What stood in the way in a day, how it was measured, and who lifted it, when and why."""

from typing import Any

import pytest

from audit_support import audited
from execution_support import copied, execution
from guard.admin import messages as asked
from guard.audit.audit import Audit
from guard.audit.breach_tables import KIND_WORDS, breach_tables, standing_of
from guard.audit.breaches import EXECUTION_BREACHES, FILL_BREACHES, STATES, DayBreaches
from guard.audit.page import render_page
from guard.engine.events import (
    DeskResumed,
    EntriesHalted,
    EntriesResumed,
    FillBusted,
    TradingHalted,
    TradingReduced,
    TradingResumed,
)
from guard.engine.latches import LATCH_KINDS
from guard.engine.people_events import LatchLifted, LatchSet
from guard_limits_support import WAIVED, limited
from guard_support import SECOND_NS, T0, LoggedEngine, actor, cancel, fill, order, settled
from people_support import LIMITS, MINUTE_NS, Desk, guard

ALPHA = "desk-alpha"


def entries(records: list[bytes], *kinds: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = audited(records)["breaches"]["listed"]
    return [entry for entry in listed if not kinds or entry["kind"] in kinds]


def ended(entry: dict[str, Any]) -> tuple[Any, ...]:
    over = entry["ended"]
    return over["sequence"], over["how"], over["by"], over["why"]


def lift(engine: LoggedEngine, kind: str, symbol: str = "", desk: str = ALPHA) -> int:
    who = actor(engine.now_ns, by="ann", why=f"{kind} is looked into")
    engine.log(who.event(LatchLifted, desk=desk, symbol=symbol, latch=kind))
    return engine.state.next_sequence - 1


def test_a_loss_is_told_with_figure_and_limit_and_who_lifted_it() -> None:
    engine = limited(f'{WAIVED}revalue_bps = 0\n[limits.desk.desk-alpha]\nday_loss_max = "5"\n')
    engine.marks = {"AAPL": (19_000, 1)}
    engine.admit(order("A-1"))
    engine.submit(fill("F-1", 100, fee=0, price=19_000))
    engine.marks["AAPL"] = (18_990, 1)
    engine.reject(order("A-2"))
    (loss,) = entries(settled(engine.records), "latch_loss")
    assert (loss["desk"], loss["symbol"], loss["ended"]) == (ALPHA, "", None)
    assert loss["measured"] == {"lost_microcents": 10 * 10**8, "limit_microcents": 5 * 10**8}
    engine.marks["AAPL"] = (19_000, 1)
    engine.reject(order("A-3"))
    at = lift(engine, "loss")
    (loss,) = entries(settled(engine.records), "latch_loss")
    assert ended(loss) == (at, "lifted", "ann", "loss is looked into")
    assert loss["ended"]["at_ns"] == engine.now_ns


def test_a_surplus_says_its_lots() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    filled = engine.submit(fill("F-1", 100, fee=0))
    engine.admit(order("S-1", side="sell", quantity=70))
    engine.log(
        actor(engine.now_ns).event(
            FillBusted, desk=ALPHA, client_order_id="A-1", fill_id="F-1",
            fill_sequence=filled.wal_sequence, returned_microcents=0,
        )
    )  # fmt: skip
    (surplus,) = entries(engine.records, "latch_surplus")
    assert surplus["measured"] == {"lots": 70}
    assert (surplus["sequence"], surplus["by"]) == (engine.state.next_sequence - 1, "tester")
    engine.submit(cancel("S-1"))
    at = lift(engine, "surplus")
    (surplus,) = entries(engine.records, "latch_surplus")
    assert ended(surplus)[0] == at


def test_the_same_executed_again_and_again() -> None:
    text = f'{WAIVED}[[limits.rates]]\nkind = "executions"\nwindow_ms = 1000\nmax = 1\n'
    engine = limited(text)
    for number in (1, 2):
        engine.admit(order(f"A-{number}"))
        engine.submit(fill("F-1", 1, fee=0, client_order_id=f"A-{number}"))
    (latch,) = entries(engine.records, "latch_repeated_executions")
    assert (latch["desk"], latch["symbol"]) == (ALPHA, "AAPL")
    assert latch["measured"]["rates"] == [{"max": 1, "window_ms": 1_000}]
    assert latch["measured"]["client_order_id"] == "A-2"


def test_an_execution_that_differs_and_one_of_no_order() -> None:
    engine = copied()
    engine.submit(fill("F-1", 40, fee=0, price=19_000))
    engine.submit(execution("F-1", 41))
    engine.submit(execution("F-9", 5, client_order_id="X-1"))
    found = entries(engine.records)
    kinds = [entry["kind"] for entry in found]
    assert kinds == ["execution_differs", "latch_execution_differs", "execution_unknown"]
    differing = next(entry for entry in found if entry["kind"] == "execution_differs")
    assert differing["measured"]["execution_id"] == "F-1"
    assert differing["measured"]["quantity"] == 41


def test_a_fill_beyond_its_order_and_a_person_who_busts_it() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    beyond = engine.submit(fill("F-1", 101, fee=0))
    engine.submit(fill("F-2", 1, fee=0, client_order_id="nobody"))
    engine.log(
        actor(engine.now_ns, by="bob", why="the venue says so").event(
            FillBusted, desk=ALPHA, client_order_id="A-1", fill_id="F-1",
            fill_sequence=beyond.wal_sequence, returned_microcents=0,
        )
    )  # fmt: skip
    over, unknown = entries(engine.records, "fill_overfill", "fill_unknown")
    assert over["measured"]["flags"] == ["overfill"]
    assert ended(over)[1:] == ("busted", "bob", "the venue says so")
    assert (unknown["measured"]["client_order_id"], unknown["ended"]) == ("nobody", None)


def test_what_a_person_says_takes_the_place_of_what_was_said() -> None:
    engine = LoggedEngine()

    def say(kind: Any, **fields: Any) -> int:
        who = actor(engine.now_ns, by="ann", why=kind.__name__)
        engine.log(who.event(kind, **fields))
        return engine.state.next_sequence - 1

    halted = say(TradingHalted, scope="desk", name=ALPHA)
    reduced = say(TradingReduced, scope="desk", name=ALPHA)
    resumed = say(DeskResumed, desk=ALPHA)
    firm = say(TradingHalted, scope="firm", name="")
    symbol = say(TradingReduced, scope="symbol", name="AAPL")
    again = say(TradingResumed, scope="firm", name="")
    found = entries(engine.records, *STATES)
    assert [(e["sequence"], e["kind"], e["desk"], e["symbol"]) for e in found] == [
        (halted, "halted", ALPHA, ""), (reduced, "reducing", ALPHA, ""),
        (firm, "halted", "", ""), (symbol, "reducing", "", "AAPL"),
    ]  # fmt: skip
    assert [ended(e)[:3] for e in found[:3]] == [
        (reduced, "reducing", "ann"), (resumed, "resumed", "ann"), (again, "resumed", "ann"),
    ]  # fmt: skip
    assert found[3]["ended"] is None


def test_fees_owed_and_a_low_disk() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    engine.submit(fill("F-1", 100, fee=10**15))
    engine.log(actor(engine.now_ns).event(DeskResumed, desk=ALPHA))
    halt = {"reason": "disk_low", "free_bytes": 5, "reserve_bytes": 9 * 10**8}
    engine.log(actor(engine.now_ns).event(EntriesHalted, **halt))
    engine.log(actor(engine.now_ns).event(EntriesResumed, free_bytes=10**9))
    owed, disk = entries(engine.records, "fees_owed", "disk_low")
    assert owed["measured"]["unpaid_fees_microcents"] > 0
    assert ended(owed)[1] == "resumed"
    assert disk["measured"] == {"free_bytes": 5, "reserve_bytes": 9 * 10**8}
    assert ended(disk)[1] == "room on the disk"


def test_two_people_and_what_time_takes_back() -> None:
    engine = guard(limits=LIMITS)
    desk = Desk(engine)
    big: Any = {"desk": "desk-beta", "quantity": 101, "price": 10_000}
    for name in ("A-1", "A-2"):
        override: Any = {"order": order(name, **big), "checks": ["quantity_above_max"]}
        desk.do("ann", asked.OverrideOrder, action_id=name, lasts_s=60, **override)
        desk.do("bob", asked.Approve, proposal=name, why="seen")
    engine.submit(order("A-1", **big))
    used = engine.state.next_sequence - 1
    cap: Any = {"desk": ALPHA, "lasts_s": 120}
    desk.do("ann", asked.SetCap, action_id="cap", max_reserved_microcents=6 * 10**12, **cap)
    desk.do("bob", asked.Approve, proposal="cap")
    desk.do("ann", asked.SetCap, action_id="late", max_reserved_microcents=7 * 10**12, **cap)
    desk.pass_to(T0 + 5 * MINUTE_NS)
    found = entries(engine.records, "override", "proposal", "loosened")
    one, other = (e for e in found if e["kind"] == "override")
    assert ended(one)[:2] == (used, "used")
    assert ended(other)[1] == "expired"
    assert one["measured"] == {"client_order_id": "A-1", "checks": ["quantity_above_max"]}
    proposals = [e for e in found if e["kind"] == "proposal"]
    assert [ended(e)[1] for e in proposals] == ["approved", "approved", "approved", "expired"]
    assert ended(proposals[0])[2:] == ("bob of a test", "seen")
    assert proposals[0]["measured"]["person"] == "ann"
    (loosened,) = [e for e in found if e["kind"] == "loosened"]
    assert (loosened["desk"], ended(loosened)[1]) == (ALPHA, "reverted")
    assert loosened["ended"]["at_ns"] >= loosened["measured"]["until_ns"]


def test_suspect_orders_are_those_of_the_end() -> None:
    engine = limited(f"{WAIVED}immediate_order_s = 1\n")
    engine.admit(order("A-1", time_in_force="ioc"), T0)
    engine.admit(order("A-2", time_in_force="ioc"), T0 + 5 * SECOND_NS)
    breaches = audited(engine.records)["breaches"]
    assert [line["client_order_id"] for line in breaches["suspect_orders"]] == ["A-1"]
    assert breaches["suspect_orders_left_out"] == 0


def test_of_a_part_of_a_log_what_stood_before_is_told() -> None:
    engine = LoggedEngine()
    who = actor(engine.now_ns)
    engine.log(who.event(TradingHalted, scope="symbol", name="AAPL"))
    engine.log(who.event(LatchSet, desk=ALPHA, symbol="", latch="silence"))
    latched = engine.state.next_sequence - 1
    engine.admit(order("A-1", desk="desk-beta", symbol="BTC-USD", quantity=1_000, price=1_000))
    first = engine.state.next_sequence - 1
    lifted = lift(engine, "silence")

    class Part:
        def __init__(self) -> None:
            self.audit = Audit()

        def observe(self, place: Any, decided: Any, state: Any) -> None:
            if place.sequence >= first:
                self.audit.observe(place, decided, state)

        def document(self, report: Any) -> Any:
            return self.audit.document(report)

    found = audited(engine.records, Part())["breaches"]["listed"]  # type: ignore[arg-type]
    told = [(e["kind"], e["sequence"], e["at_ns"]) for e in found]
    assert told == [("halted", None, None), ("latch_silence", latched, None)]
    assert found[1]["ended"]["sequence"] == lifted


def test_of_every_kind_there_are_words() -> None:
    kinds = {f"latch_{kind}" for kind in LATCH_KINDS}
    kinds |= {f"fill_{flag}" for flag in FILL_BREACHES}
    kinds |= {f"execution_{flag}" for flag in EXECUTION_BREACHES}
    kinds |= {*STATES, "fees_owed", "disk_low", "proposal", "loosened", "override"}
    assert set(KIND_WORDS) == kinds


def test_what_is_kept_is_bounded_and_what_stands_stays() -> None:
    engine = LoggedEngine()
    audit = Audit()
    audit._day.breaches = DayBreaches(entries_max=3)
    for _ in range(4):
        for kind in (TradingHalted, TradingResumed):
            engine.log(actor(engine.now_ns).event(kind, scope="symbol", name="AAPL"))
    for scope, name in (("desk", ALPHA), ("desk", "desk-beta"), ("firm", ""), ("symbol", "AAPL")):
        engine.log(actor(engine.now_ns).event(TradingHalted, scope=scope, name=name))
    breaches = audited(engine.records, audit)["breaches"]
    places = [(entry["desk"], entry["symbol"]) for entry in breaches["listed"]]
    assert places == [(ALPHA, ""), ("desk-beta", ""), ("", "")]
    assert (breaches["left_out"], breaches["counts"], breaches["standing"]) == (5, {"halted": 8}, 3)


def test_text_and_page_show_it() -> None:
    engine = LoggedEngine()
    who = actor(engine.now_ns, by="ann", why="<b>odd</b>")
    engine.log(who.event(TradingHalted, scope="desk", name=ALPHA))
    engine.submit(fill("F-2", 1, fee=0, client_order_id="nobody"))
    document = audited(engine.records)
    table, suspects = breach_tables(document)
    assert table.rows[0][:2] == ("halted", "desk desk-alpha")
    assert table.rows[0][4:9] == ("ann: <b>odd</b>", "–", "stands", "–", "–")
    assert table.rows[1][6] == "–"  # a fact does not stand
    assert (standing_of(document), table.note) == (1, "1 stand at the end.")
    assert suspects.rows == []
    page = render_page(document, "day/log")
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert 'id="t-breaches"' in page


@pytest.mark.parametrize("kind", ["silence"])
def test_one_that_is_lifted_and_set_again_is_two(kind: str) -> None:
    engine = LoggedEngine()
    for _ in range(2):
        who = actor(engine.now_ns)
        engine.log(who.event(LatchSet, desk=ALPHA, symbol="AAPL", latch=kind))
        lift(engine, kind, "AAPL")
    found = entries(engine.records, f"latch_{kind}")
    assert len(found) == 2
    assert all(entry["ended"] is not None for entry in found)
