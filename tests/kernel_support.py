"""What the tests of `kernel` share: the vectors, the source form beside the one that runs, and
strategies for policies and inputs, both over all the integers there are and within the ceilings.
"""

import gzip
import json
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

import kernel
from kernel import INPUT, MODEL, POLICY, KernelInput, KernelModel, PolicyError, PolicySnapshot
from kernel.layout import Field, Layout

VECTORS = Path(__file__).parent / "data" / "vectors"
U64_MAX = 2**64 - 1
I64_MAX = 2**63 - 1

# What a loaded policy, and the wheel, hold below the ends of the types.
CEILINGS = {
    "model_id": (1, 2**32 - 1),
    "provider_id": (0, 63),
    "quality_bps": (0, 10_000),
    "risk_ceiling_bps": (0, 10_000),
    "enabled": (0, 1),
    "hard_risk_limit_bps": (0, 10_000),
    "minimum_confidence_bps": (0, 10_000),
    "risk_penalty_multiplier_bps": (0, 50_000),
    "risk_bps": (0, 10_000),
    "confidence_bps": (0, 10_000),
    "minimum_quality_bps": (0, 10_000),
}


def read_vectors(name: str) -> list[dict[str, Any]]:
    """The lines of a vector file."""
    with gzip.open(VECTORS / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def load_source_form() -> ModuleType:
    """`kernel/prescribe.py` as it stands, whichever form the package runs."""
    path = Path(kernel.__file__).parent / "prescribe.py"
    name = "prescribe_source_form"
    spec = spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table_of(module: ModuleType, policy: PolicySnapshot) -> Any:
    """The decision table that the module (one of the two forms) makes of a policy."""
    fields = policy.as_dict()
    values = tuple(fields[name] for name in POLICY.field_names)
    return module.DecisionTable(values, [model.values() for model in policy.models])


def policy_of_vector(fields: dict[str, Any]) -> tuple[PolicySnapshot, str | None]:
    """The policy of a vector and, where it is refused at load, the refusal."""
    own = {name: fields[name] for name in POLICY.field_names}
    models = [KernelModel(**model) for model in fields["models"]]
    try:
        return PolicySnapshot(**own, models=models), None
    except PolicyError as error:
        return PolicySnapshot.unchecked(**own, models=models), str(error)


def edges(low: int, high: int) -> st.SearchStrategy[int]:
    """Integers with the ends, the powers of two and the round numbers among them."""
    special = {low, low + 1, high - 1, high, 0, 1, *(2**n for n in range(64))}
    special |= {2**32 - 1, 10_000, 10_001, 10**6, 10**8, 10**12, 2**30 * 10**6}
    inside = sorted(value for value in special if low <= value <= high)
    return st.sampled_from(inside) | st.integers(low, high)


def field_values(field: Field, ceilings: bool) -> st.SearchStrategy[int]:
    """Values of one field: over its type, or within the ceilings."""
    low, high = field.minimum, field.maximum
    if ceilings:
        low, high = CEILINGS.get(field.name, (low, high))
    if field.name == "enabled":
        return st.sampled_from([1, 1, 1, 0] if ceilings else [1, 1, 2, 0, 255])
    if field.name in ("capabilities", "region_mask"):
        return st.sampled_from([U64_MAX, U64_MAX, 0b1011]) | edges(low, high)
    if field.name == "allowed_provider_mask":
        return st.sampled_from([U64_MAX, U64_MAX, 0b11]) | edges(low, high)
    if field.name in ("required_capabilities", "required_region_mask"):
        return st.sampled_from([0, 0, 1, 0b10]) | edges(low, high)
    if field.name == "max_p95_latency_ms":
        return st.just(0) | edges(low, high)
    if field.name == "budget_limit_microunits":
        return st.just(U64_MAX) | edges(low, high)
    if field.name.endswith("per_million_tokens") or field.name.endswith("per_ms"):
        return st.integers(0, 10**7) | edges(low, high)
    if field.name in ("minimum_confidence_bps", "minimum_quality_bps"):
        return st.integers(0, 100) | edges(low, high)
    if field.name in ("hard_risk_limit_bps", "risk_ceiling_bps"):
        return st.integers(9_000, 10_000) | edges(low, high)
    if field.name == "risk_bps":
        return st.integers(0, 500) | edges(low, high)
    return edges(low, high)


def rows_of(layout: Layout, ceilings: bool) -> st.SearchStrategy[dict[str, int]]:
    """Field name -> value for a layout."""
    return st.fixed_dictionaries(
        {field.name: field_values(field, ceilings) for field in layout.fields}
    )


@st.composite
def policies(draw: st.DrawFn, ceilings: bool, models_max: int = 6) -> PolicySnapshot:
    """Policies that load (`ceilings`), or any of the declared types."""
    fields = draw(rows_of(POLICY, ceilings))
    rows = draw(st.lists(rows_of(MODEL, ceilings), min_size=1, max_size=models_max))
    if not ceilings:
        return PolicySnapshot.unchecked(**fields, models=[KernelModel(**row) for row in rows])
    rows[0]["enabled"] = 1
    unique = {row["model_id"]: row for row in reversed(rows)}
    return PolicySnapshot(**fields, models=[KernelModel(**row) for row in unique.values()])


@st.composite
def requests(draw: st.DrawFn, policy: PolicySnapshot, ceilings: bool) -> KernelInput:
    """Inputs, often for a model that the policy has."""
    fields = draw(rows_of(INPUT, ceilings))
    model_ids = [model.model_id for model in policy.models]
    fields["requested_model_id"] = draw(
        st.sampled_from(model_ids) | st.just(fields["requested_model_id"])
    )
    return KernelInput(**fields)
