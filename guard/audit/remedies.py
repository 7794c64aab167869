"""By how much an order was decided as it was: what would have had to change for a venue. Pure.

Owns, for an order that got no venue, the least changes with which each venue's gates let it
through, and what the kernel says to the order so changed; for one that got a venue, how far behind
the next one was. The answers are the kernel's own: a changed order is put to it again.

What changes is the order, and whether the policy has a venue switched on; a venue stays as it is.
Bounded: of many venues those with the fewest changes are put to the kernel.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from kernel import Action, KernelInput, KernelModel, ModelExplanation, PolicySnapshot
from kernel.explain import cost_of, explain_model

REMEDIES_MAX: Final = 20
# Each is put to the kernel, which looks at every venue.
ASKED_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Change:
    """What would have to be `needed` and `was` otherwise. Masks are masks, fees microcents."""

    field: str
    was: int
    needed: int


@dataclass(frozen=True, slots=True)
class Remedy:
    """With these changes the kernel chooses `then_venue`, worth `then_utility_microcents`.

    `then_venue` is None where it still chooses none. `venue`: the one that the changes let through.
    """

    venue: int
    changes: tuple[Change, ...]
    then_venue: int | None
    then_utility_microcents: int | None


def remedies(policy: PolicySnapshot, request: KernelInput) -> list[dict[str, Any]]:
    """The least changes for each venue; the fewest first, then those that win, then by worth."""
    common = _past_hard_limits(policy, request)
    if common is None:
        return []
    planned = []
    for model in policy.models:
        changes = _venue_changes(_changed(request, common), model)
        planned.append((model, _joined(common, changes)))
    planned.sort(key=lambda one: (len(one[1]), one[0].model_id))
    found = [_remedy(policy, request, *one) for one in planned[:ASKED_MAX]]
    found.sort(key=_rank)
    return [asdict(remedy) for remedy in found[:REMEDIES_MAX]]


def remedies_for_requested(policy: PolicySnapshot, request: KernelInput) -> list[dict[str, Any]]:
    """The same for an order that allows no venue but the one that it asks for."""
    decision = policy.prescribe(request)
    chosen = decision.selected_model_id
    allowed = (Change("allow_substitute", 0, 1),)
    found = [Remedy(chosen, allowed, chosen, decision.expected_utility_microunits)]
    for model in policy.models:
        changes = _venue_changes(request, model)
        if model.model_id == request.requested_model_id and changes:
            found.append(_remedy(policy, request, model, changes))
    return [asdict(remedy) for remedy in found]


def lead(explained: list[ModelExplanation], chosen: int) -> dict[str, Any] | None:
    """By how much the chosen venue was worth more than the next one; None where it was alone.

    `explained`: every venue of the policy.
    """
    eligible = {
        each.model_id: each.utility_microunits or 0
        for each in explained
        if each.status == "eligible"
    }
    own = eligible.pop(chosen, None)
    if own is None or not eligible:
        return None
    following = max(eligible, key=lambda venue: (eligible[venue], -venue))
    return {"next_venue": following, "by_microcents": own - eligible[following]}


def _joined(first: tuple[Change, ...], then: tuple[Change, ...]) -> tuple[Change, ...]:
    """Both, as one change for each field."""
    changes = {change.field: change for change in first}
    for change in then:
        before = changes.get(change.field)
        was = change.was if before is None else before.was
        changes[change.field] = Change(change.field, was, change.needed)
    return tuple(changes.values())


def _rank(remedy: Remedy) -> tuple[int, bool, int, int]:
    worth = remedy.then_utility_microcents or 0
    return len(remedy.changes), remedy.then_venue != remedy.venue, -worth, remedy.venue


def _past_hard_limits(policy: PolicySnapshot, request: KernelInput) -> tuple[Change, ...] | None:
    """What lets the order as far as the venues; None where nothing does."""
    changes = []
    if request.risk_bps >= policy.hard_risk_limit_bps:
        if policy.hard_risk_limit_bps == 0:
            return None
        changes.append(Change("risk_bps", request.risk_bps, policy.hard_risk_limit_bps - 1))
    if request.confidence_bps < policy.minimum_confidence_bps:
        least = policy.minimum_confidence_bps
        changes.append(Change("confidence_bps", request.confidence_bps, least))
    return tuple(changes)


def _venue_changes(request: KernelInput, model: KernelModel) -> tuple[Change, ...]:
    """What lets the order through the venue's gates, all of them but that of utility."""
    wanted = [
        ("enabled", int(model.enabled), 1),
        ("minimum_quality_bps", request.minimum_quality_bps,
         min(request.minimum_quality_bps, model.quality_bps)),
        ("max_p95_latency_ms", request.max_p95_latency_ms,
         request.max_p95_latency_ms and max(request.max_p95_latency_ms, model.p95_latency_ms)),
        ("required_capabilities", request.required_capabilities,
         request.required_capabilities & model.capabilities),
        ("allowed_provider_mask", request.allowed_provider_mask,
         request.allowed_provider_mask | 1 << model.provider_id),
        ("required_region_mask", request.required_region_mask, _regions(request, model)),
        ("risk_bps", request.risk_bps, min(request.risk_bps, model.risk_ceiling_bps)),
        ("budget_limit_microunits", request.budget_limit_microunits,
         max(request.budget_limit_microunits, cost_of(request, model))),
    ]  # fmt: skip
    return tuple(Change(field, was, needed) for field, was, needed in wanted if was != needed)


def _regions(request: KernelInput, model: KernelModel) -> int:
    """The regions asked for; none where the venue has none of them and so must be let off."""
    asked = request.required_region_mask
    if not asked or asked & model.region_mask:
        return asked
    return asked | model.region_mask if model.region_mask else 0


def _changed(request: KernelInput, changes: tuple[Change, ...]) -> KernelInput:
    fields = request.as_dict()
    for change in changes:
        if change.field != "enabled":
            fields[change.field] = change.needed
    return KernelInput(**fields)


def _remedy(
    policy: PolicySnapshot, request: KernelInput, model: KernelModel, changes: tuple[Change, ...]
) -> Remedy:
    asked = _changed(request, changes)
    if any(change.field == "enabled" for change in changes):
        policy, model = _with_enabled(policy, model)
    decision = policy.prescribe(asked)
    if decision.action_code == int(Action.REJECT):
        worth = explain_model(policy, asked, model, 0).utility_microunits
        return Remedy(model.model_id, changes, None, worth)
    chosen, worth = decision.selected_model_id, decision.expected_utility_microunits
    return Remedy(model.model_id, changes, chosen, worth)


def _with_enabled(policy: PolicySnapshot, model: KernelModel) -> tuple[PolicySnapshot, KernelModel]:
    enabled = KernelModel(**(model.as_dict() | {"enabled": 1}))
    models = [enabled if each.model_id == model.model_id else each for each in policy.models]
    fields = policy.as_dict() | {"models": models}
    return PolicySnapshot(**fields), enabled
