"""The search for what gets past a limit: it finds nothing, and it would find it.

`tests/search/run.py` is the same with as many sequences as one likes.
"""

from typing import Any

import pytest

from search.book import Book, Known, Place
from search.claims import Around, Terms
from search.history import DESKS, LOT, History, broken_in

HISTORIES = 60
TRIES = 400


@pytest.mark.parametrize("part", range(4))
def test_nothing_gets_past_a_limit_and_no_exit_is_held_up(part: int) -> None:
    entries = exits = 0
    for seed in range(part * HISTORIES, (part + 1) * HISTORIES):
        history = History(seed)
        assert broken_in(history) is None, (seed, history.terms, history.trace)
        entries += history.claims.checked["entries"]
        exits += history.claims.checked["exits"]
    assert entries > 4 * HISTORIES
    assert exits > HISTORIES


def first_broken(terms: Terms, claimed: Terms, book: type[Book] = Book) -> str:
    for seed in range(TRIES):
        broken = broken_in(History(seed, terms, claimed, book()))
        if broken is not None:
            return str(broken)
    return ""


COLLARED = Terms(collar_bps=500, age_max_ms=2_000)


@pytest.mark.parametrize(
    ("name", "terms", "by", "found"),
    [
        ("quantity_max", Terms(quantity_max=12), 1, "quantity_max"),
        ("value_max", Terms(value_max=11 * LOT), 4 * LOT, "value_max"),
        ("collar_bps", COLLARED, 401, "collar_bps"),
        ("age_max_ms", COLLARED, 1_999, "a stale reference"),
        ("long_max", Terms(long_max=6), 1, "a position of 6 buy"),
        ("short_max", Terms(short_max=6), 1, "a position of 6 sell"),
        ("open_orders_max", Terms(open_orders_max=4), 1, "4 open orders"),
        ("orders_in_window", Terms(orders_in_window=3), 1, "3 orders in a window"),
        ("notional_in_window", Terms(notional_in_window=12 * LOT), LOT, "in a window"),
        ("duplicate_window_ms", Terms(duplicate_window_ms=300), -5_000, "the same order again"),
        ("gross_max", Terms(gross_max=12 * LOT), LOT, "a gross exposure of"),
        ("refuses_self_match", Terms(), -1, "an order that may meet another of the firm"),
        ("refuses_short_sales", Terms(), -1, "a short sale"),
    ],
)
def test_a_limit_that_is_wider_than_it_is_said_is_found(
    name: str, terms: Terms, by: int, found: str
) -> None:
    assert found in first_broken(terms, terms.tightened(name, by))


class Generous(Book):
    """Believes that one lot more may be reduced."""

    def reducible(self, place: Place, side: str, beside: Known | None = None) -> tuple[int, int]:
        sure, perhaps = super().reducible(place, side, beside)
        return sure + (sure > 0), perhaps + (perhaps > 0)


class Stingy(Book):
    """Believes that none may be."""

    def reducible(self, _place: Place, _side: str, _beside: Known | None = None) -> tuple[int, int]:
        return 0, 0


class Deaf(Book):
    """Hears of no execution that a drop copy reports."""

    def executed(self, *_: Any) -> bool:
        return False

    def executed_elsewhere(self, *_: Any) -> None:
        pass


def test_a_drop_copy_that_moves_what_nobody_knows_of_is_found() -> None:
    assert first_broken(Terms(), Terms(), Deaf)


def test_an_exit_that_is_held_up_is_found() -> None:
    assert first_broken(Terms(), Terms(), Generous).startswith("an order that but reduces was")


def test_an_entry_that_passes_as_an_exit_is_found() -> None:
    assert first_broken(Terms(), Terms(), Stingy).startswith("an exit of ")


def test_an_order_that_a_state_does_not_let_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Around, "strictest", lambda _self, _place: "halted")
    assert first_broken(Terms(), Terms()) == "an order was admitted that no state lets in"


@pytest.mark.parametrize(
    ("of", "found"),
    [("caps", "are held of a cap of"), ("budgets", "are held of a budget of")],
)
def test_a_hold_beyond_cap_or_budget_is_found(of: str, found: str) -> None:
    history = History(0, Terms())
    setattr(history.claims, of, dict.fromkeys(DESKS, 2 * LOT))
    assert found in str(broken_in(history))


@pytest.mark.parametrize(
    ("is_so", "found"),
    [
        (True, "a replace was refused that nothing may stop"),
        (False, "a replace was admitted that nothing lets in"),
    ],
)
def test_a_replace_that_is_refused_or_let_in_wrongly_is_found(
    is_so: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Known, "only_lowers", lambda _self, _total, _price: is_so)
    assert first_broken(Terms(), Terms()) == found
