"""The canonical byte layouts: what is hashed, kept and handed to the compiled kernel.

Owns: the fields of a model, a policy, an input and a decision as data (name, type, unit in the
name), in the order of the published format, and the one checked way from values to bytes and back.
A row is its fields one after another, little-endian, two's complement, without padding; a digest is
taken over the very same bytes.

Must not: know what a field means, beyond its type. The ceilings of basis points are the policy's.

Fails: a value outside its field's type, a bool, or anything that is no integer is refused with an
exception of the layout's kind that names the field, the value and the range.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from kernel.errors import KernelInputError, PolicyError
from kernel.reasons import TRACE_GATES


@dataclass(frozen=True, slots=True)
class IntType:
    """A fixed-width integer: its `struct` letter and its ends, both included."""

    name: str
    letter: str
    width_bytes: int
    minimum: int
    maximum: int


U8 = IntType("u8", "B", 1, 0, 2**8 - 1)
U16 = IntType("u16", "H", 2, 0, 2**16 - 1)
U32 = IntType("u32", "I", 4, 0, 2**32 - 1)
U64 = IntType("u64", "Q", 8, 0, 2**64 - 1)
I64 = IntType("i64", "q", 8, -(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row: where it stands and what it may hold."""

    name: str
    type: IntType
    offset: int

    @property
    def minimum(self) -> int:
        """The least value that the field can hold."""
        return self.type.minimum

    @property
    def maximum(self) -> int:
        """The greatest value that the field can hold."""
        return self.type.maximum


class Layout:
    """The fields of one kind of row, in order, with the checks that follow from their types."""

    __slots__ = ("_error", "_struct", "field_names", "fields", "name", "row_bytes")

    def __init__(
        self, name: str, columns: Sequence[tuple[str, IntType]], error: type[KernelInputError]
    ) -> None:
        self.name = name
        fields = []
        offset = 0
        for field_name, int_type in columns:
            fields.append(Field(field_name, int_type, offset))
            offset += int_type.width_bytes
        self.fields = tuple(fields)
        self.field_names = tuple(field.name for field in fields)
        self.row_bytes = offset
        self._struct = struct.Struct("<" + "".join(field.type.letter for field in fields))
        self._error = error

    def field(self, name: str) -> Field:
        """The field of that name; `KeyError` if the layout has none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    def pack(self, values: Sequence[int]) -> bytes:
        """Values in field order -> the row. Every value is checked against its field's type."""
        for value in values:
            if type(value) is not int:
                self._check(values)
                break
        try:
            return self._struct.pack(*values)
        except struct.error:
            self._refuse(values)

    def unpack(self, row: bytes) -> tuple[int, ...]:
        """The row -> its values in field order."""
        self.check_row(row)
        return self._struct.unpack(row)

    def values_of(self, mapping: object) -> list[int]:
        """A mapping with exactly the layout's field names -> values in field order, unchecked."""
        if not isinstance(mapping, dict):
            raise self._error(f"{self.name} is {mapping!r}; must be an object with named fields")
        for key in mapping:
            if key not in self.field_names:
                raise self._error(f"{self.name} has the unknown field {key!r}")
        for name in self.field_names:
            if name not in mapping:
                raise self._error(f"{self.name} lacks the field {name}")
        return [mapping[name] for name in self.field_names]

    def check_row(self, row: object) -> None:
        """Refuse what is not a row of this layout's length."""
        if not isinstance(row, bytes) or len(row) != self.row_bytes:
            shown = f"{len(row)} bytes" if isinstance(row, bytes) else repr(row)
            raise self._error(f"{self.name} row is {shown}; must be {self.row_bytes} bytes")

    def _check(self, values: Sequence[object]) -> None:
        if len(values) != len(self.fields):
            raise self._error(f"{self.name} has {len(values)} of {len(self.fields)} fields")
        for field, value in zip(self.fields, values, strict=True):
            if not (
                isinstance(value, int)
                and not isinstance(value, bool)
                and field.minimum <= value <= field.maximum
            ):
                raise self._error(
                    f"{field.name} is {value!r}; must be an integer"
                    f" from {field.minimum} to {field.maximum}"
                )

    def _refuse(self, values: Sequence[object]) -> NoReturn:
        self._check(values)
        raise self._error(f"{self.name} cannot hold {values!r}")


MODEL = Layout(
    "model",
    (
        ("model_id", U32),
        ("provider_id", U16),
        ("quality_bps", U16),
        ("risk_ceiling_bps", U16),
        ("enabled", U8),
        ("p95_latency_ms", U32),
        ("capabilities", U64),
        ("region_mask", U64),
        ("input_cost_microunits_per_million_tokens", U64),
        ("output_cost_microunits_per_million_tokens", U64),
    ),
    PolicyError,
)

# What stands before the models in a policy.
POLICY = Layout(
    "policy",
    (
        ("policy_epoch", U64),
        ("catalog_epoch", U64),
        ("hard_risk_limit_bps", U16),
        ("minimum_confidence_bps", U16),
        ("risk_penalty_multiplier_bps", U16),
        ("latency_penalty_microunits_per_ms", U64),
    ),
    PolicyError,
)

INPUT = Layout(
    "input",
    (
        ("request_sequence", U64),
        ("requested_model_id", U32),
        ("input_tokens", U32),
        ("output_tokens", U32),
        ("business_value_microunits", I64),
        ("budget_limit_microunits", U64),
        ("risk_bps", U16),
        ("confidence_bps", U16),
        ("minimum_quality_bps", U16),
        ("max_p95_latency_ms", U32),
        ("required_capabilities", U64),
        ("allowed_provider_mask", U64),
        ("required_region_mask", U64),
    ),
    KernelInputError,
)

DECISION = Layout(
    "decision",
    (
        ("request_sequence", U64),
        ("action", U8),
        ("reason", U16),
        ("selected_model_id", U32),
        ("selected_model_index", U16),
        ("estimated_cost_microunits", U64),
        ("expected_utility_microunits", I64),
        ("counterfactual_model_id", U32),
        ("counterfactual_utility_microunits", I64),
        ("evaluated_models", U16),
        ("eligible_models", U16),
        ("policy_epoch", U64),
        ("catalog_epoch", U64),
    ),
    KernelInputError,
)

# How many models each gate took, in the trace's order. It follows the decision in an output row.
TRACE = Layout("trace", tuple((gate, U16) for gate in TRACE_GATES), KernelInputError)

INPUT_ROW_BYTES = INPUT.row_bytes
DECISION_ROW_BYTES = DECISION.row_bytes
TRACE_ROW_BYTES = TRACE.row_bytes
OUTPUT_ROW_BYTES = DECISION_ROW_BYTES + TRACE_ROW_BYTES

ALL_PROVIDERS = 2**64 - 1  # as allowed_provider_mask: any provider
ANY_REGION = 0  # as required_region_mask: any region
NO_LATENCY_LIMIT = 0  # as max_p95_latency_ms
NO_MODEL_ID = 0  # a decision's model id where there is no model
NO_MODEL_INDEX = 65535  # selected_model_index where there is no model
