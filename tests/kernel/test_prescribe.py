"""The decision: the vectors, both forms against each other, and both against plain arithmetic."""

from itertools import product
from math import gcd
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kernel.prescribe as running_form
from kernel import (
    DECISION,
    GATE_REASONS,
    INPUT_ROW_BYTES,
    KERNEL_FORM,
    OUTPUT_ROW_BYTES,
    REJECTION_PRECEDENCE,
    TRACE,
    TRACE_GATES,
    Action,
    KernelDecision,
    KernelInput,
    KernelInputError,
    KernelModel,
    PolicySnapshot,
    Reason,
)
from kernel_support import (
    I64_MAX,
    U64_MAX,
    load_source_form,
    policies,
    policy_of_vector,
    read_vectors,
    requests,
    table_of,
)

SOURCE_FORM = load_source_form()
FORMS = [
    pytest.param(running_form, id=f"running-{KERNEL_FORM}"),
    pytest.param(SOURCE_FORM, id="source"),
]
VECTORS = read_vectors("kernel.jsonl.gz")
CHECKED = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)


def expected_rows(case: dict[str, Any]) -> tuple[bytes, bytes | None]:
    """A vector case's decision row and, where it has one, its trace row."""
    fields = case["decision"] | {"action": case["action_code"], "reason": case["reason_code"]}
    trace = case.get("trace")
    trace_row = TRACE.pack([trace[gate] for gate in TRACE_GATES]) if trace else None
    return DECISION.pack(list(fields.values())), trace_row


@pytest.mark.parametrize("form", FORMS)
def test_the_vectors_decisions_byte_for_byte(form: ModuleType) -> None:
    decided = rejected = traced = 0
    for vector in VECTORS:
        table = table_of(form, policy_of_vector(vector["policy"])[0])
        for case in vector["cases"]:
            output_row = table.decide_row(KernelInput(**case["input"]).row)
            decision_row, trace_row = expected_rows(case)
            assert output_row[:65] == decision_row
            if trace_row is not None:
                assert output_row[65:] == trace_row
                traced += 1
            decided += 1
            rejected += case["action_code"] == Action.REJECT
    assert (decided, rejected, traced) == (1920, 1161, 759)


def test_the_vectors_through_objects() -> None:
    for vector in VECTORS:
        policy, _ = policy_of_vector(vector["policy"])
        for case in vector["cases"]:
            decision, trace = policy.prescribe_with_trace(KernelInput(**case["input"]))
            assert decision.as_dict() == case["decision"]
            assert decision == policy.prescribe(KernelInput(**case["input"]))
            assert trace["evaluated_models"] == decision.evaluated_models
            assert trace["eligible_models"] == decision.eligible_models
            assert case.get("trace", {}).items() <= trace.items()


def decision_by_explanation(policy: PolicySnapshot, request: KernelInput) -> KernelDecision:
    """The decision worked out from the explanations: another road, in plain integers."""
    decided: dict[str, Any] = {"requested_model_id": request.requested_model_id}
    rows = policy.explain(request)
    eligible = [row for row in rows if row.status == "eligible"]
    qualities = {row.model_index: policy.models[row.model_index].quality_bps for row in eligible}
    eligible.sort(
        key=lambda row: (
            -(row.utility_microunits or 0),
            row.cost_microunits,
            -qualities[row.model_index],
            row.model_id,
        )
    )
    if eligible:
        best = eligible[0]
        requested = best.model_id == decided["requested_model_id"]
        action = Action.EXECUTE_REQUESTED if requested else Action.SUBSTITUTE
        reason = Reason(int(action))
        chosen: tuple[Any, ...] = (
            best.model_id,
            best.model_index,
            best.cost_microunits,
            best.utility_microunits,
        )
        other = eligible[1] if len(eligible) > 1 else None
        following: tuple[Any, ...] = (0, 0)
        if other is not None:
            following = (other.model_id, other.utility_microunits)
    else:
        action, chosen, following = Action.REJECT, (0, 65_535, 0, 0), (0, 0)
        failed = [row.gate for row in rows]
        gate = max(REJECTION_PRECEDENCE, key=lambda g: (failed.count(g), precedence_of(g)))
        reason = GATE_REASONS[gate]
        if request.risk_bps >= policy.hard_risk_limit_bps:
            reason = Reason.RISK_HARD_LIMIT
        elif request.confidence_bps < policy.minimum_confidence_bps:
            reason = Reason.CONFIDENCE_HARD_LIMIT
    head = (request.request_sequence, action, reason, *chosen, *following)
    counts = (len(rows), len(eligible), policy.policy_epoch, policy.catalog_epoch)
    fields: dict[str, Any] = dict(zip(DECISION.field_names, head + counts, strict=True))
    return KernelDecision(**fields)


