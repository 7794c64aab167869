"""Configuration against the log: every kind of difference, and the event that it becomes."""

from typing import Any

import pytest

import guard
from guard.config.activation import find_differences, opening_events, resume_event
from guard.engine.events import (
    DeskCapped,
    DeskOpened,
    DeskResumed,
    DeskToppedUp,
    InstrumentDefined,
    LogOpened,
    PolicyActivated,
    SettingsActivated,
)
from guard_support import (
    ALPHA_BUDGET,
    ALPHA_CAP,
    BETA_BUDGET,
    DEV_POLICY_DIGEST_HEX,
    LOG_ID,
    T0,
    LoggedEngine,
    actor,
    describe,
    dev_config,
    fill,
    order,
)

WHO = actor(T0 + 1, 8, "someone", "because")
HEAD = (T0 + 1, "local", 8, "someone", "because")
GAMMA = '[[desks]]\ndesk = "desk-gamma"\nbudget = "1.00"\nexposure_cap = "0.50"\n\n[[desks]]'
ETH = '[[instruments]]\nsymbol = "ETH"\ntick_size = "0.1"\nlot_size = "2"\nmultiplier = "3"\n\n'
BTC = '[[instruments]]\nsymbol = "BTC-USD"\ntick_size = "0.01"\nlot_size = "0.00000001"\n\n'
BETA = '[[desks]]\ndesk = "desk-beta"\nbudget = "500000.00"\nexposure_cap = "none"\n'


def test_a_log_begins_with_the_whole_configuration() -> None:
    config = dev_config()
    events = list(opening_events(config, WHO, LOG_ID, "key-id"))
    assert events == [
        LogOpened(*HEAD, LOG_ID, 1, 1, guard.__version__, "key-id", 1, 7),
        SettingsActivated(*HEAD, "USD", 1_000_000, 86_400_000_000_000),
        PolicyActivated(*HEAD, config.policy, DEV_POLICY_DIGEST_HEX),
        InstrumentDefined(*HEAD, "AAPL", "0.01", "1", "1"),
        InstrumentDefined(*HEAD, "BTC-USD", "0.01", "0.00000001", "1"),
        DeskOpened(*HEAD, "desk-alpha", ALPHA_BUDGET, ALPHA_CAP),
        DeskOpened(*HEAD, "desk-beta", BETA_BUDGET, None),
    ]


def _differences(*replacements: tuple[str, str], **settings: Any) -> list[tuple[str, Any]]:
    state = LoggedEngine().state
    before = describe(state)
    config = dev_config(*replacements, **settings)
    found = find_differences(state, config, WHO)
    assert describe(state) == before
    return [(difference.text, difference.event) for difference in found]


def test_no_difference() -> None:
    assert _differences() == []
    assert _differences(("tcp://127.0.0.1:7001", "tcp://127.0.0.1:7002")) == []
    assert _differences(("var/dev-log", "elsewhere"), ('"500000.00"', '"500000"')) == []


