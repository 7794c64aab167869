"""`replay --limits` over every key that a scope may say: each refuses as on a day that had it."""

from typing import Any

import pytest

from audit_support import audited
from guard.audit.audit import Audit
from guard.audit.overrides import Overrides
from guard.protocol.limits import KEYS, NAMED_SCOPES, LimitScope, RateKind
from guard_limits_support import WAIVED, limits_config
from guard_support import SECOND_NS, T0, LoggedEngine, fill, order
from replace_support import replace

AGE = "reference_age_max_ms"
# Of each key what it says, beside what must be said, and the reason of an order that it refuses;
# none: no order is refused by it.
REFUSING: dict[str, tuple[str, str]] = {
    "quantity_min": ("quantity_min = 61", "quantity_below_min"),
    "quantity_max": ("quantity_max = 99", "quantity_above_max"),
    "quantity_step": ("quantity_step = 60", "quantity_off_step"),
    "price_step": ("price_step = 1000", "price_off_step"),
    "value_min_microcents": ('value_min = "1000000"', "value_below_min"),
    "value_max_microcents": ('value_max = "1000"', "value_above_max"),
    "price_collar_bps": (f"price_collar_bps = 10\n{AGE} = 90", "price_outside_collar"),
    "reference_age_max_ms": (f"price_collar_bps = 10000\n{AGE} = 1", "reference_stale"),
    "duplicate_window_ms": ("duplicate_window_ms = 5000", "duplicate_order"),
    "sides": ('sides = ["sell"]', "side_not_allowed"),
    "order_types": ('order_types = ["market"]\nmarket_buffer_bps = 1', "order_type_not_allowed"),
    "times_in_force": ('times_in_force = ["ioc"]', "time_in_force_not_allowed"),
    "position_long_max": ("position_long_max = 99", "position_long_above_max"),
    "position_short_max": ("position_short_max = 0", "position_short_above_max"),
    "open_orders_max": ("open_orders_max = 1", "open_orders_above_max"),
    "exposure_gross_max_microcents": ('exposure_gross_max = "1"', "exposure_gross_above_max"),
    "exposure_net_max_microcents": ('exposure_net_max = "1"', "exposure_net_above_max"),
    "exposure_long_max_microcents": ('exposure_long_max = "1"', "exposure_long_above_max"),
    "exposure_short_max_microcents": ('exposure_short_max = "1"', "exposure_short_above_max"),
    "concentration_max_bps": (
        'concentration_max_bps = 1\nconcentration_from = "0.01"', "concentration_above_max",
    ),
    "day_loss_max_microcents": ('day_loss_max = "1"', "day_loss_above_max"),
    "self_match": ('self_match = "refuse"', "self_match"),
    "short_sales": ('short_sales = "refused"', "short_sale_not_allowed"),
    "require_reconciliation": ("reconcile_s = 30\nrequire_reconciliation = true", "desk_reducing"),
    "venues": ("venues = [30]", "venue_not_allowed"),
    "symbols": ('symbols = ["BTC-USD"]', "symbol_not_allowed"),
    "restricted_symbols": ('restricted_symbols = ["AAPL"]', "symbol_restricted"),
}  # fmt: skip
# What refuses nothing by itself: a part of another's rule, or what tells and frees.
SILENT: dict[str, str] = {
    "market_buffer_bps": "market_buffer_bps = 100",
    "revalue_bps": "revalue_bps = 1",
    "revalue_s": "revalue_bps = 1\nrevalue_s = 1",
    "reconcile_s": "reconcile_s = 30",
    "immediate_order_s": "immediate_order_s = 1",
    "concentration_from_microcents": 'concentration_from = "1"\nconcentration_max_bps = 10000',
    "mark_confirm_ms": 'mark_jump_bps = "none"\nmark_confirm_ms = 5',
    "drop_copy_venues": "reconcile_s = 30\ndrop_copy_venues = [10]",
    "session_ends": 'session_ends = [{venue = 10, ends = "23:00"}]',
    "warn_percent": "open_orders_max = 100\nwarn_percent = 50",
}
RATES: dict[RateKind, str] = {
    "orders": "order_rate_exceeded",
    "notional": "notional_rate_exceeded",
    "replaces": "replace_rate_exceeded",
    "executions": "desk_symbol_reducing",
    "cancels": "",
}
PRICED = "revalue_bps = 0\n"


