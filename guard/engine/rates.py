# cython: annotation_typing=False, nonecheck=True
"""How much was admitted within a window of time, in bounded memory. Pure.

Owns the rule of a rate: no half-open window of its length holds more than its number. The window is
cut into `PARTS` parts; what was admitted in the running part and in the `PARTS` before it counts,
which is the window and at most one part more. So a burst of the whole number is let in at once,
and what leaves the window is free again one part late at the most, whatever the number is.

Time is an `elapsed_ns` that records say and that never runs backwards. Who asks has only been told
so far what was admitted: what is refused takes nothing.

How it fails: `InvariantError` where more was admitted than can be counted: no rate let that in.
"""

from typing import Final

from guard.protocol.limits import RateKind
from guard.protocol.messages import I64_MAX
from kernel import InvariantError

PARTS: Final = 16
_PARTS = PARTS
_NS_PER_MS = 1_000_000
_I64_MAX = I64_MAX
ORDERS, NOTIONAL, CANCELS, EXECUTIONS, REPLACES = range(5)
_NUMBER_OF_KIND: Final[dict[str, int]] = {
    "orders": ORDERS,
    "notional": NOTIONAL,
    "cancels": CANCELS,
    "executions": EXECUTIONS,
    "replaces": REPLACES,
}


class Bucket:
    """One rate of one scope. `max`: the number; `scope`: `guard.protocol.limits.Scope`.

    Of executions it has no more than the terms: `guard.engine.repeated` counts.
    """

    def __init__(self, kind: RateKind, window_ms: int, scope: int) -> None:
        self.kind = _NUMBER_OF_KIND[kind]
        self.scope = scope
        self.window_ms = window_ms
        self.max = 0
        self._part_ns = -(-window_ms * _NS_PER_MS // PARTS)
        self._amounts = [0] * 17  # of each part, by its number modulo 17
        self._newest = 0  # the number of the part that was written last
        self._place = 0  # where it stands among the amounts
        self._ends_at_ns = self._part_ns  # until then that part runs
        self._total = 0

    def used(self, elapsed_ns: int) -> int:
        """How much counts at that time."""
        if elapsed_ns < self._ends_at_ns:
            return self._total
        return self._used_in(elapsed_ns // self._part_ns)

    def _used_in(self, part: int) -> int:
        passed = part - self._newest
        if passed > _PARTS:
            return 0
        used = self._total
        for step in range(1, passed + 1):  # what stood a whole turn ago leaves
            used -= self._amounts[(self._newest + step) % 17]
        return used

    def take(self, elapsed_ns: int, amount: int) -> int:
        """Says that so much was admitted then; how much counts now."""
        if elapsed_ns >= self._ends_at_ns:
            self._turn_to(elapsed_ns // self._part_ns)
        if amount > _I64_MAX - self._total:
            raise InvariantError(f"{amount} more than {self._total} were admitted within a window")
        self._amounts[self._place] += amount
        self._total += amount
        return self._total

    def _turn_to(self, part: int) -> int:
        """A later part runs: what is as old as the window and a part has left."""
        self._total = self._used_in(part)
        passed = part - self._newest
        for step in range(1, min(passed, _PARTS + 1) + 1):
            self._amounts[(self._newest + step) % 17] = 0
        return self._begin(part)

    def _begin(self, part: int) -> int:
        self._newest, self._place = part, part % 17
        self._ends_at_ns = (part + 1) * self._part_ns
        return 0

    def dump(self) -> list[int]:
        """What is remembered of it: the newest part's number, then the amounts; empty for none."""
        if self._total == 0:
            return []
        return [self._newest, *[self._amounts[index] for index in range(17)]]

    def load(self, numbers: list[int]) -> None:
        """What `dump` gave. Raises ValueError where that cannot be."""
        if len(numbers) != 18 or min(numbers) < 0 or sum(numbers[1:]) > 2**63 - 1:
            raise ValueError(f"a rate's amounts are {numbers}; must be 18 that add up to 64 bits")
        if numbers[0] >= _I64_MAX // self._part_ns:
            raise ValueError(f"a rate's newest part is {numbers[0]}, which no clock reaches")
        self._begin(numbers[0])
        for index in range(17):
            self._amounts[index] = numbers[index + 1]
        self._total = sum(numbers[1:])
