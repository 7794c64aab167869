"""Builders and the configuration: what must be said, and refusals that name it."""

from typing import Any

import pytest
from hypothesis import given

from kernel import (
    ALL_PROVIDERS,
    ALL_REGIONS,
    INPUT,
    EngineConfig,
    KernelInput,
    KernelInputBuilder,
    KernelInputError,
    KernelModel,
    KernelModelBuilder,
    PolicyBuilder,
    PolicyError,
    PolicySnapshot,
    TenantConfig,
)
from kernel_support import rows_of
from library_support import model_of

U64_MAX = 2**64 - 1


@given(fields=rows_of(INPUT, ceilings=True))
def test_an_input_built_is_the_input_made(fields: dict[str, int]) -> None:
    built = (
        KernelInputBuilder(fields["request_sequence"], fields["requested_model_id"])
        .regions(fields["required_region_mask"])
        .providers(fields["allowed_provider_mask"])
        .capabilities(fields["required_capabilities"])
        .latency(fields["max_p95_latency_ms"])
        .quality(fields["minimum_quality_bps"])
        .risk(risk_bps=fields["risk_bps"], confidence_bps=fields["confidence_bps"])
        .budget(fields["budget_limit_microunits"])
        .value(fields["business_value_microunits"])
        .tokens(input_tokens=fields["input_tokens"], output_tokens=fields["output_tokens"])
        .build()
    )
    assert built == KernelInput(**fields)


def test_what_is_left_out_constrains_nothing() -> None:
    request = (
        KernelInputBuilder(7, 1)
        .tokens(input_tokens=1, output_tokens=2)
        .value(3)
        .budget(4)
        .risk(risk_bps=5, confidence_bps=6)
        .build()
    )
    assert request.values() == (7, 1, 1, 2, 3, 4, 5, 6, 0, 0, 0, ALL_PROVIDERS, 0)
    model = model_of(5)
    assert (model.enabled, model.capabilities, model.region_mask) == (1, 0, ALL_REGIONS)
    assert model.p95_latency_ms == 100


@pytest.mark.parametrize("left_out", ["tokens", "value", "budget", "risk"])
def test_an_input_without_a_fact_is_not_built(left_out: str) -> None:
    builder = KernelInputBuilder(1, 1)
    calls: dict[str, Any] = {
        "tokens": lambda: builder.tokens(input_tokens=1, output_tokens=1),
        "value": lambda: builder.value(1),
        "budget": lambda: builder.budget(1),
        "risk": lambda: builder.risk(risk_bps=1, confidence_bps=1),
    }
    for name, call in calls.items():
        if name != left_out:
            call()
    with pytest.raises(KernelInputError, match=rf"is not set; call {left_out}\(.*\) before build"):
        builder.build()
    calls[left_out]()
    builder.build()


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        ("budget", {"budget_limit_microunits": -1}, "budget_limit_microunits is -1; must be .* 0"),
        ("value", {"business_value_microunits": 2**63}, "business_value_microunits is 9223"),
        ("risk", {"risk_bps": 10_001, "confidence_bps": 1}, "risk_bps is 10001; .* to 10000"),
        ("risk", {"risk_bps": 1, "confidence_bps": True}, "confidence_bps is True; must be an int"),
        ("quality", {"minimum_quality_bps": 10_001}, "minimum_quality_bps is 10001; .* 10000"),
        ("latency", {"max_p95_latency_ms": 2**32}, "max_p95_latency_ms is 4294967296"),
        ("tokens", {"input_tokens": 1, "output_tokens": 1.5}, "output_tokens is 1.5; must be an"),
        ("capabilities", {"required_capabilities": "1"}, "required_capabilities is '1'"),
        ("providers", {"allowed_provider_mask": U64_MAX + 1}, "allowed_provider_mask is 18446"),
        ("regions", {"required_region_mask": None}, "required_region_mask is None"),
    ],
)
def test_a_bad_value_is_refused_when_it_comes(
    call: str, arguments: dict[str, Any], message: str
) -> None:
    builder = KernelInputBuilder(1, 1).tokens(input_tokens=1, output_tokens=1).value(1)
    builder.budget(1).risk(risk_bps=1, confidence_bps=1)
    before = builder.build()
    with pytest.raises(KernelInputError, match=message):
        getattr(builder, call)(**arguments)
    assert builder.build() == before  # nothing of a refused call is kept