def precedence_of(gate: str) -> int:
    return REJECTION_PRECEDENCE.index(gate)


@pytest.mark.slow  # it compares the two forms itself
@pytest.mark.parametrize("ceilings", [True, False], ids=["within-ceilings", "whole-types"])
@CHECKED
@given(data=st.data())
def test_both_forms_and_plain_arithmetic_agree(ceilings: bool, data: st.DataObject) -> None:
    policy = data.draw(policies(ceilings))
    source = table_of(SOURCE_FORM, policy)
    for _ in range(3):
        request = data.draw(requests(policy, ceilings))
        output_row = policy.decide_row(request.row)
        assert output_row == source.decide_row(request.row)
        decision, trace = policy.prescribe_with_trace(request)
        assert decision == decision_by_explanation(policy, request)
        failed = [row.gate for row in policy.explain(request)]
        assert trace == {gate: failed.count(gate) for gate in TRACE_GATES} | {
            "evaluated_models": len(failed),
            "eligible_models": failed.count(None),
        }


def catalogue(count: int) -> PolicySnapshot:
    """`count` models; model n costs n microunits and has the quality of its remainder by 7."""
    return PolicySnapshot.unchecked(
        1, 2, 9_000, 0, 10_000, 0,
        [
            KernelModel(n, n % 64, 5_000 + n % 7, 10_000, 1, n, U64_MAX, U64_MAX, 0, n * 10**6)
            for n in range(1, count + 1)
        ],
    )  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 129, 1_000])
def test_catalogues_that_end_within_and_at_a_block(form: ModuleType, count: int) -> None:
    policy = catalogue(count)
    request = KernelInput(5, count, 1, 1, 10**12, U64_MAX, 0, 10_000, 0, 0, 0, U64_MAX, 0)
    output_row = table_of(form, policy).decide_row(request.row)
    assert KernelDecision.from_row(output_row[:65]) == decision_by_explanation(policy, request)
    assert DECISION.unpack(output_row[:65])[9:11] == (count, count)


def test_the_greatest_catalogue() -> None:
    policy = catalogue(65_535)
    request = KernelInput(5, 1, 1, 1, 10**12, U64_MAX, 0, 10_000, 5_006, 0, 0, U64_MAX, 0)
    decision, trace = policy.prescribe_with_trace(request)
    assert (decision.selected_model_id, decision.selected_model_index) == (6, 5)
    assert decision.counterfactual_model_id == 13
    assert (decision.evaluated_models, decision.eligible_models) == (65_535, 9_362)
    assert trace["quality"] == 56_173


@pytest.mark.parametrize("form", FORMS)
def test_equal_utilities_go_by_cost_then_quality_then_id(form: ModuleType) -> None:
    def model(model_id: int, quality: int, cost: int, latency: int) -> KernelModel:
        return KernelModel(
            model_id, 0, quality, 10_000, 1, latency, U64_MAX, U64_MAX, 0, cost * 10**6
        )

    def ranked(*models: KernelModel) -> tuple[int, int]:
        # At full confidence, value 10^4: a quality of q is a gain of q. A millisecond costs 1.
        policy = PolicySnapshot.unchecked(1, 1, 10_000, 0, 0, 1, models)
        request = KernelInput(1, 9, 0, 1, 10_000, U64_MAX, 0, 10_000, 0, 0, 0, U64_MAX, 0)
        decision = KernelDecision.from_row(table_of(form, policy).decide_row(request.row)[:65])
        return decision.selected_model_id, decision.counterfactual_model_id

    assert ranked(model(1, 900, 30, 0), model(2, 890, 10, 10)) == (2, 1)  # cheaper
    assert ranked(model(1, 890, 10, 10), model(2, 900, 10, 20)) == (2, 1)  # better
    assert ranked(model(8, 900, 10, 0), model(7, 900, 10, 0)) == (7, 8)  # lower id
    assert ranked(model(1, 900, 0, 0), model(2, 901, 0, 0), model(3, 902, 0, 0)) == (3, 2)
    assert ranked(model(3, 902, 0, 0), model(2, 901, 0, 0), model(1, 900, 0, 0)) == (3, 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("quality", "confidence", "value", "rate", "expected"),
    [
        # The greatest value in full, less one: a loaded policy's greatest utility.
        (10_000, 10_000, I64_MAX, 10**6, (1, I64_MAX - 1)),
        # The cost saturates at 2^64 - 1, above any utility within the ceilings.
        (10_000, 10_000, I64_MAX, U64_MAX, None),
        # Beyond the ceilings: the gain is 42.9 times the value, and the utility is held to an i64.
        (65_535, 65_535, I64_MAX, U64_MAX, (U64_MAX, I64_MAX)),
        # floor(7 * 3333 * 9999 / 10^8) = 2, less ceil(1 / 10^6) = 1.
        (3_333, 9_999, 7, 1, (1, 1)),
        (10_000, 10_000, -1, 0, None),
        (10_000, 10_000, -(2**63), 0, None),
    ],
)
def test_the_ends_of_the_arithmetic(
    form: ModuleType,
    quality: int,
    confidence: int,
    value: int,
    rate: int,
    expected: tuple[int, int] | None,
) -> None:
    tokens = 2**32 - 1 if rate == U64_MAX else 1
    model = KernelModel(1, 0, quality, 10_000, 1, 0, U64_MAX, U64_MAX, rate, 0)
    policy = PolicySnapshot.unchecked(1, 1, 10_000, 0, 0, 0, [model])
    request = KernelInput(
        1, 1, tokens, 0, value, U64_MAX, 0, confidence, 0, 0, 0, U64_MAX, 0
    )  # fmt: skip
    row = table_of(form, policy).decide_row(request.row)
    decision = KernelDecision.from_row(row[:65])
    if expected is None:
        assert decision.reason is Reason.NON_POSITIVE_UTILITY
    else:
        found = decision.estimated_cost_microunits, decision.expected_utility_microunits
        assert found == expected


