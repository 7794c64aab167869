"""The configuration of an embedded engine: the policy's weights and the tenants' money.

Owns: its fields and defaults (the reference's), their checks, its JSON, and the ways from it to a
policy and to a ledger. It is checked when it is made and never changed after.

Must not: hold a catalogue (the `PolicyBuilder` does) or a balance.

Fails: `PolicyError` for a weight and `KernelInputError` for a tenant, naming the field, the value
and what is allowed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

from kernel.builders import PolicyBuilder
from kernel.errors import KernelInputError, PolicyError
from kernel.layout import I64, POLICY
from kernel.ledger import BudgetEngine
from kernel.ledger_state import check_tenant_id
from kernel.policy import BPS_MAX, RISK_PENALTY_MULTIPLIER_BPS_MAX
from kernel.strict_json import check_fields, check_integer, load_object, shown

_WEIGHTS = {
    "hard_risk_limit_bps": BPS_MAX,
    "minimum_confidence_bps": BPS_MAX,
    "risk_penalty_multiplier_bps": RISK_PENALTY_MULTIPLIER_BPS_MAX,
    "latency_penalty_microunits_per_ms": POLICY.field("latency_penalty_microunits_per_ms").maximum,
}


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """A tenant's grant, and the cap on the sum of its open holds; None is no cap."""

    tenant_id: str
    budget_microcents: int
    max_reserved_microcents: int | None = None

    def __post_init__(self) -> None:
        check_tenant_id(self.tenant_id)
        for name in ("budget_microcents", "max_reserved_microcents"):
            value = getattr(self, name)
            if name == "budget_microcents" or value is not None:
                low = 0 if name == "budget_microcents" else 1
                named = f"{name} of tenant {shown(self.tenant_id)}"
                check_integer(named, value, I64, KernelInputError, minimum=low)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The weights of a policy (see `SEMANTICS.md`), and the tenants of a ledger."""

    hard_risk_limit_bps: int = 9_600
    minimum_confidence_bps: int = 5_500
    risk_penalty_multiplier_bps: int = 3_500
    latency_penalty_microunits_per_ms: int = 2
    tenants: tuple[TenantConfig, ...] = ()

    def __post_init__(self) -> None:
        for name, maximum in _WEIGHTS.items():
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= maximum:
                raise PolicyError(
                    f"{name} is {shown(value)}; must be an integer from 0 to {maximum}"
                )
        seen: set[str] = set()
        for tenant in self.tenants:
            if not isinstance(tenant, TenantConfig):
                raise KernelInputError(f"tenants has {shown(tenant)}; must be tenants")
            if tenant.tenant_id in seen:
                raise KernelInputError(f"tenant {shown(tenant.tenant_id)} stands twice")
            seen.add(tenant.tenant_id)

    def with_tenant(
        self, tenant_id: str, budget_microcents: int, max_reserved_microcents: int | None = None
    ) -> Self:
        """The same, and one more tenant."""
        tenant = TenantConfig(tenant_id, budget_microcents, max_reserved_microcents)
        return replace(self, tenants=(*self.tenants, tenant))

    def policy_builder(self, *, policy_epoch: int, catalog_epoch: int) -> PolicyBuilder:
        """A builder with these weights, and no model yet."""
        return PolicyBuilder(self, policy_epoch=policy_epoch, catalog_epoch=catalog_epoch)

    def open_ledger(self) -> BudgetEngine:
        """A fresh ledger with these tenants and caps."""
        ledger = BudgetEngine()
        self.ensure_tenants(ledger)
        return ledger

    def ensure_tenants(self, ledger: BudgetEngine) -> None:
        """Open in `ledger` what it does not have, and set every cap.

        A tenant that is open keeps its balances: its grant grows by `top_up_tenant` alone. A
        restored ledger has no caps until this is called.
        """
        for tenant in self.tenants:
            ledger.ensure_tenant(tenant.tenant_id, tenant.budget_microcents)
            ledger.set_max_reserved_microcents(
                tenant.tenant_id, tenant.max_reserved_microcents or 0
            )

    def ensure_tenant(self, ledger: BudgetEngine, tenant_id: str) -> None:
        """The same for one of the tenants; another id is a `KernelInputError`, and no tenant."""
        for tenant in self.tenants:
            if tenant.tenant_id == tenant_id:
                replace(self, tenants=(tenant,)).ensure_tenants(ledger)
                return
        known = ", ".join(shown(tenant.tenant_id) for tenant in self.tenants[:5]) or "none"
        raise KernelInputError(f"tenant_id is {shown(tenant_id)}; must be one of {known}")

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return asdict(self) | {"tenants": [asdict(tenant) for tenant in self.tenants]}

    @classmethod
    def from_dict(cls, mapping: object) -> Self:
        """The configuration with those fields; what is absent has its default."""
        names = [field.name for field in fields(cls)]
        found = check_fields(mapping, "configuration", (), names, KernelInputError)
        tenants = found.pop("tenants", [])
        if not isinstance(tenants, list | tuple):
            raise KernelInputError(f"tenants is {shown(tenants)}; must be a list")
        return cls(**found, tenants=tuple(_tenant_of(tenant) for tenant in tenants))

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The configuration in that JSON object."""
        return cls.from_dict(load_object(text, "configuration", KernelInputError))


def _tenant_of(mapping: object) -> TenantConfig:
    required, optional = ("tenant_id", "budget_microcents"), ("max_reserved_microcents",)
    return TenantConfig(**check_fields(mapping, "tenant", required, optional, KernelInputError))
