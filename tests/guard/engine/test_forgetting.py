"""What is forgotten, in which steps, and that nothing stamped acts twice in any window."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from guard.engine.events import RulesActivated, SessionClosed, SessionStarted
from guard.engine.forgetting import FORGET_STEPS
from guard.protocol.messages import Admit, Cancel
from guard.record.codec import decode_data
from guard.recovery.checkpoint_payload import state_digest_hex
from guard_support import (
    SECOND_NS,
    T0,
    WINDOW_NS,
    LoggedEngine,
    actor,
    apply,
    cancel,
    describe,
    dev_config,
    fill,
    fold,
    order,
    status,
)
from guard_windows_support import accept_clock, reloaded, replayed, settings

DAY_NS = 86_400 * SECOND_NS


def light(name: str, **changes: Any) -> Any:
    return order(name, quantity=1, **changes)


# In steps.


def test_what_expires_together_is_forgotten_in_steps() -> None:
    engine = LoggedEngine()
    engine.is_checked = False
    count = 3 * FORGET_STEPS
    for number in range(count):
        engine.reject(light(f"A-{number}", risk_bps=10_000))
    engine.now_ns = T0 + WINDOW_NS + 1
    orders = engine.state.orders
    left = [len(orders)]
    while left[-1] > 1:
        engine.reject(light(f"B-{len(left)}", desk="desk-beta", risk_bps=10_000))
        left.append(len(orders) - len(left))
        # All of it is unknown at once.
        assert engine.submit(status(f"A-{count - 1}")).state == "unknown"
        if left[-1] == 0:
            break
    # Every third record, by turns, is desk-alpha's.
    assert max(before - after for before, after in itertools.pairwise(left)) == FORGET_STEPS
    assert left[-1] == 0
    assert describe(fold(engine.records).state) == describe(engine.state)


def test_an_orders_fills_go_before_it_one_by_one(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.is_checked = False
    engine.admit(order(quantity=500))
    fills = [fill(f"F-{number}", 1, 0) for number in range(2 * FORGET_STEPS)]
    for each in fills:
        engine.submit(each)
    engine.submit(cancel())
    engine.now_ns = T0 + WINDOW_NS + 1
    share = engine.state.orders.shares.of(1)
    assert (share.ids, share.fills) == (1, len(fills))
    engine.reject(light("B-1", risk_bps=10_000))
    assert (share.ids, share.fills) == (2, FORGET_STEPS)
    # The latest went first; what is left is still known, and counts no second time.
    assert engine.submit(fills[0]).repeat is True
    assert engine.submit(fills[-1]).flags == ["unknown"]
    assert (share.ids, share.fills) == (2, 0)
    engine.reject(light("B-2", risk_bps=10_000))
    assert (share.ids, share.fills) == (2, 0)
    assert describe(replayed(engine.records, tmp_path)) == describe(engine.state)


def test_an_id_taken_again_before_it_was_swept_out_is_a_new_one() -> None:
    """With the one of before go its fills: those of the new order are its own."""
    engine = LoggedEngine()
    engine.is_checked = False
    for number in range(2 * FORGET_STEPS):
        engine.admit(light(f"A-{number}"))
        engine.submit(fill("F-1", 1, 0, client_order_id=f"A-{number}"))
    engine.now_ns = T0 + WINDOW_NS + 1
    last = f"A-{2 * FORGET_STEPS - 1}"  # in the queue's end, and then in its middle
    before = f"A-{2 * FORGET_STEPS - 3}"
    for name in (last, before):
        answer = engine.admit(light(name))
        assert answer.repeat is False
        assert engine.submit(fill("F-1", 1, 0, client_order_id=name)).flags == []
        assert engine.submit(light(name)).wal_sequence == answer.wal_sequence
    for _ in range(12):
        engine.reject(light(f"B-{engine.engine.next_sequence}", risk_bps=10_000))
    assert engine.state.orders.shares.of(1).ids == 2 + 12
    for state in (fold(engine.records).state, reloaded(engine.state)):
        assert describe(state) == describe(engine.state)


def test_a_fill_of_no_order_taken_again_before_it_was_swept_out() -> None:
    engine = LoggedEngine()
    engine.is_checked = False
    count = 3 * FORGET_STEPS
    for number in range(count):
        engine.submit(fill("F-1", client_order_id=f"N-{number}", fee=0))
    engine.now_ns = T0 + WINDOW_NS
    last = fill("F-1", client_order_id=f"N-{count - 1}", fee=0)
    first = engine.submit(last)
    assert (first.repeat, first.flags) == (False, ["unknown"])
    assert engine.submit(last).wal_sequence == first.wal_sequence
    assert describe(fold(engine.records).state) == describe(engine.state)


# The way back.


def test_a_window_that_grows_keeps_its_promise(tmp_path: Path) -> None:
    engine = LoggedEngine(dev_config(remembered_order_window_s=1))
    stamped = light("A-1", sent_at_ns=T0)
    engine.admit(stamped)
    engine.submit(fill("F-1", 1, 0), T0 + SECOND_NS // 2)
    engine.reject(light("A-2", risk_bps=10_000), T0 + 3 * SECOND_NS)
    assert engine.submit(status()).state == "unknown"
    settings(engine, 3_600)
    closed_ns = T0 + SECOND_NS // 2
    for _ in range(2):
        answer = engine.reject(stamped)
        assert answer.reason == "stale_order"
        assert answer.detail == {"asked": T0, "limit": closed_ns, "used": T0 + 3 * SECOND_NS}
        # To the nanosecond: what was sent then may be forgotten, what was sent later is not.
        name = f"A-{engine.engine.next_sequence}"
        assert engine.reject(light(name, sent_at_ns=closed_ns)).reason == "stale_order"
        assert isinstance(engine.submit(light(name, sent_at_ns=closed_ns + 1)), Admit)
        engine.engine.state = reloaded(engine.state)
    assert describe(replayed(engine.records, tmp_path)) == describe(engine.state)


def test_what_was_sent_later_than_it_was_closed_counts_by_that() -> None:
    engine = LoggedEngine(dev_config(remembered_order_window_s=10))
    ahead_ns = T0 + 10 * SECOND_NS
    engine.reject(light("A-1", sent_at_ns=ahead_ns, risk_bps=10_000))
    engine.reject(light("A-2", risk_bps=10_000), ahead_ns + 10 * SECOND_NS + 1)
    assert engine.submit(status("A-1")).state == "unknown"
    settings(engine, 3_600)
    assert engine.reject(light("A-1", sent_at_ns=ahead_ns)).reason == "stale_order"


def old_log(window_s: int = 3_600) -> LoggedEngine:
    """A log of rules version 1 that remembers closed and open orders of two desks and none."""
    engine = LoggedEngine(dev_config(remembered_order_window_s=1), rules_version=1)
    engine.submit(light("gone", sent_at_ns=T0, risk_bps=10_000))
    engine.submit(status("x"), T0 + 3 * SECOND_NS)
    engine.admit(light("A-1", sent_at_ns=engine.now_ns))
    settings(engine, window_s)
    for number in range(2, 8):
        desk = ("desk-alpha", "desk-beta", "nobody")[number % 3]
        engine.submit(light(f"A-{number}", desk=desk, risk_bps=(200, 10_000)[number % 2]))
        engine.submit(fill("F-1", 1, 0, client_order_id=f"A-{number}", desk=desk))
        engine.submit(Cancel(desk, f"A-{number}"))
    assert engine.submit(status("gone")).state == "unknown"
    return engine


def upgrade(engine: LoggedEngine, clock_ns: int | None = None) -> None:
    """What the first start of software with newer rules logs."""
    engine.log(actor(engine.now_ns).event(SessionClosed))
    said: dict[str, Any] = {} if clock_ns is None else {"clock_ns": clock_ns}
    by = actor(engine.now_ns, engine.engine.next_sequence)
    engine.log(
        by.event(
            SessionStarted,
            epoch=2,
            software_version="9.9.9",
            recovered_sequence=1,
            recovered_hash="",
            after_clean_stop=True,
            cuts=[],
            **said,
        )
    )
    engine.log(by.event(RulesActivated, rules_version=2, previous_rules_version=1))


def test_a_log_of_earlier_rules_is_shared_out_where_it_is_taken_over(tmp_path: Path) -> None:
    engine = old_log()
    from_checkpoint = reloaded(engine.state)
    assert state_digest_hex(from_checkpoint) == state_digest_hex(engine.state)
    before = list(engine.records)
    known = [status(f"A-{n}", ("desk-alpha", "desk-beta", "nobody")[n % 3]) for n in range(2, 8)]
    answers = [engine.submit(each) for each in known]
    upgrade(engine)
    assert [engine.submit(each) for each in known] == answers
    shares = engine.state.orders.shares
    assert [share.ids for share in shares.all] == [2, 3, 2]
    assert shares.of(1).fills + shares.of(2).fills == 2
    assert shares.pool_used == 0
    for state in (fold(engine.records).state, reloaded(engine.state)):
        assert describe(state) == describe(engine.state)
    # The same from a checkpoint of before.
    again = fold(before)
    again.state = from_checkpoint
    for data in engine.records[len(before) :]:
        apply(again, again.next_sequence, decode_data(data).outcome)
    assert describe(again.state) == describe(engine.state)
    # What the earlier rules forgot, and when, is not known: nothing sent until now is new.
    assert engine.reject(light("gone", sent_at_ns=T0)).reason == "stale_order"
    assert engine.reject(light("B-1", sent_at_ns=engine.now_ns)).reason == "stale_order"
    engine.admit(light("B-1", sent_at_ns=engine.now_ns + 1))
    engine.now_ns += 3_600 * SECOND_NS + 1
    for _ in range(3):
        engine.reject(light(f"C-{engine.engine.next_sequence}", risk_bps=10_000))
    assert [share.ids for share in shares.all] == [0, 2 + 3, 0]
    assert describe(replayed(engine.records, tmp_path)) == describe(engine.state)


# A clock that was ahead.


def test_behind_a_clock_that_was_ahead_ages_are_judged_by_the_systems(tmp_path: Path) -> None:
    engine = LoggedEngine()
    engine.admit(light("A-1"), T0 + 3 * DAY_NS)
    clock_ns = T0 + SECOND_NS
    answer = engine.submit(light("A-2", sent_at_ns=clock_ns), clock_ns)
    assert answer.reason == "stale_order"  # by the log's time alone
    engine.clock_ns = clock_ns
    assert isinstance(engine.submit(light("A-3", sent_at_ns=clock_ns)), Admit)
    assert b',"clock_ns":%d}' % clock_ns in engine.records[-1]
    stale = engine.reject(light("A-4", sent_at_ns=T0 + 2 * DAY_NS))
    assert stale.detail == {"asked": T0 + 2 * DAY_NS, "limit": WINDOW_NS, "used": clock_ns}
    assert engine.submit(fill("F-1", 1, 0, client_order_id="A-3")).flags == []
    engine.submit(cancel("A-1"))
    assert all(b',"clock_ns":%d}' % clock_ns in data for data in engine.records[-4:])
    assert describe(fold(engine.records).state) == describe(engine.state)
    assert describe(replayed(engine.records, tmp_path)) == describe(engine.state)


def test_an_accepted_clock_is_the_one_way_back(tmp_path: Path) -> None:
    engine = LoggedEngine()
    ahead_ns = T0 + 3 * DAY_NS
    engine.reject(light("A-0", sent_at_ns=T0, risk_bps=10_000))
    engine.admit(light("A-1"), ahead_ns)
    engine.submit(fill("F-1", 1, 0))
    engine.submit(fill("F-9", 1, 0, client_order_id="nobody"))
    accept_clock(engine, T0 + SECOND_NS)
    assert engine.state.last_received_at_ns == T0 + SECOND_NS
    # What the clock of before had forgotten does not act again, what it closed is remembered on.
    assert engine.submit(status("A-0")).state == "unknown"
    assert engine.reject(light("A-0", sent_at_ns=T0)).reason == "stale_order"
    for at_ns in (T0 + SECOND_NS, T0 + SECOND_NS + WINDOW_NS):
        assert engine.submit(light("A-1"), at_ns).repeat is True
    assert engine.submit(fill("F-9", 1, 0, client_order_id="nobody"), T0 + DAY_NS).repeat is True
    # For no longer than if it had been closed when the clock was accepted.
    assert engine.submit(status(), T0 + SECOND_NS + WINDOW_NS + 1).state == "unknown"
    engine.admit(light("A-2", sent_at_ns=engine.now_ns))
    for state in (fold(engine.records).state, replayed(engine.records, tmp_path)):
        assert describe(state) == describe(engine.state)


def test_a_stamp_from_ahead_is_remembered_until_it_is_stale() -> None:
    engine = LoggedEngine()
    ahead_ns = T0 + 3 * DAY_NS
    engine.reject(light("A-1", sent_at_ns=ahead_ns, risk_bps=10_000), ahead_ns)
    accept_clock(engine, T0)
    for at_ns in range(T0, ahead_ns + WINDOW_NS, WINDOW_NS // 2):
        answer = engine.reject(light("A-1", sent_at_ns=ahead_ns, risk_bps=10_000), at_ns)
        assert answer.repeat or answer.reason == "stale_order"


@pytest.mark.parametrize("clock_ns", [T0 - DAY_NS, None])
def test_a_log_with_a_clock_ahead_is_taken_over_by_the_systems(clock_ns: int | None) -> None:
    """What it forgot was closed by now, whatever its records say."""
    engine = LoggedEngine(rules_version=1)
    upgrade(engine, clock_ns)
    assert engine.state.orders.forgotten_close_ns == (clock_ns or T0)
    assert engine.state.session_clock_ns == 0
