"""A measurement hides no stall, divides a load without losing any of it, and fails in words."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard import clock
from guard.bench.generator import Plan
from guard.bench.measure import divide, measure
from guard.bench.schedule import NS_PER_S
from guard.bench.site import BenchError, Guard, config_text
from guard.histogram import highest_of

RATE = 200
STALL_NS = 400_000_000


def _plan(guard: Guard, **fields: object) -> Plan:
    plan = {"duration_ns": 2 * NS_PER_S, "warm_up_ns": NS_PER_S // 4, "rate": RATE, **fields}
    return Plan("guard", guard.endpoint, "t", (0, 1), **plan)  # type: ignore[arg-type]


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard(tmp_path, config_text(1, 1, 100_000))


@pytest.mark.slow
def test_every_message_that_was_due_in_a_stall_has_its_share_of_it(guard: Guard) -> None:
    def stall(is_start: bool) -> None:
        if is_start:
            os.kill(guard.process_id, signal.SIGSTOP)
            clock.sleep_until(clock.monotonic_ns() + STALL_NS)
            os.kill(guard.process_id, signal.SIGCONT)

    try:
        measured = measure(_plan(guard), on_window=stall)
    finally:
        guard.stop()
    assert measured.messages_answered == measured.messages_sent == 2 * RATE
    # A loop that waits for its answers would have seen one late message, or one a client.
    late = sum(
        count
        for bucket, count in measured.latency.counts.items()
        if highest_of(bucket) >= STALL_NS // 2
    )
    assert late >= STALL_NS // 2 * RATE // NS_PER_S - 1
    assert measured.latency.summary()["max"] >= STALL_NS * 9 // 10


@pytest.mark.slow
def test_a_load_beyond_the_guard_counts_up_to_its_last_answer(guard: Guard) -> None:
    rate = 400_000  # for a tenth of a second
    try:
        measured = measure(
            _plan(guard, rate=rate, duration_ns=NS_PER_S // 10, warm_up_ns=NS_PER_S // 100),
            watched={"daemon": guard.process_id},
        )
    finally:
        guard.stop()
    assert measured.messages_answered == measured.messages_sent == rate // 10
    assert measured.answered_in_window > rate // 10 * 8 // 10  # of which 9/10 were due in it
    assert measured.latency.count == rate // 10 * 9 // 10
    last_s = measured.latency.summary()["max"] / NS_PER_S
    assert measured.requests_a_second <= rate // 10 / last_s  # none took longer than all
    # The daemon's processor time is that of the same window: no more than its threads can use.
    used_us = sum(measured.cpu_us_a_request("daemon").values())
    assert used_us * measured.requests_a_second <= 1e6 * 2 * (os.cpu_count() or 1)


@pytest.mark.slow
def test_a_guard_that_dies_ends_the_run_in_words(guard: Guard) -> None:
    def kill(_is_start: bool) -> None:
        os.kill(guard.process_id, signal.SIGKILL)

    with pytest.raises(BenchError, match="the load generator: "):
        measure(_plan(guard, duration_ns=NS_PER_S), on_window=kill)
    guard.kill()


@given(st.integers(1, 50), st.data(), st.integers(1, 5_000))
def test_shares_add_up_to_the_whole(clients: int, data: st.DataObject, load: int) -> None:
    processes = data.draw(st.integers(1, clients))
    links = tuple(range(clients))
    whole = Plan("guard", "tcp://127.0.0.1:1", "t", links, 1, 0, load, load)
    parts = divide(whole, processes)
    assert len(parts) == processes
    assert sorted(number for part in parts for number in part.links) == list(links)
    assert sum(part.in_flight or 0 for part in parts) == load
    assert sum(part.rate or 0 for part in parts) == load


def test_more_processes_than_clients_are_refused() -> None:
    plan = Plan("guard", "tcp://127.0.0.1:1", "t", (0,), 1, 0, 1)
    with pytest.raises(ValueError, match="processes: 2 is not allowed; allowed: 1 to 1"):
        divide(plan, 2)
