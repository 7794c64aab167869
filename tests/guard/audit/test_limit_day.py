"""Each limit's use through a day, held against what the state says behind every record."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from audit_support import STEPS, audited
from guard.audit import limit_day, use_lines
from guard.audit.audit import Audit
from guard.audit.limit_statements import kind_of, said_values
from guard.audit.limit_tables import course_of, limit_tables
from guard.audit.page import render_page
from guard.audit.use_lines import UseLines
from guard.config.activation import limits_event
from guard.engine import limit_use
from guard.engine.limit_use import SaidByName
from guard.engine.prices import has_moved, moved_bps
from guard.protocol.limits import KEYS, LIST_KEYS, LimitScope, file_name, normalized
from guard_limits_support import WAIVED, limited, limits_config
from guard_support import SECOND_NS, T0, LoggedEngine, actor, cancel, fill, order

LOT = 1_000_000  # microcents of one lot of AAPL a tick
RULE = f"{WAIVED}revalue_bps = 0\n"
ALPHA = "limits.desk.desk-alpha"


def lines_of(document: dict[str, Any]) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    return {
        (line["said"], line["limit"], line["desk"], line["symbol"]): line
        for line in document["limits"]["listed"]
    }


def highest(line: dict[str, Any]) -> tuple[int, int, int | None]:
    found = line["highest"]
    return found["used"], found["bound"], found["sequence"]


def begun(text: str) -> LoggedEngine:
    engine = limited(text)
    engine.marks = {"AAPL": (20_000, 1), "BTC-USD": (6_000_000, 1)}
    return engine


class EachRecord:
    """The most that was used of each limit: all of it looked at behind every record."""

    def __init__(self) -> None:
        self.audit = Audit()
        self.most: dict[Any, tuple[int, int, int]] = {}
        self.shares: dict[Any, int] = {}

    def observe(self, place: Any, decided: Any, state: Any) -> None:
        self.audit.observe(place, decided, state)
        for uses in limit_use.of_all(state, SaidByName(state.limits.tree)):
            for where, used, most in uses:
                share = used * 10**6 // most if most else (2**62 if used else 0)
                if share > self.shares.get(where, -1):
                    self.shares[where] = share
                    self.most[where] = (used, most, place.sequence)

    def document(self, report: Any) -> Any:
        return self.audit.document(report), self.most


LIMITS = (
    f"{RULE}position_long_max = 90000\nposition_short_max = 0\nopen_orders_max = 3\n"
    'exposure_gross_max = "3000000"\nexposure_net_max = "2000000"\n'
    'concentration_max_bps = 9000\nconcentration_from = "1"\nday_loss_max = "500"\n'
    '[limits.desk.desk-alpha]\nexposure_long_max = "1000000"\nday_loss_max = "100"\n'
    'concentration_max_bps = 10000\nconcentration_from = "0"\n'
    '[limits.symbol.AAPL]\nexposure_short_max = "1000"\nposition_long_max = 80000\n'
    '[limits.desk.desk-beta.symbol.AAPL]\nday_loss_max = "50"\n'
)


def lived(steps: list[Any]) -> LoggedEngine:
    """Steps of a random day under these limits, its marks moving."""
    engine, now_ns = begun(LIMITS), T0
    engine.is_checked = False
    for number, (later_ns, (kind, client_order_id, desk, fields)) in enumerate(steps):
        now_ns += later_ns
        engine.marks["AAPL"] = (19_000 + 37 * number, 1)
        if kind == "order":
            engine.submit(order(client_order_id, desk=desk, **fields), now_ns)
        elif kind == "fill":
            engine.submit(fill(desk=desk, client_order_id=client_order_id, **fields), now_ns)
        elif kind == "cancel":
            engine.submit(cancel(client_order_id, desk), now_ns)
        elif kind == "close":
            engine.restart()
    return engine


@settings(max_examples=10, deadline=None)
@given(STEPS)
def test_the_most_of_each_is_found_at_its_record(steps: list[Any]) -> None:
    document, most = audited(lived(steps).records, EachRecord())  # type: ignore[arg-type]
    found = {
        where: highest(line)
        for where, line in lines_of(document).items()
        if line["kind"] == "standing" and line["said"].startswith("limits") and line["highest"]
    }
    # A share of a scope in one symbol also moves with the others, where no check asks for it.
    left = {where for where in most if where[1] == "concentration_max_bps"}
    assert {k: v for k, v in found.items() if k not in left} == {
        k: v for k, v in most.items() if k not in left
    }
    for where in left:
        assert found[where][0] <= most[where][0]


def test_of_every_key_there_is_a_line() -> None:
    """Whatever a scope may say stands in the report, with what it says."""
    words = {
        "sides": ["buy"], "order_types": ["limit"], "times_in_force": ["day"],
        "require_reconciliation": True, "self_match": "flag", "short_sales": "locate",
    }  # fmt: skip
    said = {key.name: words.get(key.name, 7) for key in KEYS}
    said |= {name: [10] if "venues" in name else ["AAPL"] for name in LIST_KEYS}
    said |= {"quantity_min": 1, "value_min_microcents": 1, "warn_percent": 90}
    scope = LimitScope(**said)
    assert normalized([scope])
    names = {name for name, _ in said_values(scope)}
    assert names == {file_name(name) for name in said}
    kinds = {name: kind_of(name) for name in names}
    assert {name for name, kind in kinds.items() if kind == "standing"} == {
        file_name(name) for name in limit_use.STANDING_KEYS
    }
    assert {name for name, kind in kinds.items() if kind == "order"} == {
        "quantity_min", "quantity_max", "value_min", "value_max", "price_collar_bps",
        "reference_age_max_ms",
    }  # fmt: skip
    unnamed = [f for f in LimitScope.__struct_fields__ if f not in said]
    of_scope = {"customer", "account", "trader", "algo"}  # whose limits they are
    unsaid = {f for f in unnamed if getattr(LimitScope(), f) is UNSET}
    assert unsaid == {"rates", "session_ends"} | of_scope


def test_what_is_never_used_is_listed_with_its_bound() -> None:
    engine = begun(f'{RULE}sides = ["sell"]\n[limits.desk.desk-beta]\nposition_long_max = 5\n')
    engine.reject(order("A-1"))
    lines = lines_of(audited(engine.records))
    sides = lines["limits", "sides", "", ""]
    assert (sides["bound"], sides["highest"], sides["refused"]) == (["sell"], None, 1)
    unused = lines["limits.desk.desk-beta", "position_long_max", "", ""]
    assert (unused["bound"], unused["highest"], unused["kind"]) == (5, None, "standing")
    waived = lines["limits", "quantity_max", "", ""]
    assert (waived["bound"], waived["in_force"]) == (None, True)


def test_refusals_count_at_the_limit_that_refused() -> None:
    text = (
        'quantity_max = 150\nvalue_max = "30000.00"\nprice_collar_bps = 100\n'
        "reference_age_max_ms = 1000\nopen_orders_max = 2\n"
        '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 3\n'
        "[limits.desk.desk-alpha.symbol.AAPL]\nposition_long_max = 120\n"
    )
    engine = limited(text)
    engine.marks = {"AAPL": (19_000, 2_500_000)}
    engine.admit(order("A-1", quantity=100))
    engine.reject(order("A-2", quantity=151))
    engine.reject(order("A-3", quantity=21))
    engine.admit(order("A-4", quantity=20, price=19_095))
    engine.reject(order("A-5", quantity=1, price=19_191, side="sell"))
    engine.reject(order("A-6", quantity=1, side="sell"))
    engine.submit(cancel("A-4"))
    engine.admit(order("A-7", quantity=10, side="sell"))
    engine.reject(order("A-8", quantity=1, side="sell"))
    lines = lines_of(audited(engine.records))
    own = ("limits.desk.desk-alpha.symbol.AAPL", "position_long_max", "desk-alpha", "AAPL")
    assert (lines[own]["refused"], *highest(lines[own])[:2]) == (1, 120, 120)
    found = {
        name: (line["refused"], *highest(line)[:2])
        for (said, name, desk, symbol), line in lines.items()
        if said == "limits" and line["highest"] and desk != "desk-beta"
    }
    assert found == {
        "quantity_max": (1, 100, 150),
        "value_max": (0, 100 * 19_000 * LOT, 30_000 * 10**8),
        "price_collar_bps": (1, 50, 100),
        "reference_age_max_ms": (0, 3, 1_000),
        "open_orders_max": (1, 2, 2),
        "rate of orders in 1000 ms": (1, 3, 3),
    }


def test_a_least_quantity_is_come_near_to_from_above() -> None:
    engine = begun(f"{RULE}quantity_min = 10\n")
    for number, lots in enumerate((40, 25, 30)):
        engine.admit(order(f"A-{number}", quantity=lots))
    engine.reject(order("A-9", quantity=9))
    line = lines_of(audited(engine.records))["limits", "quantity_min", "", ""]
    assert highest(line)[:2] == (25, 10)
    assert (line["highest"]["millionths"], line["refused"]) == (400_000, 1)


def test_budget_and_cap_are_limits_too() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    lines = lines_of(audited(engine.records))
    held = 1_900_000_000_000
    for name in ("budget", "exposure_cap"):
        line = lines["desks.desk-alpha", name, "desk-alpha", ""]
        assert (line["highest"]["used"], line["kind"]) == (held, "standing")
        assert line["bound"] == line["highest"]["bound"] > held


def test_bounds_that_change_show_as_they_were() -> None:
    engine = begun(f"{RULE}open_orders_max = 4\n")
    first = engine.admit(order("A-1"), T0 + SECOND_NS)
    for number in (2, 3):
        engine.admit(order(f"A-{number}"), T0 + 2 * SECOND_NS)
    at = len(engine.records) + 1
    config = limits_config(f"{RULE}open_orders_max = 10\n{'[limits.desk.desk-beta]'}\nsides = []\n")
    engine.log(limits_event(config.limits, actor(T0 + 3 * SECOND_NS)))
    engine.admit(order("A-4"), T0 + 4 * SECOND_NS)
    gone = len(engine.records) + 1
    engine.log(limits_event(limits_config(RULE).limits, actor(T0 + 5 * SECOND_NS)))
    document = audited(engine.records)
    line = lines_of(document)["limits", "open_orders_max", "desk-alpha", ""]
    assert highest(line) == (3, 4, first.wal_sequence + 2)
    assert (line["bound"], line["in_force"]) == (None, False)
    assert [row[1:] for row in line["rows"]][-3:] == [[3, 3, 10], [4, 4, 10], [4, 4, None]]
    changed = [change["sequence"] for change in document["limits"]["changes"]]
    assert changed == [at, at, gone, gone]
    assert [list(change.values())[2:] for change in document["limits"]["changes"]] == [
        ["limits", "open_orders_max", 4, 10],
        ["limits.desk.desk-beta", "sides", "unsaid", []],
        ["limits", "open_orders_max", 10, "unsaid"],
        ["limits.desk.desk-beta", "sides", [], "unsaid"],
    ]
    uses, changes = limit_tables(document)
    shown = next(row for row in uses.rows if row[0] == "open orders max" and row[2] == "desk-alpha")
    assert shown[3:7] == ("no more", "3", "75.0 %", "–")
    assert len(shown[9]) == len("12:26:00.123")
    assert changes.rows[0][2:] == ("open orders max", "firm", "4", "10")


def test_a_days_turn_takes_a_loss_back() -> None:
    engine = begun(f'{RULE}[limits.desk.desk-alpha]\nday_loss_max = "100"\n')
    engine.admit(order("A-1", quantity=10, price=20_000))
    engine.submit(fill("F-1", 10, fee=0, price=20_000))
    engine.marks["AAPL"] = (19_900, 1)
    engine.submit(order("A-2", quantity=1, price=19_900))
    lines = lines_of(audited(engine.records))
    assert highest(lines[ALPHA, "day_loss_max", "", ""])[:2] == (1_000 * LOT, 10**10)


def test_a_part_of_a_day_begins_with_what_stood() -> None:
    engine = begun(f"{RULE}open_orders_max = 4\n")
    engine.admit(order("A-1"))
    second = engine.admit(order("A-2"))
    engine.submit(cancel("A-1"))

    class Part(EachRecord):
        def observe(self, place: Any, decided: Any, state: Any) -> None:
            if place.sequence >= second.wal_sequence:
                self.audit.observe(place, decided, state)

    document, _ = audited(engine.records, Part())  # type: ignore[arg-type]
    line = lines_of(document)["limits", "open_orders_max", "desk-alpha", ""]
    assert highest(line) == (2, 4, None)
    assert line["highest"]["at_ns"] is None
    assert line["rows"][-1][1:] == [2, 1, 4]


def test_only_who_used_the_most_is_kept_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The most of those that are kept is exact, whoever was left out meanwhile."""
    lines = UseLines(lines_max=3)
    used = {}
    for number in range(200):
        name = f"S-{number * 7 % 40}"
        amount = number * 31 % 97
        used[name] = max(used.get(name, 0), amount)
        lines.note(("limits", "x", "d", name), amount, 100, number, number * SECOND_NS)
    kept = [(line.place[3], line.peak_used) for line in lines.listed()][:3]
    assert kept == sorted(used.items(), key=lambda item: (-item[1], item[0]))[:3]
    assert lines.is_full
    monkeypatch.setattr(limit_day, "LISTED_MAX", 2)
    monkeypatch.setattr(use_lines.UseLines.__init__, "__defaults__", (1, 10))
    engine = begun(f"{RULE}position_long_max = 1000\n")
    for name, changes in (
        ("A-1", {}), ("B-1", {"desk": "desk-beta", "quantity": 300}),
        ("A-2", {"symbol": "BTC-USD", "quantity": 5, "price": 6_000_000}),
    ):  # fmt: skip
        engine.admit(order(name, **changes))
    limits = audited(engine.records)["limits"]
    assert len(limits["listed"]) == 2
    assert limits["left_out"] > 0


