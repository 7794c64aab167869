"""Orders that could trade against the firm's own: refused, flagged, or let be.

Every order goes through the bytes of its record; each test's log is replayed, folded, and its
state taken through a checkpoint, which must know the same prices (`engines`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard.audit.sentences import sentence_of
from guard.config.activation import limits_event
from guard.engine.checks import CHECKS_BEHIND_KERNEL
from guard.engine.state import GuardState
from guard.protocol.messages import Admit, Reduce, StatusReply
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import WAIVED, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, cancel, fill, order, status
from log_checks_support import check_states, checked_at_end

FIRM, DESK, SYMBOL = 1, 2, 3
REFUSED = ("self_match", {"asked": 10, "scope": FIRM})
BUFFER = "market_buffer_bps = 0\n"


def book_of(state: GuardState) -> Any:
    return state.book.is_kept, state.book.dump()


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), book_of(state)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str = 'self_match = "refuse"') -> LoggedEngine:
    engine = limited(f"{WAIVED}{text}", {"AAPL": (19_000, 1)})
    engines.append(engine)
    return engine


@pytest.mark.parametrize(("side", "other"), [("buy", "sell"), ("sell", "buy")])
def test_at_the_price_one_tick_short_of_it_and_beyond(
    side: str, other: str, engines: list[LoggedEngine]
) -> None:
    engine = begun(engines)
    engine.admit(order(side=side, price=19_000))
    short = 19_001 if other == "sell" else 18_999
    beyond = 18_999 if other == "sell" else 19_001
    assert verdict(engine, side=other, price=19_000, quantity=1) == REFUSED
    assert verdict(engine, side=other, price=beyond, quantity=1) == REFUSED
    for desk in ("desk-beta", "desk-alpha"):
        assert verdict(engine, side=other, price=short, quantity=1, desk=desk) == "admitted"
    assert verdict(engine, side=side, price=19_000, quantity=1) == "admitted"


def test_every_desk_counts_and_nothing_of_its_order_is_told(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order("B-1", desk="desk-beta", quantity=7, price=19_123))
    assert verdict(engine, side="sell", price=19_123) == REFUSED
    assert verdict(engine, side="sell", price=19_124) == "admitted"


def test_another_symbol_and_another_venue_do_not_meet(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order())
    other = {"side": "sell", "quantity": 1}
    assert verdict(engine, symbol="BTC-USD", price=5_000_000, **other) == "admitted"
    assert verdict(engine, venue=20, allow_substitute=False, **other)[0] != "self_match"
    # The venue that is chosen counts, not the one asked for.
    assert verdict(engine, venue=20, **other) == REFUSED


@pytest.mark.parametrize("is_first", [True, False])
def test_a_market_order_meets_whatever_works(is_first: bool, engines: list[LoggedEngine]) -> None:
    for side, other in (("buy", "sell"), ("sell", "buy")):
        engine = begun(engines, f'{BUFFER}self_match = "refuse"')
        far = 1 if side == "buy" else 10**6
        market = {"order_type": "market", "price": 19_000, "quantity": 1}
        limit = {"order_type": "limit", "price": far, "quantity": 100}
        first, second = ({"side": side, **limit}, {"side": other, **market})
        if not is_first:
            first, second = ({"side": side, **market}, {"side": other, **limit, "price": 19_000})
        engine.admit(order(**first))
        assert verdict(engine, **second) == REFUSED
    both = begun(engines, f'{BUFFER}self_match = "refuse"')
    both.admit(order(order_type="market"))
    assert verdict(both, order_type="market", side="sell", quantity=1) == REFUSED


def test_an_order_works_until_it_is_filled_canceled_or_taken_off(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(engines)
    sell = {"side": "sell", "quantity": 10, "desk": "desk-beta"}
    for name, ends in (
        ("A-1", [fill("F-1", 99, fee=0), fill("F-2", 1, fee=0)]),
        ("A-2", [cancel("A-2")]),
        ("A-3", [Reduce("desk-alpha", "A-3", "R-1", 99), Reduce("desk-alpha", "A-3", "R-2", 1)]),
        ("A-4", [fill("F-3", 150, fee=0, client_order_id="A-4")]),
    ):
        engine.admit(order(name))
        for request in ends:
            assert verdict(engine, **sell) == REFUSED, name
            engine.submit(request)
        answer = engine.admit(order(f"B-{name}", **sell))
        assert answer.self_match is not True, name
        engine.submit(cancel(f"B-{name}", "desk-beta"))
    engine.submit(fill("F-9", 1, fee=0))  # late: it works no more
    assert engine.state.book.dump() == []


def test_a_refused_order_does_not_work(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, 'self_match = "refuse"\nquantity_min = 2')
    assert verdict(engine, quantity=1)[0] == "quantity_below_min"
    assert verdict(engine, side="sell", quantity=2) == "admitted"


def test_flagged_it_is_admitted_and_its_record_says_so(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, 'self_match = "flag"')
    assert engine.admit(order()).self_match is not True
    assert b"self_match" not in engine.records[-1]
    answer = engine.admit(order("S-1", side="sell"))
    assert answer.self_match is True
    assert b'"repeat":false,"self_match":true}' in engine.records[-1]
    again = engine.submit(order("S-1", side="sell"))
    assert isinstance(again, Admit)
    assert (again.self_match, again.repeat, again.reservation_id) == (
        True, True, answer.reservation_id
    )  # fmt: skip
    shown = engine.submit(status("S-1"))
    assert isinstance(shown, StatusReply)
    assert isinstance(shown.answer, Admit)
    assert shown.answer.self_match is True
    assert engine.submit(order()).self_match is not True  # type: ignore[union-attr]


def test_an_exit_is_flagged_and_passes(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order())
    engine.submit(fill("F-1", 100, fee=0))
    engine.admit(order("B-1", desk="desk-beta"))
    assert verdict(engine, side="sell", quantity=101) == REFUSED
    answer = engine.admit(order("S-1", side="sell", quantity=60))
    assert (answer.reducing, answer.self_match) == (True, True)
    again = engine.submit(order("S-1", side="sell", quantity=60))
    assert isinstance(again, Admit)
    assert (again.reducing, again.self_match) == (True, True)
    engine.submit(cancel("B-1", "desk-beta"))
    answer = engine.admit(order("S-2", side="sell", quantity=40))
    assert answer.self_match is not True


SCOPES: list[tuple[str, Any]] = [
    ('[limits.desk.desk-alpha]\nself_match = "refuse"', DESK),
    ('[limits.symbol.AAPL]\nself_match = "refuse"', SYMBOL),
    ('[limits.desk.desk-alpha.symbol.AAPL]\nself_match = "refuse"', 4),
    ('self_match = "refuse"\n[limits.desk.desk-alpha]\nself_match = "off"', FIRM),
    ('self_match = "flag"\n[limits.desk.desk-alpha]\nself_match = "refuse"', DESK),
    ('self_match = "flag"\n[limits.desk.desk-beta]\nself_match = "refuse"', "flagged"),
    ('[limits.desk.desk-beta]\nself_match = "refuse"', "unseen"),
    ('self_match = "off"', "unseen"),
    ("", "unseen"),
]


@pytest.mark.parametrize(("text", "scope"), SCOPES)
def test_each_scope(text: str, scope: Any, engines: list[LoggedEngine]) -> None:
    engine = begun(engines, text)
    engine.admit(order("B-1", desk="desk-beta"))
    if isinstance(scope, int):
        wanted = ("self_match", {"asked": 10, "scope": scope})
        assert verdict(engine, side="sell") == wanted
    else:
        answer = engine.admit(order(side="sell"))
        assert (answer.self_match is True) == (scope == "flagged")
    assert engine.state.book.is_kept == (text not in ("", 'self_match = "off"'))


def test_what_works_already_counts_once_the_limit_is_said(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "")
    engine.admit(order())
    engine.admit(order("A-2", price=18_000))
    engine.submit(cancel("A-2"))
    engine.submit(fill("F-1", 99, fee=0))
    for text, wanted in (
        ('self_match = "refuse"', REFUSED), ('self_match = "off"', "admitted"),
    ):  # fmt: skip
        tree = limits_config(f"{WAIVED}{text}").limits
        engine.log(limits_event(tree, actor(engine.now_ns)))
        assert verdict(engine, side="sell", desk="desk-beta", quantity=1) == wanted
    assert engine.state.book.dump() == []


def test_of_equal_prices_each_order_counts(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    for name in ("A-1", "A-2", "A-3"):
        engine.admit(order(name))
    for name in ("A-2", "A-1", "A-3"):
        assert verdict(engine, side="sell", quantity=1) == REFUSED
        engine.submit(cancel(name))
    assert verdict(engine, side="sell", quantity=1) == "admitted"


def test_it_stands_behind_the_kernel_and_before_the_ledger(engines: list[LoggedEngine]) -> None:
    names = [check.number for check in CHECKS_BEHIND_KERNEL]
    assert names.index(580) > names.index(300)
    engine = begun(engines)
    engine.admit(order())
    assert verdict(engine, side="sell", risk_bps=9_999)[0] == "risk_hard_limit"
    huge = {"side": "sell", "quantity": 50_000}
    assert verdict(engine, **huge) == REFUSED
    engine.submit(cancel())
    assert verdict(engine, **huge)[0] == "exposure_limit_exceeded"


def test_the_words_for_it() -> None:
    account: dict[str, Any] = {
        "answer": {"type": "reject", "reason": "self_match", "detail": {"asked": 10, "scope": 1}},
        "request": {"symbol": "AAPL"},
    }
    assert sentence_of(account, "USD") == (
        "Rejected: at venue 10 it could trade against an open order of the firm itself, which the "
        "limits of the firm refuse."
    )