@pytest.mark.parametrize("form", FORMS)
def test_rows_end_to_end_into_a_buffer(form: ModuleType) -> None:
    policy = catalogue(22)
    table = table_of(form, policy)
    rows = [
        KernelInput(n, n % 25, n, n, n * 10**6, 10**9, n, 9_000, 0, 0, 0, U64_MAX, 0).row
        for n in range(1, 40)
    ]
    output = bytearray(b"\xee" * (OUTPUT_ROW_BYTES * 39 + 3))
    assert table.decide_rows(b"".join(rows), 39, output) is None
    assert bytes(output[:-3]) == b"".join(table.decide_row(row) for row in rows)
    assert output[-3:] == b"\xee\xee\xee"
    partial = bytearray(b"\xee" * OUTPUT_ROW_BYTES * 2)
    table.decide_rows(bytearray(b"".join(rows)), 1, partial)
    assert bytes(partial) == table.decide_row(rows[0]) + b"\xee" * OUTPUT_ROW_BYTES


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [-1, 3, 2**62, 2**64])
def test_a_count_beyond_the_input_is_refused(form: ModuleType, count: int) -> None:
    output = bytearray(b"\xee" * OUTPUT_ROW_BYTES * 3)
    with pytest.raises(KernelInputError, match=rf"^count is {count}; must be from 0 to 2,"):
        table_of(form, catalogue(1)).decide_rows(bytes(INPUT_ROW_BYTES * 3 - 1), count, output)
    assert output == b"\xee" * OUTPUT_ROW_BYTES * 3


@pytest.mark.parametrize("form", FORMS)
def test_a_short_output_buffer_is_refused(form: ModuleType) -> None:
    output = bytearray(OUTPUT_ROW_BYTES * 2 - 1)
    with pytest.raises(
        KernelInputError, match=r"^output_rows is 165 bytes; must be at least 166, 83 for each of 2"
    ):
        table_of(form, catalogue(1)).decide_rows(bytes(INPUT_ROW_BYTES * 2), 2, output)
    assert output == bytes(165)


# What a model of `block_of` may have so that the request of `block_request` stops at that gate.
WEAK_MODELS = {
    "disabled": {"enabled": 0},
    "quality": {"quality_bps": 4_999},
    "risk_ceiling": {"risk_ceiling_bps": 999},
    "latency": {"p95_latency_ms": 51},
    "capability": {"capabilities": 0b101},
    "provider": {"provider_id": 3},
    "provider of no bit": {"provider_id": 64},
    "region": {"region_mask": 0b100},
}


def block_of(count: int, place: int, weakness: dict[str, int]) -> PolicySnapshot:
    """So many models at the edge of every gate of `block_request`; one is beyond an edge."""
    models = []
    for index in range(count):
        fields = {
            "model_id": index + 1, "provider_id": index % 3, "quality_bps": 5_000,
            "risk_ceiling_bps": 1_000, "enabled": 1, "p95_latency_ms": 50, "capabilities": 0b111,
            "region_mask": 0b010 | index % 2,
            "input_cost_microunits_per_million_tokens": 0,
            "output_cost_microunits_per_million_tokens": (count - index) * 10**6,
        }  # fmt: skip
        models.append(KernelModel(**fields | (weakness if index == place else {})))
    return PolicySnapshot.unchecked(1, 1, 10_000, 0, 10_000, 0, models)


