"""Which bodies go first: by how they begin, and by nothing that is in their values."""

import json
from typing import Any

import msgspec
import pytest

from guard.server.priority import frees
from protocol_client import PING, STATS, cancel, fill, order, reduce, replace, status

FIRST: list[Any] = [
    cancel("A"),
    fill("A", "F"),
    status("A"),
    reduce("A", "R"),
    {"type": "cancel_all", "through_sequence": 7},
    {**cancel("A"), "type": "replaced"},
    {**cancel("A"), "type": "replace_rejected"},
    fill("A", "F", price=1, extra=2),
]
OTHERS: list[Any] = [
    order("A"),
    order("cancel"),
    replace("A", "B"),
    PING,
    STATS,
    [cancel("A")],
    [order("A"), cancel("A")],
    {"type": "cancels", "desk": "d"},
    {"type": "filled"},
    {"client_order_id": "A", "type": "cancel"},
    {"types": "cancel"},
    {"type": 5},
    {"type": "order", "client_order_id": '{"type":"cancel"'},
    {"type": "order", "symbol": "\xa4type\xa6cancel"},
    {},
    "cancel",
    7,
]


@pytest.mark.parametrize("request_", FIRST, ids=str)
def test_first(request_: Any) -> None:
    assert frees(msgspec.msgpack.encode(request_))
    assert frees(msgspec.json.encode(request_))
    assert frees(json.dumps(request_).encode())
    assert frees(json.dumps(request_, indent=2).encode())
    many = dict(request_) | {f"key{number}": number for number in range(20)}
    assert frees(msgspec.msgpack.encode(many))


@pytest.mark.parametrize("request_", OTHERS, ids=str)
def test_not_first(request_: Any) -> None:
    assert not frees(msgspec.msgpack.encode(request_))
    assert not frees(msgspec.json.encode(request_))
    assert not frees(json.dumps(request_).encode())


@pytest.mark.parametrize("body", [b"", b"{", b"\x81", b"\xa4type\xa6cancel", b"\xc1" * 40])
def test_what_is_no_request(body: bytes) -> None:
    assert not frees(body)
