"""Limits of a day's loss: at the limit, one below, one above, and what becomes of a breach.

Every order goes through the bytes of its record, and each test's log is replayed, folded, and its
state taken through a checkpoint, which must come to the same (`describe`).
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.admin.messages import AdminError
from guard.config.activation import limits_event
from guard.engine.day_loss import Losses, place_of
from guard.engine.events import FillBusted, FillCorrected
from guard.engine.limit_lines import limit_lines
from guard.engine.loss_events import LossBreached
from guard.engine.people_events import LatchLifted
from guard.protocol.messages import I64_MAX, Admit
from guard.record.applying import RecordFolder
from guard.record.codec import RecordError, encode_event
from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_limits_support import WAIVED, limit_detail, limited, limits_config, verdict
from guard_support import (
    LoggedEngine,
    actor,
    cancel,
    fill,
    order,
    settled,
    write_log,
)
from loss_support import HASHER, breaches, money, turn_day
from loss_support import engines as engines
from position_support import say

FIRM, DESK, SYMBOL, DESK_SYMBOL = 1, 2, 3, 4
LOT = 1_000_000  # microcents of one lot of AAPL a tick
PRICE, LOTS = 20_000, 100
LOSS = 10 * LOTS * LOT  # ten ticks
REASON = "day_loss_above_max"
RULE = f"{WAIVED}revalue_bps = 0\n"
PLACES = {
    FIRM: "",
    DESK: "[limits.desk.desk-alpha]\n",
    SYMBOL: "[limits.symbol.AAPL]\n",
    DESK_SYMBOL: "[limits.desk.desk-alpha.symbol.AAPL]\n",
}
NAMES = {
    FIRM: ("", ""),
    DESK: ("desk-alpha", ""),
    SYMBOL: ("", "AAPL"),
    DESK_SYMBOL: ("desk-alpha", "AAPL"),
}


def limit_text(limit: int, scope: int = DESK) -> str:
    return f'{RULE}{PLACES[scope]}day_loss_max = "{money(limit)}"\n'


def begun(engines: list[LoggedEngine], text: str, side: str = "buy") -> LoggedEngine:
    """desk-alpha has 100 AAPL, for what they are worth, or owes them."""
    engine = limited(text)
    engine.marks = {"AAPL": (PRICE, 1), "BTC-USD": (6_000_000, 1)}
    engines.append(engine)
    engine.admit(order(side=side, quantity=LOTS, price=PRICE))
    engine.submit(fill("F-1", LOTS, fee=0, price=PRICE))
    return engine


def moved(engine: LoggedEngine, ticks: int, symbol: str = "AAPL") -> None:
    engine.marks[symbol] = (engine.marks[symbol][0] + ticks, 1)


def lift(engine: LoggedEngine, scope: int = DESK) -> Any:
    desk, symbol = NAMES[scope]
    count = len(engine.records)
    action = asked.LiftLatch(
        desk=desk, symbol=symbol, latch="loss", action_id=f"L-{count}", why="looked at it"
    )
    planned = plan(engine.state, action, actor(engine.now_ns))
    engine.log(planned.event)
    return planned


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("scope", PLACES)
def test_at_the_limit_one_below_and_one_above(
    scope: int, side: str, engines: list[LoggedEngine]
) -> None:
    worse = -10 if side == "buy" else 10
    for limit in (LOSS + 1, LOSS, LOSS - 1, 0):
        engine = begun(engines, limit_text(limit, scope), side)
        assert verdict(engine, side=side, quantity=1, price=PRICE) == "admitted"
        moved(engine, worse)
        found = verdict(engine, side=side, quantity=1, price=PRICE)
        if limit >= LOSS:
            assert found == "admitted"
            assert breaches(engine) == []
            continue
        used = LOSS if scope in (DESK, DESK_SYMBOL) else 0
        assert found == (REASON, limit_detail(0, limit, used, scope))
        assert breaches(engine) == [(*NAMES[scope], LOSS, limit)]
        # It is said once, and whoever gets out may.
        assert verdict(engine, side=side, quantity=1, price=PRICE)[0] == REASON
        other = "sell" if side == "buy" else "buy"
        answer = engine.submit(order("X-1", side=other, quantity=LOTS, price=PRICE))
        assert isinstance(answer, Admit)
        assert answer.reducing is True
        assert len(breaches(engine)) == 1


def test_other_desks_and_symbols_go_on(engines: list[LoggedEngine]) -> None:
    btc = {"symbol": "BTC-USD", "quantity": 1_000, "price": 6_000_000}
    beta = {"desk": "desk-beta", "quantity": 1, "price": PRICE}
    for scope in PLACES:
        engine = begun(engines, limit_text(LOSS - 1, scope))
        moved(engine, -10)
        assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
        assert (verdict(engine, **btc) == "admitted") == (scope in (SYMBOL, DESK_SYMBOL))
        assert (verdict(engine, **beta) == "admitted") == (scope in (DESK, DESK_SYMBOL))


def test_the_narrowest_place_is_named_and_each_is_said(engines: list[LoggedEngine]) -> None:
    text = RULE + "".join(
        f'{PLACES[scope]}day_loss_max = "{money(LOSS - scope)}"\n' for scope in PLACES
    )
    engine = begun(engines, text)
    moved(engine, -10)
    detail = limit_detail(0, LOSS - DESK_SYMBOL, LOSS, DESK_SYMBOL)
    assert verdict(engine, quantity=1, price=PRICE) == (REASON, detail)
    assert sorted(breaches(engine)) == sorted(
        (*NAMES[scope], LOSS, LOSS - scope) for scope in PLACES
    )
    detail = limit_detail(0, LOSS - DESK, LOSS, DESK)
    btc = {"symbol": "BTC-USD", "quantity": 1_000, "price": 6_000_000}
    assert verdict(engine, **btc) == (REASON, detail)
    detail = limit_detail(0, LOSS - SYMBOL, 0, SYMBOL)
    assert verdict(engine, desk="desk-beta", quantity=1, price=PRICE) == (REASON, detail)
    detail = limit_detail(0, LOSS - FIRM, 0, FIRM)
    assert verdict(engine, desk="desk-beta", **btc) == (REASON, detail)


def test_what_desks_make_and_lose_counts_together_in_wider_scopes(
    engines: list[LoggedEngine],
) -> None:
    """What desk-beta makes is the firm's and the symbol's, and no help to desk-alpha."""
    for scope, is_beyond in ((FIRM, False), (SYMBOL, False), (DESK, True), (DESK_SYMBOL, True)):
        engine = begun(engines, limit_text(LOSS - 1, scope))
        engine.admit(order("B-1", desk="desk-beta", side="sell", quantity=1, price=PRICE))
        beta = {"desk": "desk-beta", "client_order_id": "B-1"}
        engine.submit(fill("F-2", 1, fee=0, price=PRICE, **beta))
        moved(engine, -10)
        assert (verdict(engine, quantity=1, price=PRICE) != "admitted") == is_beyond


def test_a_realised_loss_counts_alike_and_is_said_behind_its_fill(
    engines: list[LoggedEngine],
) -> None:
    for limit in (LOSS, LOSS - 1):
        engine = begun(engines, limit_text(limit))
        engine.admit(order("S-1", side="sell", quantity=LOTS, price=PRICE - 10))
        engine.submit(fill("F-2", 60, fee=0, price=PRICE - 10, client_order_id="S-1"))
        assert breaches(engine) == []
        moved(engine, -10)
        engine.submit(fill("F-3", 40, fee=0, price=PRICE - 10, client_order_id="S-1"))
        last = msgspec.json.decode(engine.records[-1])
        if limit == LOSS:
            assert last["event"] == "fill"
            assert verdict(engine, quantity=1, price=PRICE) == "admitted"
        else:
            assert (last["event"], last["loss_microcents"]) == ("loss_breached", LOSS)
            assert verdict(engine, quantity=1, price=PRICE)[0] == REASON


def test_what_works_has_lost_nothing_and_stays(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, limit_text(LOSS - 1))
    engine.admit(order("A-2", quantity=1_000, price=PRICE))
    moved(engine, -9)
    assert verdict(engine, quantity=1, price=PRICE) == "admitted"
    moved(engine, -1)
    assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
    engine.submit(fill("F-9", 10, fee=0, price=PRICE - 10, client_order_id="A-2"))
    assert engine.state.latches.of("desk-alpha", "").keys() == {"loss"}
    engine.submit(cancel("A-2"))


def test_a_person_lifts_it_once_it_is_over_and_not_before(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, limit_text(LOSS - 1))
    moved(engine, -10)
    verdict(engine, quantity=1, price=PRICE)
    with pytest.raises(AdminError) as caught:
        lift(engine)
    assert (caught.value.code, caught.value.field) == ("not_over", "latch")
    assert "it has lost 10.00 since the day's turn, and may lose 9.99" in str(caught.value)
    early = actor(batch=engine.engine.next_sequence).event(
        LatchLifted, desk="desk-alpha", symbol="", latch="loss"
    )
    with pytest.raises(RecordError, match="once it is over"):
        RecordFolder(engine.engine, "test-key-id").read(
            engine.engine.next_sequence, encode_event(early), ""
        )
    moved(engine, 1)
    assert verdict(engine, quantity=1, price=PRICE)[0] == REASON  # over, and nobody has said so
    assert lift(engine).changes[0].endswith("lifted")
    assert verdict(engine, quantity=1, price=PRICE) == "admitted"
    moved(engine, -1)
    assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
    assert [loss for _, _, loss, _ in breaches(engine)] == [LOSS, LOSS]


def test_a_day_begins_anew_from_what_there_was_at_its_turn(engines: list[LoggedEngine]) -> None:
    for scope in PLACES:
        engine = begun(engines, limit_text(LOSS - 1, scope))
        moved(engine, -10)
        assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
        assert engine.state.day_profit(*NAMES[scope]) == -LOSS
        turn_day(engine)
        assert engine.state.day_profit(*NAMES[scope]) == 0
        assert verdict(engine, quantity=1, price=PRICE)[0] == REASON  # until a person says so
        lift(engine, scope)
        assert verdict(engine, quantity=1, price=PRICE) == "admitted"
        moved(engine, -10)
        assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
        assert len(breaches(engine)) == 2
        # What is made good of yesterday's loss is today's profit.
        turn_day(engine, "2026-01-02")
        moved(engine, 20)
        verdict(engine, quantity=1, price=PRICE)
        assert engine.state.day_profit(*NAMES[scope]) == 2 * LOSS


def test_a_turn_is_the_same_whether_money_was_bounded_or_not(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, RULE)
    moved(engine, -10)
    verdict(engine, symbol="BTC-USD", quantity=1_000, price=6_000_000)
    verdict(engine, side="sell", quantity=1, price=PRICE)
    turn_day(engine)
    assert engine.state.positions.turned_count == 2
    moved(engine, -3)
    engine.log(limits_event(limits_config(limit_text(LOSS)).limits, actor(engine.now_ns)))
    verdict(engine, quantity=1, price=PRICE)
    assert engine.state.day_profit("desk-alpha", "AAPL") == -3 * LOTS * LOT


def test_a_day_without_profit_or_loss_keeps_nothing(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, limit_text(LOSS))
    turn_day(engine)
    assert engine.state.positions.turned_count == 0


def test_limits_that_are_set_lowered_and_raised(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, limit_text(LOSS))
    moved(engine, -10)
    assert verdict(engine, quantity=1, price=PRICE) == "admitted"
    for limit, count in ((LOSS - 1, 1), (LOSS - 2, 1), (LOSS, 1)):
        text = limit_text(limit)
        engine.log(limits_event(limits_config(text).limits, actor(engine.now_ns)))
        assert len(breaches(engine)) == count  # directly behind what has lowered it
        assert verdict(engine, quantity=1, price=PRICE)[0] == REASON
    lift(engine)
    assert verdict(engine, quantity=1, price=PRICE) == "admitted"
    engine.log(limits_event(limits_config(limit_text(0)).limits, actor(engine.now_ns)))
    engine.log(limits_event(limits_config(RULE).limits, actor(engine.now_ns)))
    # What was latched stays so, though there is no such limit any more; and can be lifted.
    assert verdict(engine, quantity=1, price=PRICE) == (REASON, limit_detail(0, I64_MAX, 0, DESK))
    lift(engine)
    assert verdict(engine, quantity=1, price=PRICE) == "admitted"


def test_what_is_said_of_a_fill_afterwards_counts(engines: list[LoggedEngine]) -> None:
    """Corrected to a price at which it has lost more; busted, so that nothing is left of it."""
    engine = begun(engines, limit_text(LOSS - 1))
    say(engine, FillCorrected, quantity=LOTS, price=PRICE + 10, fee_microcents=0)
    assert breaches(engine) == [("desk-alpha", "", LOSS, LOSS - 1)]
    say(engine, FillBusted)
    assert engine.state.day_profit("desk-alpha", "") == 0
    lift(engine)


def test_without_a_price_nothing_is_let_in(engines: list[LoggedEngine]) -> None:
    for scope in PLACES:
        engine = limited(limit_text(LOSS, scope))
        engines.append(engine)
        assert verdict(engine) == ("reference_missing", {"scope": FIRM})
        is_open = scope in (DESK, DESK_SYMBOL)
        assert (verdict(engine, desk="desk-beta") == "admitted") == is_open
        engine.marks = {"AAPL": (PRICE, 1)}
        assert verdict(engine) == "admitted"


def test_nothing_is_bounded_where_it_is_waived(engines: list[LoggedEngine]) -> None:
    waived = limited(f'{RULE}day_loss_max = "none"')
    waived.marks = {"AAPL": (1, 1)}
    engines.append(waived)
    assert verdict(waived, price=1) == "admitted"
    assert not waived.state.positions.exposure.losses.is_on


def test_each_limit_says_what_is_used_of_it(engines: list[LoggedEngine]) -> None:
    text = RULE + "".join(f'{PLACES[scope]}day_loss_max = "1000"\n' for scope in PLACES)
    engine = begun(engines, text)
    moved(engine, -7)
    verdict(engine, quantity=1, price=PRICE)
    lines = limit_lines(engine.state, "desk-alpha", "AAPL")
    found = {
        line["scope"]: (line["used"], line["is_own"])
        for line in lines
        if line["limit"] == "day_loss_max_microcents"
    }
    used = 7 * LOTS * LOT
    assert found == {
        "firm": (used, False),
        "desk": (used, True),
        "symbol": (used, False),
        "desk_symbol": (used, True),
    }


def beyond() -> LoggedEngine:
    engine = begun([], limit_text(LOSS - 1))
    moved(engine, -10)
    verdict(engine, quantity=1, price=PRICE)
    verdict(engine, side="sell", quantity=1, price=PRICE)
    return engine


def replayed(place: Path, records: list[bytes]) -> str:
    """What replay and fold say of a log of these records; nothing where they take it."""
    write_log(place, settled(records))
    found = []
    for reads in (replay_log, fold_log):
        try:
            reads(place, HASHER)
        except (ReplayMismatch, NotOurLogError) as error:
            found.append(str(error))
    assert len(found) in (0, 2)
    return found[0] if found else ""


def is_breach(data: bytes) -> bool:
    return data.startswith(b'{"event":"loss_breached"')


def test_a_breach_that_is_missing_or_late_is_found(tmp_path: Path) -> None:
    records = beyond().records
    at = next(index for index, data in enumerate(records) if is_breach(data))
    assert replayed(tmp_path / "whole", records) == ""
    words = "allowed: loss_breached of desk desk-alpha, which is due"
    assert words in replayed(tmp_path / "missing", records[:at] + records[at + 1 :])
    late = [*records[:at], records[at + 1], records[at], *records[at + 2 :]]
    assert words in replayed(tmp_path / "late", late)
    twice = [*records[: at + 1], records[at], *records[at + 1 :]]
    assert "and no record has said so" in replayed(tmp_path / "twice", twice)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("loss_microcents", LOSS - 1, f"loss_microcents: {LOSS - 1} is not allowed; allowed"),
        ("limit_microcents", LOSS, f"limit_microcents: {LOSS} is not allowed; allowed"),
        ("desk", "desk-beta", "loss_breached of desk desk-beta"),
        ("symbol", "AAPL", "loss_breached of desk desk-alpha in AAPL"),
        ("loss_microcents", 0, "loss_microcents"),
        ("client", "desk-alpha", "client: 'desk-alpha' is not allowed; allowed: local"),
    ],
)
def test_a_breach_that_cannot_be_is_found(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    records = beyond().records
    at = next(index for index, data in enumerate(records) if is_breach(data))
    event = {**msgspec.json.decode(records[at]), field: value}
    log = [*records[:at], msgspec.json.encode(event), *records[at + 1 :]]
    assert words in replayed(tmp_path / "log", log)


def test_a_breach_that_is_early_is_found(tmp_path: Path) -> None:
    engine = begun([], limit_text(LOSS))
    event = LossBreached(
        received_at_ns=engine.state.last_received_at_ns,
        client="local",
        batch_first_sequence=engine.engine.next_sequence,
        desk="desk-alpha",
        symbol="",
        loss_microcents=LOSS,
        limit_microcents=LOSS,
    )
    words = replayed(tmp_path / "log", [*engine.records, encode_event(event)])
    assert "where a place has come to lose more than it may" in words


def test_no_log_has_one_under_rules_that_had_none() -> None:
    engine = LoggedEngine(rules_version=2)
    event = LossBreached(
        received_at_ns=engine.state.last_received_at_ns,
        client="local",
        batch_first_sequence=engine.engine.next_sequence,
        desk="",
        symbol="",
        loss_microcents=1,
        limit_microcents=0,
    )
    folder = RecordFolder(engine.engine, "test-key-id")
    with pytest.raises(RecordError, match="since version 3 of the rules"):
        folder.read(engine.engine.next_sequence, encode_event(event), "")


def test_figures_that_pass_by_while_a_record_is_applied_are_none() -> None:
    losses = Losses()
    losses.set({})
    assert (losses.is_on, losses.look(0, -5), losses.take_moved()) == (False, 0, [])
    place = place_of(3, -1)
    assert len({place_of(desk, symbol) for desk in (0, 1, 2) for symbol in (-1, 0, 1)}) == 9
    engine = begun([], limit_text(7))
    kept = engine.state.positions.exposure.losses
    (place,) = kept.limits
    kept.look(place, -8)
    kept.look(place, -7)
    engine.state.advance(engine.engine.next_sequence, engine.now_ns)
    assert engine.state.losses_due == {}
    kept.look(place, -8)
    engine.state.advance(engine.engine.next_sequence, engine.now_ns)
    assert [*engine.state.losses_due] == [place]
    kept.look(place, -7)
    engine.state.advance(engine.engine.next_sequence, engine.now_ns)
    assert engine.state.losses_due == {}


BAD_TREES = [
    ('day_loss_max = "-1"', "limits.day_loss_max"),
    ("day_loss_max = 1", "limits.day_loss_max"),
    ('day_loss_max = "1.000000001"', "limits.day_loss_max"),
]


@pytest.mark.parametrize(("text", "words"), BAD_TREES)
def test_a_limit_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", "\\.")):
        limits_config(f"{RULE}{text}")


def test_losses_are_bounded_only_where_positions_have_prices() -> None:
    words = "day_loss_max: 100000000 is not allowed; allowed: where the firm's scope says"
    with pytest.raises(ValueError, match=words):
        limits_config(f'{WAIVED}{PLACES[DESK_SYMBOL]}day_loss_max = "1"')
