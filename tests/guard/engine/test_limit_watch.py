"""Warning levels: from which use on, until which, of what, and a few places at a time."""

from typing import Any

import pytest

from guard.config.activation import limits_event
from guard.engine.limit_watch import LimitWatch, key_of
from guard.process.line_forms import Told
from guard.protocol.limits import WARNED_KEYS, LimitScope
from guard.server.limit_alarms import TOLD_MAX, LimitAlarms
from guard_limits_support import WAIVED, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, cancel, fill, order

LOT = 1_000_000  # microcents of one lot of AAPL a tick
PRICE = 20_000
RULE = f"{WAIVED}revalue_bps = 0\n"
DESK = "[limits.desk.desk-alpha]\n"


def begun(text: str) -> LoggedEngine:
    engine = limited(text)
    engine.marks = {"AAPL": (PRICE, 1), "BTC-USD": (6_000_000, 1)}
    return engine


def looked(watch: LimitWatch, steps: int = 1) -> tuple[list[Any], list[Any]]:
    """What comes to be nearly used in so many steps, and what is so no more: place and used."""
    fresh: list[Any] = []
    over: list[Any] = []
    for _ in range(steps):
        for found, into in zip(watch.step(), (fresh, over), strict=True):
            into += [(one.place, one.used) for one in found]
    return fresh, over


def money(microcents: int) -> str:
    return f"{microcents // 10**8}.{microcents % 10**8:08d}"


def test_from_which_use_on_and_until_which() -> None:
    """80 % of 1,000 lots' worth; over below 76 %."""
    value = 1_000 * PRICE * LOT
    engine = begun(f'{RULE}exposure_gross_max = "{money(value)}"\nwarn_percent = 80\n')
    watch = LimitWatch(engine.state, 100)
    place = ("limits", "exposure_gross_max", "", "")
    engine.admit(order("A-1", quantity=760, price=PRICE))
    engine.admit(order("A-2", quantity=39, price=PRICE))
    assert looked(watch, 2) == ([], [])
    engine.admit(order("A-3", quantity=1, price=PRICE))
    assert looked(watch, 2) == ([(place, 800 * PRICE * LOT)], [])  # told once
    assert watch.near[place].words == "limits.exposure_gross_max: 80 % used"
    engine.submit(cancel("A-2"))
    engine.submit(cancel("A-3"))
    assert looked(watch, 2) == ([], [])
    engine.submit(cancel("A-1"))
    assert looked(watch, 2) == ([], [(place, 0)])
    engine.admit(order("A-4", quantity=759, price=PRICE))
    engine.admit(order("A-5", quantity=41, price=PRICE))
    assert len(looked(watch)[0]) == 1
    engine.submit(cancel("A-5"))
    assert looked(watch) == ([], [(place, 759 * PRICE * LOT)])


def test_of_each_limit_that_the_scope_says() -> None:
    text = (
        f'{RULE}day_loss_max = "10"\nposition_long_max = 100\nopen_orders_max = 4\n'
        "warn_percent = 50\n"
        f'{DESK}exposure_long_max = "1000000"\nposition_short_max = 50\nwarn_percent = 1\n'
        '[limits.symbol.AAPL]\nexposure_short_max = "1000000"\nwarn_percent = 100\n'
        '[limits.desk.desk-alpha.symbol.AAPL]\nday_loss_max = "20"\nwarn_percent = 50\n'
    )
    engine = begun(text)
    watch = LimitWatch(engine.state, 100)
    assert looked(watch) == ([], [])
    engine.admit(order("A-1", quantity=100, price=PRICE))
    engine.submit(fill("F-1", 99, fee=0, price=PRICE))
    engine.admit(order("B-1", desk="desk-beta", quantity=49, price=PRICE))
    engine.admit(order("B-2", desk="desk-beta", quantity=1, price=PRICE))
    engine.marks["AAPL"] = (PRICE - 10, 1)
    verdict(engine, side="sell", quantity=1, price=PRICE)
    alpha, beta = "limits.desk.desk-alpha", "desk-beta"
    worth = 100 * (PRICE - 10) * LOT
    assert looked(watch)[0] == [
        (("limits", "day_loss_max", "", ""), 990 * LOT),
        ((alpha, "exposure_long_max", "", ""), worth),
        (("limits", "open_orders_max", "desk-alpha", ""), 2),
        (("limits", "open_orders_max", beta, ""), 2),
        (("limits", "position_long_max", "desk-alpha", "AAPL"), 100),
        (("limits", "position_long_max", beta, "AAPL"), 50),
    ]
    words = watch.near["limits", "position_long_max", beta, "AAPL"].words
    assert words == "limits.position_long_max by desk desk-beta in AAPL: 50 % used"


