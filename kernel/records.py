# cython: annotation_typing=False, nonecheck=True
"""The three records of the kernel: a model, an input, a decision.

Owns: immutable objects over canonical rows. A record *is* its row: the fields are read out of the
bytes that are hashed, so that what a person sees and what a digest covers cannot differ.

Must not: know the policy's ceilings, or decide.

How it works: `Record` holds the row; each field is a descriptor that reads its place. Construction
takes the format's fields in the format's order, by position or by name, and checks each against its
type. Fails: `KernelInputError` (`PolicyError` for a model) naming field, value and range.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, Self

from kernel import little_endian as le
from kernel.errors import KernelInputError
from kernel.layout import DECISION, INPUT, MODEL, Layout
from kernel.reasons import ACTION_OF_CODE, REASON_OF_CODE, Action, Reason, action_of, reason_of


class IntField:
    """An integer field of a record, read from its place in the row."""

    __slots__ = ("_at", "_unpack_from")

    def __init__(self, layout: Layout, name: str) -> None:
        field = layout.field(name)
        self._at = field.offset
        self._unpack_from = Struct("<" + field.type.letter).unpack_from

    def __get__(self, record: Any, owner: object) -> int:
        """The field's value; on the class, `AttributeError`."""
        value: int = self._unpack_from(record.row, self._at)[0]
        return value

    def __set__(self, record: object, value: object) -> None:
        raise AttributeError("a record does not change; make another")


class Record:
    """The canonical bytes of a record, and what follows from having them."""

    __slots__ = ("_row",)

    LAYOUT = Layout("record", (), KernelInputError)

    def __init__(self, row: bytes) -> None:
        self._row = row

    @property
    def row(self) -> bytes:
        """The canonical bytes."""
        return self._row

    @classmethod
    def from_row(cls, row: bytes) -> Self:
        """The record that those bytes are."""
        cls.LAYOUT.check_row(row)
        record = cls.__new__(cls)
        record._row = row
        return record

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> Self:
        """The record with exactly those fields."""
        return cls.from_row(cls.LAYOUT.pack(cls.LAYOUT.values_of(mapping)))

    def values(self) -> tuple[int, ...]:
        """The fields' values, in the format's order."""
        return self.LAYOUT.unpack(self._row)

    def as_dict(self) -> dict[str, Any]:
        """Field name -> value, in the format's order."""
        return dict(zip(self.LAYOUT.field_names, self.values(), strict=True))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._row == other._row

    def __hash__(self) -> int:
        return int.from_bytes(self._row[:7], "little")  # the sequence or the id; never random

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self).from_row, (self._row,))


class KernelModel(Record):
    """A row of the catalogue; in the pre-trade guard, a venue."""

    __slots__ = ()

    LAYOUT = MODEL

    def __init__(
        self,
        model_id: int,
        provider_id: int,
        quality_bps: int,
        risk_ceiling_bps: int,
        enabled: int,
        p95_latency_ms: int,
        capabilities: int,
        region_mask: int,
        input_cost_microunits_per_million_tokens: int,
        output_cost_microunits_per_million_tokens: int,
    ) -> None:
        self._row = MODEL.pack(
            (
                model_id,
                provider_id,
                quality_bps,
                risk_ceiling_bps,
                enabled,
                p95_latency_ms,
                capabilities,
                region_mask,
                input_cost_microunits_per_million_tokens,
                output_cost_microunits_per_million_tokens,
            )
        )

    model_id = IntField(MODEL, "model_id")
    provider_id = IntField(MODEL, "provider_id")
    quality_bps = IntField(MODEL, "quality_bps")
    risk_ceiling_bps = IntField(MODEL, "risk_ceiling_bps")
    enabled = IntField(MODEL, "enabled")
    p95_latency_ms = IntField(MODEL, "p95_latency_ms")
    capabilities = IntField(MODEL, "capabilities")
    region_mask = IntField(MODEL, "region_mask")
    input_cost_microunits_per_million_tokens = IntField(
        MODEL, "input_cost_microunits_per_million_tokens"
    )
    output_cost_microunits_per_million_tokens = IntField(
        MODEL, "output_cost_microunits_per_million_tokens"
    )


