# cython: annotation_typing=False
"""Who has lost more since the day's turn than it may. Pure.

Owns the limits of a day's loss by place (`place_of`: the firm, a desk, a symbol, a desk in a
symbol), and which places are beyond theirs as the sums stand (`guard.engine.exposure` works out
those, and calls `look` for each that moves). A place that comes to be beyond is *due*: a record of
its own, `loss_breached`, stands behind the record that has caused it, before anything else is
decided, and sets the latch `loss` (`guard.engine.latches`). What is due follows from positions,
prices, limits and latches: nothing of it is dumped.

How it works: while a record is applied sums may pass through figures that nobody ever had; so
`look` but notes, and once the record is applied the state asks what of it is so (`take_moved`).

How it fails: it does not.
"""

from typing import Final, NamedTuple

LOSS: Final = "loss"  # the kind of latch
FIRM_PLACE: Final = 0
_DESK_SHIFT = 32
_LOSS_OF_ALL = -(2**63 - 1)


class LossLimit(NamedTuple):
    """Whose limit it is (empty for all), and how much may be lost, in microcents."""

    desk: str
    symbol: str
    max_microcents: int


def place_of(desk: int, symbol: int) -> int:
    """The place of a desk (0: all) in a symbol (-1: all), by their numbers."""
    return desk << _DESK_SHIFT | symbol + 1


class Losses:
    """See the module. `is_on`: some place has a limit. `has_moved`: some place may be due now."""

    def __init__(self) -> None:
        self.is_on = self.has_moved = False
        self.limits: dict[int, LossLimit] = {}
        self._beyond: dict[int, int] = {}  # by place what it has lost
        self._moved: list[int] = []  # places that came to be beyond, or within again

    def set(self, limits: dict[int, LossLimit]) -> None:
        """Other limits; `look` has to be called for each of their places behind it."""
        self.limits, self.is_on = limits, len(limits) > 0
        self.forget()

    def forget(self) -> None:
        """No place has lost anything."""
        self._moved.extend(self._beyond)
        self.has_moved = len(self._moved) > 0
        self._beyond = {}

    def bounds(self, place: int) -> bool:
        """Has that very place a limit?"""
        return place in self.limits

    def lost(self, place: int) -> int:
        """What a place has lost that is beyond its limit; 0 where it is within."""
        return self._beyond.get(place, 0)

    def look(self, place: int, profit: int) -> int:
        """A place has made so much since the day's turn; below zero: lost.

        The greatest loss that can be counted may be a greater one, or one that is not known: it is
        beyond every limit.
        """
        limit = self.limits.get(place)
        if limit is None:
            return 0
        if -profit > limit.max_microcents or profit <= _LOSS_OF_ALL:
            if place not in self._beyond:
                self._note(place)
            self._beyond[place] = -profit
        elif self._beyond and self._beyond.pop(place, 0):
            self._note(place)
        return 0

    def _note(self, place: int) -> None:
        self._moved.append(place)
        self.has_moved = True

    def take_moved(self) -> list[int]:
        """Places that may be due now, or no more, in the order in which they moved."""
        moved, self._moved, self.has_moved = self._moved, [], False
        return list(dict.fromkeys(moved))