def test_of_each_key_the_worst_is_known_told_or_not() -> None:
    text = (
        f"{RULE}position_long_max = 1000\nopen_orders_max = 10\nposition_short_max = 0\n"
        '[[limits.rates]]\nkind = "orders"\nwindow_ms = 1000\nmax = 8\n'
        "[limits.desk.desk-beta]\nopen_orders_max = 3\n"
    )
    engine = begun(text)
    watch = LimitWatch(engine.state, 100)
    engine.admit(order("A-1", quantity=400, price=PRICE))
    engine.admit(order("B-1", desk="desk-beta", quantity=500, price=PRICE))
    assert looked(watch) == ([], [])
    worst = [(key_of(use), *use) for use in watch.worst()]
    assert worst == [
        ("position_long_max", ("limits", "position_long_max", "desk-beta", "AAPL"), 500, 1_000),
        ("open_orders_max", ("limits.desk.desk-beta", "open_orders_max", "desk-beta", ""), 1, 3),
        ("rate of orders", ("limits", "rate of orders in 1000 ms", "", ""), 2, 8),
        ("position_short_max", ("limits", "position_short_max", "desk-alpha", "AAPL"), 0, 0),
    ]
    engine.submit(cancel("B-1", "desk-beta"))
    looked(watch)
    assert watch.worst()[0].used == 400  # since the last look at all of them
    engine.log(limits_event(limits_config(RULE).limits, actor(engine.now_ns)))
    looked(watch)
    assert watch.worst() == []


def test_a_few_places_at_a_time_are_all_looked_at() -> None:
    text = f"{RULE}position_long_max = 10\nwarn_percent = 100\n"
    engine = begun(text)
    for desk in ("desk-alpha", "desk-beta"):
        engine.admit(order(f"{desk}-1", desk=desk, quantity=10, price=PRICE))
    whole = looked(LimitWatch(engine.state, 100))[0]
    assert len(whole) == 2
    for places in (1, 2, 3):
        watch = LimitWatch(engine.state, places)
        assert looked(watch, 8) == (whole, [])


def test_other_limits() -> None:
    engine = begun(f"{RULE}open_orders_max = 1\nwarn_percent = 100\n{DESK}open_orders_max = 2\n")
    watch = LimitWatch(engine.state, 100)
    engine.admit(order("A-1", price=PRICE))
    place = ("limits", "open_orders_max", "desk-alpha", "")
    assert looked(watch) == ([(place, 1)], [])
    for text, over in (
        (f"{RULE}open_orders_max = 1\nwarn_percent = 99\n", []),
        (f"{RULE}open_orders_max = 2\nwarn_percent = 99\n", [(place, 1)]),
        (f"{RULE}open_orders_max = 1\nwarn_percent = 99\n", []),
        (f"{RULE}open_orders_max = 1\n", [(place, 1)]),
        (RULE, []),
    ):
        engine.log(limits_event(limits_config(text).limits, actor(engine.now_ns)))
        found = looked(watch, 2)
        assert found[1] == over
    assert watch.near == {}


def test_what_a_guard_without_limits_looks_at_is_nothing() -> None:
    assert looked(LimitWatch(LoggedEngine().state, 100), 3) == ([], [])


def test_an_operator_is_told_once_and_when_it_is_over() -> None:
    engine = begun(f"{RULE}open_orders_max = 1\nwarn_percent = 100\n")
    said: list[str] = []
    alarms = LimitAlarms(engine.state, said.append, said.append)
    engine.admit(order("A-1", price=PRICE))
    alarms.look()
    alarms.look()
    words = "limits.open_orders_max by desk desk-alpha: 100 % used"
    assert said == [f"{words}, from 100 % on this is told (warn_percent)"]
    assert isinstance(said[0], Told)
    assert said[0].event == "limit_nearly_used"
    assert alarms.lines() == [words]
    engine.submit(cancel("A-1"))
    alarms.look()
    assert said[1:] == ["over: limits.open_orders_max by desk desk-alpha: 0 % used"]
    assert alarms.lines() == []


def test_no_flood_of_them_is_told() -> None:
    engine = begun(f"{RULE}position_long_max = 10\nwarn_percent = 100\n")
    said: list[str] = []
    alarms = LimitAlarms(engine.state, said.append, said.append)
    for symbol in ("AAPL", "BTC-USD"):
        for desk in engine.state.desks:
            price = engine.marks[symbol][0]
            engine.submit(order(f"{desk}-{symbol}", desk=desk, symbol=symbol, quantity=10,
                                price=price))  # fmt: skip
    alarms.look()
    assert 0 < len(said) <= TOLD_MAX + 1


BAD = [
    ("warn_percent = 80", "limits.warn_percent: 80 is not allowed; allowed: beside exposure_gross"),
    ('open_orders_max = "none"\nwarn_percent = 80', "limits.warn_percent"),
    ("open_orders_max = 1\nwarn_percent = 0", "limits.warn_percent"),
    ("open_orders_max = 1\nwarn_percent = 101", "limits.warn_percent"),
    (f"open_orders_max = 1\n{DESK}warn_percent = 1", "limits.desk.desk-alpha.warn_percent"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_level_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", "\\.")):
        limits_config(f"{RULE}{text}")


def test_each_limit_that_has_a_level_is_a_key() -> None:
    assert set(WARNED_KEYS) <= set(LimitScope.__struct_fields__)
    assert "concentration_max_bps" not in WARNED_KEYS
    assert "concentration_from_microcents" not in WARNED_KEYS
