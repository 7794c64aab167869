"""The keys of how old an order may be and of unknown venues: read, compared, and logged."""

from typing import Any

import pytest

from guard.config.activation import find_differences
from guard.config.errors import ConfigError
from guard.config.file import Config, parse_config
from guard.engine.events import DeskOrderAgeLimited
from guard_support import DEV_CONFIG_TEXT, LoggedEngine, actor, dev_config

CAP = 'exposure_cap = "1500000.00"'


def aged(value: str) -> str:
    return DEV_CONFIG_TEXT.replace(CAP, f"{CAP}\nmax_order_age_ms = {value}")


@pytest.mark.parametrize("value", ["0", "-1", "86_400_001", "1.5", '"5"', "true", '"none"'])
def test_an_age_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"Expected `int.*\$\.desks\[0\]\.max_order_age_ms"):
        parse_config(aged(value))


def test_an_age_is_a_desks_own_and_off_by_default() -> None:
    desks = parse_config(aged("86_400_000")).desks
    assert [terms.max_order_age_ms for terms in desks.values()] == [86_400_000, None]
    assert dev_config().settings.refuse_unknown_venues is False


def test_whether_venues_are_refused_is_yes_or_no() -> None:
    text = DEV_CONFIG_TEXT.replace("[settings]\n", '[settings]\nrefuse_unknown_venues = "yes"\n')
    with pytest.raises(ConfigError, match=r"Expected `bool.*settings\.refuse_unknown_venues"):
        parse_config(text)


def differences(engine: LoggedEngine, config: Config) -> list[tuple[str, Any]]:
    found = find_differences(engine.state, config, actor())
    return [(each.text, each.event) for each in found]


def test_differences_are_told_and_logged() -> None:
    engine = LoggedEngine()
    config = parse_config(aged("2_000"))
    ((text, event),) = differences(engine, config)
    assert text == "desks.desk-alpha.max_order_age_ms: the log says none, the configuration 2000"
    assert event == actor().event(DeskOrderAgeLimited, desk="desk-alpha", max_order_age_ms=2_000)
    engine.log(event)
    assert differences(engine, config) == []
    ((text, event),) = differences(engine, dev_config())
    assert text == "desks.desk-alpha.max_order_age_ms: the log says 2000, the configuration none"
    engine.log(event)
    assert differences(engine, dev_config()) == []
    changed = dev_config(refuse_unknown_venues=True)
    ((text, event),) = differences(engine, changed)
    assert text == "settings.refuse_unknown_venues: the log says False, the configuration True"
    engine.log(event)
    assert differences(engine, changed) == []
    assert engine.state.refuses_unknown_venues is True


def test_a_desk_is_opened_with_its_age() -> None:
    engine = LoggedEngine(parse_config(aged("2_000")))
    assert engine.state.desks["desk-alpha"].max_order_age_ms == 2_000
    assert b'"max_order_age_ms":2000}' in engine.records[5]
    assert b"max_order_age_ms" not in engine.records[6]
    assert b"refuses_unknown_venues" not in engine.records[1]