CASES: list[tuple[tuple[str, str], str, Any]] = [
    (
        ("max = 1_000_000", "max = 5"),
        "settings.remembered_orders_max: the log says 1000000, the configuration 5",
        SettingsActivated(*HEAD, "USD", 5, 86_400_000_000_000),
    ),
    (
        ("window_s = 86_400", "window_s = 9"),
        "settings.remembered_order_window_ns: the log says 86400000000000, the configuration "
        "9000000000",
        SettingsActivated(*HEAD, "USD", 1_000_000, 9_000_000_000),
    ),
    (
        ('currency = "USD"', 'currency = "EUR"'),
        "settings.currency: the log says USD, the configuration EUR",
        None,
    ),
    (
        ('symbol = "AAPL"\ntick_size = "0.01"', 'symbol = "AAPL"\ntick_size = "0.05"'),
        "instruments.AAPL: the log says tick 0.01, lot 1, multiplier 1, the configuration says "
        "tick 0.05, lot 1, multiplier 1",
        InstrumentDefined(*HEAD, "AAPL", "0.05", "1", "1"),
    ),
    (
        (BTC, BTC + ETH),
        "instruments.ETH: the log lacks it, the configuration says tick 0.1, lot 2, multiplier 3",
        InstrumentDefined(*HEAD, "ETH", "0.1", "2", "3"),
    ),
    (
        (BTC, ""),
        "instruments.BTC-USD: the log defines it, the configuration lacks it",
        None,
    ),
    (
        ('[[desks]]\ndesk = "desk-alpha"', GAMMA + '\ndesk = "desk-alpha"'),
        "desks.desk-gamma: the log lacks it, the configuration opens it",
        DeskOpened(*HEAD, "desk-gamma", 100_000_000, 50_000_000),
    ),
    ((BETA, ""), "desks.desk-beta: the log has opened it, the configuration lacks it", None),
    (
        ('"500000.00"', '"500000.00000001"'),
        "desks.desk-beta.budget: the log has granted 50000000000000 microcents, the configuration "
        "says 50000000000001",
        DeskToppedUp(*HEAD, "desk-beta", 1),
    ),
    (
        ('"500000.00"', '"499999.99999999"'),
        "desks.desk-beta.budget: the log has granted 50000000000000 microcents, the configuration "
        "says 49999999999999 (a budget never shrinks)",
        None,
    ),
    (
        ('"none"', '"7"'),
        "desks.desk-beta.exposure_cap: the log says none, the configuration 700000000 microcents",
        DeskCapped(*HEAD, "desk-beta", 700_000_000),
    ),
    (
        ('"1500000.00"', '"none"'),
        "desks.desk-alpha.exposure_cap: the log says 150000000000000 microcents, the "
        "configuration none",
        DeskCapped(*HEAD, "desk-alpha", None),
    ),
    (
        ('"1500000.00"', '"1"'),
        "desks.desk-alpha.exposure_cap: the log says 150000000000000 microcents, the "
        "configuration 100000000 microcents",
        DeskCapped(*HEAD, "desk-alpha", 100_000_000),
    ),
]


@pytest.mark.parametrize(("replacement", "text", "event"), CASES, ids=lambda value: str(value)[:25])
def test_each_difference_and_its_event(replacement: tuple[str, str], text: str, event: Any) -> None:
    assert _differences(replacement) == [(text, event)]


POLICY_CHANGES = [
    ("policy_epoch = 7", "policy_epoch = 8"),
    ("catalog_epoch = 42", "catalog_epoch = 43"),
    ("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 9599"),
    ("quality_bps = 9900", "quality_bps = 9899"),
    ("provider = 2\n", "provider = 2\nenabled = false\n"),
    ("provider = 2\n", "provider = 2\nregions = 1\n"),
    ("fee_microcents_per_order = 4200", "fee_microcents_per_order = 4201"),
]


@pytest.mark.parametrize("replacement", POLICY_CHANGES)
def test_any_change_of_the_policy_is_seen(replacement: tuple[str, str]) -> None:
    config = dev_config(replacement)
    ((text, event),) = _differences(replacement)
    assert config.policy_digest_hex != DEV_POLICY_DIGEST_HEX
    assert text == (
        f"policy: the log says {DEV_POLICY_DIGEST_HEX}, the configuration "
        f"{config.policy_digest_hex}"
    )
    assert event == PolicyActivated(*HEAD, config.policy, config.policy_digest_hex)


ALL_AT_ONCE = [
    ("max = 1_000_000", "max = 5"),
    ("window_s = 86_400", "window_s = 9"),
    ("policy_epoch = 7", "policy_epoch = 8"),
    (BTC, BTC + ETH),
    ('"500000.00"', '"500001.00"'),
    ('"none"', '"7"'),
]


def test_many_differences_come_in_the_order_of_their_events() -> None:
    kinds = [type(event).__name__ for _, event in _differences(*ALL_AT_ONCE)]
    assert kinds == [
        "SettingsActivated",
        "SettingsActivated",  # one event, for two differences
        "PolicyActivated",
        "InstrumentDefined",
        "DeskToppedUp",
        "DeskCapped",
    ]


def test_once_logged_nothing_differs_any_more() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill())
    config = dev_config(*ALL_AT_ONCE)
    for difference in find_differences(engine.state, config, WHO):
        assert difference.event is not None
        engine.log(difference.event)
    assert find_differences(engine.state, config, WHO) == []


def test_what_was_spent_is_no_difference_of_the_budget() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill(quantity=100, fee=7))
    assert find_differences(engine.state, dev_config(), WHO) == []


def test_resuming_a_desk() -> None:
    assert resume_event("desk-beta", WHO) == DeskResumed(*HEAD, "desk-beta")
