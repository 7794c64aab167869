"""The time grid: aligned buckets, coarser when they would be too many, told to their owner."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from guard.audit.timegrid import BUCKETS_MAX, WIDTHS_NS, TimeGrid


def test_each_width_divides_the_next() -> None:
    for width, wider in itertools.pairwise(WIDTHS_NS):
        assert wider > width
        assert wider % width == 0


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=30))
def test_counts_survive_every_coarsening(times_ns: list[int]) -> None:
    counts: dict[int, int] = {}

    def coarsen(factor: int) -> None:
        merged: dict[int, int] = {}
        for index, count in counts.items():
            merged[index // factor] = merged.get(index // factor, 0) + count
        counts.clear()
        counts.update(merged)

    grid = TimeGrid(coarsen)
    for at_ns in times_ns:
        index = grid.index_of(at_ns)
        counts[index] = counts.get(index, 0) + 1
    expected: dict[int, int] = {}
    for at_ns in times_ns:
        expected[at_ns // grid.width_ns] = expected.get(at_ns // grid.width_ns, 0) + 1
    assert counts == expected
    assert max(counts) - min(counts) < BUCKETS_MAX


def test_a_day_is_seen_by_the_minute_and_an_instant_by_the_millisecond() -> None:
    grid = TimeGrid(lambda _factor: None)
    day_ns = 86_400 * 10**9
    assert grid.index_of(20_000 * day_ns) == 20_000 * 86_400_000
    assert grid.width_ns == 1_000_000
    grid.index_of(20_001 * day_ns - 1)
    assert grid.width_ns == 60 * 10**9
