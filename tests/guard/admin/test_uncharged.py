"""Which fees wait for a person: those that an acceptance would charge, and no others."""

import pytest
from msgspec import structs

from guard.admin import messages as asked
from guard.admin import uncharged
from guard.admin.actions import plan
from guard.admin.messages import AdminError, decode_reply, encode_reply
from guard.admin.queries import answer
from guard.cli.operator_text import text_of
from guard.engine.amendments import FillName
from guard_support import I64_MAX, T0, WINDOW_NS, LoggedEngine, actor, fill, order

COMMON = {"action_id": "1", "why": "x"}


def of(number: int) -> dict[str, str]:
    return {"desk": "desk-alpha", "client_order_id": "X", "fill_id": f"F-{number}"}


def say(logged: LoggedEngine, action: asked.AnyAction) -> list[str]:
    own = structs.replace(action, action_id=str(logged.state.next_sequence))
    planned = plan(logged.state, own, actor(logged.now_ns))
    logged.log(planned.event)
    return planned.changes


def strays(count: int) -> LoggedEngine:
    """So many fills of an order that nobody sent, and one of a desk that does not exist."""
    logged = LoggedEngine()
    logged.is_checked = False
    logged.submit(fill("N-1", 1, client_order_id="X", desk="nobody", fee=7))
    for number in range(count):
        logged.submit(fill(f"F-{number}", 1, client_order_id="X", fee=100 + number))
    return logged


def test_what_waits_is_what_an_acceptance_charges() -> None:
    logged = strays(4)
    logged.admit(order("A-1"))
    logged.submit(fill("C-1", 1, fee=5))  # charged
    say(logged, asked.AcceptFill(**of(0), **COMMON))
    say(logged, asked.BustFill(**of(1), **COMMON))
    say(logged, asked.CorrectFill(**of(2), fee_microcents=900, **COMMON))
    page = answer(logged.state, asked.ListUncharged(), logged.now_ns)
    assert [(one.fill_id, one.fee_microcents) for one in page.fills] == [("F-2", 900), ("F-3", 103)]
    assert page.next_cursor is None
    assert (page.fills[1].flags, page.fills[1].quantity) == (["unknown", "uncharged"], 1)
    for one in page.fills:
        name = FillName(one.desk, one.client_order_id, one.fill_id)
        changes = say(logged, asked.AcceptFill(*name, **COMMON))
        assert changes[0].startswith(f"fill {name}: accepted, its fee of ")
    assert answer(logged.state, asked.ListUncharged(), logged.now_ns).fills == []


def test_pages_add_up_and_look_at_no_more_than_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = strays(25)
    monkeypatch.setattr(uncharged, "SCANNED_FILLS_MAX", 10)
    found, cursor, sizes = [], 0, []
    while cursor is not None:
        query = asked.ListUncharged(cursor=cursor, limit=4)
        page = answer(logged.state, query, logged.now_ns)
        found += page.fills
        sizes.append(len(page.fills))
        cursor = page.next_cursor
    assert [one.fee_microcents for one in found] == list(range(100, 125))
    assert max(sizes) == 4
    beta = answer(logged.state, asked.ListUncharged(desk="desk-beta"), logged.now_ns)
    assert (beta.fills, beta.next_cursor) == ([], 10)
    beyond = answer(logged.state, asked.ListUncharged(cursor=2**32), logged.now_ns)
    assert (beyond.fills, beyond.next_cursor) == ([], None)
    with pytest.raises(AdminError, match="there is no desk 'nobody'"):
        answer(logged.state, asked.ListUncharged(desk="nobody"), logged.now_ns)


def test_what_was_forgotten_waits_no_more() -> None:
    logged = strays(1)
    assert answer(logged.state, asked.ListUncharged(), T0).fills
    assert answer(logged.state, asked.ListUncharged(), T0 + 2 * WINDOW_NS).fills == []


def test_it_is_shown_to_people() -> None:
    page = answer(strays(2).state, asked.ListUncharged(limit=1), T0)
    assert decode_reply(encode_reply(page, True)) == page
    shown = text_of(page).splitlines()
    assert shown[1].split()[:5] == ["desk-alpha", "X", "F-0", "0.000001", "1"]
    assert shown[2].startswith("more: --cursor ")
    empty = answer(LoggedEngine().state, asked.ListUncharged(), T0)
    assert text_of(empty) == "none here"


def test_what_a_bust_gives_back_is_shown_apart_from_what_people_granted() -> None:
    logged = LoggedEngine()
    logged.admit(order("A-1"))
    before = answer(logged.state, asked.ListDesks(), T0)
    assert "returned" not in text_of(before)
    logged.submit(fill("F-1", 1, fee=700))
    name = {"desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1"}
    say(logged, asked.BustFill(**name, **COMMON))
    after = answer(logged.state, asked.ListDesks(), T0)
    alpha, was = after.desks[0], before.desks[0]
    assert alpha.granted_microcents == was.granted_microcents + 700
    assert alpha.returned_microcents == 700
    assert text_of(after).splitlines()[0].split()[:4] == ["desk", "granted", "returned", "held"]


def test_a_fee_that_cannot_return_is_told_with_what_helps() -> None:
    logged = strays(0)
    huge = I64_MAX - 1
    logged.submit(fill("F-0", 1, client_order_id="X", fee=huge))
    say(logged, asked.AcceptFill(**of(0), **COMMON))
    bust = asked.BustFill(**of(0), **COMMON)
    with pytest.raises(AdminError, match=r"together at most .*; what it owes, .* forgiven first"):
        plan(logged.state, bust, actor(logged.now_ns))
    resume = asked.Resume(scope="desk", name="desk-alpha", forgive_fees=True, **COMMON)
    say(logged, resume)
    assert say(logged, bust)[0].endswith(" return to the budget")


def test_a_bust_at_the_end_of_what_is_counted_says_that_the_position_may_be_wrong() -> None:
    logged = LoggedEngine()
    logged.admit(order("A-1"))
    logged.submit(fill("F-0", 100))
    logged.submit(fill("F-1", I64_MAX, fee=0))
    name = {"desk": "desk-alpha", "client_order_id": "A-1"}
    changes = say(logged, asked.BustFill(fill_id="F-1", **name, **COMMON))
    assert changes[1].startswith("position of desk-alpha in AAPL: it was counted as far as 2^63-1")
