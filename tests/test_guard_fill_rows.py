"""Rows of fills: the values in them are the record, byte for byte; the rest goes as it stands."""

import json
import random
from typing import Any

from guard.record.codec import decode_data, encode_data
from guard.outcomes import FillRecorded
from guard.replay_parts import FILLED, RAW
from replay_support import BusyDay, row_of, text_of

DAY = BusyDay(1, 250).engine.records


def fills() -> list[tuple[int, bytes, bool]]:
    """The day's fills: sequence, data, and whether it is a plain one."""
    found = []
    for sequence, data in enumerate(DAY, 1):
        event = decode_data(data).outcome
        if isinstance(event, FillRecorded):
            answer = event.answer
            is_paid = answer.unpaid_fee_microcents == 0 and not event.halts_desk
            is_plain = is_paid and not answer.flags and event.fill.fee_microcents >= 0
            found.append((sequence, data, is_plain and data.isascii() and b"\\" not in data))
    return found


FILLS = fills()
SEQUENCE, DATA, _ = next(each for each in FILLS if each[2])


def test_a_plain_fill_is_a_row_of_its_values() -> None:
    plain = [is_plain for _, _, is_plain in FILLS]
    assert plain.count(True) > 5 < plain.count(False)
    for sequence, data, is_plain in FILLS:
        kind, row = row_of(data, sequence)
        assert kind == (FILLED if is_plain else RAW), data
        assert text_of(kind, row) == data


def test_a_record_in_another_place_goes_as_it_stands() -> None:
    assert row_of(DATA, SEQUENCE)[0] == FILLED
    assert row_of(DATA, SEQUENCE + 1) == (RAW, DATA)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*path, key))]
    return [path]


VALUES = (
    0, 1, 2, 2**32, 2**63 - 1, 2**63, 2**64, -1, 1.5, True, False, None, "", "x", "a" * 33,
    "a" * 65, "fill", [], ["late"], {},
)  # fmt: skip


def test_a_value_that_is_changed_never_makes_a_row_of_others() -> None:
    free = set()
    for path in _leaves(json.loads(DATA)):
        for value in VALUES:
            record = json.loads(DATA)
            place = record
            for step in path[:-1]:
                place = place[step]
            if place[path[-1]] == value and type(place[path[-1]]) is type(value):
                continue
            place[path[-1]] = value
            changed = json.dumps(record, separators=(",", ":")).encode()
            kind, row = row_of(changed, SEQUENCE)
            assert text_of(kind, row) == changed
            if kind == FILLED:
                free.add(path)
                assert encode_data(decode_data(changed)) == changed, path
    assert free == {
        ("received_at_ns",),
        ("client",),
        ("batch_first_sequence",),
        ("fill", "quantity"),
        ("fill", "price"),
        ("fill", "executed_at_ns"),
        ("answer", "open_quantity"),
        ("answer", "hold_microcents"),
        ("answer", "released_microcents"),
    }


def test_no_bytes_make_a_row_of_others() -> None:
    numbers = random.Random(3)
    made = 0
    for _ in range(3_000):
        changed = bytearray(DATA)
        at = numbers.randrange(len(DATA))
        if numbers.random() < 0.5:
            changed[at] = numbers.choice(b'0123456789"abcdefxyz,')
        elif numbers.random() < 0.5:
            del changed[at : at + numbers.randrange(1, 4)]
        else:
            changed[at:at] = bytes([numbers.choice(b'0123456789"{}[],:-+.eE \\a')])
        kind, row = row_of(bytes(changed), SEQUENCE)
        made += kind == FILLED
        assert text_of(kind, row) == changed
    assert made > 10
    for length in range(1, len(DATA), 5):
        assert row_of(DATA[:length], SEQUENCE) == (RAW, DATA[:length])