def test_rows_are_merged_and_no_peak_is_lost() -> None:
    lines = UseLines(rows_max=8)
    place = ("limits", "open_orders_max", "d", "")
    for number in range(40):
        lines.note(place, number * 13 % 29, 30, number + 1, T0 + number * SECOND_NS)
    rows = lines.rows_of(place)
    assert len(rows) <= 8
    assert max(row[1] for row in rows) == max(number * 13 % 29 for number in range(40))
    assert rows[-1][2:] == [39 * 13 % 29, 30]


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_how_far_a_price_lies_is_what_the_collar_asks(price: int, other: int) -> None:
    bps = moved_bps(price, other)
    assert not has_moved(price, other, bps)
    assert bps == 0 or has_moved(price, other, bps - 1)


def test_text_and_page_show_it() -> None:
    engine = begun(f"{RULE}open_orders_max = 4\n")
    engine.admit(order("A-1"), T0 + SECOND_NS)
    engine.submit(cancel("A-1"), T0 + 24 * SECOND_NS)
    document = audited(engine.records)
    (uses, _) = limit_tables(document)
    row = next(row for row in uses.rows if row[0] == "open orders max")
    assert row[:6] == ("open orders max", "firm", "desk-alpha", "4", "1", "25.0 %")
    points = course_of(document, lines_of(document)["limits", "open_orders_max", "desk-alpha", ""])
    assert (points[0], points[-2]) == (250_000, 250_000)
    page = render_page(document, "day/log")
    assert 'data-chart="limit" data-course="0"' in page
    assert '<svg class="spark"' in page
    assert "Limits and their use" in page
