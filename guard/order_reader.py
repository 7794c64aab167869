# cython: annotation_typing=False, nonecheck=True
"""A plain order in MessagePack, read where it stands. Pure.

Owns the short way from the bytes of an order to its fields, for `guard.order_lane`: no object is
made of them. What a well-formed order is, and what to say of any other, is `guard.wire`'s: this
reads a part of what that accepts, with the same meaning, and of everything else says that it is not
plain. It runs as it stands, or compiled with the types of `order_reader.pxd` beside it.

How it works: a key is looked for from the place behind the last one's on, so that fields in the
protocol's order are found at once. Texts stay in the body, as a place and a length; integers go
into one array, each within the range that `guard.messages` declares for its field.

How it fails: it does not. `read` gives NOT_PLAIN, and whoever asked takes the long way.
"""

from typing import Any, Final

import msgspec

from guard import packing
from guard.messages import ORDER_TYPES, SIDES, TIMES_IN_FORCE, U64_MAX, Order
from guard.wire import is_name
from kernel import little_endian as le

NOT_PLAIN = -1  # as in guard.packing

# Which key has which number: the type, then an order's fields in the protocol's order.
_NAMES: Final = ("type", *Order.__struct_fields__)
_KEYS: Final = [msgspec.msgpack.encode(name) for name in _NAMES]
INTEGERS: Final = (
    "quantity",
    "price",
    "venue",
    "risk_bps",
    "confidence_bps",
    "minimum_quality_bps",
    "max_p95_latency_ms",
    "required_capabilities",
    "allowed_providers",
    "required_regions",
    "max_fee_microcents",
    "sent_at_ns",
)
_TYPE, _ORDER_ID, _DESK, _SYMBOL, _SIDE, _FIRST_INTEGER = range(6)
_BEHIND_INTEGERS = _FIRST_INTEGER + INTEGERS.index("max_fee_microcents") + 1
_ALLOW_SUBSTITUTE, _ORDER_TYPE, _TIME_IN_FORCE, _CURRENCY, _SENT_AT, _REQUEST_ID = range(
    _BEHIND_INTEGERS, _BEHIND_INTEGERS + 6
)
_KEY_COUNT = len(_NAMES)

_SENT_AT_PLACE = INTEGERS.index("sent_at_ns")  # in `OrderReader.values`
_ORDER: Final = b"order"

_IDENTIFIER_BYTES_MAX = 64
_NAME_BYTES_MAX = 32
_REQUEST_ID_BYTES_MAX = 64
_NO_REQUEST_ID, _INTEGER_REQUEST_ID, _TEXT_REQUEST_ID = range(3)
_NAMES_KEPT_MAX = 16_384  # as in guard.wire


def _integer_fields() -> dict[str, Any]:
    """An order's integer fields by name, as `guard.messages` declares them."""
    info: Any = msgspec.inspect.type_info(Order)
    fields = {field.name: field for field in info.fields}
    return {name: fields[name] for name in INTEGERS}


def _type_of(field: Any) -> Any:
    """Its integer type, of a union with None too."""
    of = getattr(field.type, "types", (field.type,))
    (integer,) = (one for one in of if isinstance(one, msgspec.inspect.IntType))
    return integer


_FIELDS: Final = _integer_fields()
_LOWEST: Final = [_type_of(field).ge for field in _FIELDS.values()]
_HIGHEST: Final = [
    U64_MAX if _type_of(field).le is None else _type_of(field).le for field in _FIELDS.values()
]
_ASSUMED: Final = [
    0 if field.required or field.default is None else field.default for field in _FIELDS.values()
]
_REQUIRED: Final = 1 | sum(
    1 << 1 + place for place, field in enumerate(msgspec.structs.fields(Order)) if field.required
)


