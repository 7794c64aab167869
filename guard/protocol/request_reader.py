# cython: annotation_typing=False, nonecheck=True
"""The requests of a message's body, in either encoding, into `Request`s. Pure.

Owns the way from bytes to a request's fields. What a well-formed request is, the table of fields
says (`guard.protocol.fields`), by which it is read where it stands; what to say of any other, and
what else is well formed (escapes, odd orders of keys), is `guard.protocol.wire`'s: a body that is
not read here goes there, and what comes back as a request is read by the same table.

How it works: all requests of a body are read before any is decided, since an array that cannot be
taken apart is answered as a whole. A key is looked for from the place behind the last one's on, so
that keys in the protocol's order are found at once.

What is no request has kind BAD, and its error stands beside it.
"""

from typing import Final

import msgspec
from msgspec import UNSET

from guard.protocol import fields, json_reader, slots
from guard.protocol import json_text as text
from guard.protocol import message_pack as pack
from guard.protocol.all_or_none import parse_body
from guard.protocol.fields import KINDS, REQUEST_FIELDS, ValueKind
from guard.protocol.json_reader import JsonReader
from guard.protocol.layout import Layout, json_steps, pack_steps
from guard.protocol.messages import ErrorReply
from guard.protocol.messages import Request as RequestMessage
from guard.protocol.outcome import Outcome
from guard.protocol.pack_reader import PackReader
from guard.protocol.request import TEXTS, Request
from guard.protocol.wire import (
    BODY_BYTES_MAX,
    JSON,
    MESSAGEPACK,
    REQUESTS_PER_MESSAGE_MAX,
    framing_error,
    length_error,
)
from kernel import InvariantError

NOT_PLAIN = -1
_BODY_BYTES_MAX, _REQUESTS_MAX = BODY_BYTES_MAX, REQUESTS_PER_MESSAGE_MAX
_BAD = fields.BAD
_ORDER = fields.ORDER
_TEXT, _OPTIONAL_TEXT, _ECHO = map(int, (ValueKind.TEXT, ValueKind.OPTIONAL_TEXT, ValueKind.ECHO))
_TYPES_PACK = [b"\xa4type" + msgspec.msgpack.encode(kind) for kind in KINDS]
_TYPES_JSON = [msgspec.json.encode(kind) for kind in KINDS]
_TYPE_KEY = b'"type"'
_BY_PACK = [Layout(pack_steps(each)) for each in REQUEST_FIELDS]
# The keys alone: what stands between is the reader's to pass over.
_BY_JSON = [
    Layout([step._replace(piece=step.piece[1:-1]) for step in json_steps(each)])
    for each in REQUEST_FIELDS
]
_FIRST_REQUESTS: Final = 1
_CURRENCY_AT, _CURRENCY_BYTES_MAX = TEXTS["currency"]
_encode_pack = msgspec.msgpack.Encoder().encode


