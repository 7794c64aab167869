"""What a policy may contain, and what an unchecked one may."""

import pickle
from typing import Any

import pytest

from kernel import KernelInput, KernelInputError, KernelModel, PolicyError, PolicySnapshot
from kernel_support import U64_MAX, policy_of_vector, read_vectors

POLICY: dict[str, Any] = {
    "policy_epoch": 3,
    "catalog_epoch": 4,
    "hard_risk_limit_bps": 9_000,
    "minimum_confidence_bps": 1_000,
    "risk_penalty_multiplier_bps": 10_000,
    "latency_penalty_microunits_per_ms": 5,
}
MODEL: dict[str, Any] = {
    "model_id": 1,
    "provider_id": 63,
    "quality_bps": 10_000,
    "risk_ceiling_bps": 10_000,
    "enabled": 1,
    "p95_latency_ms": 10,
    "capabilities": U64_MAX,
    "region_mask": U64_MAX,
    "input_cost_microunits_per_million_tokens": 100,
    "output_cost_microunits_per_million_tokens": 200,
}


def policy_with(*models: dict[str, Any], **changes: Any) -> PolicySnapshot:
    rows = models or ({},)
    return PolicySnapshot(**POLICY | changes, models=[KernelModel(**MODEL | row) for row in rows])


@pytest.mark.parametrize(
    ("field", "ceiling"),
    [
        ("hard_risk_limit_bps", 10_000),
        ("minimum_confidence_bps", 10_000),
        ("risk_penalty_multiplier_bps", 50_000),
    ],
)
def test_a_policys_ceilings(field: str, ceiling: int) -> None:
    assert policy_with(**{field: ceiling}).as_dict()[field] == ceiling
    with pytest.raises(PolicyError) as refusal:
        policy_with(**{field: ceiling + 1})
    assert str(refusal.value) == f"{field} is {ceiling + 1}; must be at most {ceiling}"


