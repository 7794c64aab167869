"""The `[limits]` of a configuration: what may stand there, what must, and how it is shown."""

import pytest
from msgspec import UNSET

from guard.config.activation import find_differences, limits_event, opening_events
from guard.config.errors import ConfigError
from guard.config.limits import effective_lines, tree_differences
from guard.engine.events import LimitsSet, LogOpened
from guard.engine.loosening import limit_loosenings
from guard.protocol.limits import LimitScope, RateLimit, digest_hex, normalized
from guard_limits_support import WAIVED, limits_config
from guard_support import LOG_ID, LoggedEngine, actor, dev_config

RATE = '[[limits.rates]]\nkind = "{}"\nwindow_ms = 1000\nmax = {}\n'
TEXT = """
quantity_max = 100
value_max = "1000.50"
price_collar_bps = "none"
venues = [20, 10, 20]
[[limits.rates]]
kind = "notional"
window_ms = 60_000
max = "2.00"
[[limits.rates]]
kind = "orders"
window_ms = 1_000
max = 3
[limits.desk.desk-alpha]
quantity_max = 50
[limits.symbol.AAPL]
sides = ["sell", "buy"]
[limits.desk.desk-alpha.symbol.AAPL]
quantity_min = 2
"""


def test_the_section_is_a_tree_by_scope() -> None:
    assert limits_config(TEXT).limits == [
        LimitScope(
            quantity_max=100,
            value_max_microcents=100_050_000_000,
            price_collar_bps=None,
            venues=[10, 20],
            rates=[RateLimit("notional", 60_000, 200_000_000), RateLimit("orders", 1_000, 3)],
        ),
        LimitScope("", "AAPL", sides=["buy", "sell"]),
        LimitScope("desk-alpha", quantity_max=50),
        LimitScope("desk-alpha", "AAPL", quantity_min=2),
    ]
    assert dev_config().limits == []


