# cython: annotation_typing=False, nonecheck=True
"""The policy: what it may contain, and everything that can be asked of it.

Owns: the checks at load, and the immutable `PolicySnapshot` with its decision table and its digest.

Must not: hold the decision itself (`kernel.prescribe`), or know where a policy comes from.

Fails: `PolicyError` naming the field, the value and what is allowed; nothing is half made. An
unchecked snapshot takes any values of the declared types, so that every input has a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from kernel import prescribe as _prescribe
from kernel.digest import policy_digest_of_rows
from kernel.errors import PolicyError
from kernel.explain import ModelExplanation, explain, utility_for_model
from kernel.layout import DECISION_ROW_BYTES, POLICY, TRACE, TRACE_ROW_BYTES
from kernel.little_endian import Buffer, Row
from kernel.records import KernelDecision, KernelInput, KernelModel, decision_of_output_row

BPS_MAX = 10_000  # 100 %
RISK_PENALTY_MULTIPLIER_BPS_MAX = 50_000
PROVIDER_ID_MAX = 63  # a provider is a bit of a 64-bit mask
MODELS_MAX = 65_535  # a decision's index and counts are u16, and index 65,535 means none


class PolicySnapshot:
    """A policy with its catalogue, checked when it is made and never changed after."""

    __slots__ = (
        "_digest",
        "_models",
        "_row",
        "_table",
        "_values",
    )

    def __init__(
        self,
        policy_epoch: int,
        catalog_epoch: int,
        hard_risk_limit_bps: int,
        minimum_confidence_bps: int,
        risk_penalty_multiplier_bps: int,
        latency_penalty_microunits_per_ms: int,
        models: Iterable[KernelModel],
    ) -> None:
        """The models may come in any order; they are kept in ascending `model_id`."""
        catalogue = _catalogue_of(models)
        values = (
            policy_epoch,
            catalog_epoch,
            hard_risk_limit_bps,
            minimum_confidence_bps,
            risk_penalty_multiplier_bps,
            latency_penalty_microunits_per_ms,
        )
        row = POLICY.pack(values)
        _check_policy(hard_risk_limit_bps, minimum_confidence_bps, risk_penalty_multiplier_bps)
        _check_catalogue(catalogue)
        catalogue.sort(key=lambda model: model.model_id)
        self._fill(row, values, catalogue)

    @classmethod
    def unchecked(
        cls,
        policy_epoch: int,
        catalog_epoch: int,
        hard_risk_limit_bps: int,
        minimum_confidence_bps: int,
        risk_penalty_multiplier_bps: int,
        latency_penalty_microunits_per_ms: int,
        models: Iterable[KernelModel],
    ) -> Self:
        """A policy of any values of the declared types, its models in the order given.

        For proofs and tests: the decision is total, and this is how to ask it about what no policy
        in force may contain. More than 65,535 models do not fit a decision and are still refused.
        """
        catalogue = _catalogue_of(models)
        values = (
            policy_epoch,
            catalog_epoch,
            hard_risk_limit_bps,
            minimum_confidence_bps,
            risk_penalty_multiplier_bps,
            latency_penalty_microunits_per_ms,
        )
        policy = cls.__new__(cls)
        policy._fill(POLICY.pack(values), values, catalogue)
        return policy

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> Self:
        """The checked policy that `as_dict` describes."""
        fields = dict(mapping) if isinstance(mapping, dict) else mapping
        models = fields.pop("models", None) if isinstance(fields, dict) else None
        if not isinstance(models, list):
            raise PolicyError(f"models is {models!r}; must be a list of models")
        POLICY.values_of(fields)
        return cls(models=[KernelModel.from_dict(model) for model in models], **fields)

    def _fill(self, row: bytes, values: tuple[int, ...], models: list[KernelModel]) -> None:
        self._table = _prescribe.DecisionTable(values, [model.values() for model in models])
        self._row = row
        self._values = values
        self._models = tuple(models)
        self._digest = b""  # until asked for

    @property
    def policy_epoch(self) -> int:
        """The policy's version, as its owner counts."""
        return self._values[0]

    @property
    def catalog_epoch(self) -> int:
        """The catalogue's version, as its owner counts."""
        return self._values[1]

    @property
    def hard_risk_limit_bps(self) -> int:
        """A request at or above it is rejected."""
        return self._values[2]

    @property
    def minimum_confidence_bps(self) -> int:
        """A request below it is rejected."""
        return self._values[3]

    @property
    def risk_penalty_multiplier_bps(self) -> int:
        """How heavily a request's risk weighs on its value."""
        return self._values[4]

    @property
    def latency_penalty_microunits_per_ms(self) -> int:
        """What a millisecond of a model's latency costs in utility."""
        return self._values[5]

    @property
    def models(self) -> tuple[KernelModel, ...]:
        """The catalogue, in the order that `selected_model_index` counts."""
        return self._models

    @property
    def model_count(self) -> int:
        """How many models the catalogue has."""
        return len(self._models)

    @property
    def digest(self) -> bytes:
        """The policy's digest: 32 raw bytes."""
        if not self._digest:
            rows = [(model.model_id, model.row) for model in self._models]
            self._digest = policy_digest_of_rows(self._row, rows)
        return self._digest

    def decide_row(self, input_row: bytes) -> bytes:
        """The hot form. An input's row (70 bytes) -> its output row (83).

        An output row is the decision's row (65 bytes) and the nine counts of the trace, u16 each.
        """
        return self._table.decide_row(input_row)

    def decide_into(self, input_row: Row, output_row: Buffer) -> None:
        """As `decide_row`, for compiled callers: from 70 bytes into 83, neither length checked."""
        self._table.decide_into(input_row, output_row)

    def decide_rows(
        self, input_rows: bytes | bytearray, count: int, output_rows: bytearray
    ) -> None:
        """`count` input rows end to end -> as many output rows, from the buffer's start."""
        self._table.decide_rows(input_rows, count, output_rows)

    def prescribe(self, request: KernelInput) -> KernelDecision:
        """The decision for one input."""
        return decision_of_output_row(self._table.decide_row(request._row))

    def prescribe_batch(self, requests: Sequence[KernelInput]) -> list[KernelDecision]:
        """The decisions for many inputs, in their order."""
        return [self.prescribe(request) for request in requests]

    def prescribe_with_trace(self, request: KernelInput) -> tuple[KernelDecision, dict[str, int]]:
        """The decision, and how many models each gate took: also when the request is rejected."""
        output_row = self._table.decide_row(request._row)
        return decision_of_output_row(output_row), trace_of_output_row(output_row)

    def utility_for_model(self, request: KernelInput, model_id: int) -> int | None:
        """One model's utility; None where it is absent or fails any gate, the hard limits too."""
        return utility_for_model(self, request, model_id)

    def explain(self, request: KernelInput) -> list[ModelExplanation]:
        """Each model's way through the gates; empty where a hard limit rejects the request."""
        return explain(self, request)

    def as_dict(self) -> dict[str, Any]:
        """Every field in the format's order, the models last."""
        fields: dict[str, Any] = dict(zip(POLICY.field_names, self._values, strict=True))
        fields["models"] = [model.as_dict() for model in self._models]
        return fields

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PolicySnapshot):
            return NotImplemented
        return self.digest == other.digest and self.models == other.models

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:7], "little")  # never random, unlike hash()

    def __repr__(self) -> str:
        return (
            f"PolicySnapshot(policy_epoch={self.policy_epoch}, catalog_epoch={self.catalog_epoch},"
            f" {self.model_count} models, digest={self.digest.hex()})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).unchecked, (*self._values, self._models))


def trace_of_output_row(output_row: bytes) -> dict[str, int]:
    """The counts per gate in the trace's order, then `evaluated_models` and `eligible_models`."""
    counts = TRACE.unpack(output_row[DECISION_ROW_BYTES : DECISION_ROW_BYTES + TRACE_ROW_BYTES])
    trace = dict(zip(TRACE.field_names, counts, strict=True))
    decision = decision_of_output_row(output_row)
    trace["evaluated_models"] = decision.evaluated_models
    trace["eligible_models"] = decision.eligible_models
    return trace


def _catalogue_of(models: Iterable[KernelModel]) -> list[KernelModel]:
    catalogue = list(models)
    for model in catalogue:
        if not isinstance(model, KernelModel):
            raise PolicyError(f"models holds {model!r}; must be KernelModel")
    if len(catalogue) > MODELS_MAX:
        raise PolicyError(f"models holds {len(catalogue)}; must be at most {MODELS_MAX}")
    return catalogue


def _check_policy(hard_risk_limit: int, minimum_confidence: int, multiplier: int) -> None:
    _check_at_most("hard_risk_limit_bps", hard_risk_limit, BPS_MAX)
    _check_at_most("minimum_confidence_bps", minimum_confidence, BPS_MAX)
    _check_at_most("risk_penalty_multiplier_bps", multiplier, RISK_PENALTY_MULTIPLIER_BPS_MAX)


def _check_catalogue(models: list[KernelModel]) -> None:
    if not models:
        raise PolicyError(f"models is empty; must hold from 1 to {MODELS_MAX}")
    seen = set()
    for model in models:
        model_id = model.model_id
        where = f" (of model_id {model_id})"
        if model_id == 0:
            raise PolicyError("model_id is 0; must be at least 1, since 0 means no model")
        if model_id in seen:
            raise PolicyError(f"model_id {model_id} is a duplicate; must be unique in models")
        seen.add(model_id)
        _check_at_most("provider_id", model.provider_id, PROVIDER_ID_MAX, where)
        _check_at_most("quality_bps", model.quality_bps, BPS_MAX, where)
        _check_at_most("risk_ceiling_bps", model.risk_ceiling_bps, BPS_MAX, where)
    if not any(model.enabled for model in models):
        raise PolicyError("enabled is 0 in every model; must be set in at least one of models")


def _check_at_most(field: str, value: int, maximum: int, where: str = "") -> None:
    if value > maximum:
        raise PolicyError(f"{field} is {value}{where}; must be at most {maximum}")