@pytest.mark.parametrize(
    ("field", "ceiling"),
    [("provider_id", 63), ("quality_bps", 10_000), ("risk_ceiling_bps", 10_000)],
)
def test_a_models_ceilings(field: str, ceiling: int) -> None:
    assert policy_with({field: ceiling}).models[0].as_dict()[field] == ceiling
    with pytest.raises(PolicyError) as refusal:
        policy_with({"model_id": 9, field: ceiling + 1})
    assert str(refusal.value) == (
        f"{field} is {ceiling + 1} (of model_id 9); must be at most {ceiling}"
    )


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([{"model_id": 0}], "model_id is 0; must be at least 1, since 0 means no model"),
        (
            [{"model_id": 7}, {"model_id": 2}, {"model_id": 7}],
            "model_id 7 is a duplicate; must be unique in models",
        ),
        (
            [{"enabled": 0}, {"enabled": 0, "model_id": 2}],
            "enabled is 0 in every model; must be set in at least one of models",
        ),
    ],
)
def test_a_catalogue_is_refused(models: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(PolicyError) as refusal:
        policy_with(*models)
    assert str(refusal.value) == message


def test_an_empty_and_an_overfull_catalogue_are_refused() -> None:
    with pytest.raises(PolicyError, match=r"^models is empty; must hold from 1 to 65535$"):
        PolicySnapshot(**POLICY, models=[])
    many = [KernelModel(**MODEL | {"model_id": number}) for number in range(1, 65_537)]
    for make in (PolicySnapshot, PolicySnapshot.unchecked):
        with pytest.raises(PolicyError, match=r"^models holds 65536; must be at most 65535$"):
            make(**POLICY, models=many)


@pytest.mark.parametrize("field", list(POLICY))
@pytest.mark.parametrize("value", [-1, 2**64, True, 1.5, None])
def test_types_are_held_also_when_unchecked(field: str, value: object) -> None:
    for make in (PolicySnapshot, PolicySnapshot.unchecked):
        with pytest.raises(PolicyError, match=f"^{field} is .*; must be an integer from 0 to"):
            make(**POLICY | {field: value}, models=[KernelModel(**MODEL)])


def test_models_must_be_models() -> None:
    with pytest.raises(PolicyError, match=r"^models holds \{.*\}; must be KernelModel$"):
        PolicySnapshot(**POLICY, models=[MODEL])  # type: ignore[list-item]


def test_a_loaded_policy_sorts_its_models_and_an_unchecked_one_does_not() -> None:
    loaded = policy_with({"model_id": 9}, {"model_id": 2})
    assert [model.model_id for model in loaded.models] == [2, 9]
    models = [KernelModel(**MODEL | {"model_id": number}) for number in (9, 2)]
    unchecked = PolicySnapshot.unchecked(**POLICY, models=models)
    assert [model.model_id for model in unchecked.models] == [9, 2]
    assert unchecked.digest == loaded.digest
    assert unchecked != loaded


def test_as_dict_and_back() -> None:
    policy = policy_with({"model_id": 9}, {"model_id": 2, "enabled": 0})
    assert policy.as_dict() == POLICY | {
        "models": [MODEL | {"model_id": 2, "enabled": 0}, MODEL | {"model_id": 9}]
    }
    assert PolicySnapshot.from_dict(policy.as_dict()) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert len({policy, PolicySnapshot.from_dict(policy.as_dict())}) == 1
    assert repr(policy) == (
        f"PolicySnapshot(policy_epoch=3, catalog_epoch=4, 2 models, digest={policy.digest.hex()})"
    )


def test_from_dict_refuses_by_name() -> None:
    fields = policy_with().as_dict()
    with pytest.raises(PolicyError, match=r"^models is None; must be a list of models$"):
        PolicySnapshot.from_dict({name: fields[name] for name in POLICY})
    with pytest.raises(PolicyError, match=r"^policy has the unknown field 'note'$"):
        PolicySnapshot.from_dict(fields | {"note": 1})
    model = {name: value for name, value in MODEL.items() if name != "quality_bps"}
    with pytest.raises(PolicyError, match=r"^model lacks the field quality_bps$"):
        PolicySnapshot.from_dict(fields | {"models": [model]})
    with pytest.raises(PolicyError, match=r"^models is 3; must be a list of models$"):
        PolicySnapshot.from_dict(fields | {"models": 3})
    with pytest.raises(PolicyError, match=r"^models is None; must be a list of models$"):
        PolicySnapshot.from_dict(None)  # type: ignore[arg-type]


def test_a_policy_does_not_change() -> None:
    policy = policy_with()
    for name in ("policy_epoch", "models", "digest", "brand_new", "hard_risk_limit_bps"):
        with pytest.raises(AttributeError):
            setattr(policy, name, 1)


def test_the_vectors_policies_are_taken_and_refused_as_the_crate_does() -> None:
    refusals = []
    for vector in read_vectors("kernel.jsonl.gz"):
        policy, refusal = policy_of_vector(vector["policy"])
        assert policy.digest.hex() == vector["policy_digest_hex"]
        assert (refusal is None) == (vector["validation_error"] is None)
        if refusal is not None:
            refusals.append((refusal.split()[0], vector["validation_error"].split()[0]))
    assert len(refusals) == 10
    assert ("quality_bps", "model.quality_bps") in refusals


@pytest.mark.parametrize("request_", [None, "row", b"0" * 70, MODEL])
def test_what_is_no_input_is_refused(request_: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        policy_with().prescribe(request_)


@pytest.mark.parametrize("length", [0, 69, 71, 140])
def test_a_row_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(KernelInputError, match=rf"^input row is {length} bytes; must be 70$"):
        policy_with().decide_row(bytes(length))


def test_batch_and_single_agree() -> None:
    policy = policy_with({}, {"model_id": 2, "quality_bps": 9_000})
    requests = [
        KernelInput(sequence, 2, 10, 10, 10**9, 10**9, 1, 9_000, 0, 0, 0, U64_MAX, 0)
        for sequence in range(5)
    ]
    assert policy.prescribe_batch(requests) == [policy.prescribe(each) for each in requests]
    assert policy.prescribe_batch([]) == []
