"""What must hold of the slices of a firm at every step, counted without the product's own sums.

It is told what is written to the logs, and looks at what the guards that serve believe to have; of
the table it reads what is free. A guard that was replaced can answer nothing, since its log takes
nothing more: what it believes counts no longer.
"""

from collections import defaultdict
from collections.abc import Iterable

from sim.disk import ViolationError

Key = tuple[str, str]  # a guard's name, a resource


class SlicesOracle:
    """Sums over all guards, kept as they change."""

    def __init__(self) -> None:
        self.in_log: dict[Key, int] = defaultdict(int)  # granted less returned
        self.used: dict[Key, int] = defaultdict(int)  # held and spent
        self.spent: dict[Key, int] = defaultdict(int)
        self.counted: dict[Key, int] = defaultdict(int)
        self.sums: dict[str, int] = defaultdict(int)
        self.checks = 0

    def log(self, key: Key, granted: int, used: int, spent: int) -> None:
        """A record has come into a log, or gone with a failure."""
        self.in_log[key] += granted
        self.used[key] += used
        self.spent[key] += spent

    def check_log(self, key: Key) -> None:
        """No log has more in use than it was granted."""
        if not 0 <= self.used[key] <= self.in_log[key]:
            raise ViolationError(
                f"{key[0]}: {self.used[key]} of {key[1]} in use, {self.in_log[key]} granted"
            )

    def count(self, key: Key, believed: int) -> None:
        """What a guard could spend now: of its log, or of what it believes, whichever is more."""
        now = max(self.in_log[key], believed)
        self.sums[key[1]] += now - self.counted[key]
        self.counted[key] = now

    def check_given(self, key: Key, given: int) -> None:
        """No guard could spend more than the table says that it has."""
        if self.counted[key] > given:
            raise ViolationError(
                f"{key[0]}: could spend {self.counted[key]} of {key[1]}; it was given {given}"
            )

    def check(self, resource: str, free: int, total: int) -> None:
        """What all guards could spend, and what is free, is no more than the firm has."""
        self.checks += 1
        if free < 0:
            raise ViolationError(f"{resource}: {free} free in the table")
        if self.sums[resource] + free > total:
            raise ViolationError(
                f"{resource}: guards could spend {self.sums[resource]}, {free} are free, "
                f"the firm has {total}"
            )

    def check_whole(self, keys: Iterable[Key]) -> None:
        """The sums that were kept are those of the parts."""
        sums: dict[str, int] = defaultdict(int)
        for key in keys:
            sums[key[1]] += self.counted[key]
        for resource, found in sums.items():
            if found != self.sums[resource]:
                raise AssertionError(f"{resource}: {found} counted, {self.sums[resource]} kept")
