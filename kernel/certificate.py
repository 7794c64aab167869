"""The decision certificate: one decision, explained and checked, for a file of its own.

Owns: what a certificate states (the audit bundle, what was chosen and why, how many models each
gate took, and the state step where there is one), its JSON, and its check, which trusts none of it.

Must not: sign (a receipt does), or be issued for a decision that does not replay.

Fails: `ReplayMismatchError` when it is issued or checked for a decision that does not replay,
`ProofMismatchError` naming the first field that is not as it must be, `ArtifactError` for a form
that is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from kernel.errors import ArtifactError, ProofMismatchError
from kernel.policy import PolicySnapshot
from kernel.records import KernelDecision, KernelInput
from kernel.state_chain import StateTransition
from kernel.strict_json import check_fields, dump_compact, load_object
from kernel.verify import verified_audit_bundle

CERTIFICATE_SCHEMA = "pretrade-guard.decision-certificate.v1"

_REQUIRED = ("schema_version", "audit", "decision", "gates")
_STATE = ("step", "digest_before_hex", "digest_after_hex")


@dataclass(frozen=True, slots=True)
class DecisionCertificate:
    """`audit` and `decision` as in a decision record; `gates`: the trace's counts by gate."""

    audit: dict[str, Any]
    decision: dict[str, Any]
    gates: dict[str, int]
    state: StateTransition | None = None

    def verify(
        self,
        policy: PolicySnapshot,
        request: KernelInput,
        decision: KernelDecision,
        state: StateTransition | None = None,
    ) -> None:
        """Make the certificate of these again and compare; `state` must be the certified one.

        Raises `ReplayMismatchError`, `ProofMismatchError`.
        """
        expected = issue_certificate(policy, request, decision, state)
        for part in ("audit", "decision", "gates"):
            have, want = getattr(self, part), getattr(expected, part)
            for name in [*want, *(name for name in have if name not in want)]:
                if name not in have or name not in want or have[name] != want[name]:
                    raise ProofMismatchError(
                        f"{part}.{name} is {have.get(name)!r}; must be {want.get(name)!r}",
                        f"{part}.{name}",
                    )
        if self.state != expected.state:
            raise ProofMismatchError(
                f"state is {self.state!r}; must be {expected.state!r}", "state"
            )

    def as_dict(self) -> dict[str, Any]:
        """Its published form; `state` only where there is one."""
        form = {
            "schema_version": CERTIFICATE_SCHEMA,
            "audit": dict(self.audit),
            "decision": dict(self.decision),
            "gates": dict(self.gates),
        }
        return form if self.state is None else form | {"state": self.state.as_dict()}

    def to_json(self) -> str:
        """Its canonical JSON: compact, in this order."""
        return dump_compact(self.as_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The certificate in that JSON object. Nothing is verified by reading it."""
        found = load_object(text, "decision certificate", ArtifactError)
        found = check_fields(found, "decision certificate", _REQUIRED, ("state",), ArtifactError)
        if found["schema_version"] != CERTIFICATE_SCHEMA:
            raise ArtifactError(
                f"schema_version is {found['schema_version']!a}; must be {CERTIFICATE_SCHEMA!r}"
            )
        for name in ("audit", "decision", "gates"):
            if not isinstance(found[name], dict):
                raise ArtifactError(f"{name} is {found[name]!a}; must be an object")
        state = found.get("state")
        if state is not None:
            state = StateTransition(**check_fields(state, "state", _STATE, (), ArtifactError))
        return cls(found["audit"], found["decision"], found["gates"], state)


def issue_certificate(
    policy: PolicySnapshot,
    request: KernelInput,
    decision: KernelDecision,
    state: StateTransition | None = None,
) -> DecisionCertificate:
    """The certificate of a decision; one that does not replay is a `ReplayMismatchError`."""
    audit = verified_audit_bundle(policy, request, decision)
    _, gates = policy.prescribe_with_trace(request)
    return DecisionCertificate(audit, decision.as_dict(), gates, state)
