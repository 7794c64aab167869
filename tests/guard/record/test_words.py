"""The words for a bad field of a record: its place, its value, what is allowed; whatever it is."""

from typing import Any

import pytest

from guard.record.codec import RecordError, decode_data, decode_event
from guard.record.words import refusal, shown
from guard_day_support import trading_day

DAY = trading_day()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (-(2**127), str(-(2**127))),
        (10**400, "an integer of 1329 bits"),
        (True, "true"),
        (None, "null"),
        (1.5, "1.5"),
        ("a\x1b[2J\u202e", r"'a\x1b[2J\u202e'"),
        ("x" * 1_000, "'" + "x" * 40 + "'"),
        ([1], "a list"),
        ({"a": 1}, "an object"),
    ],
)
def test_a_value_is_shown_short_and_harmless(value: Any, text: str) -> None:
    assert shown(value) == text
    assert refusal("field", value, "less") == f"field: {text} is not allowed; allowed: less"


@pytest.mark.parametrize(
    ("sequence", "old", "new", "words"),
    [
        (1, b'"epoch":1', b'"epoch":-1', "epoch: -1 is not allowed; allowed: int >= 1"),
        (1, b'"epoch":1', b'"epoch":1.0', "epoch: 1.0 is not allowed; allowed: int"),
        (1, b'"epoch":1', b'"epoch":1' + b"0" * 5_000, "Integer value out of range"),
        (1, b'"epoch":1', b'"epochs":1', "Object contains unknown field `epochs`"),
        (1, b',"epoch":1', b"", "Object missing required field `epoch`"),
        (1, b'"log_opened"', b'"log_closed"', "event: 'log_closed' is not allowed; allowed: a wo"),
        (1, b'"log_opened"', b"7", "event: 7 is not allowed; allowed: str"),
        (3, b'"provider_id":1', b'"provider_id":64',
         "policy.models[1].provider_id: 64 is not allowed; allowed: int <= 63"),
        (3, b'"models":[{', b'"models":[7,{', "policy.models[0]: 7 is not allowed; allowed: obj"),
        (10, b'"asked":9600', b'"asked":"x"', "metadata.answer.detail[...]: Expected `int`, got"),
        (8, b'"repeat":false', b'"again":false', "Object missing required field `repeat`"),
        (8, b"", b"[]", "Expected `object`, got `array`"),
    ],
)  # fmt: skip
def test_what_cannot_be_decoded_is_named(sequence: int, old: bytes, new: bytes, words: str) -> None:
    data = DAY.records[sequence - 1]
    forged = data.replace(old, new, 1) if old else new
    assert forged != data
    for decode in (decode_data, decode_event):
        with pytest.raises(RecordError) as caught:
            decode(forged)
        assert words in str(caught.value)
