"""The messages of the feed, as types. Pure.

Owns the shape of every message (`guard/FEED.md`) and their two encodings, which are those of the
order protocol. The lines of the log stand in no message: they are the frame behind one.

How it fails: `FeedError` for a body that is no request, which names the field, the value and what
is allowed.
"""

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from guard.admin.bodies import BodyError, RequestDecoder, is_json
from guard.protocol.messages import RequestId
from guard.protocol.ranges import DeskName
from guard.protocol.wire import ALLOWED as REQUEST_ALLOWED

FEED_VERSION: Final = 1
BODY_BYTES_MAX: Final = 16_384  # a subscription to the most desks has 3 kB
DESKS_MAX: Final = 64
# What a client may let come in all, so that a sum of credits stays a number that all can read.
CREDIT_LINES_MAX: Final = 1_000_000_000
SEQUENCE_MAX: Final = 2**63 - 1

Credits: TypeAlias = Annotated[int, Meta(ge=0, le=CREDIT_LINES_MAX)]
EntryHash: TypeAlias = Annotated[str, Meta(pattern=r"^(genesis|[0-9a-f]{64})\Z")]


class FeedError(BodyError):
    """A subscriber's request that cannot be done. Nothing has changed."""


class Ask(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """What every request may say."""

    request_id: RequestId = UNSET


class Subscribe(Ask, tag="subscribe"):
    """The lines behind record `after_sequence`, from now on where that is null.

    `after_hash`: that record's, which the log must hold. `desks`: theirs alone; null for all lines.
    """

    credit_lines: Credits
    after_sequence: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)] | None = None
    after_hash: EntryHash | None = None
    desks: Annotated[list[DeskName], Meta(min_length=1, max_length=DESKS_MAX)] | None = None


class Credit(Ask, tag="credit"):
    """So many lines more may come; 0 asks for a heartbeat."""

    credit_lines: Credits


class Unsubscribe(Ask, tag="unsubscribe"):
    """No more lines."""


class AskProofs(Ask, tag="proofs"):
    """The signed page that says which records a desk has behind `after_sequence`."""

    desk: DeskName
    after_sequence: Annotated[int, Meta(ge=0, le=SEQUENCE_MAX)]


Request: TypeAlias = Subscribe | Credit | Unsubscribe | AskProofs


class Welcome(Struct, tag="welcome", tag_field="type"):
    """The first message of every connection: which feed, of which log, and how far that is.

    `behind_records`, `behind_ns`: of a guard that stands by alone, here and in a heartbeat: how
    many records it knows of and does not have, and for how long it may be behind.
    """

    feed_version: int
    software_version: str
    log_id: str
    heartbeat_ns: int
    credit_lines_max: int
    head_sequence: int
    head_hash: str
    behind_records: int | UnsetType = UNSET
    behind_ns: int | UnsetType = UNSET


class Subscribed(Struct, tag="subscribed", tag_field="type"):
    """The subscription begins behind this record. `after_hash`: null where it is not known yet."""

    after_sequence: int
    after_hash: str | None
    desks: list[str] | None
    credit_lines: int
    head_sequence: int
    head_hash: str
    request_id: RequestId = UNSET


class Lines(Struct, tag="lines", tag_field="type"):
    """What follows record `after_sequence`, up to `through_sequence`: in the frame behind this."""

    after_sequence: int
    after_hash: str
    through_sequence: int
    through_hash: str
    line_count: int
    credit_lines: int
    request_id: RequestId = UNSET


class Heartbeat(Struct, tag="heartbeat", tag_field="type"):
    """The subscription has been followed up to `through_sequence`, the log is durable to `head_…`.

    Between `after_sequence`, which the last message ended with, and `through_sequence` no line was
    wanted.
    """

    after_sequence: int
    through_sequence: int
    through_hash: str | None
    credit_lines: int
    head_sequence: int
    head_hash: str
    request_id: RequestId = UNSET
    behind_records: int | UnsetType = UNSET
    behind_ns: int | UnsetType = UNSET


class Proofs(Struct, tag="proofs", tag_field="type"):
    """The page that was asked for is the frame behind this, where `is_there`; else: not yet."""

    desk: str
    after_sequence: int
    is_there: bool
    request_id: RequestId = UNSET


class Unsubscribed(Struct, tag="unsubscribed", tag_field="type"):
    """The subscription is over; it had been followed so far."""

    after_sequence: int
    through_sequence: int
    request_id: RequestId = UNSET


class Refused(Struct, tag="error", tag_field="type"):
    """The request could not be done and changed nothing, or the subscription has ended."""

    code: str
    field: str
    message: str
    request_id: RequestId = UNSET


Message: TypeAlias = Welcome | Subscribed | Lines | Heartbeat | Proofs | Unsubscribed | Refused

_REQUEST: Any = Request
_MESSAGE: Any = Message
_decode_message_json = msgspec.json.Decoder(_MESSAGE).decode
_decode_message_pack = msgspec.msgpack.Decoder(_MESSAGE).decode
_encode_json = msgspec.json.Encoder().encode
_encode_pack = msgspec.msgpack.Encoder().encode
_CREDITS: Final = f"an integer from 0 to {CREDIT_LINES_MAX}"
# What a field may be, for who wrote something else.
ALLOWED: Final = {
    "type": '"subscribe", "credit", "unsubscribe" or "proofs"',
    "credit_lines": _CREDITS,
    "after_sequence": "an integer from 0 on, or null for now",
    "after_hash": "64 hexadecimal digits, or genesis for record 0",
    "desks": f"1 to {DESKS_MAX} names of desks, or null for all lines",
    "desk": REQUEST_ALLOWED["desk"],
    "desks[]": REQUEST_ALLOWED["desk"],
}


decode_request: Final = RequestDecoder[Request](_REQUEST, ALLOWED, FeedError).decode


def encode_message(message: Message, as_json: bool) -> bytes:
    """A message's body, in its subscription's encoding."""
    return _encode_json(message) if as_json else _encode_pack(message)


def encode_request(request: Request) -> bytes:
    """A request's body, in MessagePack."""
    return _encode_pack(request)


def decode_message(body: bytes) -> Message:
    """A message in either encoding. Raises msgspec.DecodeError."""
    decode = _decode_message_json if is_json(body) else _decode_message_pack
    message: Message = decode(body)
    return message