BAD = [
    ("", "limits: left unsaid .*\n  quantity_max: desk desk-alpha, symbol AAPL\n"),
    ('quantity_max = 1\nvalue_max = "1.00"\nprice_collar_bps = 10',
     "reference_age_max_ms, since there is a price_collar_bps: desk desk-alpha, symbol AAPL"),
    (WAIVED.replace("none", "1", 1), "quantity_max"),
    (f"{WAIVED}quantity_min = 0", "limits.quantity_min"),
    (f"{WAIVED}quantity_mx = 1", "quantity_mx"),
    (f'{WAIVED}value_min = "0.00"', "limits.value_min: '0.00' is not allowed; allowed: above zero"),
    (f'{WAIVED}value_min = "none"', "limits.value_min: 'none' is not allowed"),
    (f"{WAIVED}value_min = 1.5", "limits.value_min"),
    (WAIVED.replace('"none"', "10").replace("value_max = 10", 'value_max = "5.00"')
     + "reference_age_max_ms = 1\nquantity_min = 11", "quantity_min: 11 is not .*quantity_max"),
    (f"{WAIVED}price_step = 18446744073709551616", "limits.price_step"),
    (f'{WAIVED}sides = ["short"]', "limits.sides"),
    (f'{WAIVED}symbols = ["MSFT"]', "limits: there is no symbol 'MSFT'"),
    (f"{WAIVED}[limits.desk.nobody]\nquantity_max = 1", "limits.desk.nobody: there is no desk"),
    (f"{WAIVED}[limits.symbol.MSFT]\nquantity_max = 1", "limits.symbol.MSFT: there is no symbol"),
    (f"{WAIVED}[limits.symbol.AAPL]\nopen_orders_max = 1",
     "limits.symbol.AAPL.open_orders_max: 1 is not allowed; allowed: in the scopes of the firm"),
    (f"{WAIVED}position_long_max = -1", "limits.position_long_max"),
    (f"{WAIVED}position_short_max = 9223372036854775808", "limits.position_short_max"),
    (f"{WAIVED}open_orders_max = 0", "limits.open_orders_max"),
    (f'{WAIVED}self_match = "warn"', 'limits.self_match: .warn. .*"off", "flag" or "refuse"'),
    (f'{WAIVED}short_sales = "none"', 'limits.short_sales: .*"locate" or "refused"'),
    (f"{WAIVED}short_sales = false", "limits.short_sales"),
    (WAIVED + RATE.format("orders", '"1.00"'), r"limits.rates\[0\].max: '1.00' is not"),
    (WAIVED + RATE.format("notional", "1"), r"limits.rates\[0\].max: 1 is not allowed of no"),
    (WAIVED + RATE.format("orders", "1") * 2, "limits.rates: a kind has the same window_ms twice"),
    (WAIVED + RATE.format("orders", "0"), "limits.rates"),
    (WAIVED + RATE.format("fills", "1"), "limits.rates"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD)
def test_what_is_refused_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        limits_config(text)


def test_what_is_unsaid_may_be_said_by_any_scope() -> None:
    said = 'value_max = "none"\nprice_collar_bps = "none"\n'
    for symbols in (["AAPL", "BTC-USD"], ["AAPL"]):
        text = said + "".join(f"[limits.symbol.{name}]\nquantity_max = 1\n" for name in symbols)
        if len(symbols) == 2:
            limits_config(text)
            continue
        with pytest.raises(ConfigError) as caught:
            limits_config(text)
        assert str(caught.value).splitlines()[1:] == [
            "  quantity_max: desk desk-alpha, symbol BTC-USD",
            "  quantity_max: desk desk-beta, symbol BTC-USD",
        ]
        limits_config(
            f"{text}[limits.desk.desk-alpha]\nquantity_max = 1\n"
            "[limits.desk.desk-beta.symbol.BTC-USD]\nquantity_max = 1\n"
        )


def test_a_log_begins_with_its_limits() -> None:
    config = limits_config(TEXT)
    events = list(opening_events(config, actor(), LOG_ID, "key-id"))
    assert isinstance(events[-1], LimitsSet)
    assert events[-1].limits == config.limits
    assert isinstance(events[0], LogOpened)
    assert events[0].opening_records == len(events)
    assert events[-1].limits_digest_hex == digest_hex(config.limits)


def test_a_difference_is_told_key_by_key_and_one_event_makes_it_so() -> None:
    engine = LoggedEngine(limits_config(WAIVED))
    config = limits_config(TEXT)
    differences = find_differences(engine.state, config, actor())
    assert [one.text.removesuffix(" (the log, the configuration)") for one in differences] == [
        "limits.quantity_max: none -> 100",
        "limits.value_max: none -> 1,000.50",
        "limits.venues: unsaid -> 10 20",
        "limits.rates: unsaid -> 2.00 notional in 60,000 ms, 3 orders in 1,000 ms",
        "limits.symbol.AAPL.sides: unsaid -> buy sell",
        "limits.desk.desk-alpha.quantity_max: unsaid -> 50",
        "limits.desk.desk-alpha.symbol.AAPL.quantity_min: unsaid -> 2",
    ]
    assert {id(one.event) for one in differences} == {id(differences[0].event)}
    event = differences[0].event
    assert event is not None
    engine.log(event)
    assert find_differences(engine.state, config, actor()) == []
    (gone, *_) = find_differences(engine.state, dev_config(), actor())
    assert isinstance(gone.event, LimitsSet)
    assert gone.event.limits_digest_hex == digest_hex([])
    engine.log(limits_event([], actor()))
    assert not engine.state.has_limits
    assert find_differences(engine.state, dev_config(), actor()) == []


def test_what_counts_is_shown_with_where_it_is_said() -> None:
    tree = limits_config(TEXT).limits
    assert effective_lines(tree, "desk-alpha", "AAPL") == [
        ("quantity_min", "2 lots", "limits.desk.desk-alpha.symbol.AAPL"),
        ("quantity_max", "50 lots", "limits.desk.desk-alpha"),
        ("value_max", "1,000.50", "limits"),
        ("price_collar_bps", "none", "limits"),
        ("sides", "buy sell", "limits.symbol.AAPL"),
        ("venues", "10 20", "limits"),
        ("rates", "2.00 notional in 60,000 ms", "limits"),
        ("rates", "3 orders in 1,000 ms", "limits"),
    ]
    assert ("quantity_max", "100 lots", "limits") in effective_lines(tree, "desk-beta", "AAPL")


def test_one_word_of_several_is_shown_as_that_word() -> None:
    text = 'self_match = "flag"\n[limits.desk.desk-alpha]\nself_match = "refuse"\n'
    tree = limits_config(f'{WAIVED}{text}short_sales = "locate"').limits
    lines = effective_lines(tree, "desk-alpha", "AAPL")
    assert ("self_match", "refuse", "limits.desk.desk-alpha") in lines
    assert ("short_sales", "locate", "limits.desk.desk-alpha") in lines
    assert ("self_match", "flag", "limits") in effective_lines(tree, "desk-beta", "AAPL")
    changed = limits_config(f'{WAIVED}self_match = "off"').limits
    assert tree_differences(tree, changed) == [
        "limits.self_match: flag -> off",
        "limits.desk.desk-alpha.self_match: refuse -> unsaid",
        "limits.desk.desk-alpha.short_sales: locate -> unsaid",
    ]
    found = limit_loosenings(tree, changed, [])
    names = ("self_match", "short_sales")
    wanted = ["limits.self_match", *(f"limits.desk.desk-alpha.{name}" for name in names)]
    assert found == wanted


def test_a_tree_is_normalized_once_and_for_all() -> None:
    tree = limits_config(TEXT).limits
    assert normalized(tree[::-1]) == normalized(tree) == tree
    assert tree_differences(tree, tree) == []
    with pytest.raises(ValueError, match=r"limits\.desk\.desk-alpha: stands"):
        normalized([*tree, LimitScope("desk-alpha")])
    assert LimitScope().sides is UNSET