def day() -> LoggedEngine:
    """Orders that some limit of each kind would have refused, under none that does."""
    engine = LoggedEngine(limits_config(f"{WAIVED}{PRICED}"))
    engine.marks = {"AAPL": (19_000, 2_000_000)}
    engine.admit(order("A-1"), T0 + SECOND_NS)
    engine.submit(fill("F-1", 100, fee=0, price=19_000))
    engine.marks["AAPL"] = (18_000, 2_000_000)
    engine.admit(order("A-2", quantity=60, price=18_500), T0 + 2 * SECOND_NS)
    engine.admit(order("A-3", quantity=60, price=18_500))
    engine.submit(fill("F-1", 1, fee=0, client_order_id="A-3", price=18_500))
    engine.admit(order("S-1", side="sell", quantity=300, price=18_400))
    for name, original in (("R-1", "A-2"), ("R-2", "A-3")):
        engine.submit(replace(name, original, quantity=70, price=18_501))
    engine.restart()
    engine.admit(order("A-4", quantity=61, price=18_502), engine.now_ns + SECOND_NS)
    return engine


DAY = day().records


def other(text: str) -> dict[str, Any]:
    """The day under these limits, with what must be said unless they say it."""
    said = {line.partition(" = ")[0] for line in text.splitlines()}
    lines = [*WAIVED.splitlines(), *PRICED.splitlines()]
    waived = "\n".join(x for x in lines if x.partition(" = ")[0] not in said)
    limits = limits_config(f"{waived}\n{text}").limits
    found: dict[str, Any] = audited(DAY, Audit(overrides=Overrides(limits=limits)))["what_if"]
    return found


def reasons(found: dict[str, Any]) -> set[str]:
    """Of orders that would be refused."""
    return {move["after"] for move in found["newly_refused"]["moves"]}


def test_every_key_is_tried() -> None:
    names = {key.name for key in KEYS}
    said = {*LimitScope.__struct_fields__} - {"desk", "symbol", "rates", *NAMED_SCOPES}
    assert names <= said
    assert said == REFUSING.keys() | SILENT.keys() | {"mark_jump_bps"}
    assert set(RATES) == set(RateKind.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", REFUSING)
def test_it_refuses(name: str) -> None:
    text, reason = REFUSING[name]
    assert any(reason in word for word in reasons(other(text))), reasons(other(text))


@pytest.mark.parametrize("name", SILENT)
def test_it_refuses_nothing(name: str) -> None:
    found = other(SILENT[name])
    assert found["newly_refused"]["count"] == 0
    assert found["same"] == found["before"]["admitted"] + found["before"]["rejected"]


def test_a_jump_that_a_record_says_counts_by_the_other_limits() -> None:
    """What had jumped, and waited, the order's record says, and only where the day's limits ask."""
    text = f"{WAIVED}mark_confirm_ms = 1\nmark_jump_bps = "
    engine = LoggedEngine(limits_config(f"{text}1000"))
    engine.marks, engine.jumps = {"AAPL": (19_000, 1)}, {"AAPL": 25_000}
    engine.reject(order("A-1"))
    for bps, admitted in ((100, 0), (3_157, 0), (3_158, 1), ('"none"', 1)):
        limits = limits_config(f"{text}{bps}").limits
        found = audited(engine.records, Audit(overrides=Overrides(limits=limits)))["what_if"]
        assert found["newly_admitted"]["count"] == admitted


@pytest.mark.parametrize("kind", RATES)
def test_a_rate_refuses(kind: RateKind) -> None:
    most = 2_000_000 * 10**6 if kind == "notional" else 1
    said = f'max = "{most // 10**8}"' if kind == "notional" else "max = 1"
    text = f'[[limits.rates]]\nkind = "{kind}"\nwindow_ms = 60000\n{said}\n'
    found = reasons(other(text))
    assert (found == set()) if not RATES[kind] else any(RATES[kind] in word for word in found)
