"""Short sales: allowed, refused, or out of a locate; at the limit, one below, one above, beyond.

Every order goes through the bytes of its record; each test's log is replayed, folded, and its
state taken through a checkpoint, which must have the same locates (`engines`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET

from guard.admin import messages as asked
from guard.admin.actions import done_before, plan
from guard.admin.messages import AdminError
from guard.admin.queries import answer
from guard.audit.sentences import sentence_of
from guard.config.activation import limits_event
from guard.engine.state import GuardState
from guard.protocol.messages import I64_MAX, U32_MAX, Admit, Reduce, Reject
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_limits_support import WAIVED, limit_detail, limited, limits_config, verdict
from guard_support import LoggedEngine, actor, cancel, fill, order, status
from kernel import InvariantError
from log_checks_support import check_states, checked_at_end

FIRM, DESK, SYMBOL = 1, 2, 3
REFUSED = 'short_sales = "refused"'
LOCATE = 'short_sales = "locate"'


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), state.locates.entries()


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str) -> LoggedEngine:
    engine = limited(f"{WAIVED}{text}")
    engines.append(engine)
    return engine


def act(engine: LoggedEngine, action: Any) -> Any:
    """Does it, as the admin endpoint would, and gives what it changed."""
    planned = plan(engine.state, action, actor(engine.now_ns))
    engine.log(planned.event)
    return planned.changes


def add(engine: LoggedEngine, locate_id: str = "L-1", lots: int = 100, **changes: Any) -> None:
    fields = {"desk": "desk-alpha", "symbol": "AAPL", **changes}
    name = f"add-{len(engine.records)}"
    common = {"action_id": name, "why": "lent"}
    act(engine, asked.AddLocate(locate_id=locate_id, quantity_lots=lots, **fields, **common))


def remove(engine: LoggedEngine, locate_id: str = "L-1") -> Any:
    name = f"remove-{len(engine.records)}"
    return act(engine, asked.RemoveLocate(locate_id=locate_id, action_id=name, why="over"))


def used(engine: LoggedEngine, locate_id: str = "L-1") -> int:
    locate = engine.state.locates.get(locate_id)
    assert locate is not None
    return int(locate.used)


def held(engine: LoggedEngine, lots: int) -> None:
    """The desk has that many lots."""
    engine.admit(order("HELD", quantity=lots))
    engine.submit(fill("HELD", lots, fee=0, client_order_id="HELD"))


def short(lots: int, scope: int = FIRM, reason: str = "short_sale_not_allowed") -> Any:
    return reason, {"asked": lots, "scope": scope}


def test_refused_at_the_position_one_above_it_and_beyond_counting(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(engines, REFUSED)
    assert verdict(engine, side="sell", quantity=1) == short(1)
    held(engine, 100)
    assert verdict(engine, side="sell", quantity=101) == short(1)
    assert verdict(engine, side="sell", quantity=U32_MAX, price=1) == short(U32_MAX - 100)
    answer = engine.submit(order("S-1", side="sell", quantity=60))
    assert isinstance(answer, Admit)
    assert answer.reducing is True
    assert verdict(engine, side="sell", quantity=41) == short(1)
    assert verdict(engine, side="sell", quantity=40) == "admitted"
    assert verdict(engine, side="sell", quantity=7) == short(7)
    # A buy that works covers nothing, another desk's position neither.
    engine.admit(order("B-1", quantity=500))
    assert verdict(engine, side="sell", quantity=7) == short(7)
    assert verdict(engine, side="sell", quantity=7, desk="desk-beta") == short(7)


def test_what_may_not_be_reduced_covers_nothing(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, REFUSED)
    engine.admit(order(quantity=10))
    engine.submit(fill("F-1", 50, fee=0))  # 40 lots more than were ordered
    assert verdict(engine, side="sell", quantity=11) == short(1)
    assert verdict(engine, side="sell", quantity=10) == "admitted"
    # A short position is short whatever is sold.
    both = begun(engines, "")
    both.admit(order(side="sell"))
    both.submit(fill("F-1", 100, fee=0))
    assert verdict(both, side="sell", quantity=1) == "admitted"


def test_lots_beyond_counting(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "")
    engine.admit(order(side="sell", price=1))
    engine.submit(fill("F-1", I64_MAX, fee=0))
    engine.log(limits_event(limits_config(f"{WAIVED}{REFUSED}").limits, actor(engine.now_ns)))
    assert verdict(engine, side="sell", quantity=U32_MAX, price=1) == short(U32_MAX)


SCOPES: list[tuple[str, int]] = [
    (f"[limits.desk.desk-alpha]\n{REFUSED}", DESK),
    (f"[limits.symbol.AAPL]\n{REFUSED}", SYMBOL),
    (f"[limits.desk.desk-alpha.symbol.AAPL]\n{REFUSED}", 4),
    (f'short_sales = "allowed"\n[limits.symbol.AAPL]\n{REFUSED}', SYMBOL),
    (f"{LOCATE}\n[limits.symbol.AAPL]\n{REFUSED}", SYMBOL),
    (f'{REFUSED}\n[limits.symbol.AAPL]\nshort_sales = "allowed"', FIRM),
    (f"[limits.desk.desk-beta]\n{REFUSED}", 0),
    ('short_sales = "allowed"', 0),
]


@pytest.mark.parametrize(("text", "scope"), SCOPES)
def test_each_scope(text: str, scope: int, engines: list[LoggedEngine]) -> None:
    wanted = short(100, scope) if scope else "admitted"
    assert verdict(begun(engines, text), side="sell") == wanted


def test_a_locate_counts_down_by_what_is_short_and_no_more(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    assert verdict(engine, side="sell") == short(100, reason="locate_missing")
    unknown = short(100, reason="locate_unknown")
    assert verdict(engine, side="sell", locate_id="L-1") == unknown
    add(engine, "OTHER-DESK", desk="desk-beta")
    add(engine, "OTHER-SYMBOL", symbol="BTC-USD")
    for name in ("OTHER-DESK", "OTHER-SYMBOL", "L-2"):
        assert verdict(engine, side="sell", locate_id=name) == unknown
    add(engine)
    held(engine, 30)
    exceeded = limit_detail(101, 100, 0, FIRM)
    sell = {"side": "sell", "locate_id": "L-1"}
    assert verdict(engine, quantity=131, **sell) == ("locate_exceeded", exceeded)
    answer = engine.admit(order("S-1", quantity=129, **sell))
    assert (answer.located_lots, used(engine)) == (99, 99)
    assert b'"located_lots":99' in engine.records[-1]
    assert verdict(engine, quantity=2, **sell) == ("locate_exceeded", limit_detail(2, 100, 99, 1))
    assert engine.admit(order("S-2", quantity=1, **sell)).located_lots == 1
    assert verdict(engine, quantity=1, **sell) == ("locate_exceeded", limit_detail(1, 100, 100, 1))
    add(engine, "L-2", 1)
    assert verdict(engine, quantity=1, side="sell", locate_id="L-2") == "admitted"


def test_one_that_need_not_be_located_uses_none(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    held(engine, 30)
    exit_ = engine.admit(order("S-1", side="sell", quantity=30, locate_id="L-1"))
    buy = engine.admit(order("B-1", locate_id="L-1", price=18_000))
    for found in (exit_, buy):
        assert found.located_lots is UNSET
    assert used(engine) == 0
    free = begun(engines, "")
    add(free)
    free.admit(order("S-1", side="sell", quantity=500, locate_id="L-1"))
    assert used(free) == 0


@pytest.mark.parametrize("ends", ["cancel", "reduce", "fill"])
def test_what_was_not_sold_comes_back(ends: str, engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    held(engine, 30)
    engine.admit(order("S-1", side="sell", quantity=110, locate_id="L-1"))
    assert used(engine) == 80
    name = {"client_order_id": "S-1"}
    engine.submit(fill("F-1", 25, fee=0, **name))  # covered lots count as filled first
    assert used(engine) == 80
    if ends == "cancel":
        engine.submit(cancel("S-1"))
        assert used(engine) == 0
        engine.submit(fill("F-2", 10, fee=0, **name))  # late: 5 lots are short now
        assert used(engine) == 5
        engine.submit(fill("F-3", 500, fee=0, **name))
        assert used(engine) == 80
    elif ends == "reduce":
        engine.submit(Reduce("desk-alpha", "S-1", "R-1", 30))
        assert used(engine) == 50
        engine.submit(fill("F-2", 15, fee=0, **name))
        engine.submit(Reduce("desk-alpha", "S-1", "R-2", 20))
        assert used(engine) == 30
        engine.submit(cancel("S-1"))
        assert used(engine) == 10
    else:
        engine.submit(fill("F-2", 85, fee=0, **name))
        assert used(engine) == 80
        engine.submit(cancel("S-1"))
        assert used(engine) == 80


def test_an_order_whose_hold_a_person_frees_gives_back(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    engine.admit(order("S-1", side="sell", quantity=80, locate_id="L-1"))
    free = {"action_id": "free", "why": "dead"}
    act(engine, asked.FreeHold(desk="desk-alpha", client_order_id="S-1", **free))
    assert used(engine) == 0


def test_a_removed_locate_and_another_under_its_id(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    engine.admit(order("S-1", side="sell", quantity=80, locate_id="L-1"))
    words = "locate L-1 of desk desk-alpha in AAPL: removed, 80 of 100 lots used"
    assert remove(engine) == [words]
    assert not engine.state.has_locates
    missing = short(1, reason="locate_unknown")
    assert verdict(engine, side="sell", quantity=1, locate_id="L-1") == missing
    add(engine)
    engine.admit(order("S-2", side="sell", quantity=60, locate_id="L-1"))
    engine.submit(cancel("S-1"))  # what it used was of the one before
    assert used(engine) == 60
    with pytest.raises(InvariantError, match="-61 lots are used of locate L-1"):
        engine.state.locates.use("L-1", -61)


def test_the_same_order_again_and_with_another_locate(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    first = engine.admit(order("S-1", side="sell", quantity=10, locate_id="L-1"))
    again = engine.submit(order("S-1", side="sell", quantity=10, locate_id="L-1"))
    assert isinstance(again, Admit)
    assert (again.repeat, again.located_lots) == (True, first.located_lots) == (True, 10)
    for other in ({"locate_id": "L-2"}, {}):
        reject = engine.submit(order("S-1", side="sell", quantity=10, **other))
        assert isinstance(reject, Reject)
        assert (reject.reason, reject.field) == ("client_order_id_reused", "locate_id")
    refused = order("S-2", side="sell", quantity=200, locate_id="L-1")
    assert [engine.submit(refused).repeat for _ in range(2)] == [False, True]
    changed = engine.submit(order("S-2", side="sell", quantity=200, locate_id="L-9"))
    assert isinstance(changed, Reject)
    assert changed.field == "locate_id"
    assert used(engine) == 10
    assert engine.submit(status("S-1")).answer.located_lots == 10


def test_an_operator_is_told_what_cannot_be(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    add(engine)
    common = {"action_id": "x", "why": "y"}

    def code(action: Any) -> str:
        with pytest.raises(AdminError) as error:
            plan(engine.state, action, actor(engine.now_ns))
        return str(error.value.code)

    fields: dict[str, Any] = {"locate_id": "L-2", "desk": "desk-alpha", "symbol": "AAPL"}
    fields |= {"quantity_lots": 1, **common}
    for change, wanted in (
        ({"locate_id": "L-1"}, "locate_exists"),
        ({"desk": "nobody"}, "unknown_desk"),
        ({"symbol": "NONE"}, "unknown_symbol"),
    ):
        assert code(asked.AddLocate(**(fields | change))) == wanted
    assert code(asked.RemoveLocate(locate_id="L-2", **common)) == "unknown_locate"
    again = asked.AddLocate(**(fields | {"action_id": "add-1"}))
    assert done_before(engine.state, again, actor(engine.now_ns)) is None


def test_they_are_shown_page_by_page(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, LOCATE)
    for name in ("L-2", "L-1", "L-3"):
        add(engine, name, 7)
    add(engine, "B-1", desk="desk-beta")
    first = answer(engine.state, asked.ListLocates(limit=2), 0)
    assert [line.locate_id for line in first.locates] == ["B-1", "L-1"]
    rest = answer(engine.state, asked.ListLocates(after_locate=first.next_after), 0)
    assert ([line.locate_id for line in rest.locates], rest.next_after) == (["L-2", "L-3"], None)
    of_desk = answer(engine.state, asked.ListLocates(desk="desk-beta"), 0)
    assert [line.quantity_lots for line in of_desk.locates] == [100]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("short_sale_not_allowed", "it could sell 7 lots short, and the limits of the firm allow "
         "no short sales."),
        ("locate_missing", "it could sell 7 lots short, for which the limits of the firm want a "
         "locate, and it names none."),
        ("locate_unknown", "it could sell 7 lots short, and the locate that it names is none of "
         "its desk in this symbol."),
        ("locate_exceeded", "it could sell 7 lots short, and of the 100 lots of its locate 95 "
         "are used."),
    ],
)  # fmt: skip
def test_the_words_for_it(reason: str, words: str) -> None:
    detail = limit_detail(7, 100, 95, 1)
    account: dict[str, Any] = {
        "answer": {"type": "reject", "reason": reason, "detail": detail},
        "request": {"symbol": "AAPL"},
    }
    assert sentence_of(account, "USD") == f"Rejected: {words}"
