"""The report's histogram: exact below 64, never too low, at most 1/32 too high above."""

from hypothesis import given
from hypothesis import strategies as st

from guard.audit.histogram import PERCENTILES, Histogram

VALUES = st.integers(0, 2**64) | st.integers(0, 200)


@given(st.lists(VALUES, min_size=1))
def test_percentiles_are_never_too_low_and_hardly_too_high(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    values.sort()
    for _, of_100_000 in PERCENTILES:
        rank = max(1, -(-len(values) * of_100_000 // 100_000))
        exact = values[rank - 1]
        found = histogram.percentile(of_100_000)
        assert exact <= found <= exact + exact // 32 + 1
        assert found <= values[-1]
    fields = histogram.as_fields("ns")
    assert (fields["count"], fields["min_ns"], fields["max_ns"]) == (
        len(values), values[0], values[-1],
    )  # fmt: skip
    assert fields["mean_ns"] == sum(values) // len(values)
    assert sum(count for _, count in fields["histogram"]) == len(values)
    assert [top for top, _ in fields["histogram"]] == sorted({t for t, _ in fields["histogram"]})


def test_exact_figures() -> None:
    histogram = Histogram()
    for value in range(1, 1_001):
        histogram.add(value)
    assert histogram.as_fields("ns") == {
        "count": 1_000, "min_ns": 1, "mean_ns": 500, "p50_ns": 503, "p90_ns": 911,
        "p99_ns": 991, "p999_ns": 1_000, "max_ns": 1_000,
        "histogram": histogram.as_fields()["histogram"],
    }  # fmt: skip
    assert histogram.as_fields()["histogram"][:3] == [[1, 1], [2, 1], [3, 1]]


def test_of_nothing_there_is_only_the_count() -> None:
    assert Histogram().as_fields("ns") == {"count": 0, "histogram": []}
