"""Configuration against the log: every kind of difference, and the event that it becomes."""

from typing import Any

import pytest
from msgspec import structs

import guard
from guard.config.activation import find_differences, opening_events, resume_event
from guard.config.policy_difference import policy_differences
from guard.engine.events import (
    BudgetLowered,
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
        LogOpened(*HEAD, LOG_ID, 1, 3, guard.__version__, "key-id", 1, 7),
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
        "settings.remembered_order_window_s: the log says 86400, the configuration 9",
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
        "desks.desk-beta.budget: the log has granted 500000.00, the configuration says "
        "500000.00000001",
        DeskToppedUp(*HEAD, "desk-beta", 1),
    ),
    (
        ('"500000.00"', '"499999.99999999"'),
        "desks.desk-beta.budget: the log has granted 500000.00, the configuration says "
        "499999.99999999",
        BudgetLowered(*HEAD, "desk-beta", 1),
    ),
    (
        ('"none"', '"7"'),
        "desks.desk-beta.exposure_cap: the log says none, the configuration 7.00",
        DeskCapped(*HEAD, "desk-beta", 700_000_000),
    ),
    (
        ('"1500000.00"', '"none"'),
        "desks.desk-alpha.exposure_cap: the log says 1500000.00, the configuration none",
        DeskCapped(*HEAD, "desk-alpha", None),
    ),
    (
        ('"1500000.00"', '"1"'),
        "desks.desk-alpha.exposure_cap: the log says 1500000.00, the configuration 1.00",
        DeskCapped(*HEAD, "desk-alpha", 100_000_000),
    ),
]


@pytest.mark.parametrize(("replacement", "text", "event"), CASES, ids=lambda value: str(value)[:25])
def test_each_difference_and_its_event(replacement: tuple[str, str], text: str, event: Any) -> None:
    assert _differences(replacement) == [(text, event)]


POLICY_CHANGES = [
    (("hard_risk_limit_bps = 9600", "hard_risk_limit_bps = 9599"),
     "policy.hard_risk_limit_bps: the log says 9600, the configuration 9599"),
    (("latency_penalty_microcents_per_ms = 4", "latency_penalty_microcents_per_ms = 5"),
     "policy.latency_penalty_microcents_per_ms: the log says 4 (0.00000004 USD), the configuration "
     "5 (0.00000005 USD)"),
    (("quality_bps = 9900", "quality_bps = 9899"),
     "policy.venues[10].quality_bps: the log says 9900, the configuration 9899"),
    (("provider = 2\n", "provider = 2\nenabled = false\n"),
     "policy.venues[30].enabled: the log says true, the configuration false"),
    (("provider = 2\n", "provider = 2\nregions = 1\n"),
     "policy.venues[30].regions: the log says all, the configuration 1"),
    (("provider = 2\n", "provider = 2\ncapabilities = 6\n"),
     "policy.venues[30].capabilities: the log says 0, the configuration 6"),
    (("fee_microcents_per_order = 4200", "fee_microcents_per_order = 4201"),
     "policy.venues[30].fee_microcents_per_order: the log says 4200 (0.000042 USD), the "
     "configuration 4201 (0.00004201 USD)"),
]  # fmt: skip
EPOCHS = [
    (("policy_epoch = 7", "policy_epoch = 8"),
     "policy.policy_epoch: the log says 7, the configuration 8"),
    (("catalog_epoch = 42", "catalog_epoch = 43"),
     "policy.catalog_epoch: the log says 42, the configuration 43"),
]  # fmt: skip


@pytest.mark.parametrize("epoch", EPOCHS, ids=["policy", "catalog"])
@pytest.mark.parametrize("change", POLICY_CHANGES, ids=lambda change: change[0][1].strip()[:30])
def test_any_change_of_the_policy_is_told_field_by_field(
    change: tuple[tuple[str, str], str], epoch: tuple[tuple[str, str], str]
) -> None:
    config = dev_config(change[0], epoch[0])
    event = PolicyActivated(*HEAD, config.policy, config.policy_digest_hex)
    assert _differences(change[0], epoch[0]) == [(epoch[1], event), (change[1], event)]


@pytest.mark.parametrize("change", POLICY_CHANGES, ids=lambda change: change[0][1].strip()[:30])
def test_another_policy_under_the_same_epochs_is_refused(
    change: tuple[tuple[str, str], str],
) -> None:
    (first, event), *rest = _differences(change[0])
    assert first == (
        "policy: it differs, under the epochs of the one in the log (policy_epoch 7, "
        "catalog_epoch 42), by which decisions name it: raise one of them"
    )
    assert event is None
    assert rest == [(change[1], None)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("policy_epoch = 7", "policy_epoch = 6"), "policy_epoch: 6 is not allowed"),
        (("catalog_epoch = 42", "catalog_epoch = 1"), "catalog_epoch: 1 is not allowed"),
    ],
)  # fmt: skip
def test_an_epoch_that_goes_back_is_refused(change: tuple[str, str], words: str) -> None:
    (first, event), *rest = _differences(change)
    assert first.startswith(f"policy.{words}; allowed: from ")
    assert event is None
    assert all(each is None for _, each in rest)


def test_a_venue_that_comes_and_one_that_goes_and_a_bound_of_what_is_listed() -> None:
    found = _differences(EPOCHS[0][0], ("venue = 30", "venue = 31"))
    assert [text for text, _ in found[1:]] == [
        "policy.venues[30]: the log has it, the configuration lacks it",
        "policy.venues[31]: the log lacks it, the configuration adds it",
    ]
    state = LoggedEngine().state
    content = dev_config().policy
    venues = [structs.replace(content.models[0], model_id=number) for number in range(100, 200)]
    many = policy_differences(state.policy, structs.replace(content, models=venues), "USD")
    assert len(many) == 41
    assert many[-1] == "policy: 63 more differences"
    assert policy_differences(None, content, "USD") == [
        "policy: the log has none, the configuration has one"
    ]


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


def test_a_budget_shrinks_by_what_is_free_alone() -> None:
    logged = LoggedEngine()
    logged.submit(order("A-1", desk="desk-beta", quantity=1))
    config = dev_config(('"500000.00"', '"189.99"'))
    [difference] = find_differences(logged.state, config, actor())
    assert difference.event is None
    assert difference.text.endswith("(only 499810.00 is neither held nor spent)")
    config = dev_config(('"500000.00"', '"190.00"'))
    [difference] = find_differences(logged.state, config, actor())
    assert isinstance(difference.event, BudgetLowered)
    logged.log(difference.event)
    assert find_differences(logged.state, config, actor()) == []
