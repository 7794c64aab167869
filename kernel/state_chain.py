"""State trajectories: a chain of digests over the states that decisions led through.

Owns: the digest of a state at a step (`calystt1`), the chain that makes transitions, the bundle
that ties a transition to an audited decision, and the checks that bundles follow each other.

Must not: know what a state is (bytes, the caller's canonical encoding), or keep one: the chain
holds a step and a digest. Linkage is all that is checked here: whether each bundle's decision
replays is `verify_decision`'s to say.

Fails: `KernelInputError` for a value of the wrong type, `StateTrajectoryError` naming the step
where bundles do not follow each other.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

from kernel.digest_text import decode_digest
from kernel.errors import ArtifactError, KernelInputError, StateTrajectoryError
from kernel.layout import U64
from kernel.policy import PolicySnapshot
from kernel.records import KernelDecision, KernelInput
from kernel.strict_json import check_bool, check_fields, check_integer
from kernel.verify import verified_audit_bundle

STATE_TAG = b"calystt1\0"

_U64 = struct.Struct("<Q")


def state_digest(step: int, state: bytes) -> bytes:
    """The digest of a state's canonical bytes at a step: 32 raw bytes. Step 0 is the genesis."""
    check_integer("step", step, U64, KernelInputError)
    if not isinstance(state, bytes):
        raise KernelInputError(f"state is {type(state).__name__}; must be bytes")
    return sha256(STATE_TAG + _U64.pack(step) + state).digest()


@dataclass(frozen=True, slots=True)
class StateTransition:
    """One step of a chain: which, and the digests (lower-case hex) before and after it."""

    step: int
    digest_before_hex: str
    digest_after_hex: str

    def __post_init__(self) -> None:
        check_integer("step", self.step, U64, KernelInputError, minimum=1)
        decode_digest(self.digest_before_hex, "digest_before_hex")
        decode_digest(self.digest_after_hex, "digest_after_hex")

    def as_dict(self) -> dict[str, Any]:
        """Every field by name."""
        return {
            "step": self.step,
            "digest_before_hex": self.digest_before_hex,
            "digest_after_hex": self.digest_after_hex,
        }


class StateChain:
    """The head of a trajectory: how many steps, and the digest after the last one."""

    __slots__ = ("_last_digest_hex", "_step")

    def __init__(self, initial_state: bytes) -> None:
        """A chain at its genesis, step 0."""
        self._step = 0
        self._last_digest_hex = state_digest(0, initial_state).hex()

    @property
    def step(self) -> int:
        """How many transitions there were."""
        return self._step

    @property
    def last_digest_hex(self) -> str:
        """The digest of the state now."""
        return self._last_digest_hex

    def advance(self, next_state: bytes) -> StateTransition:
        """Go to the next state; what cannot be one changes nothing."""
        step = self._step + 1
        after = state_digest(step, next_state).hex()
        transition = StateTransition(step, self._last_digest_hex, after)
        self._step, self._last_digest_hex = step, after
        return transition

    def __repr__(self) -> str:
        return f"StateChain(step={self._step}, last_digest_hex={self._last_digest_hex!r})"


@dataclass(frozen=True, slots=True)
class StatefulAuditBundle:
    """An audited decision and the transition that it made. `audit` as in a decision record."""

    audit: dict[str, Any]
    step: int
    state_digest_before_hex: str
    state_digest_after_hex: str

    def __post_init__(self) -> None:
        check_integer("step", self.step, U64, ArtifactError, minimum=1)
        decode_digest(self.state_digest_before_hex, "state_digest_before_hex")
        decode_digest(self.state_digest_after_hex, "state_digest_after_hex")
        check_bool("replay_valid", self.audit.get("replay_valid"), ArtifactError)

    @property
    def replay_valid(self) -> bool:
        """Whether the audit says that the decision replays."""
        return bool(self.audit["replay_valid"])

    def as_dict(self) -> dict[str, Any]:
        """Its published form, the audit first."""
        return {
            "audit": dict(self.audit),
            "step": self.step,
            "state_digest_before_hex": self.state_digest_before_hex,
            "state_digest_after_hex": self.state_digest_after_hex,
        }

    @classmethod
    def from_dict(cls, mapping: object) -> Self:
        """The bundle that `as_dict` describes. Raises `ArtifactError`, `DigestError`."""
        names = ("audit", "step", "state_digest_before_hex", "state_digest_after_hex")
        fields = check_fields(mapping, "stateful audit bundle", names, (), ArtifactError)
        if not isinstance(fields["audit"], dict):
            raise ArtifactError("audit is no object; must be an audit bundle")
        return cls(**fields)


def stateful_audit_bundle(
    policy: PolicySnapshot,
    request: KernelInput,
    decision: KernelDecision,
    transition: StateTransition,
) -> StatefulAuditBundle:
    """Tie a transition to a decision; one that does not replay is a `ReplayMismatchError`."""
    return StatefulAuditBundle(
        verified_audit_bundle(policy, request, decision),
        transition.step,
        transition.digest_before_hex,
        transition.digest_after_hex,
    )


def verify_state_trajectory(bundles: Sequence[StatefulAuditBundle]) -> None:
    """Whether the bundles follow each other, wherever they begin. Raises `StateTrajectoryError`.

    No bundles follow each other too. Neither beginning nor end is proved: see the next two.
    """
    if bundles:
        first = bundles[0]
        _follow(first.step - 1, first.state_digest_before_hex, bundles)


def verify_complete_state_trajectory(
    initial_state: bytes, expected_final_step: int, bundles: Sequence[StatefulAuditBundle]
) -> None:
    """Whether the bundles lead from that state to that step, which is 1 or more.

    Raises `StateTrajectoryError`.
    """
    check_integer("expected_final_step", expected_final_step, U64, KernelInputError)
    last_step = _follow(0, state_digest(0, initial_state).hex(), bundles)
    if last_step != expected_final_step or not bundles:
        raise StateTrajectoryError(
            f"the trajectory ends at step {last_step}; must end at {max(expected_final_step, 1)}",
            last_step,
        )


def verify_state_trajectory_fragment(
    anchor_step: int, anchor_digest_hex: str, bundles: Sequence[StatefulAuditBundle]
) -> None:
    """Whether the bundles, at least one, go on from a step and digest known to be good.

    Raises `StateTrajectoryError`.
    """
    check_integer("anchor_step", anchor_step, U64, KernelInputError)
    decode_digest(anchor_digest_hex, "anchor_digest_hex")
    if not bundles:
        raise StateTrajectoryError(
            f"the trajectory ends at step {anchor_step}; must go on from it", anchor_step
        )
    _follow(anchor_step, anchor_digest_hex, bundles)


def _follow(step: int, digest_hex: str, bundles: Sequence[StatefulAuditBundle]) -> int:
    """Go through the bundles from a head; the last step."""
    for bundle in bundles:
        if bundle.step != step + 1:
            raise StateTrajectoryError(
                f"step {bundle.step} does not follow step {step}", bundle.step
            )
        if bundle.state_digest_before_hex != digest_hex:
            raise StateTrajectoryError(
                f"step {bundle.step} begins at {bundle.state_digest_before_hex};"
                f" step {step} ended at {digest_hex}",
                bundle.step,
            )
        if not bundle.replay_valid:
            raise StateTrajectoryError(
                f"step {bundle.step} has a decision that did not replay", bundle.step
            )
        step, digest_hex = bundle.step, bundle.state_digest_after_hex
    return step
