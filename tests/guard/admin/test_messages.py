"""Bodies of the admin protocol: both encodings, and errors that name field and allowed values."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.admin.bodies import request_id_of
from guard.admin.messages import (
    AdminError,
    Halt,
    ListDesks,
    TopUp,
    decode_request,
)

HALT = {"type": "halt", "scope": "desk", "name": "d", "action_id": "1", "why": "x"}


@pytest.mark.parametrize("encode", [msgspec.json.encode, msgspec.msgpack.encode])
def test_a_request_in_either_encoding(encode: object) -> None:
    assert callable(encode)
    body = encode(HALT | {"request_id": 5})
    request = decode_request(body)
    assert isinstance(request, Halt)
    assert (request.name, request.request_id, request.dry_run) == ("d", 5, False)
    assert request_id_of(body) == 5


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"scope": "venue"}, "scope", """scope: 'venue' is not allowed; allowed: "firm","""),
        ({"name": "a b"}, "name", "name: 'a b' is not allowed; allowed: 1 to 32"),
        ({"name": 5}, "name", "name: 5 is not allowed"),
        ({"why": ""}, "why", "why: '' is not allowed; allowed: 1 to 256"),
        ({"why": "line\nbreak"}, "why", "allowed: 1 to 256 characters, none of them a control"),
        ({"why": "x" * 257}, "why", "xxx' is not allowed"),
        ({"action_id": "a b"}, "action_id", "'a b' is not allowed; allowed: 1 to 64 printable"),
        ({"action_id": "x" * 65}, "action_id", "is not allowed; allowed: 1 to 64 printable"),
        ({"by": " me"}, "by", "' me' is not allowed"),
        ({"dry_run": 1}, "dry_run", "1 is not allowed; allowed: true or false"),
        ({"colour": 1}, "colour", "colour: no such key is known there"),
        ({"request_id": "x" * 65}, "request_id", "at most 64"),
        ({"type": "ordre"}, "type", "'ordre' is not allowed"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], field: str, words: str) -> None:
    with pytest.raises(AdminError) as caught:
        decode_request(msgspec.json.encode(HALT | changes))
    assert caught.value.code == "invalid"
    assert caught.value.field == field
    assert words in str(caught.value)


@pytest.mark.parametrize("left_out", ["action_id", "why", "scope"])
def test_what_is_missing_is_named(left_out: str) -> None:
    with pytest.raises(AdminError, match=f"{left_out}: is missing; allowed: ") as caught:
        decode_request(msgspec.json.encode({k: v for k, v in HALT.items() if k != left_out}))
    assert (caught.value.code, caught.value.field) == ("missing", left_out)


def test_a_key_is_named_with_its_place() -> None:
    """A missing one below another, and a long one that is unknown, cut."""
    body = {"type": "set_limits", "action_id": "1", "why": "x", "limits": [{"rates": [{}]}]}
    with pytest.raises(AdminError) as caught:
        decode_request(msgspec.json.encode(body))
    assert (caught.value.code, caught.value.field) == ("missing", "limits[0].rates[0].kind")
    with pytest.raises(AdminError) as caught:
        decode_request(msgspec.json.encode(HALT | {"x" * 10_000: 1}))
    assert caught.value.field == "x" * 40


@pytest.mark.parametrize("amount", [0, -1, 2**63, 1.5, "1"])
def test_amounts_out_of_range(amount: object) -> None:
    body = {"type": "top_up", "desk": "d", "amount_microcents": amount}
    with pytest.raises(AdminError) as caught:
        decode_request(msgspec.json.encode(body | {"action_id": "1", "why": "x"}))
    assert caught.value.field == "amount_microcents"
    body["amount_microcents"] = 2**63 - 1
    assert isinstance(
        decode_request(msgspec.json.encode(body | {"action_id": "1", "why": "x"})), TopUp
    )


@pytest.mark.parametrize("limit", [0, 501, -1])
def test_a_page_is_bounded(limit: int) -> None:
    with pytest.raises(AdminError) as caught:
        decode_request(msgspec.json.encode({"type": "desks", "limit": limit}))
    assert caught.value.field == "limit"
    assert isinstance(decode_request(b'{"type":"desks","limit":500}'), ListDesks)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"{" + rest))
def test_arbitrary_bytes_are_an_error_and_nothing_else(body: bytes) -> None:
    with pytest.raises(AdminError):
        decode_request(body)
    request_id_of(body)


def test_nesting_is_an_error() -> None:
    for body in (b'{"type":' + b"[" * 100_000, b"\x91" * 100_000, b"\x81\xa1a" * 50_000):
        with pytest.raises(AdminError):
            decode_request(body)
