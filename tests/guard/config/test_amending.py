"""What an operator asks to be said of fills: the words, and which fill they mean."""

import pytest

from guard.config.amending import AmendmentAsked, Correction, amendment_event, parse_asked
from guard.config.errors import ConfigError
from guard.engine.events import FillAccepted, FillBusted, FillCorrected
from guard_support import T0, LoggedEngine, actor, fill, order


@pytest.mark.parametrize(
    ("saying", "text", "correction"),
    [
        ("accept", "d/A-1/F-1", Correction()),
        ("bust", " d/A/B/C/F-1 ", Correction()),
        ("correct", "d/A-1/F-1 quantity=40", Correction(quantity=40)),
        (
            "correct",
            "d/A-1/F-1 fee=-1.25  price=7 quantity=1",
            Correction(1, 7, -125_000_000),
        ),
        ("correct", "d/A-1/F-1 fee=0", Correction(fee_microcents=0)),
    ],
)
def test_what_is_asked_for(saying: str, text: str, correction: Correction) -> None:
    asked = parse_asked(saying, text)  # type: ignore[arg-type]
    assert asked == AmendmentAsked(saying, text.split()[0], correction)  # type: ignore[arg-type]
    assert asked.option == f"--{saying}-fill {text.split()[0]}"


@pytest.mark.parametrize(
    ("saying", "text", "words"),
    [
        ("accept", "", "is no name of a fill; allowed: DESK/ORDER/FILL"),
        ("accept", "d/A-1", "is no name of a fill; allowed: DESK/ORDER/FILL"),
        ("accept", "d/A/F fee=1", "'fee=1' is not allowed; allowed: DESK/ORDER/FILL alone"),
        ("bust", "d/A/F F-2", "'F-2' is not allowed"),
        ("correct", "d/A/F", "says no correction; allowed: one or more of quantity=LOTS"),
        ("correct", "d/A/F lots=1", "'lots=1' is not allowed; allowed: one or more of"),
        ("correct", "d/A/F fee=1 fee=2", "'fee=2' is not allowed"),
        ("correct", "d/A/F quantity=0", "quantity=0 is not allowed; allowed: an integer from 1 to"),
        ("correct", "d/A/F quantity=1.5", "quantity=1.5 is not allowed"),
        ("correct", "d/A/F price=٣", "price=٣ is not allowed"),
        ("correct", f"d/A/F price={2**63}", f"price={2**63} is not allowed"),
        ("correct", "d/A/F fee=", "fee: '' is not allowed"),
        ("correct", "d/A/F fee=--1", "fee: '-1' is not allowed"),
        ("correct", "d/A/F fee=0.000000001", "at most 8 decimal places"),
    ],
)
def test_what_cannot_be_asked(saying: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_asked(saying, text)  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"--{saying}-fill ")


def test_names_with_slashes_are_found_among_those_that_are_known() -> None:
    engine = LoggedEngine()
    engine.submit(fill("F/1", client_order_id="A/1"))
    event = amendment_event(engine.state, parse_asked("accept", "desk-alpha/A/1/F/1"), actor())
    assert isinstance(event, FillAccepted)
    assert (event.client_order_id, event.fill_id) == ("A/1", "F/1")
    engine.submit(fill("1/F/1", client_order_id="A"))
    with pytest.raises(ConfigError, match="may be each of these: desk desk-alpha, order A, fill"):
        amendment_event(engine.state, parse_asked("bust", "desk-alpha/A/1/F/1"), actor())


def test_each_gives_its_event_and_the_same_none() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill())
    for saying, text, kind in (
        ("correct", "desk-alpha/A-1/F-1 fee=1.00", FillCorrected),
        ("bust", "desk-alpha/A-1/F-1", FillBusted),
    ):
        asked = parse_asked(saying, text)  # type: ignore[arg-type]
        event = amendment_event(engine.state, asked, actor(T0 + 1))
        assert isinstance(event, kind)
        engine.log(event)
    assert amendment_event(engine.state, asked, actor(T0 + 1)) is None
    asked = parse_asked("correct", "desk-alpha/A-1/F-1 fee=2.00")
    with pytest.raises(ConfigError, match="--correct-fill: fill desk-alpha/A-1/F-1: it was busted"):
        amendment_event(engine.state, asked, actor(T0 + 1))
    with pytest.raises(ConfigError, match="--accept-fill: fill x/A/F: no such fill is known"):
        amendment_event(engine.state, parse_asked("accept", "x/A/F"), actor(T0 + 1))
