"""State chains and trajectories, alone and live against the wheel."""

from typing import Any

import calybris._core as wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import (
    ArtifactError,
    DigestError,
    KernelInputError,
    ReplayMismatchError,
    StateChain,
    StatefulAuditBundle,
    StateTrajectoryError,
    StateTransition,
    state_digest,
    stateful_audit_bundle,
    verify_complete_state_trajectory,
    verify_state_trajectory,
    verify_state_trajectory_fragment,
)
from library_support import LIVE, case, policy_of, request_of, wheel_case

STATES = [b"genesis", b"one", b"two", b"three", b"four"]


def trajectory(states: list[bytes]) -> tuple[list[StatefulAuditBundle], list[Any]]:
    """Ours and the wheel's bundles over the same states."""
    ours, theirs = StateChain(states[0]), wheel.StateChain(states[0])
    bundles, their_bundles = [], []
    policy = policy_of()
    for step, state in enumerate(states[1:], 1):
        request = request_of(step)
        their_policy, their_input, their_decision = wheel_case(policy, request)
        bundle = stateful_audit_bundle(
            policy, request, policy.prescribe(request), ours.advance(state)
        )
        their_bundle = their_policy.stateful_audit_bundle(
            their_input, their_decision, theirs.advance(state)
        )
        assert bundle.as_dict() == their_bundle.as_dict()
        bundles.append(bundle)
        their_bundles.append(their_bundle)
    assert (ours.step, ours.last_digest_hex) == (theirs.step, theirs.last_digest_hex)
    return bundles, their_bundles


@LIVE
@given(states=st.lists(st.binary(max_size=50), min_size=1, max_size=6))
def test_chains_are_the_wheels(states: list[bytes]) -> None:
    bundles, _ = trajectory(states)
    assert [StatefulAuditBundle.from_dict(bundle.as_dict()) for bundle in bundles] == bundles
    verify_state_trajectory(bundles)
    if bundles:
        verify_complete_state_trajectory(states[0], len(bundles), bundles)


def verdict(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except (StateTrajectoryError, wheel.StateTrajectoryError):
        return False
    return True


@LIVE
@given(
    picked=st.lists(st.integers(0, 3), max_size=5),
    anchor=st.integers(0, 5),
    final=st.integers(0, 5),
    genesis=st.sampled_from(STATES[:2]),
)
def test_verdicts_are_the_wheels(
    picked: list[int], anchor: int, final: int, genesis: bytes
) -> None:
    bundles, their_bundles = trajectory(STATES)
    ours = [bundles[index] for index in picked]
    theirs = [their_bundles[index] for index in picked]
    digest = state_digest(anchor, STATES[min(anchor, 4)]).hex()
    assert verdict(verify_state_trajectory, ours) == verdict(wheel.verify_state_trajectory, theirs)
    assert verdict(verify_complete_state_trajectory, genesis, final, ours) == verdict(
        wheel.verify_complete_state_trajectory, genesis, final, theirs
    )
    assert verdict(verify_state_trajectory_fragment, anchor, digest, ours) == verdict(
        wheel.verify_state_trajectory_fragment, anchor, digest, theirs
    )


def test_what_does_not_follow_is_named() -> None:
    bundles, _ = trajectory(STATES)
    other, _ = trajectory([b"genesis", b"1", b"2"])
    for check, message, step in (
        (lambda: verify_state_trajectory([bundles[0], bundles[2]]), "3 does not follow step 1", 3),
        (lambda: verify_state_trajectory([bundles[0], other[1]]), "step 1 ended at", 2),
        (
            lambda: verify_complete_state_trajectory(b"x", 4, bundles),
            "step 1 begins at .* step 0 ended",
            1,
        ),
        (
            lambda: verify_complete_state_trajectory(b"genesis", 5, bundles),
            "ends at step 4; must end at 5",
            4,
        ),
        (
            lambda: verify_state_trajectory_fragment(2, bundles[1].state_digest_after_hex, []),
            "ends at step 2; must go on",
            2,
        ),
    ):
        with pytest.raises(StateTrajectoryError, match=message) as refused:
            check()
        assert refused.value.step == step


def test_a_step_whose_decision_did_not_replay_is_refused() -> None:
    bundles, _ = trajectory(STATES)
    form = bundles[1].as_dict()
    form["audit"]["replay_valid"] = False
    bundles[1] = StatefulAuditBundle.from_dict(form)
    with pytest.raises(StateTrajectoryError, match="step 2 has a decision that did not replay"):
        verify_state_trajectory(bundles)


def test_a_bundle_is_made_only_of_a_decision_that_replays() -> None:
    policy, request, _ = case()
    transition = StateChain(b"a").advance(b"b")
    other = policy.prescribe(request_of(9))
    with pytest.raises(ReplayMismatchError, match="request_sequence is 9; must be 1"):
        stateful_audit_bundle(policy, request, other, transition)


def test_what_is_no_state_changes_nothing() -> None:
    chain = StateChain(b"a")
    before = (chain.step, chain.last_digest_hex)
    with pytest.raises(KernelInputError, match="state is str; must be bytes"):
        chain.advance("b")  # type: ignore[arg-type]
    assert (chain.step, chain.last_digest_hex) == before
    with pytest.raises(KernelInputError, match="step is -1; must be an integer from 0"):
        state_digest(-1, b"")


@pytest.mark.parametrize(
    "fields",
    [
        (0, "a" * 64, "b" * 64),
        (2**64, "a" * 64, "b" * 64),
        (True, "a" * 64, "b" * 64),
        (1, "A" * 64, "b" * 64),
        (1, "a" * 64, "b" * 63),
        (1, None, "b" * 64),
    ],
)
def test_a_transition_of_bad_values(fields: tuple[Any, Any, Any]) -> None:
    with pytest.raises(KernelInputError, match=r"step is|digest_before_hex|digest_after_hex"):
        StateTransition(*fields)


def test_a_bundle_of_bad_values() -> None:
    form = trajectory(STATES)[0][0].as_dict()
    for changed in (
        form | {"step": 0},
        form | {"audit": 5},
        form | {"audit": {}},
        form | {"more": 1},
        form | {"state_digest_after_hex": "x"},
        {name: value for name, value in form.items() if name != "step"},
        [],
    ):
        with pytest.raises((ArtifactError, DigestError)):
            StatefulAuditBundle.from_dict(changed)