def block_request() -> KernelInput:
    return KernelInput(5, 1, 1, 1, 10**9, U64_MAX, 1_000, 10_000, 5_000, 50, 0b110, 0b111, 0b010)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("count", "place"), [(1, 0), (3, 0), (3, 1), (22, 21), (65, 63), (65, 64)])
@pytest.mark.parametrize("weakness", WEAK_MODELS)
def test_one_model_that_fails_closes_its_block(
    form: ModuleType, weakness: str, count: int, place: int
) -> None:
    policy = block_of(count, place, WEAK_MODELS[weakness])
    output_row = table_of(form, policy).decide_row(block_request().row)
    trace = dict(zip(TRACE_GATES, TRACE.unpack(output_row[65:]), strict=True))
    assert trace.pop(weakness.split(" ")[0]) == 1
    assert set(trace.values()) == {0}
    decision = KernelDecision.from_row(output_row[:65])
    assert decision == decision_by_explanation(policy, block_request())
    assert decision.eligible_models == count - 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 64, 65, 128])
def test_a_block_at_the_edge_of_every_gate_is_open(form: ModuleType, count: int) -> None:
    policy = block_of(count, 0, {})
    output_row = table_of(form, policy).decide_row(block_request().row)
    assert output_row[65:] == bytes(18)
    decision = KernelDecision.from_row(output_row[:65])
    assert decision == decision_by_explanation(policy, block_request())
    assert (decision.selected_model_index, decision.eligible_models) == (count - 1, count)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("past", [-1, 0, 1])
@pytest.mark.parametrize("leg", ["input", "output"])
@pytest.mark.parametrize(
    "rate", [4_294_967_300, 10**12 + 7, 2**30 * 10**6, 2**52 - 1, U64_MAX // 9]
)
def test_costs_where_a_product_reaches_the_end_of_64_bits(
    form: ModuleType, rate: int, leg: str, past: int
) -> None:
    tokens = (U64_MAX - 999_999) // rate + past
    assert tokens < 2**32
    rates, both = ((rate, 1), (tokens, 1)) if leg == "input" else ((1, rate), (1, tokens))
    model = KernelModel(1, 0, 10_000, 10_000, 1, 0, U64_MAX, U64_MAX, *rates)
    policy = PolicySnapshot(1, 1, 10_000, 0, 0, 0, [model])
    request = KernelInput(1, 1, *both, I64_MAX, U64_MAX, 0, 10_000, 0, 0, 0, U64_MAX, 0)
    row = table_of(form, policy).decide_row(request.row)
    cost = -(-tokens * rate // 10**6) + 1
    decision = KernelDecision.from_row(row[:65])
    assert decision.estimated_cost_microunits == cost
    assert decision.expected_utility_microunits == I64_MAX - cost


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("quality", [1, 7, 3_333, 4_999, 6_400, 9_375, 9_973, 9_999, 10_000])
@pytest.mark.parametrize("confidence", [1, 7_919, 9_999])
@pytest.mark.parametrize("fraction", [0, 1, 10**8 - 10_000, 10**8 - 2, 10**8 - 1])
def test_gains_just_below_and_at_an_integer(
    form: ModuleType, quality: int, confidence: int, fraction: int
) -> None:
    # value * confidence * quality = fraction (mod 10^8), as far as the quality lets it.
    common = gcd(quality, 10**8)
    weight = pow(confidence * (quality // common), -1, 10**8)
    model = KernelModel(1, 0, quality, 10_000, 1, 0, U64_MAX, U64_MAX, 0, 0)
    table = table_of(form, PolicySnapshot(1, 1, 10_000, 0, 0, 0, [model]))
    for whole, parts in product((1, 977, 10**6, 9 * 10**10), (0, 1, common - 1)):
        value = whole * 10**8 + parts * (10**8 // common) + fraction // common * weight % 10**8
        request = KernelInput(1, 1, 0, 0, value, 0, 0, confidence, 0, 0, 0, U64_MAX, 0)
        decision = KernelDecision.from_row(table.decide_row(request.row)[:65])
        gain, rest = divmod(value * confidence * quality, 10**8)
        assert rest == fraction - fraction % common
        assert decision.expected_utility_microunits == gain
