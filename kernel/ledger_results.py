"""What the ledger answers: one small frozen type per outcome.

Owns: the outcomes of every operation, named and with fields as the reference prints them. The
reference has three different overflows; here each is a type of its own with the same `status`.

Must not: move money. Every amount is in microcents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

ResultType = TypeVar("ResultType")


class LedgerResult:
    """The base of every outcome."""

    __slots__ = ()

    status: ClassVar[str]
    __match_args__: ClassVar[tuple[str, ...]] = ()

    def as_dict(self) -> dict[str, Any]:
        """`status`, then the outcome's fields."""
        names = self.__match_args__
        return {"status": self.status} | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Reserved(LedgerResult):
    """The amount is held; `remaining_microcents` is free after it."""

    status: ClassVar[str] = "reserved"
    remaining_microcents: int


@dataclass(frozen=True, slots=True)
class Insufficient(LedgerResult):
    """Less is free than asked for; or the amount was not above zero (then `remaining` reads 0)."""

    status: ClassVar[str] = "insufficient"
    remaining_microcents: int
    required_microcents: int


@dataclass(frozen=True, slots=True)
class ExposureLimitExceeded(LedgerResult):
    """All holds together would exceed the tenant's cap."""

    status: ClassVar[str] = "exposure_limit_exceeded"
    current_reserved_microcents: int
    max_reserved_microcents: int


class Overflow(LedgerResult):
    """A sum that would not fit an i64. Its three kinds carry this name too: see `_as_overflow`."""

    __slots__ = ()

    status: ClassVar[str] = "overflow"


def _as_overflow(kind: type[ResultType]) -> type[ResultType]:
    """The kinds differ in their fields alone; shown, each is an `Overflow`, as in the reference."""
    kind.__name__ = kind.__qualname__ = "Overflow"
    return kind


@_as_overflow
@dataclass(frozen=True, slots=True)
class ReserveOverflow(Overflow):
    """All holds together would not fit an i64."""

    current_reserved_microcents: int


@dataclass(frozen=True, slots=True)
class MissingTenant(LedgerResult):
    """No tenant of that id."""

    status: ClassVar[str] = "missing_tenant"


@dataclass(frozen=True, slots=True)
class MissingReservation(LedgerResult):
    """No open hold of that id: it never was, or it has ended."""

    status: ClassVar[str] = "missing_reservation"


@dataclass(frozen=True, slots=True)
class InvalidAmount(LedgerResult):
    """An amount below zero (for a top-up: not above zero)."""

    status: ClassVar[str] = "invalid_amount"


@dataclass(frozen=True, slots=True)
class Committed(LedgerResult):
    """The hold is gone and `actual_microcents` of it, or beyond it, is spent."""

    status: ClassVar[str] = "committed"
    remaining_microcents: int
    actual_microcents: int


@dataclass(frozen=True, slots=True)
class Released(LedgerResult):
    """The hold is gone and all of it is free again."""

    status: ClassVar[str] = "released"
    remaining_microcents: int
    returned_microcents: int


@dataclass(frozen=True, slots=True)
class Settled(LedgerResult):
    """Part of the hold ended and a spend was paid out of what is free.

    `hold_microcents` is what is left of the hold; at 0 it is gone.
    """

    status: ClassVar[str] = "settled"
    remaining_microcents: int
    released_microcents: int
    committed_microcents: int
    hold_microcents: int


@dataclass(frozen=True, slots=True)
class Charged(LedgerResult):
    """A spend that no hold stands behind was paid out of what is free."""

    status: ClassVar[str] = "charged"
    remaining_microcents: int
    committed_microcents: int


@dataclass(frozen=True, slots=True)
class HoldExceeded(LedgerResult):
    """More was to be released than the hold has left; nothing moved."""

    status: ClassVar[str] = "hold_exceeded"
    hold_microcents: int
    released_microcents: int


@dataclass(frozen=True, slots=True)
class Overrun(LedgerResult):
    """The spend exceeds what is free beyond the hold; nothing moved."""

    status: ClassVar[str] = "overrun"
    remaining_microcents: int


@_as_overflow
@dataclass(frozen=True, slots=True)
class CommitOverflow(Overflow):
    """What was ever spent would not fit an i64; nothing moved."""

    remaining_microcents: int


@dataclass(frozen=True, slots=True)
class ToppedUp(LedgerResult):
    """The grant grew."""

    status: ClassVar[str] = "topped_up"
    added_microcents: int
    new_initial_microcents: int
    remaining_microcents: int


@_as_overflow
@dataclass(frozen=True, slots=True)
class TopUpOverflow(Overflow):
    """What was ever granted would not fit an i64; nothing moved."""


@dataclass(frozen=True, slots=True)
class Lowered(LedgerResult):
    """The grant shrank, by what was free."""

    status: ClassVar[str] = "lowered"
    taken_microcents: int
    new_initial_microcents: int
    remaining_microcents: int


@dataclass(frozen=True, slots=True)
class Balanced(LedgerResult):
    """For every tenant, remaining + reserved + committed == initial and remaining >= 0."""

    status: ClassVar[str] = "balanced"


@dataclass(frozen=True, slots=True)
class Violation(LedgerResult):
    """The first tenant (in order of ids) whose balances do not add up, and by how much."""

    status: ClassVar[str] = "violation"
    tenant_id: str
    delta_microcents: int


ReserveResult = Reserved | Insufficient | ExposureLimitExceeded | ReserveOverflow | MissingTenant
CommitResult = Committed | InvalidAmount | MissingReservation | CommitOverflow | Overrun
ReleaseResult = Released | MissingReservation
SettleResult = (
    Settled | InvalidAmount | MissingReservation | HoldExceeded | CommitOverflow | Overrun
)
ChargeResult = Charged | InvalidAmount | MissingTenant | CommitOverflow | Overrun
LowerResult = Lowered | InvalidAmount | MissingTenant | Overrun
TopUpResult = ToppedUp | InvalidAmount | MissingTenant | TopUpOverflow
ConservationResult = Balanced | Violation
