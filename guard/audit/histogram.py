"""A log-linear histogram of non-negative integers: percentiles in bounded memory. Pure.

Owns how a value is binned: exactly below 64, above that into 32 bins per power of two, so that a
percentile is at most 1/32 (3.2 %) too high, and never too low. It knows no unit. A value of 64
bits needs at most 1,920 bins, however many values there are.
"""

from typing import Any, Final

BINS_PER_OCTAVE_BITS: Final = 5
BINS_PER_OCTAVE: Final = 1 << BINS_PER_OCTAVE_BITS
EXACT_BELOW: Final = 2 * BINS_PER_OCTAVE

# In parts per ten thousand: what every report shows.
PERCENTILES: Final = (("p50", 5_000), ("p90", 9_000), ("p99", 9_900), ("p999", 9_990))


class Histogram:
    """How often which size was seen; `total` is the sum of the values, exactly."""

    __slots__ = ("_maximum", "_minimum", "bins", "total")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.total = 0
        self._minimum: int | None = None
        self._maximum = -1

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.bins.values())

    @property
    def minimum(self) -> int:
        """The smallest value; 0 of none."""
        return self._minimum or 0

    @property
    def maximum(self) -> int:
        """The largest value; 0 of none."""
        return max(self._maximum, 0)

    def add(self, value: int, times: int = 1) -> None:
        """Counts a value, which must not be negative, so many times."""
        assert value >= 0, value
        number = bin_of(value)
        self.bins[number] = self.bins.get(number, 0) + times
        self.total += value * times
        if value > self._maximum:
            self._maximum = value
        if self._minimum is None or value < self._minimum:
            self._minimum = value

    def percentile(self, per_ten_thousand: int) -> int:
        """The smallest bin's top that so many of the values are at or below; 0 of no values."""
        rank = max(1, -(-self.count * per_ten_thousand // 10_000))
        seen = 0
        for number in sorted(self.bins):
            seen += self.bins[number]
            if seen >= rank:
                return min(top_of(number), self.maximum)
        return 0

    def summary(self, unit: str = "") -> dict[str, Any]:
        """Count, extremes, mean (rounded down) and percentiles; keys end in `unit`."""
        suffix = f"_{unit}" if unit else ""
        count = self.count
        fields: dict[str, Any] = {"count": count}
        if count:
            fields[f"min{suffix}"] = self.minimum
            fields[f"mean{suffix}"] = self.total // count
            for name, per_ten_thousand in PERCENTILES:
                fields[f"{name}{suffix}"] = self.percentile(per_ten_thousand)
            fields[f"max{suffix}"] = self.maximum
        fields["histogram"] = [
            [min(top_of(number), self.maximum), self.bins[number]] for number in sorted(self.bins)
        ]
        return fields


def bin_of(value: int) -> int:
    """The number of the bin that a value falls into; bins are in the order of their values."""
    if value < EXACT_BELOW:
        return value
    shift = value.bit_length() - BINS_PER_OCTAVE_BITS - 1
    return (shift << BINS_PER_OCTAVE_BITS) + (value >> shift)


def top_of(number: int) -> int:
    """The largest value of a bin."""
    if number < EXACT_BELOW:
        return number
    shift = (number >> BINS_PER_OCTAVE_BITS) - 1
    return (((number - (shift << BINS_PER_OCTAVE_BITS)) + 1) << shift) - 1
