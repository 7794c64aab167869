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


OTHERS = [
    (
        "[approvals]\nproposal_s = 0",
        "approvals.proposal_s: 0 is not allowed; allowed: a whole numbe",
    ),
    (
        "[approvals]\nlasts_s = 1",
        "approvals.lasts_s: is not known; allowed: proposal_s, loosening_",
    ),
    (
        '[approvals.ceiling]\nsides = ["by"]',
        "approvals.ceiling.sides[0]: 'by' is not allowed; allowed: \"buy\" or",
    ),
    ("[approvals.desk]\nalpha = 1", "approvals.desk.alpha: 1 is not allowed; allowed: a section"),
]


@pytest.mark.parametrize(("text", "told"), OTHERS, ids=[text for text, _ in OTHERS])
def test_approvals(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        dev_config(("[settings]", f"{text}\n\n[settings]"))


LOG = [
    (
        "segment_bytes_max = 1",
        "log.segment_bytes_max: 1 is not allowed; allowed: a whole number fr",
    ),
    (
        'anchor_mode = "often"',
        """log.anchor_mode: 'often' is not allowed; allowed: "periodic" or""",
    ),
    ("old_key_files = 3", "log.old_key_files: 3 is not allowed; allowed: a list of text"),
    (
        "key_minutes_max = 0",
        "log.key_minutes_max: 0 is not allowed; allowed: a whole number",
    ),
    ("forward_secure = 1", "log.forward_secure: 1 is not allowed; allowed: true or false"),
    ("surprise = 1", "log.surprise: is not known; allowed: directory, key_file"),
    (
        "checkpoint_every_records = -1",
        "log.checkpoint_every_records: -1 is not allowed; allowed: a",
    ),
    ("checkpoint_every_records = 1.0", "log.checkpoint_every_records: 1.0 is not allowed; allowe"),
    ("checkpoint_interval_s = 31_536_001", "log.checkpoint_interval_s: 31536001 is not allowed"),
    ("checkpoint_at_stop = 1", "log.checkpoint_at_stop: 1 is not allowed; allowed: true or false"),
    ("keyfile = 1", "log.keyfile: is not known; allowed: directory, key_file, "),
]


@pytest.mark.parametrize(("text", "told"), LOG, ids=[text for text, _ in LOG])
def test_the_log(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        dev_config(("[log]", f"[log]\n{text}"))


def test_a_log_without_its_directory() -> None:
    with pytest.raises(ConfigError, match=r"^log\.directory: is missing; allowed: text$"):
        dev_config(('directory = "var/dev-log"\n', ""))
    with pytest.raises(ConfigError, match=r"^log\.ephemeral_key: 1 is not allowed"):
        dev_config(("ephemeral_key = true", "ephemeral_key = 1"))


VENUES = [
    ("venues = [10, 99]", "limits.venues: the policy has no venue 99; allowed: 10, 20"),
    (
        "reconcile_s = 1\ndrop_copy_venues = [99]",
        "limits.drop_copy_venues: the policy has no venue 99; allowed: 10",
    ),
    (
        "reconcile_s = 1\ndrop_copy_venues = []",
        "limits.drop_copy_venues: [] is not allowed; allowed: at least one venue, or left out",
    ),
]


@pytest.mark.parametrize(("text", "told"), VENUES, ids=[text for text, _ in VENUES])
def test_venues_that_there_are_not(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(told)}"):
        limits_config(f"{WAIVED}{text}\n")
