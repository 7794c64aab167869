# cython: annotation_typing=False, nonecheck=True
"""The budget ledger: who was granted what, what is held, what is spent.

Owns: the balances per tenant (a desk), the open holds with their numbers, and the order in which
an operation's refusals are found. (`kernel.ledger_state` is its whole state as plain values.)

Must not: know why money is held, read a clock, or forget: `committed` never falls.

How it works: each operation is assessed first (a pure question about the state) and then moves the
balances; a refusal is a result, not an exception, and moves nothing. After every operation each
tenant has `remaining + reserved + committed == initial` and `remaining >= 0`, and its open holds
add up to `reserved`. Amounts are i64 microcents, checked before anything moves. Callers on a hot
path, who need no result to look at, have the same operations without one (`can_reserve`,
`reserve_id`, `settle_hold`, `release_hold`), and a tenant's line, which they look up once (`line`,
`reserve_line`).

Fails: an amount outside i64, a bool, a negative grant or an unusable tenant id is a
`KernelInputError` naming the argument; balances that stop adding up are an `InvariantError`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from kernel.errors import KernelInputError
from kernel.finance import (
    BudgetSnapshot,
    ConservationProof,
    FinancialCertificate,
    TenantLedger,
    certify_ledger,
    check_balances,
    prove_conservation,
)
from kernel.holds import Hold, OpenHolds
from kernel.layout import I64
from kernel.ledger_grants import assess_lower, assess_top_up
from kernel.ledger_lines import Tenant
from kernel.ledger_results import (
    Charged,
    ChargeResult,
    CommitOverflow,
    CommitResult,
    Committed,
    ConservationResult,
    ExposureLimitExceeded,
    HoldExceeded,
    Insufficient,
    InvalidAmount,
    Lowered,
    LowerResult,
    MissingReservation,
    MissingTenant,
    Overrun,
    Released,
    ReleaseResult,
    Reserved,
    ReserveOverflow,
    ReserveResult,
    Settled,
    SettleResult,
    ToppedUp,
    TopUpResult,
)
from kernel.ledger_state import (
    LedgerState,
    OpenHold,
    check_amount,
    check_balances_and_caps,
    check_tenant_id,
    checked_holds,
)

I64_MAX = I64.maximum

_MISSING_TENANT = MissingTenant()
_MISSING_RESERVATION = MissingReservation()
_INVALID_AMOUNT = InvalidAmount()


class BudgetEngine:
    """The ledger. One thread uses it; nothing in it blocks."""

    __slots__ = ("_caps", "_certified_microcents", "_holds", "_next_id", "_tenants", "_version")

    def __init__(self) -> None:
        self._tenants: dict[str, Tenant] = {}
        self._holds = OpenHolds()
        self._caps: dict[str, int] = {}
        self._next_id = 1
        self._version = 0
        self._certified_microcents = 0

    # Tenants and what they may use.

    def ensure_tenant(self, tenant_id: str, budget_microcents: int) -> None:
        """Open a tenant with that grant; nothing happens where it is open already."""
        check_tenant_id(tenant_id)
        check_amount("budget_microcents", budget_microcents)
        if budget_microcents < 0:
            raise KernelInputError(
                f"budget_microcents is {budget_microcents}; must be from 0 to {I64_MAX}"
            )
        if tenant_id not in self._tenants:
            cap = self._caps.get(tenant_id, 0)
            self._add_tenant(Tenant(tenant_id, budget_microcents, cap))

    def _add_tenant(self, tenant: Tenant) -> None:
        self._tenants[tenant.tenant_id] = tenant
        self._holds.add_tenant(tenant)

    def set_max_reserved_microcents(self, tenant_id: str, max_microcents: int) -> None:
        """Cap the sum of a tenant's open holds; 0 or less removes the cap.

        Holds that are open already stay. A cap may be set before its tenant is opened.
        """
        check_tenant_id(tenant_id)
        check_amount("max_microcents", max_microcents)
        if max_microcents > 0:
            self._caps[tenant_id] = max_microcents
        else:
            self._caps.pop(tenant_id, None)
        tenant = self._tenants.get(tenant_id)
        if tenant is not None:
            tenant.cap = max(max_microcents, 0)

    def assess_top_up(self, tenant_id: str, amount_microcents: int) -> TopUpResult:
        """What `top_up_tenant` would answer. Moves nothing."""
        check_amount("amount_microcents", amount_microcents)
        return assess_top_up(self._tenants.get(tenant_id), amount_microcents)

    def top_up_tenant(self, tenant_id: str, amount_microcents: int) -> TopUpResult:
        """Add to a tenant's grant."""
        result = self.assess_top_up(tenant_id, amount_microcents)
        if type(result) is ToppedUp:
            self._grant(tenant_id, result)
        return result

    def assess_lower(self, tenant_id: str, amount_microcents: int) -> LowerResult:
        """What `lower_tenant` would answer. Moves nothing."""
        check_amount("amount_microcents", amount_microcents)
        return assess_lower(self._tenants.get(tenant_id), amount_microcents)

    def lower_tenant(self, tenant_id: str, amount_microcents: int) -> LowerResult:
        """Take from a tenant's grant: of what is free, never of what is held or spent."""
        result = self.assess_lower(tenant_id, amount_microcents)
        if type(result) is Lowered:
            self._grant(tenant_id, result)
        return result

    def _grant(self, tenant_id: str, result: ToppedUp | Lowered) -> None:
        tenant = self._tenants[tenant_id]
        tenant.initial = result.new_initial_microcents
        tenant.remaining = result.remaining_microcents
        tenant.check()

    # Holds.

    def assess_reserve(self, tenant_id: str, amount_microcents: int) -> ReserveResult:
        """What `try_reserve` would answer. Moves nothing."""
        check_amount("amount_microcents", amount_microcents)
        if amount_microcents <= 0:
            return Insufficient(0, amount_microcents)
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return _MISSING_TENANT
        if tenant.overflows_holds(amount_microcents):
            return ReserveOverflow(tenant.reserved)
        if tenant.exceeds_cap(amount_microcents):
            return ExposureLimitExceeded(tenant.reserved, tenant.cap)
        if tenant.remaining < amount_microcents:
            return Insufficient(tenant.remaining, amount_microcents)
        return Reserved(tenant.remaining - amount_microcents)

    def try_reserve(
        self, tenant_id: str, amount_microcents: int
    ) -> tuple[ReserveResult, int | None]:
        """Hold an amount. Returns the outcome and, where it is `Reserved`, the hold's number."""
        result = self.assess_reserve(tenant_id, amount_microcents)
        if type(result) is not Reserved:
            return result, None
        return result, self._open_hold(self._tenants[tenant_id], amount_microcents)

    def can_reserve(self, tenant_id: str, amount_microcents: int) -> bool:
        """Whether `try_reserve` would hold that amount, an i64. Moves nothing."""
        tenant = self._tenants.get(tenant_id)
        return tenant is not None and tenant.can_hold(amount_microcents)

    def reserve_id(self, tenant_id: str, amount_microcents: int) -> int:
        """As `try_reserve` of an i64, but only the hold's number; 0 where nothing is held."""
        tenant = self._tenants.get(tenant_id)
        return 0 if tenant is None else self.reserve_line(tenant, amount_microcents)

    def line(self, tenant_id: str) -> Tenant | None:
        """A tenant's line, to be read; None for an unknown tenant.

        It stays the same object for as long as this ledger lives: a caller may look it up once, ask
        it (`can_hold`), and reserve on it (`reserve_line`).
        """
        return self._tenants.get(tenant_id)

    def reserve_line(self, tenant: Tenant, amount_microcents: int) -> int:
        """As `reserve_id`, on a line of this ledger."""
        if not tenant.can_hold(amount_microcents):
            return 0
        return self._open_hold(tenant, amount_microcents)

    def _open_hold(self, tenant: Tenant, amount_microcents: int) -> int:
        tenant.remaining -= amount_microcents
        tenant.reserved += amount_microcents
        reservation_id = self._next_id
        self._next_id = reservation_id + 1
        self._holds.add(reservation_id, tenant, amount_microcents)
        tenant.check()
        return reservation_id

    def _hold(self, reservation_id: int) -> Hold | None:
        """As `OpenHolds.get`, of whatever is said to be a hold's number."""
        if not isinstance(reservation_id, int) or not 0 < reservation_id < self._next_id:
            return None
        return self._holds.get(reservation_id)

    def assess_commit(self, reservation_id: int, actual_microcents: int) -> CommitResult:
        """What `commit` would answer. Moves nothing."""
        check_amount("actual_microcents", actual_microcents)
        if actual_microcents < 0:
            return _INVALID_AMOUNT
        hold = self._hold(reservation_id)
        if hold is None:
            return _MISSING_RESERVATION
        tenant = hold.tenant
        if tenant.committed + actual_microcents > I64_MAX:
            return CommitOverflow(tenant.remaining)
        remaining = tenant.remaining + hold.microcents - actual_microcents
        if remaining < 0:
            return Overrun(tenant.remaining)
        return Committed(remaining, actual_microcents)

    def commit(self, reservation_id: int, actual_microcents: int) -> CommitResult:
        """End a hold by spending: a surplus returns, an excess is paid out of what is free."""
        result = self.assess_commit(reservation_id, actual_microcents)
        if type(result) is Committed:
            hold = self._holds.get(reservation_id)
            assert hold is not None
            tenant = hold.tenant
            tenant.reserved -= hold.microcents
            self._holds.lower(hold, hold.microcents)
            tenant.committed += actual_microcents
            tenant.remaining = result.remaining_microcents
            tenant.check()
        return result

    def release(self, reservation_id: int) -> ReleaseResult:
        """End a hold without spending."""
        hold = self._hold(reservation_id)
        if hold is None:
            return _MISSING_RESERVATION
        tenant = hold.tenant
        return Released(tenant.remaining + hold.microcents, self.release_hold(reservation_id))

    def release_hold(self, reservation_id: int) -> int:
        """As `release`, but only what was held and is free now; -1 for a hold that is not open."""
        hold = self._holds.get(reservation_id)
        if hold is None:
            return -1
        tenant, microcents = hold.tenant, hold.microcents
        self._holds.lower(hold, microcents)
        tenant.reserved -= microcents
        tenant.remaining += microcents
        tenant.check()
        return microcents

    def assess_settle(
        self, reservation_id: int, released_microcents: int, committed_microcents: int
    ) -> SettleResult:
        """What `settle` would answer. Moves nothing."""
        check_amount("released_microcents", released_microcents)
        check_amount("committed_microcents", committed_microcents)
        if released_microcents < 0 or committed_microcents < 0:
            return _INVALID_AMOUNT
        hold = self._hold(reservation_id)
        if hold is None:
            return _MISSING_RESERVATION
        tenant = hold.tenant
        if released_microcents > hold.microcents:
            return HoldExceeded(hold.microcents, released_microcents)
        if tenant.overflows_spend(committed_microcents):
            return CommitOverflow(tenant.remaining)
        if tenant.remaining + released_microcents < committed_microcents:
            return Overrun(tenant.remaining)
        return Settled(
            tenant.remaining + released_microcents - committed_microcents,
            released_microcents,
            committed_microcents,
            hold.microcents - released_microcents,
        )

    def settle(
        self, reservation_id: int, released_microcents: int, committed_microcents: int
    ) -> SettleResult:
        """End a part of a hold and pay a spend, in one step.

        `released` is the part of the hold that ends and is free again; `committed` is then paid
        out of what is free, not out of the rest of the hold: that rest still stands for the part
        of the order that may yet be filled. The hold is gone when nothing is left of it.
        """
        result = self.assess_settle(reservation_id, released_microcents, committed_microcents)
        if type(result) is Settled:
            hold = self._holds.get(reservation_id)
            assert hold is not None
            self._end_part(hold, released_microcents, committed_microcents)
        return result

    def can_settle(
        self, reservation_id: int, released_microcents: int, committed_microcents: int
    ) -> bool:
        """Whether `settle` of two i64 would be done. Moves nothing."""
        hold = self._holds.get(reservation_id)
        return hold is not None and hold.tenant.can_settle(
            hold.microcents, released_microcents, committed_microcents
        )

    def settle_hold(
        self, reservation_id: int, released_microcents: int, committed_microcents: int
    ) -> bool:
        """As `settle` of two i64, but only whether it is done; False: nothing has moved."""
        hold = self._holds.get(reservation_id)
        if hold is None or not hold.tenant.can_settle(
            hold.microcents, released_microcents, committed_microcents
        ):
            return False
        self._end_part(hold, released_microcents, committed_microcents)
        return True

    def _end_part(self, hold: Hold, released_microcents: int, committed_microcents: int) -> None:
        self._holds.lower(hold, released_microcents)
        tenant = hold.tenant
        tenant.reserved -= released_microcents
        tenant.committed += committed_microcents
        tenant.remaining += released_microcents
        tenant.remaining -= committed_microcents
        tenant.check()

    def assess_charge(self, tenant_id: str, amount_microcents: int) -> ChargeResult:
        """What `charge` would answer. Moves nothing."""
        check_amount("amount_microcents", amount_microcents)
        if amount_microcents < 0:
            return _INVALID_AMOUNT
        tenant = self._tenants.get(tenant_id)
        if tenant is None:
            return _MISSING_TENANT
        if tenant.committed + amount_microcents > I64_MAX:
            return CommitOverflow(tenant.remaining)
        if tenant.remaining < amount_microcents:
            return Overrun(tenant.remaining)
        return Charged(tenant.remaining - amount_microcents, amount_microcents)

    def charge(self, tenant_id: str, amount_microcents: int) -> ChargeResult:
        """Pay a spend out of what is free, with no hold: the fee of a fill that came too late."""
        result = self.assess_charge(tenant_id, amount_microcents)
        if type(result) is Charged:
            tenant = self._tenants[tenant_id]
            tenant.committed += amount_microcents
            tenant.remaining = result.remaining_microcents
            tenant.check()
        return result

    # Questions.

    def initial_microcents(self, tenant_id: str) -> int | None:
        """All that was ever granted; None for an unknown tenant."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.initial

    def remaining_microcents(self, tenant_id: str) -> int | None:
        """What is free; None for an unknown tenant."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.remaining

    def reserved_microcents(self, tenant_id: str) -> int | None:
        """What is held; None for an unknown tenant."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.reserved

    def committed_microcents(self, tenant_id: str) -> int | None:
        """What was ever spent; None for an unknown tenant."""
        tenant = self._tenants.get(tenant_id)
        return None if tenant is None else tenant.committed

    def max_reserved_microcents(self, tenant_id: str) -> int | None:
        """The cap on the sum of a tenant's open holds; None where there is none."""
        return self._caps.get(tenant_id)

    def hold_microcents(self, reservation_id: int) -> int | None:
        """What is left of a hold; None where it is not open."""
        hold = self._hold(reservation_id)
        return None if hold is None else hold.microcents

    @property
    def next_reservation_id(self) -> int:
        """The number that the next hold will get."""
        return self._next_id

    @property
    def tenant_count(self) -> int:
        """How many tenants there are."""
        return len(self._tenants)

    @property
    def active_reservations(self) -> int:
        """How many holds are open."""
        return len(self._holds)

    def tenant_ids(self) -> list[str]:
        """The tenants, in ascending order of their ids."""
        return sorted(self._tenants)

    # Proofs.

    def snapshot(self) -> BudgetSnapshot:
        """The balances now, under the next version: 1, 2, … one per snapshot taken."""
        self._version += 1
        return BudgetSnapshot(self._version, len(self._holds), None, self._tenant_ledgers())

    def verify_conservation(self) -> ConservationResult:
        """Whether every tenant's balances add up, from the balances as they stand."""
        return check_balances(self._tenant_ledgers())

    def prove_conservation(self) -> ConservationProof:
        """The digest of one frozen snapshot, its counts and totals."""
        return prove_conservation(self.snapshot())

    def certify_ledger(self) -> FinancialCertificate:
        """A proof, and what was spent since the last certificate."""
        certificate = certify_ledger(self.snapshot(), self._certified_microcents)
        if certificate.aggregate_totals_representable:
            self._certified_microcents = certificate.total_committed_microcents
        return certificate

    def _tenant_ledgers(self) -> tuple[TenantLedger, ...]:
        return tuple(
            TenantLedger(
                tenant_id, tenant.initial, tenant.remaining, tenant.reserved, tenant.committed
            )
            for tenant_id, tenant in sorted(self._tenants.items())
        )

    # The whole state, to be kept and taken up again.

    def export_state(self) -> LedgerState:
        """All that this ledger knows. The holds are given while they are gone through: once."""
        return LedgerState(
            self._tenant_ledgers(),
            tuple(sorted(self._caps.items())),
            self._next_id,
            len(self._holds),
            (OpenHold(hold.number, hold.tenant.tenant_id, hold.microcents) for hold in self._holds),
            self._version,
            self._certified_microcents,
        )

    def hold_rows(self, places: dict[str, int], count: int) -> Iterator[bytes]:
        """The open holds by ascending number, `count` rows at a time: their bytes, little-endian.

        A row: the hold's number u64, the place of its tenant in `places` u32, microcents i64. As
        the holds of `export_state`, for who needs no object for each. Raises KeyError: no place.
        """
        if count < 1:
            raise KernelInputError(f"count is {count}; must be at least 1")
        return self._holds.rows(places, count)

    @classmethod
    def restore(cls, state: LedgerState) -> Self:
        """The ledger of that state. Raises `KernelInputError` for one that no ledger can have."""
        check_balances_and_caps(state)
        ledger = cls()
        ledger._caps = dict(state.caps)
        for balances in state.tenants:
            tenant_id = balances.tenant_id
            cap = ledger._caps.get(tenant_id, 0)
            tenant = Tenant(tenant_id, balances.initial_microcents, cap)
            tenant.remaining = balances.remaining_microcents
            tenant.reserved = balances.reserved_microcents
            tenant.committed = balances.committed_microcents
            ledger._add_tenant(tenant)
        for reservation_id, tenant_id, microcents in checked_holds(state):
            ledger._holds.add(reservation_id, ledger._tenants[tenant_id], microcents)
        ledger._next_id = state.next_reservation_id
        ledger._version = state.snapshot_version
        ledger._certified_microcents = state.certified_microcents
        return ledger

    def __repr__(self) -> str:
        return (
            f"BudgetEngine(tenants={self.tenant_count},"
            f" active_reservations={self.active_reservations})"
        )
