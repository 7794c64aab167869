"""Times in classes: what came since the last look, and its percentiles. Pure.

Owns the difference of two histograms of the daemon's `stats`, and what can be said of a percentile
where only classes are known: at most the upper end of the class that it falls into.
"""

from collections.abc import Sequence

Classes = Sequence[tuple[int, int]]  # upper end in ns, how many; ascending


def since(now: Classes, before: Classes) -> list[tuple[int, int]]:
    """What was counted since; all of it where the counting began anew, or by other classes."""
    ends_before = [end for end, _ in before]
    if [end for end, _ in now] != ends_before:
        return list(now)
    counts = [count - old for (_, count), (_, old) in zip(now, before, strict=True)]
    if any(count < 0 for count in counts):
        return list(now)
    return list(zip(ends_before, counts, strict=True))


def percentile(classes: Classes, of_1_000: int, greatest_ns: int | None = None) -> int | None:
    """So many of 1,000 took at most that long, in ns; None where nothing was counted.

    `greatest_ns`: a bound from elsewhere, where the last class has no end.
    """
    total = sum(count for _, count in classes)
    rank = -(-total * of_1_000 // 1_000)
    for end_ns, count in classes:
        rank -= count
        if count and rank <= 0:
            return end_ns if greatest_ns is None else min(end_ns, greatest_ns)
    return None
