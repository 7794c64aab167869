"""Records: immutable, equal by their bytes, and read out of the bytes that are hashed."""

import pickle
from typing import Any

import pytest

from kernel import (
    DECISION,
    INPUT,
    MODEL,
    Action,
    KernelDecision,
    KernelInput,
    KernelInputError,
    KernelModel,
    PolicyError,
    Reason,
    decision_of_output_row,
)

INPUT_FIELDS = {
    "request_sequence": 7,
    "requested_model_id": 3,
    "input_tokens": 500,
    "output_tokens": 1_000_000,
    "business_value_microunits": -9,
    "budget_limit_microunits": 2**64 - 1,
    "risk_bps": 10,
    "confidence_bps": 9_900,
    "minimum_quality_bps": 5_000,
    "max_p95_latency_ms": 40,
    "required_capabilities": 5,
    "allowed_provider_mask": 2**64 - 1,
    "required_region_mask": 2,
}
MODEL_FIELDS = {name: number for number, name in enumerate(MODEL.field_names, start=1)}
DECISION_FIELDS: dict[str, Any] = {
    "request_sequence": 7,
    "action": "Substitute",
    "reason": "AlternativeMaximizesUtility",
    "selected_model_id": 4,
    "selected_model_index": 1,
    "estimated_cost_microunits": 12,
    "expected_utility_microunits": 34,
    "counterfactual_model_id": 3,
    "counterfactual_utility_microunits": -1,
    "evaluated_models": 2,
    "eligible_models": 2,
    "policy_epoch": 8,
    "catalog_epoch": 9,
}
RECORDS: list[Any] = [
    KernelInput(**INPUT_FIELDS),
    KernelModel(**MODEL_FIELDS),
    KernelDecision(**DECISION_FIELDS),
]
FIELDS: list[dict[str, Any]] = [INPUT_FIELDS, MODEL_FIELDS, DECISION_FIELDS]
LAYOUTS = [INPUT, MODEL, DECISION]


@pytest.mark.parametrize(("record", "fields"), list(zip(RECORDS, FIELDS, strict=True)))
def test_fields_by_name_by_position_and_back(record: Any, fields: dict[str, Any]) -> None:
    assert record.as_dict() == fields
    assert list(record.as_dict()) == list(fields)
    assert type(record)(*fields.values()) == record
    assert type(record).from_dict(fields) == record
    assert type(record).from_row(record.row) == record
    assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize(("record", "layout"), list(zip(RECORDS, LAYOUTS, strict=True)))
def test_each_attribute_reads_its_own_field(record: Any, layout: Any) -> None:
    for name, value in zip(layout.field_names, record.values(), strict=True):
        assert getattr(record, name) == value


@pytest.mark.parametrize("record", RECORDS)
def test_records_do_not_change(record: Any) -> None:
    for name in (*record.as_dict(), "row"):
        with pytest.raises(AttributeError):
            setattr(record, name, 1)
    with pytest.raises(AttributeError):
        record.brand_new = 1


def test_equality_is_of_kind_and_bytes() -> None:
    one, other = KernelInput(**INPUT_FIELDS), KernelInput(**INPUT_FIELDS | {"risk_bps": 11})
    assert one == KernelInput(**INPUT_FIELDS)
    assert one != other
    assert one != one.row
    assert len({one, other, KernelInput(**INPUT_FIELDS)}) == 2
    assert repr(one).startswith("KernelInput(request_sequence=7, requested_model_id=3, ")


def test_a_decision_names_its_action_and_reason() -> None:
    decision = RECORDS[2]
    assert decision.action is Action.SUBSTITUTE
    assert decision.reason is Reason.ALTERNATIVE_MAXIMIZES_UTILITY
    by_code: dict[str, Any] = DECISION_FIELDS | {"action": 2, "reason": Reason(2)}
    assert KernelDecision(**by_code) == decision


@pytest.mark.parametrize(
    ("action", "rejected", "executable", "requested", "substitution"),
    [
        (Action.EXECUTE_REQUESTED, False, True, True, False),
        (Action.SUBSTITUTE, False, True, False, True),
        (Action.REJECT, True, False, False, False),
    ],
)
def test_what_an_action_is(
    action: Action, rejected: bool, executable: bool, requested: bool, substitution: bool
) -> None:
    decision = KernelDecision(**DECISION_FIELDS | {"action": action})
    assert decision.is_rejected is rejected
    assert decision.is_executable is executable
    assert decision.is_requested_execution is requested
    assert decision.is_substitution is substitution


def test_a_decision_of_no_known_action_or_reason_is_refused() -> None:
    row = bytearray(RECORDS[2].row)
    row[8] = 4
    with pytest.raises(KernelInputError, match=r"^action is 4; must be one of"):
        KernelDecision.from_row(bytes(row))
    row[8:11] = b"\x03\x63\x00"
    with pytest.raises(KernelInputError, match=r"^reason is 99; must be one of"):
        KernelDecision.from_row(bytes(row))


def test_a_value_outside_its_type_is_refused_by_name() -> None:
    with pytest.raises(KernelInputError, match=r"^risk_bps is 65536; must be .* 0 to 65535$"):
        KernelInput(**INPUT_FIELDS | {"risk_bps": 65_536})
    with pytest.raises(PolicyError, match=r"^enabled is True; must be .* 0 to 255$"):
        KernelModel(**MODEL_FIELDS | {"enabled": True})
    with pytest.raises(KernelInputError, match=r"^input row is 65 bytes; must be 70 bytes$"):
        KernelInput.from_row(RECORDS[2].row)


@pytest.mark.parametrize("length", [0, 65, 82, 84])
def test_an_output_row_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KernelInputError, match=rf"^output row is {length} bytes; must be 83$"):
        decision_of_output_row(bytes(length))
