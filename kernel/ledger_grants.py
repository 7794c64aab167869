"""What changes a tenant's grant: more of it, and less.

Owns the conditions of both, on one tenant's balances. A grant shrinks by what is free, never by
what is held or spent.
"""

from __future__ import annotations

from kernel.layout import I64
from kernel.ledger_lines import Tenant
from kernel.ledger_results import (
    InvalidAmount,
    Lowered,
    LowerResult,
    MissingTenant,
    Overrun,
    ToppedUp,
    TopUpOverflow,
    TopUpResult,
)


def assess_top_up(tenant: Tenant | None, amount_microcents: int) -> TopUpResult:
    """What adding to the grant would answer, of an amount in an i64."""
    if amount_microcents <= 0:
        return InvalidAmount()
    if tenant is None:
        return MissingTenant()
    if tenant.initial + amount_microcents > I64.maximum:
        return TopUpOverflow()
    return ToppedUp(
        amount_microcents, tenant.initial + amount_microcents, tenant.remaining + amount_microcents
    )


def assess_lower(tenant: Tenant | None, amount_microcents: int) -> LowerResult:
    """What taking from the grant would answer, of an amount in an i64."""
    if amount_microcents <= 0:
        return InvalidAmount()
    if tenant is None:
        return MissingTenant()
    if tenant.remaining < amount_microcents:
        return Overrun(tenant.remaining)
    return Lowered(
        amount_microcents, tenant.initial - amount_microcents, tenant.remaining - amount_microcents
    )