class OrderReader:
    """The order that was read last. Texts are places in `body`; `desk` and `symbol` also text."""

    def __init__(self) -> None:
        self.values = [0] * 12
        self._lowest = [0] * 12
        self._highest = [0] * 12
        self._assumed = [0] * 12
        for index in range(12):
            self._lowest[index] = _LOWEST[index]
            self._highest[index] = _HIGHEST[index]
            self._assumed[index] = _ASSUMED[index]
        self._required = _REQUIRED
        self._keys = _KEYS
        self._known_names: dict[bytes, str] = {}

    def read(self, body: bytes, at: int, end: int) -> int:
        """Reads the order that begins at `at`; the offset behind it, or NOT_PLAIN.

        `end`: of the body. The texts are places in `body` for as long as the caller keeps it.
        """
        count = packing.map_count(body, at, end)
        if count < 0:
            return NOT_PLAIN
        at += packing.map_head_bytes(body, at)
        self._assume()
        seen = 0
        key = 0
        for _ in range(count):
            key = self._key_at(body, at, end, key)
            if key < 0 or seen >> key & 1:
                return NOT_PLAIN
            seen |= 1 << key
            at = self._read_value(body, at + len(self._keys[key]), end, key)
            if at < 0:
                return NOT_PLAIN
            key += 1
        return at if seen & self._required == self._required else NOT_PLAIN

    def _assume(self) -> None:
        for index in range(12):
            self.values[index] = self._assumed[index]
        self.allow_substitute = True
        self.order_type = self.time_in_force = 0
        self.has_currency = False
        self.request_id_kind = _NO_REQUEST_ID

    def _key_at(self, body: bytes, at: int, end: int, expected: int) -> int:
        """The number of the key that stands there, or NOT_PLAIN."""
        keys = self._keys
        for offset in range(_KEY_COUNT):
            key = expected + offset
            if key >= _KEY_COUNT:
                key -= _KEY_COUNT
            if packing.stands_at(body, at, end, keys[key]):
                return key
        return NOT_PLAIN

    def _read_value(self, body: bytes, at: int, end: int, key: int) -> int:
        """Takes in the value of a key; the offset behind it, or NOT_PLAIN."""
        if at >= end:
            return NOT_PLAIN
        if _FIRST_INTEGER <= key < _BEHIND_INTEGERS:
            return self._read_integer(body, at, end, key - _FIRST_INTEGER)
        if key == _SENT_AT:
            # The absent time is 0 in `values`, below what the field allows.
            return at + 1 if body[at] == 0xC0 else self._read_integer(body, at, end, _SENT_AT_PLACE)
        if key == _ALLOW_SUBSTITUTE:
            self.allow_substitute = body[at] == 0xC3
            return at + 1 if body[at] in (0xC2, 0xC3) else NOT_PLAIN
        if key == _CURRENCY and body[at] == 0xC0:
            return at + 1
        if key == _REQUEST_ID and not 0xA0 <= body[at] <= 0xBF and body[at] != 0xD9:
            return self._read_request_number(body, at, end)
        return self._read_text(body, at, end, key)

    def _read_integer(self, body: bytes, at: int, end: int, index: int) -> int:
        size = packing.integer_bytes(body, at, end)
        if size < 0:
            return NOT_PLAIN
        value = packing.integer_at(body, at, size)
        if not self._lowest[index] <= value <= self._highest[index]:
            return NOT_PLAIN
        self.values[index] = value
        return at + 1 + size

    def _read_request_number(self, body: bytes, at: int, end: int) -> int:
        if body[at] == 0xC0:
            return at + 1
        size = packing.integer_bytes(body, at, end)
        if size < 0:
            return NOT_PLAIN
        self.request_id_kind = _INTEGER_REQUEST_ID
        self.request_number = packing.integer_at(body, at, size)
        return at + 1 + size

    def _read_text(self, body: bytes, at: int, end: int, key: int) -> int:
        head = body[at]
        if 0xA0 <= head <= 0xBF:
            count, start = head & 0x1F, at + 1
        elif head == 0xD9 and at + 2 <= end:
            count, start = body[at + 1], at + 2
        else:
            return NOT_PLAIN
        behind = start + count
        if behind > end:
            return NOT_PLAIN
        return behind if self._is_taken(body, start, count, key) else NOT_PLAIN

    def _is_taken(self, body: bytes, start: int, count: int, key: int) -> bool:
        """Keeps a text as the value of `key`, if it may be that."""
        if key == _ORDER_ID:
            self.order_id_at, self.order_id_bytes = start, count
            return 0 < count <= _IDENTIFIER_BYTES_MAX and packing.is_graphic(body, start, count)
        if key == _DESK:
            self.desk_at, self.desk_bytes = start, count
            self.desk = self._name(body, start, count)
            return self.desk != ""
        if key == _SYMBOL:
            self.symbol_at, self.symbol_bytes = start, count
            self.symbol = self._name(body, start, count)
            return self.symbol != ""
        if key == _TYPE:
            return is_text(body, start, count, _ORDER)
        if key == _SIDE:
            self.side = place_of(body, start, count, SIDES)
            return self.side >= 0
        if key == _ORDER_TYPE:
            self.order_type = place_of(body, start, count, ORDER_TYPES)
            return self.order_type >= 0
        if key == _TIME_IN_FORCE:
            self.time_in_force = place_of(body, start, count, TIMES_IN_FORCE)
            return self.time_in_force >= 0
        if key == _CURRENCY:
            self.has_currency = True
            self.currency_at, self.currency_bytes = start, count
            return packing.is_graphic(body, start, count)
        if key == _REQUEST_ID:
            self.request_id_kind = _TEXT_REQUEST_ID
            self.request_id_at, self.request_id_bytes = start, count
            return count <= _REQUEST_ID_BYTES_MAX and packing.is_graphic(body, start, count)
        return False

    def _name(self, body: bytes, start: int, count: int) -> str:
        """A desk's or symbol's name as text, kept for its next order; "" where it is none."""
        raw = le.bytes_at(body, start, count)
        known = self._known_names.get(raw)
        if known is not None:
            return known
        if count > _NAME_BYTES_MAX or not raw.isascii():
            return ""
        name = raw.decode()
        if not is_name(name):
            return ""
        if len(self._known_names) < _NAMES_KEPT_MAX:
            self._known_names[raw] = name
        return name


def place_of(body: bytes, start: int, count: int, choices: list[bytes]) -> int:
    """Which of the choices the text is; NOT_PLAIN for none."""
    for place in range(len(choices)):
        if is_text(body, start, count, choices[place]):
            return place
    return NOT_PLAIN


def is_text(body: bytes, start: int, count: int, text: bytes) -> bool:
    """Is it that text?"""
    return count == len(text) and packing.stands_at(body, start, start + count, text)
