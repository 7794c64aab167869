"""Pins every number and name of the format. A change here breaks every log ever written."""

import pytest

from kernel import (
    GATE_REASONS,
    GATES,
    REJECTION_PRECEDENCE,
    TRACE_GATES,
    Action,
    KernelInputError,
    Reason,
    action_of,
    reason_of,
)

ACTIONS = [
    (1, "execute_requested", "ExecuteRequested"),
    (2, "substitute", "Substitute"),
    (3, "reject", "Reject"),
]
REASONS = [
    (1, "requested_model_maximizes_utility", "RequestedModelMaximizesUtility"),
    (2, "alternative_maximizes_utility", "AlternativeMaximizesUtility"),
    (100, "risk_hard_limit", "RiskHardLimit"),
    (101, "confidence_hard_limit", "ConfidenceHardLimit"),
    (102, "no_enabled_model", "NoEnabledModel"),
    (103, "quality_constraint", "QualityConstraint"),
    (104, "latency_constraint", "LatencyConstraint"),
    (105, "capability_constraint", "CapabilityConstraint"),
    (106, "provider_constraint", "ProviderConstraint"),
    (107, "region_constraint", "RegionConstraint"),
    (108, "budget_constraint", "BudgetConstraint"),
    (109, "non_positive_utility", "NonPositiveUtility"),
    (110, "risk_ceiling_constraint", "RiskCeilingConstraint"),
]


def test_the_actions_are_the_formats() -> None:
    assert [(int(a), a.snake, a.camel) for a in Action] == ACTIONS


def test_the_reasons_are_the_formats() -> None:
    assert [(int(r), r.snake, r.camel) for r in Reason] == REASONS


@pytest.mark.parametrize(("code", "snake", "camel"), ACTIONS)
def test_an_action_is_found_by_number_and_by_either_name(code: int, snake: str, camel: str) -> None:
    assert action_of(code) is action_of(snake) is action_of(camel) is Action(code)


@pytest.mark.parametrize(("code", "snake", "camel"), REASONS)
def test_a_reason_is_found_by_number_and_by_either_name(code: int, snake: str, camel: str) -> None:
    assert reason_of(code) is reason_of(snake) is reason_of(camel) is Reason(code)


@pytest.mark.parametrize("key", [0, 4, True, 1.0, "Reject ", "REJECT", None, b"reject"])
def test_what_is_no_action_is_refused(key: object) -> None:
    with pytest.raises(KernelInputError, match=r"^action is .*; must be one of execute_requested"):
        action_of(key)


def test_what_is_no_reason_is_refused() -> None:
    with pytest.raises(KernelInputError, match=r"^reason is 111; must be one of requested_model"):
        reason_of(111)


def test_the_gates_stand_in_the_formats_three_orders() -> None:
    assert " ".join(GATES) == (
        "disabled quality latency capability provider region risk_ceiling budget utility"
    )
    assert " ".join(TRACE_GATES) == (
        "disabled quality risk_ceiling latency capability provider region budget utility"
    )
    assert " ".join(REJECTION_PRECEDENCE) == (
        "capability region provider quality risk_ceiling latency budget utility disabled"
    )
    assert {gate: int(reason) for gate, reason in GATE_REASONS.items()} == {
        "disabled": 102,
        "quality": 103,
        "risk_ceiling": 110,
        "latency": 104,
        "capability": 105,
        "provider": 106,
        "region": 107,
        "budget": 108,
        "utility": 109,
    }
