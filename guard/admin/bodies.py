"""What is common to the bodies of an operator's and a subscriber's messages. Pure.

Owns which encoding a body is in, how a request is taken out of one, and the words for one that is
no request: which field, what stands there, what is allowed.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from guard.protocol.messages import RequestId
from guard.protocol.wire import REQUEST_ID_LENGTH_MAX
from guard.record.words import SHOWN_CHARACTERS_MAX, place_in, refusal, value_at

# What a decoder raises.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
R = TypeVar("R")
_INDEX: Final = re.compile(r"\[\d+\]")
# How msgspec words a key that is not there, and one that may not be.
_KEY: Final = re.compile(r"Object (missing required|contains unknown) field `(.*?)`", re.DOTALL)


class BodyError(ValueError):
    """A request that cannot be done. Nothing has changed."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class RequestDecoder(Generic[R]):
    """Requests out of bodies in both encodings."""

    def __init__(self, kinds: Any, allowed: Mapping[str, str], error_type: type[BodyError]) -> None:
        """`kinds`: the types of request. `allowed`: by field what may stand there."""
        self._decode_json = msgspec.json.Decoder(kinds).decode
        self._decode_pack = msgspec.msgpack.Decoder(kinds).decode
        self._allowed = allowed
        self._error_type = error_type

    def decode(self, body: bytes) -> R:
        """The request of a message's body. Raises the decoder's type of error."""
        try:
            request: Any = (self._decode_json if is_json(body) else self._decode_pack)(body)
        except UNREADABLE as error:
            raise self._error_type(*say_unreadable(body, error, self._allowed)) from error
        echo = request.request_id
        if not isinstance(echo, int | str | UnsetType | None) or (
            isinstance(echo, str) and len(echo) > REQUEST_ID_LENGTH_MAX
        ):
            words = f"request_id: at most {REQUEST_ID_LENGTH_MAX} characters are allowed"
            raise self._error_type("invalid", "request_id", words)
        found: R = request
        return found


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
    if found := _KEY.match(said):
        is_missing, key = found[1].startswith("missing"), found[2][:SHOWN_CHARACTERS_MAX]
        named = f"{place}.{key}" if place else key
        if is_missing:
            may_be = f"; allowed: {allowed[key]}" if key in allowed else ""
            return "missing", named, f"{named}: is missing{may_be}"
        return "invalid", named, f"{named}: no such key is known there"
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
