"""The histogram beside a sorted list: never below the exact percentile, at most 1/1,024 above."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.histogram import (
    PERCENTILES,
    PRECISION_BITS,
    Histogram,
    bucket_of,
    highest_of,
)

VALUES = st.integers(0, 2**63 - 1) | st.integers(0, 5_000)


def _of(values: list[int]) -> Histogram:
    histogram = Histogram()
    histogram.record_all(values)
    return histogram


@given(st.lists(VALUES, min_size=1, max_size=200), st.integers(1, 100_000))
def test_a_percentile_is_the_sorted_lists_within_its_bucket(
    values: list[int], of_100_000: int
) -> None:
    exact = sorted(values)[-(-len(values) * of_100_000 // 100_000) - 1]
    found = _of(values).percentile(of_100_000)
    assert exact <= found <= exact + exact // 2 ** (PRECISION_BITS - 1)
    assert found <= max(values)


@given(VALUES | st.integers(0, 2**64), st.integers(1, 16))
def test_a_bucket_ends_where_the_next_begins(value: int, precision_bits: int) -> None:
    bucket = bucket_of(value, precision_bits)
    highest = highest_of(bucket, precision_bits)
    assert value <= highest <= value + (value >> (precision_bits - 1))
    assert bucket_of(highest, precision_bits) == bucket
    assert bucket_of(highest + 1, precision_bits) == bucket + 1


@given(VALUES, st.integers(1, 9))
def test_times_counts_a_value_as_often(value: int, times: int) -> None:
    histogram, one_by_one = Histogram(6), Histogram(6)
    histogram.add(value, times)
    one_by_one.record_all([value] * times)
    assert histogram.summary() == one_by_one.summary()
    assert histogram.count == times


def test_small_values_are_exact() -> None:
    values = list(range(2**PRECISION_BITS))
    assert [highest_of(bucket_of(value)) for value in values] == values


@given(st.lists(VALUES, max_size=50), st.lists(VALUES, max_size=50))
def test_merged_is_recorded_together(one: list[int], other: list[int]) -> None:
    merged, together = _of(one), _of(one + other)
    merged.merge(_of(other))
    assert merged.counts == together.counts
    assert merged.summary() == together.summary()


def test_a_summary_names_every_percentile() -> None:
    summary = _of([3, 1, 2]).summary()
    assert list(summary) == ["count", "least", "mean", *PERCENTILES, "max"]
    assert summary == {
        "count": 3, "least": 1, "mean": 2, "p50": 2, "p90": 3, "p99": 3, "p99.9": 3, "p99.99": 3,
        "max": 3,
    }  # fmt: skip
    assert set(Histogram().summary().values()) == {0}


def test_what_is_no_latency_or_percentile_is_refused() -> None:
    with pytest.raises(ValueError, match="value: -1 is not allowed; allowed: 0 or more"):
        _of([1, -1])
    with pytest.raises(ValueError, match="percentile: 0 is not allowed"):
        _of([1]).percentile(0)
    with pytest.raises(ValueError, match="percentile: 100001 is not allowed"):
        _of([1]).percentile(100_001)
    with pytest.raises(ValueError, match="no values"):
        Histogram().percentile(50_000)