class RequestReader:
    """The requests of one body: `requests[i]`, and in `errors` what to say of those that are BAD.

    `client`: whom they are from. `count`: how many; `is_array`: whether they stood in an array;
    `is_json`: whether in JSON. `is_together`: they are orders that stand or fall together, by one
    request, whose id is to be written as `together_echo`.
    """

    def __init__(self, client: str) -> None:
        self._client = client.encode()
        self.requests: list[Request] = []
        self.errors: list[ErrorReply | None] = []
        self.count = 0
        self.is_array = self.is_json = self.is_together = False
        self.together_echo = b""
        self._json = JsonReader()
        self._pack = PackReader()
        self._unused = Outcome()
        self._currency_text, self._currency = "", b""
        self._grow(_FIRST_REQUESTS)

    def read(self, body: bytes | None, frame_count: int, currency: str) -> None:
        """Takes a body apart; None where the number of frames is wrong, its first byte where it is
        too long, and `frame_count` then minus its bytes.

        `currency`: the guard's own, the default and the only one allowed.
        """
        if currency != self._currency_text:
            self._currency_text, self._currency = currency, currency.encode()
        self.is_together = False
        if body is None:
            message = framing_error(frame_count)
        elif frame_count < 0:
            message = length_error(body[0], -frame_count)
        elif self._read_body(body) > 0:
            return
        else:
            message = parse_body(body, currency)
        self.is_array = message.is_array
        self.is_json = message.form is JSON
        self.is_together = message.is_together
        self.together_echo = b""
        if message.request_id is not UNSET:
            self.together_echo = message.form.encode(message.request_id)
        self.count = len(message.requests)
        self._grow(self.count)
        for index, parsed in enumerate(message.requests):
            if isinstance(parsed, ErrorReply):
                self.requests[index].kind = _BAD
                self.errors[index] = parsed
            else:
                self._take(self.requests[index], parsed)

    def take(self, request: Request, message: RequestMessage) -> None:
        """Fills a request from its type. Raises InvariantError for one that may not be sent."""
        self._currency_text, self._currency = "", b""
        self._take(request, message)

    def _take(self, request: Request, message: RequestMessage) -> None:
        request_id = message.request_id
        message.request_id = UNSET
        body = _encode_pack(message)
        message.request_id = request_id
        if self.read_pack(request, body, 0, len(body)) != len(body):
            raise InvariantError(f"no request that may be sent: {message!r}")
        if request_id is not UNSET:
            form = JSON if self.is_json else MESSAGEPACK
            request.set_text("echo", form.encode(request_id))

    def _grow(self, count: int) -> None:
        while len(self.requests) < count:
            request = Request()
            request.set_text("client", self._client)
            self.requests.append(request)
            self.errors.append(None)

    def _read_body(self, body: bytes) -> int:
        """How many requests the body holds, each read; or NOT_PLAIN."""
        end = len(body)
        if not 0 < end <= _BODY_BYTES_MAX:
            return NOT_PLAIN
        head = body[0]
        self.is_json = head == 0x7B or head == 0x5B
        if self.is_json:
            return self._read_json_body(body, end)
        self.is_array = True
        if 0x90 <= head <= 0x9F:
            count = head & 0x0F
            at = 1
        elif head == 0xDC and end >= 3:
            count = body[1] << 8 | body[2]
            at = 3
        else:
            self.is_array = False
            count = 1
            at = 0
        if not 0 < count <= _REQUESTS_MAX:
            return NOT_PLAIN
        self._grow(count)
        self.count = count
        for index in range(count):
            at = self.read_pack(self.requests[index], body, at, end)
            if at < 0:
                return NOT_PLAIN
        return count if at == end else NOT_PLAIN

    def _read_json_body(self, body: bytes, end: int) -> int:
        self.is_array = body[0] == 0x5B
        at = 1 if self.is_array else 0
        count = 0
        while True:
            if count == _REQUESTS_MAX:
                return NOT_PLAIN
            if count == len(self.requests):
                self._grow(count + 1)
            at = behind_space(body, at, end)
            at = self.read_json(self.requests[count], body, at, end)
            if at < 0:
                return NOT_PLAIN
            count += 1
            at = behind_space(body, at, end)
            if not self.is_array:
                break
            if at < end and body[at] == 0x5D:
                at = behind_space(body, at + 1, end)
                break
            if at >= end or body[at] != 0x2C:
                return NOT_PLAIN
            at += 1
        self.count = count
        return count if at == end else NOT_PLAIN

    def read_pack(self, request: Request, body: bytes, at: int, end: int) -> int:
        """Reads the request in MessagePack that begins at `at`; the offset behind it."""
        count = pack.map_count(body, at, end)
        if count <= 0:
            return NOT_PLAIN
        at += pack.map_head_bytes(body, at)
        kind = word_at(_TYPES_PACK, body, at, end)
        if kind < 0:
            return NOT_PLAIN
        at += len(_TYPES_PACK[kind])
        layout = _BY_PACK[kind]
        self._begin(request, layout, kind)
        seen = 0
        key = 0
        for _ in range(1, count):
            key = key_at(layout, body, at, end, key)
            if key < 0 or seen >> key & 1:
                return NOT_PLAIN
            seen |= bit(key)
            at += len(layout.pieces[key])
            at = self._pack.read_value(layout, key, body, at, end, request, self._unused)
            if at < 0:
                return NOT_PLAIN
            key += 1
        return at if self._is_whole(request, layout, seen, kind) else NOT_PLAIN

    def read_json(self, request: Request, body: bytes, at: int, end: int) -> int:
        """The same in JSON."""
        if at >= end or body[at] != 0x7B:
            return NOT_PLAIN
        at = behind_space(body, at + 1, end)
        if not pack.stands_at(body, at, end, _TYPE_KEY):
            return NOT_PLAIN
        at = behind_colon(body, at + 6, end)
        kind = word_at(_TYPES_JSON, body, at, end)
        if kind < 0:
            return NOT_PLAIN
        at = behind_space(body, at + len(_TYPES_JSON[kind]), end)
        layout = _BY_JSON[kind]
        self._begin(request, layout, kind)
        seen = 0
        key = 0
        while at < end and body[at] == 0x2C:
            at = behind_space(body, at + 1, end)
            key = key_at(layout, body, at, end, key)
            if key < 0 or seen >> key & 1:
                return NOT_PLAIN
            seen |= bit(key)
            at = behind_colon(body, at + len(layout.pieces[key]), end)
            at = self._json.read_value(layout, key, body, at, end, request, self._unused)
            if at < 0:
                return NOT_PLAIN
            at = behind_space(body, at, end)
            key += 1
        if at >= end or body[at] != 0x7D:
            return NOT_PLAIN
        return at + 1 if self._is_whole(request, layout, seen, kind) else NOT_PLAIN

    def _begin(self, request: Request, layout: Layout, kind: int) -> None:
        """Gives every field the value that stands for what is not said."""
        for index in range(layout.count):
            if not layout.required >> index & 1:
                set_default(request, self._unused, layout, index)
        request.echo_bytes = 0
        request.kind = kind

    def _is_whole(self, request: Request, layout: Layout, seen: int, kind: int) -> bool:
        """Is every required key there, and the currency the guard's own?"""
        if seen & layout.required != layout.required:
            return False
        count = len(self._currency)
        if kind != _ORDER or count == 0:
            return True
        if request.currency_bytes == 0:
            text.put(request.texts, _CURRENCY_AT, self._currency)
            request.currency_bytes = count
            return count <= _CURRENCY_BYTES_MAX
        return request.currency_bytes == count and has_text(
            request, _CURRENCY_AT, self._currency, count
        )


