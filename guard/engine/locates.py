"""Locates: lots of a symbol that a desk may sell short, as a lender has promised them. Pure.

Owns what there is of each, by its id: whose it is, in which symbol, how many lots, and how many are
used by orders that were admitted. A person adds one and takes one away; what an order uses of it is
`guard.engine.locating`'s.

How it fails: `InvariantError` where one is added twice, or given back more than was used of it, and
for a dump that does not hold together.
"""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple, TypeAlias

from kernel import InvariantError

LOCATES_MAX: Final = 16_384  # about 240 bytes each, of an id as long as a word
# Id, desk, symbol, quantity, used, and the record that added it.
LocateEntry: TypeAlias = tuple[str, str, str, int, int, int]


class Locate(NamedTuple):
    """Lots that may be sold short. `sequence`: of the record that added them."""

    desk: str
    symbol: str
    quantity: int
    used: int
    sequence: int


class Locates:
    """All of them."""

    def __init__(self) -> None:
        self._all: dict[str, Locate] = {}

    def __len__(self) -> int:
        return len(self._all)

    def get(self, locate_id: str) -> Locate | None:
        """That one; None where there is none."""
        return self._all.get(locate_id)

    def add(self, locate_id: str, locate: Locate) -> None:
        """A new one."""
        if locate_id in self._all or len(self._all) >= LOCATES_MAX:
            raise InvariantError(f"locate {locate_id} is one too many")
        self._all[locate_id] = locate

    def remove(self, locate_id: str) -> None:
        """It is there no more."""
        if self._all.pop(locate_id, None) is None:
            raise InvariantError(f"locate {locate_id} is taken away, and not there")

    def use(self, locate_id: str, lots: int) -> None:
        """So many more lots are used of it; below zero: fewer."""
        known = self._all.get(locate_id)
        if known is None or known.used + lots < 0:
            raise InvariantError(f"{lots} lots are used of locate {locate_id}: {known}")
        self._all[locate_id] = known._replace(used=known.used + lots)

    def entries(self) -> list[LocateEntry]:
        """All, by id: equal for equal histories."""
        return [(locate_id, *locate) for locate_id, locate in sorted(self._all.items())]

    def load(
        self,
        entries: Iterable[LocateEntry],
        desks: Collection[str],
        symbols: Collection[str],
        next_sequence: int,
    ) -> None:
        """Becomes what `entries` gave."""
        self._all = {}
        for locate_id, desk, symbol, quantity, used, sequence in entries:
            locate = Locate(desk, symbol, quantity, used, sequence)
            is_known = locate.desk in desks and locate.symbol in symbols
            if not is_known or locate.used < 0 or not 0 < locate.sequence < next_sequence:
                raise InvariantError(f"locate {locate_id} cannot be {locate}")
            self.add(locate_id, locate)
