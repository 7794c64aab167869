"""Builders: a model, an input and a policy put together call by call, each value checked at once.

Owns: what must be said (no fact that a gate or a utility depends on has a default), what may be
left out (a constraint that is not set is none), and the ceilings that a loaded policy and the
reference hold. Every call gives the builder back; a refused one changes nothing.

Must not: decide, or accept what `KernelInput`, `KernelModel` or `PolicySnapshot` would refuse.

Fails: `KernelInputError` (`PolicyError` for a model or a policy) naming the field, the value and
what is allowed; `build` names what was not said, and the call that says it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from kernel.errors import KernelInputError, PolicyError
from kernel.layout import (
    ALL_PROVIDERS,
    ANY_REGION,
    INPUT,
    MODEL,
    NO_LATENCY_LIMIT,
    NO_MODEL_ID,
    POLICY,
    Layout,
)
from kernel.policy import BPS_MAX, PROVIDER_ID_MAX, PolicySnapshot
from kernel.records import KernelInput, KernelModel
from kernel.strict_json import shown

if TYPE_CHECKING:
    from kernel.engine_config import EngineConfig

ALL_REGIONS = 2**64 - 1  # as region_mask: available everywhere


class _Fields:
    """Values of one layout, gathered in any order and each checked when it comes."""

    __slots__ = ("_error", "_layout", "_values")

    def __init__(self, layout: Layout, error: type[KernelInputError], **values: int) -> None:
        self._layout = layout
        self._error = error
        self._values: dict[str, int] = {}
        self.set(**values)

    def set(self, **values: int) -> None:
        """Take these values, all or none."""
        for name, value in values.items():
            field = self._layout.field(name)
            low, high = field.minimum, field.maximum
            if name.endswith("_bps"):
                high = BPS_MAX
            elif name == "provider_id":
                high = PROVIDER_ID_MAX
            elif name == "model_id":
                low = NO_MODEL_ID + 1
            if type(value) is not int or not low <= value <= high:
                raise self._error(
                    f"{name} is {shown(value)}; must be an integer from {low} to {high}"
                )
        self._values |= values

    def all(self, calls: dict[str, str]) -> dict[str, int]:
        """Every field's value; `calls` names the builder's call for what has no default."""
        for name in self._layout.field_names:
            if name not in self._values:
                raise self._error(f"{name} is not set; call {calls[name]} before build()")
        return {name: self._values[name] for name in self._layout.field_names}


class KernelInputBuilder:
    """Builds a `KernelInput`.

    `tokens`, `value`, `budget` and `risk` must be called; the rest are constraints.
    """

    __slots__ = ("_fields",)

    _CALLS = (
        dict.fromkeys(("input_tokens", "output_tokens"), "tokens(input_tokens=…, output_tokens=…)")
        | dict.fromkeys(("risk_bps", "confidence_bps"), "risk(risk_bps=…, confidence_bps=…)")
        | {
            "business_value_microunits": "value(business_value_microunits)",
            "budget_limit_microunits": "budget(budget_limit_microunits)",
        }
    )

    def __init__(self, request_sequence: int, requested_model_id: int) -> None:
        """`request_sequence` u64; `requested_model_id` u32, 0 for none in particular."""
        self._fields = _Fields(
            INPUT,
            KernelInputError,
            request_sequence=request_sequence,
            requested_model_id=requested_model_id,
            minimum_quality_bps=0,
            max_p95_latency_ms=NO_LATENCY_LIMIT,
            required_capabilities=0,
            allowed_provider_mask=ALL_PROVIDERS,
            required_region_mask=ANY_REGION,
        )

    def tokens(self, *, input_tokens: int, output_tokens: int) -> Self:
        """What is asked for, which the model's rates price (u32 each)."""
        self._fields.set(input_tokens=input_tokens, output_tokens=output_tokens)
        return self

    def value(self, business_value_microunits: int) -> Self:
        """What the request is worth (i64)."""
        self._fields.set(business_value_microunits=business_value_microunits)
        return self

    def budget(self, budget_limit_microunits: int) -> Self:
        """The most that it may cost (u64)."""
        self._fields.set(budget_limit_microunits=budget_limit_microunits)
        return self

    def risk(self, *, risk_bps: int, confidence_bps: int) -> Self:
        """How risky the request is, and how sure that is (0 to 10,000 each)."""
        self._fields.set(risk_bps=risk_bps, confidence_bps=confidence_bps)
        return self

    def quality(self, minimum_quality_bps: int) -> Self:
        """The least quality (0 to 10,000; 0 unless called)."""
        self._fields.set(minimum_quality_bps=minimum_quality_bps)
        return self

    def latency(self, max_p95_latency_ms: int) -> Self:
        """The longest latency (u32; 0, which is no limit, unless called)."""
        self._fields.set(max_p95_latency_ms=max_p95_latency_ms)
        return self

    def capabilities(self, required_capabilities: int) -> Self:
        """The bits that a model must all have (u64; none unless called)."""
        self._fields.set(required_capabilities=required_capabilities)
        return self

    def providers(self, allowed_provider_mask: int) -> Self:
        """The providers allowed, a bit each (u64; all unless called)."""
        self._fields.set(allowed_provider_mask=allowed_provider_mask)
        return self

    def regions(self, required_region_mask: int) -> Self:
        """The regions of which a model must have one (u64; 0, which is any, unless called)."""
        self._fields.set(required_region_mask=required_region_mask)
        return self

    def build(self) -> KernelInput:
        """The input. The builder can go on to another."""
        return KernelInput(**self._fields.all(self._CALLS))


