"""The histogram as the report of a day shows it: percentiles, and the bins to draw. Pure.

Owns its precision and the fields' names. A value is binned exactly below 64, above that into 32
bins per power of two, so that a percentile is at most 1/32 (3.2 %) too high, and never too low; a
value of 64 bits needs at most 1,920 bins, however many values there are.
"""

from typing import Any, Final

from guard import histogram

PRECISION_BITS: Final = 6

# In parts per hundred thousand: what every report shows.
PERCENTILES: Final = (("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p999", 99_900))


class Histogram(histogram.Histogram):
    """How often which size was seen."""

    def __init__(self) -> None:
        super().__init__(PRECISION_BITS)

    def as_fields(self, unit: str = "") -> dict[str, Any]:
        """Count, extremes, mean (rounded down) and percentiles; keys end in `unit`.

        `histogram`: a pair a bin that has any, its largest value and how many values it has.
        """
        suffix = f"_{unit}" if unit else ""
        count = self.count
        fields: dict[str, Any] = {"count": count, "histogram": []}
        if self.least is None or self.greatest is None:
            return fields
        fields[f"min{suffix}"] = self.least
        fields[f"mean{suffix}"] = self.total // count
        for name, of_100_000 in PERCENTILES:
            fields[f"{name}{suffix}"] = self.percentile(of_100_000)
        fields[f"max{suffix}"] = self.greatest
        fields["histogram"] = [
            [min(histogram.highest_of(bucket, PRECISION_BITS), self.greatest), self.counts[bucket]]
            for bucket in sorted(self.counts)
        ]
        return fields
