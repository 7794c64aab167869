"""What is wrong with limits and clients of a file is named: place, value, what is allowed."""

import re

import pytest

from guard.config.file import ConfigError
from guard_limits_support import WAIVED, limits_config
from guard_support import dev_config

DESK = "[limits.desk.desk-alpha]\n"
LIMITS = [
    ('sides = ["by"]', """limits.sides[0]: 'by' is not allowed; allowed: "buy" or "sell\""""),
    (
        'price_step = "1"',
        "limits.price_step: '1' is not allowed; allowed: a whole number from 1 to ",
    ),
    ("value_min = 5", "limits.value_min: 5 is not allowed; allowed: text"),
    (
        "venues = [0]",
        "limits.venues[0]: 0 is not allowed; allowed: a whole number from 1 to 4294967295",
    ),
    ("venues = 10", "limits.venues: 10 is not allowed; allowed: a list of a whole number from 1"),
    ("market_buffer_bps = true", "limits.market_buffer_bps: true is not allowed; allowed: a whole"),
    (
        'symbols = ["a b"]',
        "limits.symbols[0]: 'a b' is not allowed; allowed: 1 to 32 characters of",
    ),
    ("bogus = 1", "limits.bogus: is not known; allowed: quantity_min, "),
    (
        'rates = [{kind = "x", window_ms = 1, max = 1}]',
        "limits.rates[0].kind: 'x' is not allowed; all",
    ),
    (
        'rates = [{kind = "orders", window_ms = 1}]',
        "limits.rates[0].max: is missing; allowed: a whole",
    ),
    (
        f'{DESK}quantity_max = "x"',
        "limits.desk.desk-alpha.quantity_max: 'x' is not allowed; allowed: ",
    ),
    (
        '[limits.desk."a b"]\nquantity_max = 1',
        "limits.desk: a name: 'a b' is not allowed; allowed: 1",
    ),
    (
        "[limits.desk]\ndesk-alpha = 3",
        "limits.desk.desk-alpha: 3 is not allowed; allowed: a section",
    ),
    (
        "[limits.desk.desk-alpha.symbol.AAPL]\nduplicate_window_ms = 999_999_999_999",
        "limits.desk.desk-alpha.symbol.AAPL.duplicate_window_ms: 999999999999 is not allowed; "
        "allowed: a whole number from 1 to 86400000",
    ),
    (
        "[limits.desk.nope]\nprice_step = 1",
        "limits.desk.nope: there is no desk 'nope'; allowed: desk-al",
    ),
]


@pytest.mark.parametrize(("text", "told"), LIMITS, ids=[text for text, _ in LIMITS])
def test_limits(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        limits_config(f"{WAIVED}{text}\n")


CLIENTS = [
    (
        'roles = ["boss"]',
        'clients.a.roles[0]: \'boss\' is not allowed; allowed: "view", "operate" or "approve"',
    ),
    (
        'desks = "some"',
        "clients.a.desks: 'some' is not allowed; allowed: a list of text or \"all\"",
    ),
    ("desks = [1]", "clients.a.desks[0]: 1 is not allowed; allowed: text"),
    (
        "orders_per_s = 0",
        "clients.a.orders_per_s: 0 is not allowed; allowed: a whole number from 1 to",
    ),
]


@pytest.mark.parametrize(("text", "told"), CLIENTS, ids=[text for text, _ in CLIENTS])
def test_clients(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        dev_config(("[settings]", f"[clients.a]\nuser = 7\n{text}\n\n[settings]"))


def test_a_client_that_is_no_section() -> None:
    told = "clients.a: 5 is not allowed; allowed: a section"
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}$"):
        dev_config(("[settings]", "[clients]\na = 5\n\n[settings]"))
