"""What the day's orders were answered: by desk, by symbol, by venue, by stage and reason. Pure.

Owns those tables. They take orders in bulk, those that are alike in all that is counted together,
as `guard.audit.day_counts` has gathered them: a third of what it costs to count each order under
each of its names.

Bounded: names beyond `NAMES_MAX` count together under `OTHER_NAMES`, but not those of the state's
own desks, instruments and venues.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from guard.engine.state import GuardState

NAMES_MAX: Final = 20_000
OTHER_NAMES: Final = "(others)"


@dataclass(slots=True)
class AnswerCounts:
    """What the orders of one desk, symbol or asked-for venue were answered."""

    admitted: int = 0
    rejected: int = 0
    substituted: int = 0
    admitted_notional_microcents: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class VenueCounts(AnswerCounts):
    """The same by the venue asked for, and how many orders were admitted to it."""

    admitted_to: int = 0
    fees_microcents: int = 0


class AlikeOrders(Protocol):
    """Orders with one desk, symbol, venue, reason and answer. `chosen` is None of refused ones."""

    desk: str
    symbol: str
    venue: int
    stage: str
    reason: str
    chosen: int | None
    count: int
    notional_microcents: int
    fees_microcents: int


class AnswerTables:
    """The tables, which `guard.audit.report` reads."""

    def __init__(self) -> None:
        self.admitted_count = 0
        self.rejected_by_stage: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str, str]] = Counter()
        self.desks: dict[str, AnswerCounts] = {}
        self.symbols: dict[str, AnswerCounts] = {}
        self.venues: dict[str, VenueCounts] = {}

    def count(self, gathered: Iterable[AlikeOrders], state: GuardState) -> None:
        """Counts orders that were gathered by what they have in common."""
        for alike in gathered:
            self._count(alike, state)

    def _count(self, alike: AlikeOrders, state: GuardState) -> None:
        desk, symbol, count = alike.desk, alike.symbol, alike.count
        lines: tuple[AnswerCounts, ...] = (
            _named(self.desks, desk, AnswerCounts, desk in state.desks),
            _named(self.symbols, symbol, AnswerCounts, symbol in state.instruments),
            _named(self.venues, str(alike.venue), VenueCounts),
        )
        for line in lines:
            line.reasons[alike.reason] += count
            line.admitted_notional_microcents += alike.notional_microcents
            if alike.chosen is None:
                line.rejected += count
            else:
                line.admitted += count
                line.substituted += count if alike.chosen != alike.venue else 0
        if alike.chosen is None:
            self.rejected_by_stage[alike.stage] += count
            self.reasons["reject", alike.stage, alike.reason] += count
        else:
            self.admitted_count += count
            self.reasons["admit", "", alike.reason] += count
            to = _named(self.venues, str(alike.chosen), VenueCounts, is_known=True)
            to.admitted_to += count
            to.fees_microcents += alike.fees_microcents


_CountsType = TypeVar("_CountsType", bound=AnswerCounts)


def _named(
    table: dict[str, _CountsType], name: str, kind: type[_CountsType], is_known: bool = False
) -> _CountsType:
    """The counts of a name. A stranger's name finds no line of its own in a full table."""
    counts = table.get(name)
    if counts is None:
        if len(table) >= NAMES_MAX and not is_known:
            name = OTHER_NAMES
        counts = table.setdefault(name, kind())
    return counts
