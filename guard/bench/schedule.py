"""When each message is due: the fixed schedule of an open loop. Pure.

Owns the times and who sends; reads no clock. A message is due at its time whether or not earlier
ones have been answered, and its latency counts from there: a stall of the daemon, or of the
generator, delays every message behind it and is seen in each (no coordinated omission).
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Protocol

NS_PER_S: Final = 1_000_000_000


class Schedule(Protocol):
    """Messages numbered from 0, in the order of their times (ns since the start)."""

    total: int

    def due(self, elapsed_ns: int) -> int:
        """How many messages are due by then, of all."""

    def at_ns(self, number: int) -> int:
        """When a message is due."""

    def link(self, number: int) -> int:
        """Which client sends it."""


class FixedRate:
    """`rate` messages a second, evenly, the clients in turn. No drift: exact integer times."""

    def __init__(self, rate: int, total: int, links: int) -> None:
        for name, value in (("rate", rate), ("total", total), ("links", links)):
            if value < 1:
                raise ValueError(f"{name}: {value} is not allowed; allowed: 1 or more")
        self._rate = rate
        self._links = links
        self.total = total

    def due(self, elapsed_ns: int) -> int:
        """How many messages are due by then, of all."""
        if elapsed_ns < 0:
            return 0
        # Message n is due at floor(n × 10^9 / rate): n ≤ (elapsed + 1) × rate / 10^9, excluded.
        return min(-(-(elapsed_ns + 1) * self._rate // NS_PER_S), self.total)

    def at_ns(self, number: int) -> int:
        """When a message is due."""
        return number * NS_PER_S // self._rate

    def link(self, number: int) -> int:
        """Which client sends it."""
        return number % self._links


class Recorded:
    """A recording played `speed` times as fast: its own bursts and pauses."""

    def __init__(self, recorded_at_ns: Sequence[int], links: Sequence[int], speed: int) -> None:
        """`recorded_at_ns` never decreases; `links[n]` sends message n."""
        if speed < 1:
            raise ValueError(f"speed: {speed} is not allowed; allowed: 1 or more")
        if len(recorded_at_ns) != len(links) or not links:
            raise ValueError("a recording has at least one message, and each one sender")
        first_ns = recorded_at_ns[0]
        self._at_ns = [(at_ns - first_ns) // speed for at_ns in recorded_at_ns]
        if any(after < before for before, after in zip(self._at_ns, self._at_ns[1:], strict=False)):
            raise ValueError("recorded_at_ns: allowed: times that never decrease")
        self._links = links
        self.total = len(links)

    def due(self, elapsed_ns: int) -> int:
        """How many messages are due by then, of all."""
        return bisect_right(self._at_ns, elapsed_ns)

    def at_ns(self, number: int) -> int:
        """When a message is due."""
        return self._at_ns[number]

    def link(self, number: int) -> int:
        """Which client sends it."""
        return self._links[number]
