"""What is common to the bodies of an operator's and a subscriber's messages. Pure.

Owns which encoding a body is in, and the words for one that is no request: which field, what stands
there, what is allowed.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET

from guard.protocol.messages import RequestId
from guard.protocol.wire import REQUEST_ID_LENGTH_MAX
from guard.record.words import place_in, refusal, value_at

# What a decoder raises.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
_INDEX: Final = re.compile(r"\[\d+\]")


def is_json(body: bytes) -> bool:
    """Whether a body is taken for JSON; else it is MessagePack."""
    return body[:1] in (b"{", b"[")


def say_unreadable(
    body: bytes, error: Exception, allowed: Mapping[str, str]
) -> tuple[str, str, str]:
    """What a decoder said: a code, the field, and words with the value and what is allowed."""
    said = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return "malformed", "", f"neither JSON nor MessagePack of a request: {said}"
    place = place_in(said)
    field = _INDEX.sub("[]", place.rpartition(".")[2])
    if field not in allowed:
        return "invalid", place, said
    try:
        value = value_at(_decode_loosely(body), place)
    except (*UNREADABLE, LookupError, TypeError):
        return "invalid", place, said
    return "invalid", place, refusal(place, value, allowed[field])


def request_id_of(body: bytes) -> RequestId:
    """The id of a request that could not be read, if it can be found in it."""
    try:
        loose = _decode_loosely(body)
    except UNREADABLE:
        return UNSET
    echo = loose.get("request_id") if isinstance(loose, dict) else None
    fits = isinstance(echo, int) or (isinstance(echo, str) and len(echo) <= REQUEST_ID_LENGTH_MAX)
    return echo if fits and not isinstance(echo, bool) else UNSET


def _decode_loosely(body: bytes) -> Any:
    return (msgspec.json.decode if is_json(body) else msgspec.msgpack.decode)(body)
