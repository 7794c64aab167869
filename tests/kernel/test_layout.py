"""The byte layouts, and the checks by name of field that follow from them."""

from typing import Any

import pytest

from kernel import (
    DECISION,
    DECISION_ROW_BYTES,
    INPUT,
    INPUT_ROW_BYTES,
    MODEL,
    OUTPUT_ROW_BYTES,
    POLICY,
    TRACE,
    KernelInputError,
    PolicyError,
)
from kernel.layout import Field, Layout

LAYOUTS = (MODEL, POLICY, INPUT, DECISION, TRACE)
FIELDS = [
    pytest.param(layout, field, id=f"{layout.name}-{field.name}")
    for layout in LAYOUTS
    for field in layout.fields
]


def row_with(layout: Layout, name: str, value: object) -> list[Any]:
    """A row of ones, with one value changed."""
    return [value if field.name == name else 1 for field in layout.fields]


def error_of(layout: Layout) -> type[KernelInputError]:
    return PolicyError if layout in (MODEL, POLICY) else KernelInputError


def test_the_rows_have_the_formats_lengths_and_types() -> None:
    described = {
        layout.name: " ".join(field.type.name for field in layout.fields) for layout in LAYOUTS
    }
    assert described == {
        "model": "u32 u16 u16 u16 u8 u32 u64 u64 u64 u64",
        "policy": "u64 u64 u16 u16 u16 u64",
        "input": "u64 u32 u32 u32 i64 u64 u16 u16 u16 u32 u64 u64 u64",
        "decision": "u64 u8 u16 u32 u16 u64 i64 u32 i64 u16 u16 u64 u64",
        "trace": "u16 u16 u16 u16 u16 u16 u16 u16 u16",
    }
    assert [layout.row_bytes for layout in LAYOUTS] == [47, 30, 70, 65, 18]
    assert (INPUT_ROW_BYTES, DECISION_ROW_BYTES, OUTPUT_ROW_BYTES) == (70, 65, 83)


def test_the_offsets_that_prescribe_reads_and_writes() -> None:
    # kernel/prescribe.py has them as literals, for speed.
    assert [field.offset for field in INPUT.fields] == [
        0, 8, 12, 16, 20, 28, 36, 38, 40, 42, 46, 54, 62,
    ]  # fmt: skip
    assert [field.offset for field in DECISION.fields] == [
        0, 8, 9, 11, 15, 17, 25, 33, 37, 45, 47, 49, 57,
    ]  # fmt: skip


@pytest.mark.parametrize(("layout", "field"), FIELDS)
def test_both_ends_of_a_type_fit_and_nothing_beyond(layout: Layout, field: Field) -> None:
    for value in (field.minimum, field.maximum):
        row = layout.pack(row_with(layout, field.name, value))
        assert layout.unpack(row) == tuple(row_with(layout, field.name, value))
    for value in (field.minimum - 1, field.maximum + 1):
        with pytest.raises(error_of(layout)) as refusal:
            layout.pack(row_with(layout, field.name, value))
        assert str(refusal.value) == (
            f"{field.name} is {value}; must be an integer from {field.minimum} to {field.maximum}"
        )


@pytest.mark.parametrize(("layout", "field"), FIELDS)
@pytest.mark.parametrize("value", [True, 1.0, "1", None, b"1"])
def test_what_is_no_integer_is_refused(layout: Layout, field: Field, value: object) -> None:
    with pytest.raises(error_of(layout), match=f"^{field.name} is .*; must be an integer from"):
        layout.pack(row_with(layout, field.name, value))


@pytest.mark.parametrize("row", [b"", bytes(69), bytes(71), bytearray(70), "x" * 70, None])
def test_a_row_of_another_length_or_kind_is_refused(row: Any) -> None:
    with pytest.raises(KernelInputError, match=r"^input row is .*; must be 70 bytes$"):
        INPUT.unpack(row)


def test_too_few_values_are_refused() -> None:
    with pytest.raises(KernelInputError, match=r"^input has 2 of 13 fields$"):
        INPUT.pack([1, 2])


def test_a_mapping_must_have_exactly_the_fields() -> None:
    fields = {field.name: 1 for field in POLICY.fields}
    assert POLICY.values_of(fields) == [1] * 6
    with pytest.raises(PolicyError, match=r"^policy has the unknown field 'currency'$"):
        POLICY.values_of(fields | {"currency": 1})
    del fields["catalog_epoch"]
    with pytest.raises(PolicyError, match=r"^policy lacks the field catalog_epoch$"):
        POLICY.values_of(fields)
    with pytest.raises(PolicyError, match=r"^policy is \[\]; must be an object"):
        POLICY.values_of([])
