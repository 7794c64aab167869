"""Rows of records: the values in them are the record, byte for byte; the rest goes as it stands."""

import json
import random
from typing import Any

import pytest

from guard.record.codec import decode_data, encode_data
from guard.messages import Admit, Reject
from guard.outcomes import OrderDecided
from guard.replay_parts import DECIDED, RAW
from guard_support import NO_GATES
from replay_support import BusyDay, row_of, text_of

DAY = BusyDay(1, 250).engine.records


def orders_of(kind: type) -> list[tuple[int, bytes]]:
    """The day's orders that were admitted, or refused by the kernel: sequence and data."""
    found = []
    for sequence, data in enumerate(DAY, 1):
        event = decode_data(data).outcome
        if isinstance(event, OrderDecided) and isinstance(event.answer, kind):
            is_kernels = isinstance(event.answer, Admit) or event.answer.stage == "kernel"
            if is_kernels and event.answer.reason != "substitution_not_allowed":
                found.append((sequence, data))
    return found


ADMISSIONS, REFUSALS = orders_of(Admit), orders_of(Reject)


def is_plain(data: bytes) -> bool:
    return data.isascii() and b"\\" not in data


def plain(records: list[tuple[int, bytes]], piece: bytes) -> tuple[int, bytes]:
    """The first plain one with this piece."""
    return next((n, data) for n, data in records if is_plain(data) and piece in data)


def test_the_day_has_what_it_takes() -> None:
    assert len(ADMISSIONS) > 20
    assert len(REFUSALS) > 10
    reasons = (b'"risk_hard_limit"', b'"confidence_hard_limit"', b'"latency_constraint"')
    assert all(any(word in data for _, data in REFUSALS) for word in reasons)
    assert {is_plain(data) for _, data in ADMISSIONS} == {True, False}
    for piece in (b'"substituted":true', b'"substituted":false', b'"sent_at_ns":null', b'"gtc"'):
        assert any(piece in data for _, data in ADMISSIONS), piece


def test_a_plain_order_is_a_row_of_its_values() -> None:
    for sequence, data in ADMISSIONS + REFUSALS:
        kind, row = row_of(data, sequence)
        assert kind == (DECIDED if is_plain(data) else RAW), data
        assert text_of(kind, row) == data
    others = set(enumerate(DAY, 1)) - {*ADMISSIONS, *REFUSALS}
    assert all(row_of(data, sequence)[0] != DECIDED for sequence, data in others)


def test_a_record_in_another_place_goes_as_it_stands() -> None:
    sequence, data = next(each for each in ADMISSIONS if is_plain(each[1]))
    assert row_of(data, sequence)[0] == DECIDED
    assert row_of(data, sequence + 1) == (RAW, data)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*path, key))]
    return [path]


VALUES = (
    0, 1, 2, 3, 10_000, 10_001, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -1, 1.5, True,
    False, None, "", "x", "a" * 33, "a" * 65, "day", "buy", "sell", "market", "limit", "gtc",
    "Substitute", "USD", [], {},
)  # fmt: skip


FREE = {
    ("received_at_ns",),
    ("client",),
    ("batch_first_sequence",),
    ("order", "desk"),
    ("order", "symbol"),
    ("order", "side"),
    ("order", "price"),
    ("order", "allow_substitute"),
    ("order", "order_type"),
    ("order", "time_in_force"),
    ("order", "currency"),
    ("order", "sent_at_ns"),
}
GATES = {("answer", "detail", gate) for gate in NO_GATES}


@pytest.mark.parametrize(
    ("found", "free_in_answer"),
    [
        (plain(ADMISSIONS, b'"answer"'), {("answer", "reservation_id")}),
        (plain(REFUSALS, b'"latency_constraint"'), GATES),
        (plain(REFUSALS, b'"risk_hard_limit"'), GATES | {("answer", "detail", "limit")}),
        (plain(REFUSALS, b'"confidence_hard_limit"'), GATES | {("answer", "detail", "limit")}),
    ],
)
def test_a_value_that_is_changed_never_makes_a_row_of_others(
    found: tuple[int, bytes], free_in_answer: set[tuple[str, ...]]
) -> None:
    """And it makes one at all only where nothing else in the record says the same thing."""
    sequence, data = found
    free = set()
    for path in _leaves(json.loads(data)):
        for value in VALUES:
            record = json.loads(data)
            place = record
            for step in path[:-1]:
                place = place[step]
            if place[path[-1]] == value and type(place[path[-1]]) is type(value):
                continue
            place[path[-1]] = value
            changed = json.dumps(record, separators=(",", ":")).encode()
            kind, row = row_of(changed, sequence)
            assert text_of(kind, row) == changed
            if kind == DECIDED:
                free.add(path[1:])
                assert encode_data(decode_data(changed)) == changed, path
    assert free == FREE | free_in_answer


@pytest.mark.parametrize("records", [ADMISSIONS, REFUSALS], ids=["admitted", "refused"])
def test_no_bytes_make_a_row_of_others(records: list[tuple[int, bytes]]) -> None:
    numbers = random.Random(3)
    sequence, data = plain(records, b'"answer"')
    made = 0
    for _ in range(2_000):
        changed = bytearray(data)
        at = numbers.randrange(len(data))
        kind = numbers.randrange(4)
        if kind == 0:
            changed[at] ^= 1 << numbers.randrange(8)
        elif kind == 1:
            del changed[at : at + numbers.randrange(1, 4)]
        elif kind == 2:
            changed[at:at] = bytes([numbers.choice(b'0123456789"{}[],:-+.eE \\a')])
        else:
            changed[at] = numbers.choice(b'0123456789"abcdefxyz,')
        changed = changed.replace(b"\n", b" ")
        made += row_of(bytes(changed), sequence)[0] == DECIDED
        assert text_of(*row_of(bytes(changed), sequence)) == changed
    assert made > 10
    for length in range(0, len(data), 7):
        assert row_of(data[:length] or b" ", sequence) == (RAW, data[:length] or b" ")


def test_a_digest_of_other_letters_is_not_plain() -> None:
    sequence, data = next(each for each in ADMISSIONS if is_plain(each[1]))
    digest = json.loads(data)["audit"]["policy_digest_hex"].encode()
    other = data.replace(digest, digest[:-1] + (b"0" if digest[-1:] != b"0" else b"1"))
    assert row_of(other, sequence)[0] == DECIDED
    for text in (digest.upper(), b"g" * 64):
        assert row_of(data.replace(digest, text), sequence)[0] == RAW