class KernelInput(Record):
    """A request for a decision."""

    __slots__ = ()

    LAYOUT = INPUT

    def __init__(
        self,
        request_sequence: int,
        requested_model_id: int,
        input_tokens: int,
        output_tokens: int,
        business_value_microunits: int,
        budget_limit_microunits: int,
        risk_bps: int,
        confidence_bps: int,
        minimum_quality_bps: int,
        max_p95_latency_ms: int,
        required_capabilities: int,
        allowed_provider_mask: int,
        required_region_mask: int,
    ) -> None:
        self._row = INPUT.pack(
            (
                request_sequence,
                requested_model_id,
                input_tokens,
                output_tokens,
                business_value_microunits,
                budget_limit_microunits,
                risk_bps,
                confidence_bps,
                minimum_quality_bps,
                max_p95_latency_ms,
                required_capabilities,
                allowed_provider_mask,
                required_region_mask,
            )
        )

    request_sequence = IntField(INPUT, "request_sequence")
    requested_model_id = IntField(INPUT, "requested_model_id")
    input_tokens = IntField(INPUT, "input_tokens")
    output_tokens = IntField(INPUT, "output_tokens")
    business_value_microunits = IntField(INPUT, "business_value_microunits")
    budget_limit_microunits = IntField(INPUT, "budget_limit_microunits")
    risk_bps = IntField(INPUT, "risk_bps")
    confidence_bps = IntField(INPUT, "confidence_bps")
    minimum_quality_bps = IntField(INPUT, "minimum_quality_bps")
    max_p95_latency_ms = IntField(INPUT, "max_p95_latency_ms")
    required_capabilities = IntField(INPUT, "required_capabilities")
    allowed_provider_mask = IntField(INPUT, "allowed_provider_mask")
    required_region_mask = IntField(INPUT, "required_region_mask")


class KernelDecision(Record):
    """What the kernel says to a request, and by how much."""

    __slots__ = ()

    LAYOUT = DECISION

    def __init__(
        self,
        request_sequence: int,
        action: Action | int | str,
        reason: Reason | int | str,
        selected_model_id: int,
        selected_model_index: int,
        estimated_cost_microunits: int,
        expected_utility_microunits: int,
        counterfactual_model_id: int,
        counterfactual_utility_microunits: int,
        evaluated_models: int,
        eligible_models: int,
        policy_epoch: int,
        catalog_epoch: int,
    ) -> None:
        self._row = DECISION.pack(
            (
                request_sequence,
                int(action_of(action)),
                int(reason_of(reason)),
                selected_model_id,
                selected_model_index,
                estimated_cost_microunits,
                expected_utility_microunits,
                counterfactual_model_id,
                counterfactual_utility_microunits,
                evaluated_models,
                eligible_models,
                policy_epoch,
                catalog_epoch,
            )
        )

    request_sequence = IntField(DECISION, "request_sequence")
    action_code = IntField(DECISION, "action")
    reason_code = IntField(DECISION, "reason")
    selected_model_id = IntField(DECISION, "selected_model_id")
    selected_model_index = IntField(DECISION, "selected_model_index")
    estimated_cost_microunits = IntField(DECISION, "estimated_cost_microunits")
    expected_utility_microunits = IntField(DECISION, "expected_utility_microunits")
    counterfactual_model_id = IntField(DECISION, "counterfactual_model_id")
    counterfactual_utility_microunits = IntField(DECISION, "counterfactual_utility_microunits")
    evaluated_models = IntField(DECISION, "evaluated_models")
    eligible_models = IntField(DECISION, "eligible_models")
    policy_epoch = IntField(DECISION, "policy_epoch")
    catalog_epoch = IntField(DECISION, "catalog_epoch")

    @property
    def action(self) -> Action:
        """What to do."""
        return ACTION_OF_CODE[self.action_code]

    @property
    def reason(self) -> Reason:
        """Why."""
        return REASON_OF_CODE[self.reason_code]

    @classmethod
    def from_row(cls, row: bytes) -> Self:
        """The decision that those bytes are; its action and reason must be the format's."""
        DECISION.check_row(row)
        decision = cls.__new__(cls)
        decision._row = row
        action_of(decision.action_code)
        reason_of(decision.reason_code)
        return decision

    @classmethod
    def from_dict(cls, mapping: dict[str, Any]) -> Self:
        """The decision with exactly those fields; action and reason by code or by either name."""
        return cls(*DECISION.values_of(mapping))

    @property
    def is_rejected(self) -> bool:
        """Whether no model was chosen."""
        return self.action is Action.REJECT

    @property
    def is_executable(self) -> bool:
        """Whether a model was chosen, the requested one or another."""
        return self.action is not Action.REJECT

    @property
    def is_requested_execution(self) -> bool:
        """Whether the requested model was chosen."""
        return self.action is Action.EXECUTE_REQUESTED

    @property
    def is_substitution(self) -> bool:
        """Whether another model than the requested one was chosen."""
        return self.action is Action.SUBSTITUTE

    def as_dict(self) -> dict[str, Any]:
        """Field name -> value in the format's order, action and reason in CamelCase as in a log."""
        fields = super().as_dict()
        fields["action"] = self.action.camel
        fields["reason"] = self.reason.camel
        return fields


def decision_of_output_row(output_row: bytes) -> KernelDecision:
    """The decision at the head of an output row (83 bytes) that this kernel has written."""
    if len(output_row) != 83:
        raise KernelInputError(f"output row is {len(output_row)} bytes; must be 83")
    decision = KernelDecision.__new__(KernelDecision)
    decision._row = le.bytes_of(output_row, 65)
    return decision
