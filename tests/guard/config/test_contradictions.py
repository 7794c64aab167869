"""Limits that no order can meet are refused; such as say "no one" in so many words are not."""

import re
import time

import pytest

from guard.config import contradictions as module
from guard.config.contradictions import contradictions
from guard.config.file import ConfigError
from guard.protocol.limits import LimitScope, normalized
from guard_limits_support import WAIVED, limits_config

ALPHA, AAPL = "[limits.desk.desk-alpha]\n", "[limits.symbol.AAPL]\n"
BOTH = "[limits.desk.desk-alpha.symbol.AAPL]\n"
RATE = 'rates = [{kind = "notional", window_ms = 1000, max = "1.00"}]\n'
NONE_CAN = [
    (
        f"quantity_min = 10\n{ALPHA}quantity_max = 5\n",
        "limits.quantity_min: 10 is above limits.desk.desk-alpha.quantity_max, 5: desk desk-",
    ),
    (
        f"{ALPHA}quantity_max = 5\n{AAPL}quantity_min = 6\n",
        "limits.symbol.AAPL.quantity_min: 6 is above limits.desk.desk-alpha.quantity_max, 5: desk "
        "desk-alpha, symbol AAPL",
    ),
    (
        f"quantity_min = 6\nquantity_step = 10\n{BOTH}quantity_max = 9\n",
        "limits.quantity_step: no multiple of 10 is from 6 (limits.quantity_min) to 9 (limits.",
    ),
    (
        "quantity_step = 4_294_967_296\n",
        "limits.quantity_step: no multiple of 4294967296 is from 1 (one lot) to 4294967295 (the",
    ),
    (
        f'value_min = "10.00"\n{AAPL}value_max = "5.00"\n',
        "limits.value_min: 10.00 is above limits.symbol.AAPL.value_max, 5.00: desk any, symbol A",
    ),
    (
        f'value_min = "10.00"\n{ALPHA}{RATE}',
        "limits.value_min: 10.00 is above limits.desk.desk-alpha.rates of notional, 1.00",
    ),
    (
        f'sides = ["buy"]\n{ALPHA}sides = ["sell"]\n',
        "limits.desk.desk-alpha.sides: leaves no one of buy, sell",
    ),
    (
        'order_types = ["market"]\n',
        "limits.order_types: market orders alone, and no scope says their market_buffer_bps",
    ),
    (
        'revalue_bps = 1\nexposure_gross_max = "0"\n',
        "limits.exposure_gross_max: 0 admits no order; allowed: above 0; a list of sides, symbols",
    ),
    (
        f'revalue_bps = 1\n{ALPHA}exposure_net_max = "0.00"\n',
        "limits.desk.desk-alpha.exposure_net_max: 0 admits no order; allowed: above 0",
    ),
    (
        f'revalue_bps = 1\n{AAPL}exposure_long_max = "0"\nexposure_short_max = "0"\n',
        "limits.symbol.AAPL.exposure_long_max: 0, beside an exposure_short_max of 0, admits no",
    ),
    (
        'revalue_bps = 1\nconcentration_max_bps = 9_999\nconcentration_from = "0"\n',
        "limits.concentration_from: 0 admits no first order, which is all that there is; allowed",
    ),
    (
        f"venues = [10]\n{ALPHA}venues = [20]\n",
        "limits.desk.desk-alpha.venues: leaves none of those that limits.venues allows",
    ),
]


@pytest.mark.parametrize(("text", "told"), NONE_CAN, ids=[text for text, _ in NONE_CAN])
def test_limits_that_no_order_can_meet_are_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"no order can meet these:\n  {told}")):
        limits_config(WAIVED + text)


@pytest.mark.parametrize(
    "text",
    [
        "sides = []\n",
        f'venues = [10]\n{ALPHA}venues = []\nsides = []\n{BOTH}sides = ["buy"]\n',
        "quantity_min = 5\nquantity_step = 5\n",
        f'{ALPHA}quantity_max = 5\nsymbols = ["BTC-USD"]\n{AAPL}quantity_min = 6\n',
        f'{ALPHA}quantity_max = 5\nrestricted_symbols = ["AAPL"]\n{AAPL}quantity_min = 6\n',
        'order_types = ["market"]\nmarket_buffer_bps = 0\n',
        "position_long_max = 0\nposition_short_max = 0\n",
        'revalue_bps = 1\nexposure_long_max = "0"\nexposure_gross_max = "0.00000001"\n',
        'revalue_bps = 1\nconcentration_max_bps = 10_000\nconcentration_from = "0"\n',
        'revalue_bps = 1\nconcentration_max_bps = "none"\nconcentration_from = "0"\n',
    ],
)
def test_what_an_order_can_meet_or_is_said_in_so_many_words_is_not(text: str) -> None:
    limits_config(WAIVED + text)


def test_many_scopes_are_looked_at_within_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    desks = [LimitScope(f"d{at}", quantity_max=1_000 + at % 50) for at in range(2_000)]
    symbols = [LimitScope("", f"s{at}", quantity_min=1 + at % 100) for at in range(2_000)]
    tree = normalized([LimitScope(), *desks, *symbols])
    begun = time.process_time()
    assert list(contradictions(tree)) == []
    assert time.process_time() - begun < 20  # some 0.1 s; 4 million pairs would take minutes
    high = LimitScope("", "s0", quantity_min=1_001)
    tree = normalized([LimitScope(), *desks, high])
    assert [words.partition(": ")[0] for words in contradictions(tree)] == [
        "limits.symbol.s0.quantity_min"
    ]
    monkeypatch.setattr(module, "PAIRS_MAX", 10)
    assert list(contradictions(tree)) == []