@pytest.mark.parametrize(
    ("model_id", "provider_id", "message"),
    [
        (0, 1, "model_id is 0; must be an integer from 1 to 4294967295"),
        (2**32, 1, "model_id is 4294967296"),
        (1, 64, "provider_id is 64; must be an integer from 0 to 63"),
        (1, -1, "provider_id is -1"),
    ],
)
def test_a_model_that_no_policy_holds(model_id: int, provider_id: int, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        KernelModelBuilder(model_id, provider_id)


def test_a_model_without_its_rates_is_not_built() -> None:
    builder = KernelModelBuilder(1, 2).quality(1).risk_ceiling(1).latency(1)
    with pytest.raises(PolicyError, match=r"input_cost_.* is not set; call cost\("):
        builder.build()


def test_a_disabled_model_with_bits() -> None:
    model = (
        KernelModelBuilder(9, 3)
        .quality(1)
        .risk_ceiling(2)
        .latency(3)
        .capabilities(4)
        .regions(5)
        .cost(input_microunits_per_million_tokens=6, output_microunits_per_million_tokens=7)
        .disabled()
        .build()
    )
    assert model == KernelModel(9, 3, 1, 2, 0, 3, 4, 5, 6, 7)


def test_a_policy_built_is_the_policy_made() -> None:
    config = EngineConfig(9_000, 100, 200, 3)
    builder = config.policy_builder(policy_epoch=4, catalog_epoch=5)
    policy = builder.model(model_of(2)).models([model_of(1), model_of(3)]).build()
    assert policy == PolicySnapshot(4, 5, 9_000, 100, 200, 3, [model_of(n) for n in (1, 2, 3)])


def test_a_policy_takes_models_all_or_none() -> None:
    builder = PolicyBuilder(EngineConfig(), policy_epoch=1, catalog_epoch=1).model(model_of(1))
    with pytest.raises(PolicyError, match="model_id 1 stands twice; must be unique"):
        builder.models([model_of(2), model_of(1)])
    with pytest.raises(PolicyError, match="model_id 3 stands twice"):
        builder.models([model_of(3), model_of(3)])
    with pytest.raises(PolicyError, match="models has 5; must be models"):
        builder.models([model_of(2), 5])  # type: ignore[list-item]
    assert builder.build().model_count == 1
    with pytest.raises(PolicyError, match="models"):
        EngineConfig().policy_builder(policy_epoch=1, catalog_epoch=1).build()
    with pytest.raises(PolicyError, match="catalog_epoch is -1; must be an integer from 0 to"):
        EngineConfig().policy_builder(policy_epoch=1, catalog_epoch=-1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hard_risk_limit_bps": 10_001}, "hard_risk_limit_bps is 10001; .* from 0 to 10000"),
        ({"minimum_confidence_bps": -1}, "minimum_confidence_bps is -1"),
        ({"risk_penalty_multiplier_bps": 50_001}, "risk_penalty_multiplier_bps is 50001"),
        ({"latency_penalty_microunits_per_ms": True}, "latency_penalty_microunits_per_ms is True"),
        ({"hard_risk_limit": 1}, "configuration has the field 'hard_risk_limit'; must have only"),
        ({"tenants": {}}, r"tenants is \{\}; must be a list"),
        ({"tenants": [{"tenant_id": "a"}]}, "tenant has no budget_microcents"),
        ({"tenants": [{"tenant_id": "", "budget_microcents": 1}]}, "tenant_id is ''; must be text"),
        (
            {"tenants": [{"tenant_id": "a", "budget_microcents": -1}]},
            "budget_microcents of tenant 'a' is -1; must be an integer from 0",
        ),
        (
            {"tenants": [{"tenant_id": "a", "budget_microcents": 1, "max_reserved_microcents": 0}]},
            "max_reserved_microcents of tenant 'a' is 0; must be an integer from 1",
        ),
        (
            {"tenants": [{"tenant_id": "a", "budget_microcents": 1}] * 2},
            "tenant 'a' stands twice",
        ),
    ],
)
def test_a_bad_configuration_names_what_is_wrong(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(KernelInputError, match=message):
        EngineConfig.from_dict(fields)


def test_a_configuration_goes_through_json() -> None:
    config = EngineConfig(minimum_confidence_bps=7).with_tenant("a", 5, 3).with_tenant("b", 6)
    text = (
        '{"minimum_confidence_bps": 7, "tenants": [{"tenant_id": "a", "budget_microcents": 5,'
        ' "max_reserved_microcents": 3}, {"tenant_id": "b", "budget_microcents": 6}]}'
    )
    assert EngineConfig.from_json(text) == config
    assert EngineConfig.from_dict(config.as_dict()) == config
    assert config.tenants[1] == TenantConfig("b", 6, None)
    for bad in ("[]", '{"tenants":[],"tenants":[]}', '{"minimum_confidence_bps": 7.0}', "{", ""):
        with pytest.raises(KernelInputError, match="configuration"):
            EngineConfig.from_json(bad)


def test_its_tenants_are_opened_once_and_capped_each_time() -> None:
    config = EngineConfig().with_tenant("a", 100, 30).with_tenant("b", 5)
    ledger = config.open_ledger()
    _, hold = ledger.try_reserve("a", 20)
    assert hold == 1
    ledger.top_up_tenant("b", 2)
    ledger.set_max_reserved_microcents("a", 1)
    config.ensure_tenants(ledger)
    assert ledger.initial_microcents("a") == 100
    assert ledger.remaining_microcents("a") == 80
    assert ledger.initial_microcents("b") == 7
    assert ledger.max_reserved_microcents("a") == 30
    assert ledger.max_reserved_microcents("b") is None


def test_one_tenant_is_opened_when_it_is_needed() -> None:
    config = EngineConfig().with_tenant("a", 100, 30).with_tenant("b", 5)
    ledger = EngineConfig().open_ledger()
    config.ensure_tenant(ledger, "a")
    config.ensure_tenant(ledger, "a")
    assert ledger.tenant_ids() == ["a"]
    assert ledger.max_reserved_microcents("a") == 30
    with pytest.raises(KernelInputError, match="tenant_id is 'c'; must be one of 'a', 'b'"):
        config.ensure_tenant(ledger, "c")
    assert ledger.tenant_ids() == ["a"]
