"""Limits of money: at the limit, one below, one above, beyond counting, without a price, and back.

Every order goes through the bytes of its record, and each test's log is replayed, folded, and its
state taken through a checkpoint, which must come to the same sums (`describe`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard.config.activation import limits_event
from guard.engine.events import FillBusted
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, Admit
from guard_limits_support import WAIVED, limit_detail, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, cancel, describe, fill, order
from log_checks_support import check_states, checked_at_end

FIRM, DESK, SYMBOL = 1, 2, 3
LOT = 1_000_000  # microcents of one lot of AAPL a tick
PRICE = 20_000
BTC_PRICE, BTC_LOTS = 2_000_000, 1_000_000  # these are worth as much as a lot of AAPL
RULE = f"{WAIVED}revalue_bps = 0\n"
REASONS = {
    "gross": "exposure_gross_above_max",
    "net": "exposure_net_above_max",
    "long": "exposure_long_above_max",
    "short": "exposure_short_above_max",
}


def money(microcents: int) -> str:
    return f"{microcents // 10**8}.{microcents % 10**8:08d}"


def shown(state: GuardState) -> Any:
    told = describe(state)
    return told["exposure"], told["prices"]


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str, price: int = PRICE) -> LoggedEngine:
    engine = limited(f"{RULE}{text}")
    engine.marks = {"AAPL": (price, 1), "BTC-USD": (6_000_000, 1)}
    engines.append(engine)
    return engine


def reason(name: str) -> str:
    return REASONS[name]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("name", REASONS)
@pytest.mark.parametrize("scope", [FIRM, DESK, SYMBOL])
def test_at_the_limit_one_below_and_one_above(
    name: str, side: str, scope: int, engines: list[LoggedEngine]
) -> None:
    place = {FIRM: "", DESK: "[limits.desk.desk-alpha]\n", SYMBOL: "[limits.symbol.AAPL]\n"}[scope]
    value = 100 * PRICE * LOT
    counts = name in ("gross", "net") or name == ("long" if side == "buy" else "short")
    for limit in (value + 1, value, value - 1, 1):
        engine = begun(engines, f'{place}exposure_{name}_max = "{money(limit)}"')
        detail = limit_detail(value, limit, 0, scope)
        wanted = (reason(name), detail) if counts and value > limit else "admitted"
        # At a price of its own it is worth something else: it is the recorded one that counts.
        assert verdict(engine, side=side, quantity=100, price=PRICE - 7) == wanted


def test_working_orders_and_fills_count_alike_and_cancels_free(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, f'exposure_gross_max = "{money(100 * PRICE * LOT)}"')
    engine.marks["AAPL"] = (PRICE, 1)
    engine.admit(order(quantity=60, price=PRICE))
    beyond = (reason("gross"), limit_detail(41 * PRICE * LOT, 100 * PRICE * LOT, 0, FIRM))
    assert verdict(engine, quantity=41, price=PRICE) == beyond
    engine.submit(fill("F-1", 25, fee=0, price=PRICE))
    assert verdict(engine, quantity=41, price=PRICE) == beyond
    engine.submit(cancel())
    assert verdict(engine, quantity=76, price=PRICE)[0] == reason("gross")
    assert verdict(engine, quantity=75, price=PRICE) == "admitted"
    assert verdict(engine, quantity=1, price=PRICE)[0] == reason("gross")


def test_the_other_side_is_free_up_to_as_much(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, f'exposure_gross_max = "{money(100 * PRICE * LOT)}"')
    engine.admit(order(quantity=100, price=PRICE))
    assert verdict(engine, quantity=1, price=PRICE)[0] == reason("gross")
    assert verdict(engine, side="sell", quantity=100, price=PRICE) == "admitted"
    assert verdict(engine, side="sell", quantity=1, price=PRICE)[0] == reason("gross")


def test_a_price_that_moves_counts_for_the_next_order(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, f'exposure_long_max = "{money(100 * PRICE * LOT)}"')
    engine.admit(order(quantity=50, price=PRICE))
    engine.marks["AAPL"] = (2 * PRICE, 1)
    assert verdict(engine, quantity=1, price=PRICE)[0] == reason("long")
    engine.marks["AAPL"] = (PRICE - 1, 1)
    assert verdict(engine, quantity=50, price=PRICE) == "admitted"
    # Beyond the limit already: what adds nothing passes, what adds does not, and exits pass.
    engine.submit(fill("F-1", 50, fee=0))
    engine.marks["AAPL"] = (3 * PRICE, 1)
    assert verdict(engine, quantity=1, price=PRICE)[0] == reason("long")
    answer = engine.submit(order("S-1", side="sell", quantity=50, price=PRICE))
    assert isinstance(answer, Admit)
    assert answer.reducing is True
    assert verdict(engine, side="sell", quantity=50, price=PRICE) == "admitted"


def test_wider_scopes_count_all_desks_and_name_no_figures(engines: list[LoggedEngine]) -> None:
    limit = 100 * PRICE * LOT
    text = f'[limits.symbol.AAPL]\nexposure_net_max = "{money(limit)}"'
    engine = begun(engines, text)
    engine.admit(order("A-1", quantity=60, price=PRICE))
    engine.admit(order("B-1", desk="desk-beta", quantity=40, price=PRICE))
    detail = limit_detail(PRICE * LOT, limit, 0, SYMBOL)
    assert verdict(engine, quantity=1, price=PRICE) == (reason("net"), detail)
    assert verdict(engine, symbol="BTC-USD", quantity=1, price=6_000_000) == "admitted"
    # In a symbol the desks' lots count together: what one sells another may buy.
    engine.submit(fill("F-1", 60, fee=0))
    engine.submit(fill("F-2", 40, fee=0, desk="desk-beta", client_order_id="B-1"))
    assert verdict(engine, side="sell", desk="desk-beta", quantity=200, price=PRICE) == "admitted"
    detail = limit_detail(PRICE * LOT, limit, 0, SYMBOL)
    assert verdict(engine, side="sell", desk="desk-beta", quantity=1, price=PRICE) == (
        reason("net"), detail,
    )  # fmt: skip


def test_a_desks_own_figures_are_told(engines: list[LoggedEngine]) -> None:
    limit = 100 * PRICE * LOT
    text = f'[limits.desk.desk-alpha]\nexposure_gross_max = "{money(limit)}"'
    engine = begun(engines, text)
    engine.admit(order("A-1", quantity=60, price=PRICE))
    used = 60 * PRICE * LOT
    detail = limit_detail(101 * PRICE * LOT, limit, used, DESK)
    assert verdict(engine, quantity=41, price=PRICE) == (reason("gross"), detail)
    assert verdict(engine, desk="desk-beta", quantity=41, price=PRICE) == "admitted"


def test_the_narrowest_scope_is_named_first(engines: list[LoggedEngine]) -> None:
    text = (
        'exposure_gross_max = "1"\n[limits.symbol.AAPL]\nexposure_gross_max = "1"\n'
        '[limits.desk.desk-alpha]\nexposure_gross_max = "1"\n'
    )
    engine = begun(engines, text)
    assert verdict(engine)[1]["scope"] == DESK
    assert verdict(engine, desk="desk-beta")[1]["scope"] == SYMBOL
    found = verdict(engine, desk="desk-beta", symbol="BTC-USD", quantity=10_000, price=6_000_000)
    assert found == (reason("gross"), limit_detail(6 * 10**8, 10**8, 0, FIRM))


def test_without_a_price_nothing_is_let_in(engines: list[LoggedEngine]) -> None:
    missing = ("reference_missing", {"scope": FIRM})
    engine = begun(engines, '[limits.desk.desk-alpha]\nexposure_gross_max = "1000000000"')
    engine.marks = {}
    assert verdict(engine) == missing
    assert verdict(engine, desk="desk-beta") == "admitted"  # none of its scopes bounds money
    engine.submit(fill("F-1", 1, fee=0, desk="desk-beta", client_order_id="V-9"))
    engine.marks = {"BTC-USD": (6_000_000, 1)}
    assert verdict(engine, symbol="BTC-USD", quantity=1, price=6_000_000) == "admitted"
    assert verdict(engine) == missing
    engine.marks["AAPL"] = (PRICE, 1)
    assert verdict(engine) == "admitted"


def test_a_position_without_a_price_stops_entries_of_its_scopes(
    engines: list[LoggedEngine],
) -> None:
    """What was had before the limits: its symbol has never had a mark."""
    engine = limited(WAIVED)
    engines.append(engine)
    engine.admit(order())
    engine.admit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=1, price=6_000_000))
    engine.submit(fill("F-1", 100, fee=0))
    text = f'{RULE}exposure_gross_max = "1000000000"'
    engine.log(limits_event(limits_config(text).limits, actor(engine.now_ns)))
    engine.marks = {"BTC-USD": (6_000_000, 1)}
    btc = {"symbol": "BTC-USD", "quantity": 1, "price": 6_000_000}
    assert verdict(engine, **btc) == ("reference_missing", {"scope": FIRM})
    assert verdict(engine, side="sell", quantity=1) == "admitted"  # it but reduces
    engine.marks["AAPL"] = (PRICE, 1)
    # Its mark is recorded before an order in its own symbol; the daemon does so before any.
    assert verdict(engine) == "admitted"
    assert verdict(engine, **btc) == "admitted"


def test_what_cannot_be_counted_is_beyond_every_limit(engines: list[LoggedEngine]) -> None:
    for limit in ('"none"', f'"{money(I64_MAX)}"'):
        engine = begun(engines, f"exposure_gross_max = {limit}", price=2_000_000)
        engine.admit(order(price=1))
        engine.submit(fill("F-1", I64_MAX, fee=0))
        assert engine.state.positions.exposure.firm.figure(0) == I64_MAX
        # The row stands at its end, to which an order adds nothing that could be counted.
        detail = limit_detail(2_000_000 * LOT, I64_MAX, 0, FIRM)
        assert verdict(engine, quantity=1, price=1) == (reason("gross"), detail)
        detail = limit_detail(60_000, I64_MAX, 0, FIRM)
        btc = {"symbol": "BTC-USD", "quantity": 1, "price": 6_000_000}
        assert verdict(engine, **btc) == (reason("gross"), detail)
        assert verdict(engine, side="sell", quantity=10, price=1) == "admitted"


def test_a_busted_fill_leaves_what_there_was(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, f'exposure_gross_max = "{money(100 * PRICE * LOT)}"')
    engine.admit(order(quantity=100, price=PRICE))
    engine.submit(fill("F-1", 60, fee=0, price=PRICE))
    engine.submit(cancel())
    assert verdict(engine, quantity=41, price=PRICE)[0] == reason("gross")
    sequence = len(engine.records) - 2
    busted: dict[str, Any] = {
        "desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1",
        "fill_sequence": sequence, "returned_microcents": 0,
    }  # fmt: skip
    engine.log(actor(engine.now_ns).event(FillBusted, **busted))
    assert verdict(engine, quantity=100, price=PRICE) == "admitted"


def test_limits_that_are_set_lowered_and_lifted(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "")
    engine.admit(order(quantity=60, price=PRICE))
    exposure = engine.state.positions.exposure
    assert not exposure.is_on
    assert exposure.memory_bytes() == 0
    for limit, wanted in ((61, "admitted"), (60, reason("gross"))):
        text = f'{RULE}exposure_gross_max = "{money(limit * PRICE * LOT)}"'
        engine.log(limits_event(limits_config(text).limits, actor(engine.now_ns)))
        found = verdict(engine, quantity=1, price=PRICE)
        assert found == wanted or found[0] == wanted
    engine.log(limits_event(limits_config(RULE).limits, actor(engine.now_ns)))
    assert verdict(engine, quantity=100, price=PRICE) == "admitted"
    assert not exposure.is_on


def concentrated(bps: int, start: int) -> str:
    return f'concentration_max_bps = {bps}\nconcentration_from = "{money(start)}"\n'


def test_concentration(engines: list[LoggedEngine]) -> None:
    """A lot of AAPL is worth as much as 10,000 of BTC-USD at these prices."""
    one = PRICE * LOT
    beyond = "concentration_above_max"
    detail = limit_detail(10_000, 5_000, 0, DESK)
    engine = begun(engines, f"[limits.desk.desk-alpha]\n{concentrated(5_000, 1)}")
    assert verdict(engine, quantity=1, price=PRICE) == (beyond, detail)
    engine = begun(engines, f"[limits.desk.desk-alpha]\n{concentrated(5_000, 10 * one)}")
    btc = {"symbol": "BTC-USD", "price": BTC_PRICE}
    engine.marks["BTC-USD"] = (BTC_PRICE, 1)
    assert verdict(engine, quantity=10, price=PRICE) == "admitted"  # up to where it begins
    assert verdict(engine, quantity=1, price=PRICE) == (beyond, detail)
    assert verdict(engine, desk="desk-beta", quantity=50, price=PRICE) == "admitted"
    # Up to half of it all, and not one lot more, which is 5,000.25 hundredths of a percent.
    assert verdict(engine, **btc, quantity=10 * BTC_LOTS + 1)[0] == beyond
    assert verdict(engine, **btc, quantity=10 * BTC_LOTS) == "admitted"
    assert verdict(engine, **btc, quantity=1) == (beyond, limit_detail(5_001, 5_000, 0, DESK))
    assert verdict(engine, quantity=1, price=PRICE)[0] == beyond
    # What adds nothing to the symbol's share passes.
    assert verdict(engine, side="sell", quantity=10, price=PRICE) == "admitted"


def test_concentration_of_the_firm_tells_nothing(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, concentrated(9_999, 1))
    assert verdict(engine, quantity=1, price=PRICE) == (
        "concentration_above_max", limit_detail(0, 9_999, 0, FIRM),
    )  # fmt: skip
    assert verdict(begun(engines, concentrated(10_000, 0))) == "admitted"


BAD_TREES = [
    ('[limits.symbol.AAPL]\nconcentration_max_bps = 1\nconcentration_from = "1"',
     "limits.symbol.AAPL.concentration_max_bps: 1 is not allowed; allowed: in the scopes of the"),
    ("concentration_max_bps = 1",
     "limits.concentration_max_bps: 1 is not allowed; allowed: beside concentration_from"),
    ('concentration_from = "1"', "limits.concentration_from: 100000000 is not allowed; allowed: b"),
    ('concentration_max_bps = 10_001\nconcentration_from = "1"', "limits.concentration_max_bps"),
    ('exposure_gross_max = "-1"', "limits.exposure_gross_max"),
    ("exposure_gross_max = 1", "limits.exposure_gross_max"),
    ('[limits.desk.desk-alpha.symbol.AAPL]\nexposure_net_max = "1"',
     "limits.desk.desk-alpha.symbol.AAPL.exposure_net_max: 100000000 is not allowed; allowed: in"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD_TREES)
def test_a_limit_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", "\\.")):
        limits_config(f"{RULE}{text}")


def test_money_is_bounded_only_where_positions_have_prices() -> None:
    words = "limits.exposure_long_max: 100000000 is not allowed; allowed: where the firm's scope"
    with pytest.raises(ValueError, match=words):
        limits_config(f'{WAIVED}exposure_long_max = "1"')
