"""A histogram of sizes or times with a bounded relative error, whatever their range. Pure.

Owns one distribution. It is log-linear, as HdrHistogram's is: values below 2^`precision_bits` have
a bucket each; above, every doubling of the value is cut into 2^(`precision_bits` − 1) buckets of
equal width. A percentile is the highest value of the bucket that it falls into: never below the
exact one, and above it by at most 1 in 2^(`precision_bits` − 1). Least, greatest, count and sum
are exact. It knows no unit.

Why not the library of that name: it asks at run time for a newer setuptools than the one that this
project is built with.
"""

from collections.abc import Iterable, Mapping
from typing import Final

PRECISION_BITS: Final = 11  # three decimal digits: 1 in 1,024

# Of 100,000: integers, so that no percentile depends on how a fraction rounds.
PERCENTILES: Final = {
    "p50": 50_000,
    "p90": 90_000,
    "p99": 99_000,
    "p99.9": 99_900,
    "p99.99": 99_990,
}
_WHOLE: Final = 100_000


def bucket_of(value: int, precision_bits: int = PRECISION_BITS) -> int:
    """The number of the bucket that holds `value` (0 or more); in the order of the values.

    For the compiled modules it stands in `histogram.pxd`, too, for values below 2^63.
    """
    shift = max(value.bit_length() - precision_bits, 0)
    return (shift << (precision_bits - 1)) + (value >> shift)


def highest_of(bucket: int, precision_bits: int = PRECISION_BITS) -> int:
    """The highest value that falls into a bucket."""
    half_bits = precision_bits - 1
    shift = max((bucket >> half_bits) - 1, 0)
    return ((bucket - (shift << half_bits) + 1) << shift) - 1


class Histogram:
    """Counts of values of 0 or more, by bucket. Those to be merged have the same precision."""

    def __init__(self, precision_bits: int = PRECISION_BITS) -> None:
        self.precision_bits = precision_bits
        self._counts: dict[int, int] = {}
        self.total = 0
        self.least: int | None = None
        self.greatest: int | None = None

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts.values())

    def add(self, value: int, times: int = 1) -> None:
        """Counts a value so many times. Raises ValueError for one below zero."""
        if value < 0:
            raise ValueError(f"value: {value} is not allowed; allowed: 0 or more")
        bucket = bucket_of(value, self.precision_bits)
        self._counts[bucket] = self._counts.get(bucket, 0) + times
        self.total += value * times
        if self.least is None or value < self.least:
            self.least = value
        if self.greatest is None or value > self.greatest:
            self.greatest = value

    def record_all(self, values: Iterable[int]) -> None:
        """Counts each value. Raises ValueError for one below zero; those before it are counted."""
        for value in values:
            self.add(value)

    def merge(self, other: "Histogram") -> None:
        """Adds what another one has counted."""
        assert self.precision_bits == other.precision_bits
        if other.least is not None and other.greatest is not None:
            self.add_buckets(other._counts, other.total, other.least, other.greatest)

    def add_buckets(self, counts: Mapping[int, int], total: int, least: int, greatest: int) -> None:
        """Adds values that were counted by bucket elsewhere: their sum, least and greatest."""
        for bucket, count in counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.total += total
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)

    def percentile(self, of_100_000: int) -> int:
        """The value that so many of 100,000 do not exceed. Raises ValueError where none is."""
        if not 0 < of_100_000 <= _WHOLE:
            raise ValueError(f"percentile: {of_100_000} is not allowed; allowed: 1 to {_WHOLE}")
        if self.greatest is None:
            raise ValueError("a histogram of no values has no percentile")
        rank = -(-self.count * of_100_000 // _WHOLE)
        for bucket in sorted(self._counts):
            rank -= self._counts[bucket]
            if rank <= 0:
                return min(highest_of(bucket, self.precision_bits), self.greatest)
        return self.greatest

    def summary(self) -> dict[str, int]:
        """Count, least, mean, the percentiles and the greatest; all 0 where nothing was counted."""
        if self.least is None or self.greatest is None:
            names = ("count", "least", "mean", *PERCENTILES, "max")
            return dict.fromkeys(names, 0)
        shown = {"count": self.count, "least": self.least, "mean": self.total // self.count}
        for name, of_100_000 in PERCENTILES.items():
            shown[name] = self.percentile(of_100_000)
        return {**shown, "max": self.greatest}

    @property
    def counts(self) -> Mapping[int, int]:
        """How many values fell into each bucket that has any."""
        return self._counts
