"""What queries show: pages that add up, stories that are whole, bounds that hold."""

import msgspec
import pytest

from guard.admin import messages as asked
from guard.admin import queries
from guard.admin.actions import plan
from guard.admin.messages import AdminError, decode_reply, encode_reply
from guard.admin.queries import answer
from guard.cli.operator_text import text_of
from guard.protocol.messages import Execution, Reduce
from guard_limits_support import WAIVED, limited
from guard_support import (
    ALPHA_BUDGET,
    BETA_BUDGET,
    ORDER_FEE,
    ORDER_NOTIONAL,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    cancel,
    fill,
    order,
)


def traded(count: int = 1) -> LoggedEngine:
    logged = LoggedEngine()
    logged.is_checked = False
    for number in range(count):
        logged.submit(order(f"A-{number}", quantity=1, sent_at_ns=T0 - number * SECOND_NS))
    return logged


def test_desks_come_page_by_page_with_balances_that_add_up() -> None:
    state = traded(3).state
    whole = answer(state, asked.ListDesks(), T0)
    assert [desk.desk for desk in whole.desks] == sorted(state.desks)
    assert whole.next_after is None
    alpha, beta = whole.desks
    held = 3 * ORDER_NOTIONAL // 100
    assert (alpha.granted_microcents, alpha.held_microcents) == (ALPHA_BUDGET, held)
    assert alpha.remaining_microcents == ALPHA_BUDGET - held
    assert (beta.granted_microcents, beta.max_reserved_microcents) == (BETA_BUDGET, None)
    assert (alpha.state, alpha.why) == ("active", [])
    first = answer(state, asked.ListDesks(limit=1), T0)
    assert (first.desks, first.next_after) == ([alpha], "desk-alpha")
    second = answer(state, asked.ListDesks(after="desk-alpha", limit=1), T0)
    assert (second.desks, second.next_after) == ([beta], None)


def test_open_orders_come_page_by_page_and_by_desk_symbol_and_age(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = traded(25)
    logged.submit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=1_000_000))
    logged.submit(cancel("A-7"))
    monkeypatch.setattr(queries, "SCANNED_MAX", 10)
    found, cursor = [], 0
    for _ in range(20):
        page = answer(logged.state, asked.ListOpenOrders(cursor=cursor, limit=4), T0)
        assert len(page.orders) <= 4
        found += page.orders
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    ids = sorted(one.client_order_id for one in found)
    assert ids == sorted(["B-1", *(f"A-{n}" for n in range(25) if n != 7)])
    monkeypatch.undo()
    beta = answer(logged.state, asked.ListOpenOrders(desk="desk-beta"), T0).orders
    assert [(one.client_order_id, one.symbol, one.side) for one in beta] == [
        ("B-1", "BTC-USD", "buy")
    ]
    old = answer(logged.state, asked.ListOpenOrders(older_than_ns=20 * SECOND_NS), T0).orders
    assert sorted(one.client_order_id for one in old) == [f"A-{n}" for n in range(20, 25)]
    for field in ("desk", "symbol"):
        with pytest.raises(AdminError, match=f"there is no {field} 'NONE'"):
            answer(logged.state, asked.ListOpenOrders(**{field: "NONE"}), T0)
    beyond = answer(logged.state, asked.ListOpenOrders(cursor=2**32), T0)
    assert (beyond.orders, beyond.next_cursor) == ([], None)


