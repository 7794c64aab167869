"""The reader of numbers in a record, as `guard.order_rows` and `decision_rows` use it."""

import json
from typing import Any

import pytest

from guard_support import LoggedEngine, order
from replay_support import row_of

RECORD = LoggedEngine()
RECORD.admit(order())
DATA = RECORD.records[-1]
SEQUENCE = len(RECORD.records)


def test_the_rows_are_the_kernels_layouts() -> None:
    kind, row = row_of(DATA, SEQUENCE)
    record = json.loads(DATA)
    at = 40
    for fields, widths in (
        (record["input"], (8, 4, 4, 4, 8, 8, 2, 2, 2, 4, 8, 8, 8)),
        (record["decision"], (8, 1, 2, 4, 2, 8, 8, 4, 8, 2, 2, 8, 8)),
    ):
        for (name, value), width in zip(fields.items(), widths, strict=True):
            found = int.from_bytes(row[at : at + width], "little")
            words = {"ExecuteRequested": 1, "RequestedModelMaximizesUtility": 1}
            assert found == words.get(value, value), name
            at += width
    assert (kind, at) == (1, 175)


def changed(text: bytes) -> tuple[int, Any]:
    """The kind of the row, its price where it is an admission's."""
    assert DATA.count(b'"price":19000,') == 1
    data = DATA.replace(b'"price":19000,', b'"price":' + text + b",")
    kind, row = row_of(data, SEQUENCE)
    return kind, int.from_bytes(row[24:32], "little") if kind else row == data


@pytest.mark.parametrize("value", [1, 9, 10, 2**32, 10**18, 2**63 - 1])
def test_an_integer_as_it_would_be_written(value: int) -> None:
    assert changed(b"%d" % value) == (1, value)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"0", b"00", b"01", b"-1", b"-", b"+1", b"1.0", b"1e3", b" 1", b"1 ", b'"1"', b"null",
        b"9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"1" * 21,
        b"99999999999999999999",
    ],
)  # fmt: skip
def test_any_other_text_is_unusual(text: bytes) -> None:
    assert changed(text) == (0, True)
