"""The tables of fields: every key has a place, every place its name, in both forms."""

import pytest

from guard.protocol import fields
from guard.protocol.fields import REQUEST_FIELDS, ValueKind, fields_of_answer
from guard.protocol.messages import (
    REQUEST_TYPES,
    Admit,
    Filled,
    Reduced,
    Reject,
    Released,
    StatusReply,
)
from guard.protocol.outcome import OUTCOME_NUMBERS, Outcome
from guard.protocol.request import REQUEST_NUMBERS, TEXTS, Request
from guard.record.writer import TEXT_BYTES_MAX
from guard_support import LoggedEngine, cancel, fill, order


def test_every_type_has_all_its_fields_in_the_protocols_order() -> None:
    for kind, struct in enumerate(REQUEST_TYPES.values()):
        names = [field.name for field in REQUEST_FIELDS[kind]]
        assert names == list(struct.__struct_fields__)
    for struct in (Admit, Reject, Filled, Released, Reduced):
        names = [field.name for field in fields_of_answer(struct)]
        assert [*names, "request_id"] == list(struct.__struct_fields__)
    names = [field.name for field in (*fields.STATUS_BEFORE, *fields.STATUS_BEHIND)]
    of_standbys = {"behind_records", "behind_ns"}  # which write their answers otherwise
    assert {*names, "answer", "request_id", *of_standbys} == set(StatusReply.__struct_fields__)


@pytest.mark.parametrize(
    ("kind", "names"), [(Request, REQUEST_NUMBERS), (Outcome, OUTCOME_NUMBERS)]
)
def test_every_number_is_a_field_of_its_own(kind: type, names: tuple[str, ...]) -> None:
    one = kind()
    for number, name in enumerate(names):
        setattr(one, name, number + 1)
    assert [getattr(one, name) for name in names] == list(range(1, len(names) + 1))


def test_texts_do_not_overlap_and_fill_their_room() -> None:
    end = 0
    for at, bytes_max in TEXTS.values():
        assert at == end
        end += bytes_max
    request = Request()
    for name, (_, bytes_max) in TEXTS.items():
        request.set_text(name, b"x" * bytes_max)
        with pytest.raises(ValueError, match=f"{name} has {bytes_max + 1} bytes"):
            request.set_text(name, b"x" * (bytes_max + 1))
    assert all(request.text(name) == "x" * bytes_max for name, (_, bytes_max) in TEXTS.items())
    assert end == 912


def test_a_number_that_may_be_left_out_is_never_0_where_it_is_said() -> None:
    for each in REQUEST_FIELDS:
        for field in each:
            if field.kind is ValueKind.OPTIONAL_NUMBER:
                assert field.low > 0


def test_the_longest_record_fits_its_buffer() -> None:
    day = LoggedEngine()
    day.submit(order('"' * 64, desk="d" * 32, symbol="s" * 32))
    day.submit(order('"' * 64, symbol="s" * 32, quantity=2**63 - 1, price=2**63 - 1))
    day.submit(fill('"' * 64, client_order_id="\\" * 64, quantity=2**63 - 1, fee=-(2**63)))
    day.admit(order("\\" * 64))
    day.submit(cancel("\\" * 64))
    assert max(map(len, day.records)) < TEXT_BYTES_MAX // 2
