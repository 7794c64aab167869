"""What a person says of a fill: which may be said, what it moves, what it leaves as it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET, structs

from guard.engine.amendments import (
    AmendmentError,
    Correction,
    FillName,
    assess_acceptance,
    assess_bust,
    assess_correction,
)
from guard.engine.events import DeskToppedUp, FillAccepted, FillBusted, FillCorrected
from guard.record.codec import RecordError, encode_event
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import (
    ALPHA_BUDGET,
    I64_MAX,
    KEY,
    ORDER_NOTIONAL,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    balances,
    cancel,
    describe,
    dev_config,
    fill,
    fold,
    order,
    status,
    write_log,
)
from kernel import InvariantError
from wal import ChainHasher

NAME = FillName("desk-alpha", "A-1", "F-1")
HELD = ORDER_NOTIONAL


def say(engine: LoggedEngine, kind: type[Any], name: FillName = NAME, **changes: Any) -> Any:
    """Says it of the fill and logs that; None where the same has been said."""
    state, at_ns = engine.state, max(engine.now_ns, engine.state.last_received_at_ns)
    fields: dict[str, Any] | None
    if kind is FillAccepted:
        fields = assess_acceptance(state, name, at_ns)
    elif kind is FillBusted:
        fields = assess_bust(state, name, at_ns)
    else:
        fields = assess_correction(state, name, at_ns, Correction(**changes))
    if fields is None:
        return None
    event = actor(at_ns).event(kind, **fields)
    engine.log(event)
    return event


def with_fill(fee: int = 5_000, **changes: Any) -> LoggedEngine:
    """An admitted order with the fill."""
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill(fee=fee, **changes))
    return engine


def uncharged(fee: int = 5_000, budget: str = "2000000.00") -> LoggedEngine:
    """The fill of an order that nobody knows."""
    engine = LoggedEngine(dev_config(("2000000.00", budget)))
    engine.submit(fill(fee=fee))
    return engine


def settled(engine: LoggedEngine, directory: Path) -> None:
    """A start and a replay take the log, and give the very state."""
    assert describe(fold(engine.records).state) == describe(engine.state)
    write_log(directory, engine.records)
    again = replay_log(directory, ChainHasher(KEY)).engine.state
    assert state_digest_hex(again) == state_digest_hex(engine.state)


def test_an_accepted_fee_is_charged_once(tmp_path: Path) -> None:
    engine = uncharged()
    event = say(engine, FillAccepted)
    assert (event.fill_sequence, event.fee_microcents, event.unpaid_fee_microcents) == (8, 5_000, 0)
    assert balances(engine.state) == (ALPHA_BUDGET - 5_000, 0, 5_000)
    assert say(engine, FillAccepted) is None
    again = engine.submit(fill())
    assert (again.flags, again.repeat) == (["unknown", "uncharged", "accepted"], True)
    settled(engine, tmp_path)


def test_an_accepted_fee_that_cannot_be_paid_halts_and_is_owed(tmp_path: Path) -> None:
    engine = uncharged(ALPHA_BUDGET + 7)
    event = say(engine, FillAccepted)
    assert event.unpaid_fee_microcents == 7
    desk = engine.state.desks["desk-alpha"]
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (True, 7)
    assert engine.reject(order("A-2")).reason == "desk_reducing"
    # The bust gives all of it back, and what was owed is paid out of that.
    busted = say(engine, FillBusted)
    assert (busted.returned_microcents, busted.collected_microcents) == (ALPHA_BUDGET + 7, 7)
    assert (desk.is_halted, desk.unpaid_fees_microcents) == (False, 0)
    assert balances(engine.state) == (ALPHA_BUDGET, 0, ALPHA_BUDGET + 7)
    settled(engine, tmp_path)


def test_an_order_does_not_meet_a_fill_of_which_a_person_has_spoken(tmp_path: Path) -> None:
    engine = uncharged()
    engine.submit(fill("F-2", quantity=10))
    say(engine, FillAccepted)
    engine.admit(order())
    assert engine.submit(status()).filled_quantity == 10
    assert balances(engine.state)[2] == 10_000
    settled(engine, tmp_path)


def test_a_bust_returns_the_fee_and_nothing_else(tmp_path: Path) -> None:
    engine = with_fill()
    before = balances(engine.state)
    event = say(engine, FillBusted)
    assert (event.returned_microcents, event.collected_microcents) == (5_000, UNSET)
    # What is spent never falls: the fee returns as a top-up.
    assert balances(engine.state) == (before[0] + 5_000, before[1], 5_000)
    assert engine.state.ledger.initial_microcents("desk-alpha") == ALPHA_BUDGET + 5_000
    reply = engine.submit(status())
    assert (reply.filled_quantity, reply.open_quantity, reply.busted_fills) == (40, 60, 1)
    assert reply.corrected_fills is UNSET
    assert engine.submit(fill()).flags == ["busted"]
    assert say(engine, FillBusted) is None
    settled(engine, tmp_path)


@pytest.mark.parametrize("fee", [0, -5_000])
def test_a_bust_of_a_fill_that_cost_nothing_returns_nothing(fee: int) -> None:
    engine = with_fill(fee)
    before = balances(engine.state)
    assert say(engine, FillBusted).returned_microcents == 0
    assert balances(engine.state) == before


def test_a_bust_of_an_uncharged_fill_returns_nothing() -> None:
    engine = uncharged()
    assert say(engine, FillBusted).returned_microcents == 0
    assert balances(engine.state) == (ALPHA_BUDGET, 0, 0)
    with pytest.raises(AmendmentError, match="fill desk-alpha/A-1/F-1: it was busted"):
        say(engine, FillAccepted)
    with pytest.raises(AmendmentError, match="it was busted"):
        say(engine, FillCorrected, quantity=1)


def test_a_correction_moves_the_difference_of_the_fees(tmp_path: Path) -> None:
    engine = with_fill()
    dearer = say(engine, FillCorrected, fee_microcents=7_000, quantity=50)
    assert (dearer.charged_microcents, dearer.returned_microcents) == (2_000, 0)
    assert (dearer.quantity, dearer.price, dearer.fee_microcents) == (50, None, 7_000)
    cheaper = say(engine, FillCorrected, fee_microcents=-1, price=19_001)
    assert (cheaper.charged_microcents, cheaper.returned_microcents) == (0, 7_000)
    assert (cheaper.quantity, cheaper.price) == (50, 19_001)
    assert balances(engine.state)[2] == 7_000
    assert engine.state.desks["desk-alpha"].returned_microcents == 7_000
    # The same once more, said in full or in part, is a repeat.
    assert say(engine, FillCorrected, fee_microcents=-1, price=19_001) is None
    assert say(engine, FillCorrected, quantity=50) is None
    reply = engine.submit(status())
    assert (reply.filled_quantity, reply.hold_microcents) == (40, HELD * 6 // 10)
    assert (reply.corrected_fills, reply.busted_fills) == (1, UNSET)
    assert engine.submit(fill()).flags == ["corrected"]
    assert say(engine, FillBusted).returned_microcents == 0
    settled(engine, tmp_path)


def test_a_corrected_fee_is_what_is_accepted() -> None:
    engine = uncharged(ALPHA_BUDGET * 2)
    assert say(engine, FillCorrected, fee_microcents=3).charged_microcents == 0
    assert say(engine, FillAccepted).fee_microcents == 3
    assert say(engine, FillCorrected, fee_microcents=5).charged_microcents == 2
    assert balances(engine.state)[2] == 5


def test_a_correction_says_what_cannot_be_paid() -> None:
    engine = with_fill()
    event = say(engine, FillCorrected, fee_microcents=ALPHA_BUDGET)
    free = ALPHA_BUDGET - HELD * 6 // 10 - 5_000
    assert event.unpaid_fee_microcents == ALPHA_BUDGET - 5_000 - free
    assert engine.state.desks["desk-alpha"].is_halted is True
    released = engine.submit(cancel())
    assert released.collected_microcents == event.unpaid_fee_microcents
    assert engine.state.desks["desk-alpha"].is_halted is False


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (FillName("desk-alpha", "A-1", "F-9"), "fill desk-alpha/A-1/F-9: no such fill is known"),
        (FillName("desk-alpha", "A-1", "x" * 65), "no such fill is known, or it was forgotten"),
        (FillName("nobody", "A-1", "F-1"), "the log has no desk 'nobody' that could be charged"),
        (NAME, "fill desk-alpha/A-1/F-1: its fee was charged when it was recorded"),
    ],
)
def test_what_cannot_be_accepted(name: FillName, words: str) -> None:
    engine = with_fill()
    engine.submit(fill(desk="nobody"))
    before = describe(engine.state)
    with pytest.raises(AmendmentError, match=words):
        say(engine, FillAccepted, name)
    assert describe(engine.state) == before


def test_nothing_can_be_said_of_what_was_forgotten() -> None:
    engine = uncharged()
    engine.now_ns = T0 + WINDOW_NS
    with pytest.raises(AmendmentError, match="it was forgotten"):
        say(engine, FillAccepted)


def test_what_was_said_is_forgotten_with_the_fill() -> None:
    """Another fill under that identity is another fill."""
    engine = uncharged()
    say(engine, FillBusted)
    engine.now_ns = T0 + WINDOW_NS
    assert engine.submit(fill()).flags == ["unknown", "uncharged"]
    assert engine.submit(fill()).flags == ["unknown", "uncharged"]
    assert say(engine, FillAccepted).fee_microcents == 5_000
    engine.submit(fill("F-2"))
    say(engine, FillBusted, NAME._replace(fill_id="F-2"))
    assert len(list(engine.state.facts.dump())) == 4  # two fills, and what was said of each


def test_a_return_beyond_what_a_budget_can_be_is_refused() -> None:
    engine = LoggedEngine()
    engine.admit(order())
    engine.submit(fill())
    more = I64_MAX - ALPHA_BUDGET
    engine.log(actor().event(DeskToppedUp, desk="desk-alpha", amount_microcents=more))
    with pytest.raises(AmendmentError, match=f"was granted {I64_MAX}: together at most {I64_MAX}"):
        say(engine, FillBusted)


FORGED: list[tuple[Callable[[], tuple[LoggedEngine, Any]], dict[str, Any], str]] = [
    (lambda: (e := uncharged(), say(e, FillAccepted)), {"fee_microcents": 4_999}, "fee_microcents"),
    (
        lambda: (e := uncharged(), say(e, FillAccepted)),
        {"unpaid_fee_microcents": 1},
        "unpaid_fee_microcents",
    ),
    (lambda: (e := uncharged(), say(e, FillAccepted)), {"fill_sequence": 7}, "fill_sequence"),
    (lambda: (e := uncharged(), say(e, FillAccepted)), {"fill_id": "F-9"}, "no such fill is known"),
    (
        lambda: (e := with_fill(), say(e, FillBusted)),
        {"returned_microcents": 5_001},
        "returned_mic",
    ),
    (
        lambda: (e := with_fill(), say(e, FillBusted)),
        {"collected_microcents": 1},
        "collected_micro",
    ),
    (
        lambda: (e := with_fill(), say(e, FillCorrected, fee_microcents=1)),
        {"charged_microcents": 1},
        "charged_microcents",
    ),
]


@pytest.mark.parametrize(("make", "changes", "words"), FORGED)
def test_a_record_that_says_otherwise_is_refused(
    make: Any, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    engine, event = make()
    event = structs.replace(event, **changes)
    records = [*engine.records[:-1], encode_event(event).replace(
        b'"batch_first_sequence":1,', b'"batch_first_sequence":%d,' % len(engine.records)
    )]  # fmt: skip
    write_log(tmp_path, records)
    with pytest.raises(ReplayMismatch, match=words):
        replay_log(tmp_path, ChainHasher(KEY))


def test_the_same_twice_is_no_record(tmp_path: Path) -> None:
    engine = uncharged()
    say(engine, FillAccepted)
    again = engine.records[-1].replace(b'"batch_first_sequence":9', b'"batch_first_sequence":10')
    write_log(tmp_path, [*engine.records, again])
    with pytest.raises(ReplayMismatch, match="the same has been said of it before"):
        replay_log(tmp_path, ChainHasher(KEY))
    with pytest.raises(InvariantError, match="is not known"):
        fold([*engine.records[:7], *engine.records[8:]])
    assert issubclass(RecordError, ValueError)
