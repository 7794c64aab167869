"""The schedule of an open loop: exact, without drift, whatever the clock shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bench.schedule import NS_PER_S, FixedRate, Recorded

RATES = st.integers(1, 1_000_000)
TIMES = st.lists(st.integers(0, 10**12), min_size=1, max_size=50).map(sorted)


@given(RATES, st.integers(1, 1_000), st.integers(0, 2 * NS_PER_S))
def test_due_is_how_many_times_have_come(rate: int, total: int, elapsed_ns: int) -> None:
    schedule = FixedRate(rate, total, links=3)
    due = schedule.due(elapsed_ns)
    assert 1 <= due <= total
    assert schedule.at_ns(due - 1) <= elapsed_ns
    if due < total:
        assert schedule.at_ns(due) > elapsed_ns


@given(RATES)
def test_a_rate_does_not_drift(rate: int) -> None:
    schedule = FixedRate(rate, 10**10, links=1)
    assert schedule.at_ns(3_600 * rate) == 3_600 * NS_PER_S
    assert schedule.due(3_600 * NS_PER_S - 1) == 3_600 * rate


def test_nothing_is_due_before_the_start_and_clients_take_turns() -> None:
    schedule = FixedRate(1_000, 10, links=4)
    assert schedule.due(-1) == 0
    assert schedule.due(0) == 1
    assert schedule.due(10**12) == 10
    assert [schedule.link(number) for number in range(6)] == [0, 1, 2, 3, 0, 1]


@given(TIMES, st.integers(1, 1_000), st.integers(0, 10**12))
def test_a_recording_keeps_its_bursts(times: list[int], speed: int, elapsed_ns: int) -> None:
    schedule = Recorded(times, [0] * len(times), speed)
    expected = [(at_ns - times[0]) // speed for at_ns in times]
    assert [schedule.at_ns(number) for number in range(len(times))] == expected
    assert schedule.due(elapsed_ns) == sum(at_ns <= elapsed_ns for at_ns in expected)
    assert schedule.due(-1) == 0


@pytest.mark.parametrize(
    ("rate", "total", "links", "named"),
    [(0, 1, 1, "rate: 0"), (1, 0, 1, "total: 0"), (1, 1, 0, "links: 0")],
)
def test_a_rate_of_nothing_is_refused(rate: int, total: int, links: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} is not allowed; allowed: 1 or more"):
        FixedRate(rate, total, links)


def test_what_is_no_recording_is_refused() -> None:
    with pytest.raises(ValueError, match="speed: 0 is not allowed"):
        Recorded([1], [0], 0)
    with pytest.raises(ValueError, match="never decrease"):
        Recorded([2, 1], [0, 0], 1)
    with pytest.raises(ValueError, match="each one sender"):
        Recorded([1, 2], [0], 1)
    with pytest.raises(ValueError, match="at least one message"):
        Recorded([], [], 1)