def test_an_order_s_story_is_whole() -> None:
    logged = LoggedEngine()
    logged.submit(order())
    logged.submit(fill("F-1", 40, 5_000))
    logged.submit(fill("F-2", 10, -7, price=18_999))
    at = logged.state.next_sequence
    logged.submit(cancel())
    story = answer(logged.state, asked.OrderStory(desk="desk-alpha", client_order_id="A-1"), T0)
    assert (story.state, story.filled_quantity, story.hold_microcents) == ("closed", 50, 0)
    assert story.order is not None
    assert (story.order["symbol"], story.order["side"], story.order["price"]) == (
        "AAPL",
        "buy",
        19_000,
    )
    assert story.answer is not None
    assert (story.answer["venue"], story.answer["fee_microcents"]) == (10, ORDER_FEE)
    assert [(one.fill_id, one.quantity, one.fee_microcents, one.price) for one in story.fills] == [
        ("F-1", 40, 5_000, None),
        ("F-2", 10, -7, 18_999),
    ]
    assert (story.release_sequence, story.released_microcents) == (at, ORDER_NOTIONAL // 2)
    assert decode_reply(encode_reply(story, True)) == story


def test_a_story_has_reductions_and_executions() -> None:
    logged = LoggedEngine()
    logged.submit(order())
    logged.submit(fill("F-1", 40, 5_000, price=19_000))
    logged.submit(Reduce("desk-alpha", "A-1", "R-1", 10))
    trade = {"desk": "desk-alpha", "client_order_id": "A-1", "symbol": "AAPL", "side": "buy"}
    for name, lots in (("F-1", 40), ("F-2", 60)):
        said = Execution(**trade, execution_id=name, venue=10, quantity=lots, price=19_000)
        logged.submit(said)
    story = answer(logged.state, asked.OrderStory(desk="desk-alpha", client_order_id="A-1"), T0)
    at = logged.state.next_sequence
    assert [one.fill_id for one in story.fills] == ["F-1"]
    assert [msgspec.structs.astuple(one) for one in story.reductions] == [
        ("R-1", 10, ORDER_NOTIONAL // 10, [], at - 3)
    ]
    assert [msgspec.structs.astuple(one) for one in story.executions] == [
        ("F-1", 10, "AAPL", "buy", 40, 19_000, 0, ["confirms"], at - 2),
        ("F-2", 10, "AAPL", "buy", 60, 19_000, ORDER_NOTIONAL // 2, ["overfill"], at - 1),
    ]
    text = text_of(story)
    assert f"record {at - 3}: reduction R-1 of 10 lots, 1,900.00 freed" in text
    assert f"record {at - 1}: execution F-2 at venue 10, buy 60 lots of AAPL at 19,000 ticks (over"
    assert decode_reply(encode_reply(story, True)) == story


def test_a_story_says_what_people_have_said_of_a_fill() -> None:
    logged = LoggedEngine()
    logged.submit(order())
    logged.submit(fill("F-1", 40, 5_000))
    logged.submit(fill("F-2", 10, 100_000_000))
    name = {"desk": "desk-alpha", "client_order_id": "A-1", "why": "x"}
    for action in (
        asked.CorrectFill(action_id="1", fill_id="F-1", quantity=30, price=19_000, **name),
        asked.BustFill(action_id="2", fill_id="F-2", **name),
    ):
        logged.log(plan(logged.state, action, actor()).event)
    story = answer(logged.state, asked.OrderStory(desk="desk-alpha", client_order_id="A-1"), T0)
    assert [one.said for one in story.fills] == [
        ["corrected: 30 lots at 19000 ticks, fee 0.00005"],
        ["busted: it did not happen"],
    ]
    assert "    busted: it did not happen" in text_of(story)


def test_a_rejected_order_has_a_story_and_an_unknown_one_has_none() -> None:
    logged = LoggedEngine()
    logged.submit(order("R-1", risk_bps=10_000))
    story = answer(logged.state, asked.OrderStory(desk="desk-alpha", client_order_id="R-1"), T0)
    assert story.state == "refused"
    assert story.answer is not None
    assert story.answer["reason"] == "risk_hard_limit"
    with pytest.raises(AdminError, match="desk-alpha/X"):
        answer(logged.state, asked.OrderStory(desk="desk-alpha", client_order_id="X"), T0)


def test_the_configuration_in_force() -> None:
    state = traded().state
    shown = answer(state, asked.Configuration(), T0)
    assert shown.policy_digest_hex == state.policy_digest_hex
    assert [one.symbol for one in shown.instruments] == ["AAPL", "BTC-USD"]
    assert state.policy is not None
    assert shown.policy == state.policy.as_dict()
    assert decode_reply(encode_reply(shown, True)) == shown


def test_what_is_valued_at_recorded_prices_is_shown_where_it_is_kept() -> None:
    logged = limited(f'{WAIVED}revalue_bps = 1\nexposure_gross_max = "100000.00"')
    logged.marks["AAPL"] = (19_200, 5)
    for name, side, lots in (("A-1", "buy", 100), ("A-2", "sell", 160)):
        logged.admit(order(name, side=side, quantity=lots, price=19_000))
        (line,) = answer(logged.state, asked.ListPositions(), T0).positions
        if lots == 100:
            assert (line.price_ticks, line.unrealised_microcents) == (19_200, 0)
        logged.submit(fill("F-1", client_order_id=name, quantity=lots, price=19_000))
        (line,) = answer(logged.state, asked.ListPositions(), T0).positions
        made = 2 * 10**8 * line.position_lots
        assert (line.price_ticks, line.unrealised_microcents) == (19_200, made)
        desk = answer(logged.state, asked.ListDesks(), T0).desks[0]
        assert desk.exposure_gross_microcents == abs(line.position_lots) * 192 * 10**8
        assert desk.day_profit_microcents == made
    plain = traded(1)
    (line,) = answer(plain.state, asked.ListPositions(), T0).positions
    assert (line.price_ticks, line.unrealised_microcents) == (None, 0)
    plain.submit(fill("F-1", 1, client_order_id="A-0"))
    (line,) = answer(plain.state, asked.ListPositions(), T0).positions
    assert (line.price_ticks, line.unrealised_microcents) == (None, None)
    desk = answer(plain.state, asked.ListDesks(), T0).desks[0]
    assert (desk.exposure_gross_microcents, desk.day_profit_microcents) == (None, None)


def test_positions_come_page_by_page_and_by_desk_and_symbol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged = traded(2)
    logged.submit(fill("F-1", 1, client_order_id="A-0"))
    logged.submit(order("B-1", desk="desk-beta", symbol="BTC-USD", quantity=1_000, side="sell"))
    logged.submit(order("B-2", desk="desk-beta", quantity=3))
    whole = answer(logged.state, asked.ListPositions(), T0)
    assert (whole.since_sequence, whole.next_cursor) == (1, None)
    assert decode_reply(encode_reply(whole, True)) == whole
    alpha, btc, beta = whole.positions
    assert (alpha.desk, alpha.symbol, alpha.position_lots, alpha.confirmed_lots) == (
        "desk-alpha", "AAPL", 1, 1,
    )  # fmt: skip
    assert (alpha.working_buys, alpha.bought_lots) == (1, 1)
    assert (alpha.cost_microcents, alpha.realised_microcents) == (ORDER_NOTIONAL // 100, 0)
    assert (btc.desk, btc.symbol, btc.working_sells) == ("desk-beta", "BTC-USD", 1_000)
    assert (beta.symbol, beta.working_buys) == ("AAPL", 3)
    first = answer(logged.state, asked.ListPositions(limit=2), T0)
    assert (first.positions, first.next_cursor) == ([alpha, btc], 2)
    rest = answer(logged.state, asked.ListPositions(cursor=2), T0)
    assert (rest.positions, rest.next_cursor) == ([beta], None)
    for query, found in (
        (asked.ListPositions(desk="desk-beta"), [btc, beta]),
        (asked.ListPositions(symbol="AAPL"), [alpha, beta]),
        (asked.ListPositions(desk="desk-alpha", symbol="BTC-USD"), []),
        (asked.ListPositions(cursor=2**32), []),
    ):
        assert answer(logged.state, query, T0).positions == found
    monkeypatch.setattr(queries, "SCANNED_MAX", 1)
    page = answer(logged.state, asked.ListPositions(desk="desk-beta"), T0)
    assert (page.positions, page.next_cursor) == ([], 1)
    for field in ("desk", "symbol"):
        with pytest.raises(AdminError, match=f"there is no {field} 'NONE'"):
            answer(logged.state, asked.ListPositions(**{field: "NONE"}), T0)
