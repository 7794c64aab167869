"""Records as rows, end to end: each of its kind, and the values in it are the record."""

from array import array

import pytest

from guard.record_rows import RecordRows
from guard.replay_parts import DECIDED, FILLED, RAW
from replay_support import BusyDay, row_of, text_of

DAY = BusyDay(1, 250).engine.records


def test_every_record_is_what_its_row_says() -> None:
    kinds = set()
    for sequence, data in enumerate(DAY, 1):
        kind, row = row_of(data, sequence)
        assert text_of(kind, row) == data
        kinds.add(kind)
    assert kinds == {RAW, DECIDED, FILLED}


def test_many_records_are_rows_end_to_end() -> None:
    block = b"\n".join(DAY) + b"\n"
    spans, at = array("q"), 0
    for data in DAY:
        spans.extend((at, at + len(data), at))
        at += len(data) + 1
    rows = RecordRows()
    rows.add(block, spans, 0, 100, 1)
    rows.add(block, spans, 100, len(DAY), 101)
    wanted = b"".join(
        bytes([kind]) + len(row).to_bytes(4, "little") + row
        for kind, row in (row_of(data, sequence) for sequence, data in enumerate(DAY, 1))
    )
    assert rows.take() == wanted


def test_the_orders_of_a_stretch_name_one_currency() -> None:
    at, data = next(
        (sequence, data) for sequence, data in enumerate(DAY, 1)
        if row_of(data, sequence)[0] == DECIDED and b'"currency":"USD"' in data
    )  # fmt: skip
    unsaid = data.replace(b'"currency":"USD"', b'"currency":null')
    other = data.replace(b'"currency":"USD"', b'"currency":"EUR"')
    empty = data.replace(b'"currency":"USD"', b'"currency":""')
    rows = RecordRows()

    def add(data: bytes) -> None:
        rows.add(data + b"\n", array("q", (0, len(data), 0)), 0, 1, at)

    def kinds(made: bytes) -> list[int]:
        found, place = [], 0
        while place < len(made):
            found.append(made[place])
            place += 5 + int.from_bytes(made[place + 1 : place + 5], "little")
        return found

    for records, said, wanted in (
        ((data, unsaid, other, data), b"USD", [DECIDED, DECIDED, RAW, DECIDED]),
        ((empty, unsaid, unsaid), b"", [RAW, DECIDED, DECIDED]),
        ((other, data, other), b"EUR", [DECIDED, RAW, DECIDED]),
        # What is plain but for its end says nothing of the others.
        ((other[:-1] + b" ", data), b"USD", [RAW, DECIDED]),
    ):
        for record in records:
            add(record)
        assert rows.currency() == said
        assert kinds(rows.take()) == wanted
        assert rows.currency() == b""


@pytest.mark.parametrize(
    ("spans", "first", "count", "words"),
    [
        ([0, 2, 0], 0, 2, "records 0 to 2 are not within 1"),
        ([0, 2, 0], 2, 1, "records 2 to 1"),
        ([0, 9, 0], 0, 1, "a record from 0 to 9 is not within 3 bytes"),
        ([2, 1, 0], 0, 1, "a record from 2 to 1"),
        ([-1, 1, 0], 0, 1, "a record from -1 to 1"),
    ],
)
def test_records_that_the_spans_do_not_hold(
    spans: list[int], first: int, count: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        RecordRows().add(b"{}\n", array("q", spans), first, count, 1)