def set_default(request: Request, outcome: Outcome, layout: Layout, index: int) -> None:
    """Gives a field that may be left out its default."""
    kind = layout.kinds[index]
    if kind in (_TEXT, _OPTIONAL_TEXT):
        slots.set_text_bytes(request, layout.slots[index], 0)
    elif kind != _ECHO:
        slots.set_number(request, outcome, layout.slots[index], layout.defaults[index])


def key_at(layout: Layout, body: bytes, at: int, end: int, expected: int) -> int:
    """The number of the key that stands there, looked for from `expected` on; or NOT_PLAIN."""
    count = layout.count
    key = expected
    for _ in range(count):
        if key >= count:
            key = 0
        if pack.stands_at(body, at, end, layout.pieces[key]):
            return key
        key += 1
    return NOT_PLAIN


def word_at(words: list[bytes], body: bytes, at: int, end: int) -> int:
    """Which of the words stands there; NOT_PLAIN for none."""
    for number in range(len(words)):
        if pack.stands_at(body, at, end, words[number]):
            return number
    return NOT_PLAIN


def behind_space(body: bytes, at: int, end: int) -> int:
    """The offset of what follows JSON's white space."""
    while at < end and (
        body[at] == 0x20 or body[at] == 0x0A or body[at] == 0x0D or body[at] == 0x09
    ):
        at += 1
    return at


def behind_colon(body: bytes, at: int, end: int) -> int:
    """The offset of what follows a colon; `end` where there is none."""
    at = behind_space(body, at, end)
    if at >= end or body[at] != 0x3A:
        return end
    return behind_space(body, at + 1, end)


def has_text(request: Request, place: int, words: bytes, count: int) -> bool:
    """Do these bytes stand at that place of the texts?"""
    return json_reader.is_same(request.texts, place, place + count, words, count)


def bit(place: int) -> int:
    """That bit alone."""
    one = 1
    return one << place
