"""Where two policies differ, in the words of the configuration's file. Pure.

Owns which key of `[policy]` and `[[policy.venues]]` stands for which field of a policy, and the
rule that another policy goes by other, higher epochs: a decision names only these, so two policies
under one pair of them could not be told apart.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from guard.engine.policy_content import PolicyContent, PolicyModel
from guard.protocol.instruments import money_text
from guard.protocol.messages import U64_MAX
from kernel import PolicySnapshot

# Beyond, the files are the place to look.
SHOWN_MAX: Final = 40

_FIELDS: Final = {
    "policy_epoch": "policy_epoch",
    "catalog_epoch": "catalog_epoch",
    "hard_risk_limit_bps": "hard_risk_limit_bps",
    "minimum_confidence_bps": "minimum_confidence_bps",
    "risk_penalty_multiplier_bps": "risk_penalty_multiplier_bps",
    "latency_penalty_microunits_per_ms": "latency_penalty_microcents_per_ms",
}
_VENUE_FIELDS: Final = {
    "provider_id": "provider",
    "quality_bps": "quality_bps",
    "risk_ceiling_bps": "risk_ceiling_bps",
    "enabled": "enabled",
    "p95_latency_ms": "p95_latency_ms",
    "capabilities": "capabilities",
    "region_mask": "regions",
    "input_cost_microunits_per_million_tokens": "fee_microcents_per_million_lots",
    "output_cost_microunits_per_million_tokens": "fee_microcents_per_order",
}


class PolicyChange(NamedTuple):
    """A key, or a venue, and what two policies say of it; None: nothing."""

    place: str
    before: str | None
    after: str | None


def policy_changes(
    recorded: PolicySnapshot | None, configured: PolicyContent, currency: str
) -> list[PolicyChange]:
    """Each key in which they differ. `recorded`: None where there is none."""
    if recorded is None:
        return [PolicyChange("policy", None, "one")]
    before: dict[str, Any] = recorded.as_dict()
    changes = [
        _change(f"policy.{key}", key, before[name], getattr(configured, name), currency)
        for name, key in _FIELDS.items()
        if before[name] != getattr(configured, name)
    ]
    changes += _venue_changes(before["models"], configured.models, currency)
    return changes


def policy_differences(
    recorded: PolicySnapshot | None, configured: PolicyContent, currency: str
) -> list[str]:
    """The same between a log and a configuration, in sentences."""
    if recorded is None:
        return ["policy: the log has none, the configuration has one"]
    texts = [_sentence(change) for change in policy_changes(recorded, configured, currency)]
    if len(texts) > SHOWN_MAX:
        texts[SHOWN_MAX:] = [f"policy: {len(texts) - SHOWN_MAX} more differences"]
    return texts


def _sentence(change: PolicyChange) -> str:
    place, before, after = change
    if after is None:
        return f"{place}: the log has it, the configuration lacks it"
    if before is None:
        return f"{place}: the log lacks it, the configuration adds it"
    return f"{place}: the log says {before}, the configuration {after}"


def epochs_problem(
    recorded: PolicySnapshot | None, configured: PolicyContent, which: str
) -> str | None:
    """Why another policy cannot go by these epochs; None where it can. `which`: the recorded one.

    Decisions name them alone: a pair stands for one policy, and the higher one for the later.
    """
    if recorded is None:
        return None
    for key in ("policy_epoch", "catalog_epoch"):
        before, after = getattr(recorded, key), getattr(configured, key)
        if after < before:
            return f"policy.{key}: {after} is not allowed; allowed: from {before} on, as {which}"
    epochs = recorded.policy_epoch, recorded.catalog_epoch
    if epochs != (configured.policy_epoch, configured.catalog_epoch):
        return None
    return (
        f"policy: it differs, under the epochs of {which} (policy_epoch {epochs[0]}, "
        f"catalog_epoch {epochs[1]}), by which decisions name it: raise one of them"
    )


def _venue_changes(
    recorded: list[dict[str, Any]], configured: list[PolicyModel], currency: str
) -> Iterator[PolicyChange]:
    before = {venue["model_id"]: venue for venue in recorded}
    after = {venue.model_id: venue for venue in configured}
    for number in sorted(before.keys() | after.keys()):
        place = f"policy.venues[{number}]"
        if number not in after:
            yield PolicyChange(place, "a venue", None)
        elif number not in before:
            yield PolicyChange(place, None, "a venue")
        else:
            for name, key in _VENUE_FIELDS.items():
                said, says = before[number][name], getattr(after[number], name)
                if said != says:
                    yield _change(f"{place}.{key}", key, said, says, currency)


def _change(place: str, key: str, said: int, says: int, currency: str) -> PolicyChange:
    return PolicyChange(place, _value(key, said, currency), _value(key, says, currency))


def _value(key: str, value: int, currency: str) -> str:
    if "microcents" in key:
        return f"{value} ({money_text(value)} {currency})"
    if key == "enabled":
        return "true" if value else "false"
    if key in ("regions", "capabilities"):
        return "all" if value == U64_MAX else str(value)
    return str(value)