class KernelModelBuilder:
    """Builds a `KernelModel`, enabled unless said otherwise.

    `quality`, `risk_ceiling`, `latency` and `cost` must be called.
    """

    __slots__ = ("_fields",)

    _COST = "cost(input_microunits_per_million_tokens=…, output_microunits_per_million_tokens=…)"
    _CALLS = {  # noqa: RUF012 (never changed)
        "quality_bps": "quality(quality_bps)",
        "risk_ceiling_bps": "risk_ceiling(risk_ceiling_bps)",
        "p95_latency_ms": "latency(p95_latency_ms)",
        "input_cost_microunits_per_million_tokens": _COST,
        "output_cost_microunits_per_million_tokens": _COST,
    }

    def __init__(self, model_id: int, provider_id: int) -> None:
        """`model_id` from 1 (u32); `provider_id` 0 to 63."""
        self._fields = _Fields(
            MODEL,
            PolicyError,
            model_id=model_id,
            provider_id=provider_id,
            enabled=1,
            capabilities=0,
            region_mask=ALL_REGIONS,
        )

    def quality(self, quality_bps: int) -> Self:
        """How good it is (0 to 10,000)."""
        self._fields.set(quality_bps=quality_bps)
        return self

    def risk_ceiling(self, risk_ceiling_bps: int) -> Self:
        """The riskiest request that it may get (0 to 10,000)."""
        self._fields.set(risk_ceiling_bps=risk_ceiling_bps)
        return self

    def latency(self, p95_latency_ms: int) -> Self:
        """Its latency, 95th percentile (u32)."""
        self._fields.set(p95_latency_ms=p95_latency_ms)
        return self

    def cost(
        self,
        *,
        input_microunits_per_million_tokens: int,
        output_microunits_per_million_tokens: int,
    ) -> Self:
        """Its rates (u64 each)."""
        self._fields.set(
            input_cost_microunits_per_million_tokens=input_microunits_per_million_tokens,
            output_cost_microunits_per_million_tokens=output_microunits_per_million_tokens,
        )
        return self

    def capabilities(self, capabilities: int) -> Self:
        """The bits that it has (u64; none unless called)."""
        self._fields.set(capabilities=capabilities)
        return self

    def regions(self, region_mask: int) -> Self:
        """Where it is available (u64; everywhere unless called)."""
        self._fields.set(region_mask=region_mask)
        return self

    def disabled(self) -> Self:
        """It is in the catalogue, and not to be chosen."""
        self._fields.set(enabled=0)
        return self

    def build(self) -> KernelModel:
        """The model. The builder can go on to another."""
        return KernelModel(**self._fields.all(self._CALLS))


class PolicyBuilder:
    """Builds a `PolicySnapshot` from a configuration and models."""

    __slots__ = ("_config", "_epochs", "_models")

    def __init__(self, config: EngineConfig, *, policy_epoch: int, catalog_epoch: int) -> None:
        """The epochs (u64 each) are the versions of policy and catalogue, as their owner counts."""
        for name, value in (("policy_epoch", policy_epoch), ("catalog_epoch", catalog_epoch)):
            high = POLICY.field(name).maximum
            if type(value) is not int or not 0 <= value <= high:
                raise PolicyError(f"{name} is {shown(value)}; must be an integer from 0 to {high}")
        self._config = config
        self._epochs = (policy_epoch, catalog_epoch)
        self._models: dict[int, KernelModel] = {}

    def model(self, model: KernelModel) -> Self:
        """Add a model; an id that is there already is refused."""
        return self.models([model])

    def models(self, models: Iterable[KernelModel]) -> Self:
        """Add models, all or none."""
        added: dict[int, KernelModel] = {}
        for model in models:
            if not isinstance(model, KernelModel):
                raise PolicyError(f"models has {shown(model)}; must be models")
            if model.model_id in self._models or model.model_id in added:
                raise PolicyError(f"model_id {model.model_id} stands twice; must be unique")
            added[model.model_id] = model
        self._models |= added
        return self

    def build(self) -> PolicySnapshot:
        """The policy, with every check of a load. Raises `PolicyError`."""
        config = self._config
        return PolicySnapshot(
            *self._epochs,
            config.hard_risk_limit_bps,
            config.minimum_confidence_bps,
            config.risk_penalty_multiplier_bps,
            config.latency_penalty_microunits_per_ms,
            self._models.values(),
        )
