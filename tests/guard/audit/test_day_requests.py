"""A day counted from requests is the day counted from objects, byte for byte."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_support import DESKS, HASHER, MINUTE_NS
from guard.audit import answers, day_counts
from guard.audit.audit import Audit
from guard.audit.bounds import Bounds
from guard.engine.events import DeskCapped, DeskResumed, DeskToppedUp
from guard.protocol.ranges import TIME_NS_MAX
from guard.replay.replay import replay_log
from guard_support import (
    T0,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fill,
    order,
    write_log,
)
from reference.day_objects import DayOfObjects
from replay_support import BusyDay

pytestmark = pytest.mark.slow

SECOND_NS, DAY_NS = MINUTE_NS // 60, 1_440 * MINUTE_NS

_LATER_NS = st.one_of(
    st.integers(0, 10**6),
    st.integers(0, MINUTE_NS),
    st.integers(-MINUTE_NS, 0),  # a clock that is set back
    st.sampled_from((DAY_NS // 3, 40 * DAY_NS)),
)
_SENT_AGO_NS = st.none() | st.integers(-MINUTE_NS, MINUTE_NS) | st.just(0)
_ORDERS = st.fixed_dictionaries(
    {
        "desk": st.sampled_from(DESKS),
        "symbol": st.sampled_from(("AAPL", "AAPL", "BTC-USD", "NONE")),
        "quantity": st.integers(1, 300),
        "price": st.integers(1, 20_000),
        "venue": st.sampled_from((10, 10, 20, 30, 99)),
        "risk_bps": st.sampled_from((200, 200, 9_600)),
        "confidence_bps": st.sampled_from((6_999, 10_000, 10_000)),
        "minimum_quality_bps": st.sampled_from((0, 0, 9_950)),
        "allow_substitute": st.booleans(),
    }
)
# Of an order so many back: all of it, a part, or more than is open.
_FILLS = st.tuples(
    st.integers(1, 4), st.sampled_from((1, 2, 5, 300)), st.sampled_from((5_000, 0, -5, 10**15))
)
_STEPS = st.lists(
    st.tuples(
        _LATER_NS,
        _SENT_AGO_NS,
        st.booleans(),  # whether a batch begins
        st.one_of(
            _ORDERS, _ORDERS, _ORDERS, _FILLS, _FILLS, st.integers(1, 4), st.sampled_from(DESKS[:2])
        ),
    ),
    max_size=40,
)


def lived(steps: list[Any]) -> list[bytes]:
    """The records of the day that the steps make."""
    day = LoggedEngine(dev_config(remembered_orders_max=1_000))
    day.is_checked = False
    now_ns, batch = T0, 1
    orders: list[Any] = []
    for later_ns, sent_ago_ns, is_new_batch, step in steps:
        now_ns = max(day.state.last_received_at_ns, now_ns + later_ns)
        batch = day.engine.next_sequence if is_new_batch else batch
        since_ns = None if sent_ago_ns is None else max(1, now_ns - sent_ago_ns)
        if isinstance(step, str):
            who = actor(now_ns, batch)
            day.log(who.event(DeskToppedUp, desk=step, amount_microcents=10**12))
            day.log(who.event(DeskResumed, desk=step))
            day.log(who.event(DeskCapped, desk=step, max_reserved_microcents=10**16))
            continue
        request: Any
        if isinstance(step, dict):
            request = order(f"A-{len(orders)}", sent_at_ns=since_ns, **step)
            orders.append(request)
        elif not orders:
            continue
        else:
            back, part, fee = (step, 1, 0) if isinstance(step, int) else step
            of = orders[-min(back, len(orders))]
            if isinstance(step, int):
                request = cancel(of.client_order_id, of.desk)
            else:
                number, quantity = f"F-{day.engine.next_sequence}", max(1, of.quantity // part)
                request = fill(
                    number,
                    quantity if part < 300 else of.quantity + 1,
                    desk=of.desk,
                    client_order_id=of.client_order_id,
                    fee=fee,
                    executed_at_ns=since_ns,
                )
        day.submit(request, now_ns, batch)
        batch = day.batch_first_sequence
    return day.records


def document(
    log: Path, *, by_objects: bool = False, jobs: int = 1, bounds: Bounds | None = None
) -> str:
    """The document as JSON."""
    audit, bounds = Audit(), bounds or Bounds()
    if by_objects:
        audit._day = DayOfObjects()
    report = replay_log(log, HASHER, observe=bounds.within(audit.observe_day), jobs=jobs)
    fields = audit.document(report)
    assert fields["range"]["records"] == bounds.record_count
    return json.dumps(fields)


def check(records: list[bytes]) -> None:
    """Both ways give one document."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        write_log(log, records)
        assert document(log) == document(log, by_objects=True)


@settings(max_examples=60, deadline=None)
@given(_STEPS)
def test_requests_and_objects_give_one_document(steps: list[Any]) -> None:
    check(lived(steps))


@settings(max_examples=15, deadline=None)
@given(_STEPS, st.integers(1, 3))
def test_with_few_names_and_small_bulks(steps: list[Any], bound: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "NAMES_MAX", bound)
        patch.setattr(day_counts, "ALIKE_MAX", bound)
        check(lived(steps))


@pytest.mark.parametrize("seed", [11, 12])
def test_a_busy_day(seed: int, tmp_path: Path) -> None:
    records = BusyDay(seed, 300).engine.records
    check(records)
    write_log(tmp_path / "log", records)
    assert document(tmp_path / "log", jobs=2) == document(tmp_path / "log")


@pytest.mark.parametrize("first", [1, 9, 40, 41, 42, 43, 44, 180])
def test_a_range_begins_with_what_is_in_force(first: int, tmp_path: Path) -> None:
    write_log(tmp_path / "log", BusyDay(13, 160).engine.records)
    for ends in (
        {"first_sequence": first},
        {"last_sequence": first},
        {"first_ns": T0 + first * SECOND_NS, "last_ns": T0 + (first + 30) * SECOND_NS},
    ):
        plain, objects = (
            document(tmp_path / "log", by_objects=by_objects, bounds=Bounds(**ends))
            for by_objects in (False, True)
        )
        assert plain == objects


def test_some_of_each_kind() -> None:
    day = LoggedEngine()
    for number, sent_at_ns in enumerate((None, T0 - 5, T0 + 5)):
        day.admit(order(f"A-{number}", sent_at_ns=sent_at_ns))
        day.submit(fill("F-1", 40, client_order_id=f"A-{number}", executed_at_ns=sent_at_ns))
        day.submit(fill("F-2", 60, client_order_id=f"A-{number}"))
        day.reject(order(f"B-{number}", risk_bps=9_600, sent_at_ns=sent_at_ns))
        day.reject(order(f"C-{number}", minimum_quality_bps=9_990))
    check(day.records)


def test_the_last_time_that_a_record_can_have_counts() -> None:
    day = LoggedEngine()
    day.admit(order("A-1", sent_at_ns=T0 - 7))
    day.log(actor(TIME_NS_MAX).event(DeskResumed, desk="desk-alpha"))
    day.submit(fill("F-1", 40), T0)
    check(day.records)
