"""The whole state of a ledger as plain values, so that it can be kept and taken up again.

Owns: what such a state consists of, and whether one can be a ledger's. `BudgetEngine.export_state`
gives it, `BudgetEngine.restore` takes it.

Must not: say how it is written down, or repair anything: a state that does not add up is refused
whole. The holds may be many millions, so they are gone through once, in order, and never gathered.

Fails: `KernelInputError` naming the field, for values of a wrong type or range, tenants, caps or
holds out of order, a hold of an unknown tenant or with a number that was not given out yet,
balances that do not add up, and holds that are not what is reserved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from kernel.errors import KernelInputError
from kernel.finance import TenantLedger, check_balances
from kernel.layout import I64
from kernel.ledger_results import Violation

I64_MAX = I64.maximum
TENANT_ID_BYTES_MAX = 1024  # as the reference's own callers hold it


class OpenHold(NamedTuple):
    """A hold that has not ended: its number, whose it is, and what is left of it."""

    reservation_id: int
    tenant_id: str
    microcents: int


@dataclass(frozen=True, slots=True)
class LedgerState:
    """All that a ledger knows.

    `tenants` and `caps` (tenant id, microcents) are in ascending order of their ids, `holds` in
    ascending order of their numbers; a cap may stand there before its tenant. The last two fields
    are counters of snapshots and certificates: no balance depends on them.
    """

    tenants: tuple[TenantLedger, ...]
    caps: tuple[tuple[str, int], ...]
    next_reservation_id: int
    hold_count: int
    holds: Iterable[tuple[int, str, int]]  # as `OpenHold`
    snapshot_version: int = 0
    certified_microcents: int = 0


def check_tenant_id(tenant_id: object) -> None:
    """A tenant id is text of 1 to 1,024 UTF-8 bytes."""
    if isinstance(tenant_id, str):
        try:
            if 0 < len(tenant_id.encode()) <= TENANT_ID_BYTES_MAX:
                return
        except UnicodeEncodeError:
            pass
    raise KernelInputError(
        f"tenant_id is {tenant_id!r}; must be text of 1 to {TENANT_ID_BYTES_MAX} UTF-8 bytes"
    )


def check_balances_and_caps(state: LedgerState) -> None:
    """Checks everything of a state but its holds."""
    for name, minimum in (
        ("next_reservation_id", 1),
        ("hold_count", 0),
        ("snapshot_version", 0),
        ("certified_microcents", 0),
    ):
        _check_at_least(name, getattr(state, name), minimum)
    _check_order("tenants", [tenant.tenant_id for tenant in state.tenants])
    for tenant in state.tenants:
        for name in ("initial", "remaining", "reserved", "committed"):
            _check_at_least(f"{name}_microcents", getattr(tenant, f"{name}_microcents"), 0)
    balanced = check_balances(state.tenants)
    if isinstance(balanced, Violation):
        raise KernelInputError(
            f"tenants: {balanced.tenant_id!r} is out of balance by {balanced.delta_microcents};"
            " must be 0"
        )
    _check_order("caps", [tenant_id for tenant_id, _ in state.caps])
    for _, cap in state.caps:
        _check_at_least("caps", cap, 1)


def checked_holds(state: LedgerState) -> Iterator[tuple[int, str, int]]:
    """The holds, each checked; its end is reached only if all of them are what is reserved."""
    not_held = {tenant.tenant_id: tenant.reserved_microcents for tenant in state.tenants}
    count, previous = 0, 0
    for hold in state.holds:
        reservation_id, tenant_id, microcents = hold
        if (
            type(reservation_id) is not int
            or not previous < reservation_id < state.next_reservation_id
        ):
            raise KernelInputError(
                f"holds: {reservation_id} follows {previous}; must be above it, and below"
                f" next_reservation_id, which is {state.next_reservation_id}"
            )
        if tenant_id not in not_held:
            raise KernelInputError(f"holds: {reservation_id} is of {tenant_id!r}, no tenant")
        if type(microcents) is not int or not 0 < microcents <= I64_MAX:
            _check_at_least("holds", microcents, 1)
        not_held[tenant_id] -= microcents
        count, previous = count + 1, reservation_id
        if count <= state.hold_count:
            yield hold
    if count != state.hold_count:
        raise KernelInputError(f"hold_count is {state.hold_count}; must be {count}")
    for tenant_id, microcents in not_held.items():
        if microcents:
            raise KernelInputError(
                f"reserved_microcents of {tenant_id!r} is {microcents} off its open holds;"
                " must be their sum"
            )


def _check_order(name: str, tenant_ids: list[str]) -> None:
    for tenant_id in tenant_ids:
        check_tenant_id(tenant_id)
    if tenant_ids != sorted(set(tenant_ids)):
        raise KernelInputError(f"{name} is not in ascending order; must be, each tenant once")


def _check_at_least(name: str, value: object, minimum: int) -> None:
    if type(value) is not int or not minimum <= value <= I64.maximum:
        raise KernelInputError(
            f"{name} is {value!r}; must be an integer from {minimum} to {I64.maximum}"
        )


def check_amount(name: str, value: object) -> None:
    """Raises `KernelInputError` where it is no i64."""
    if type(value) is not int or not I64.minimum <= value <= I64.maximum:
        raise KernelInputError(
            f"{name} is {value!r}; must be an integer from {I64.minimum} to {I64.maximum}"
        )
