# cython: annotation_typing=False, nonecheck=True
"""What is written of a plain admission: its event in the record, what is remembered, the reply.

Owns the bytes of `guard.order_lane`, in three forms: the event's JSON as `guard.journal` encodes
it, the order and its answer as `guard.orders_codec` remembers them, the reply in MessagePack as
`guard.wire` encodes it. It decides nothing. It runs as it stands, or compiled with the types of
`order_pieces.pxd` beside it.

How it works: constant pieces, made by those encoders once, and between them the order's texts and
integers, straight from where `guard.order_reader` found them.

How it fails: it does not. The reader has checked what an order holds; the caller has the room.
"""

from typing import Final

import msgspec

from guard import packing, record_text, text
from guard.decide_entry import REASON_WORD
from guard.messages import ORDER_TYPES, SIDES, TIMES_IN_FORCE, Admit
from guard.order_reader import INTEGERS, OrderReader
from guard.orders_codec import (
    ADMITTED_HEAD,
    PACKED_ORDER_TYPES,
    PACKED_SIDES,
    PACKED_TIMES_IN_FORCE,
)

# Room for each of the three, whatever the order: its texts have at most 64 bytes.
REPLY_BYTES_MAX = 512
MEMORY_BYTES_MAX = 512

# Places in `OrderReader.values`, as there: the integers up to the last one stand together.
_MAX_FEE, _SENT_AT = 10, 11

_pack = msgspec.msgpack.Encoder().encode

_OPENING: Final = b'},"metadata":{"event":"order","received_at_ns":'
_CLIENT, _BATCH = b',"client":', b',"batch_first_sequence":'
_ORDER: Final = b',"order":{"type":"order","client_order_id":'
_DESK, _SYMBOL = b',"desk":"', b'","symbol":"'
_SIDES: Final = [b'","side":"%b"' % word for word in SIDES]
_INTEGERS: Final = [b',"%b":' % name.encode() for name in INTEGERS[: _MAX_FEE + 1]]
_ALLOWED, _NOT_ALLOWED = b',"allow_substitute":true', b',"allow_substitute":false'
_TYPES: Final = [b',"order_type":"%b"' % word for word in ORDER_TYPES]
_TIMES: Final = [b',"time_in_force":"%b","currency":' % word for word in TIMES_IN_FORCE]
_SENT_AT_KEY, _NULL = b',"sent_at_ns":', b"null"
_ANSWER: Final = b'},"answer":{"type":"admit","client_order_id":'
_END: Final = b"}}}"

# Of an order as it is remembered.
_CONTENT: Final = ADMITTED_HEAD
_PACKED_SIDES, _PACKED_TYPES, _PACKED_TIMES = (
    PACKED_SIDES,
    PACKED_ORDER_TYPES,
    PACKED_TIMES_IN_FORCE,
)
_TRUE, _FALSE, _NIL = b"\xc3", b"\xc2", b"\xc0"

# A reply: a map of ten, or of eleven with the request's id.
_HEAD: Final = b"\x8a" + _pack("type") + _pack("admit") + _pack("client_order_id")
_HEAD_WITH_REQUEST: Final = b"\x8b" + _HEAD[1:]
(_, _SEQUENCE_KEY, _RESERVATION_KEY, _VENUE_KEY, _SUBSTITUTED_KEY, _NOTIONAL_KEY, _FEE_KEY,
 _REASON_KEY, _REPEAT_KEY, _REQUEST_KEY) = (
    _pack(name) for name in Admit.__struct_fields__
)  # fmt: skip
_PACKED_REASONS: Final = {code: _pack(word) for code, word in REASON_WORD.items()}
_REASON_WORDS: Final = REASON_WORD


class Admission:
    """An order, read by `order`, and what is said to it. `client`: whom the record names."""

    def __init__(self, client: str) -> None:
        self.order = OrderReader()
        self.received_at_ns = self.batch_first_sequence = 0
        self.sequence = self.reservation_id = self.notional_microcents = 0
        self.venue = self.fee_microcents = self.reason = 0
        self.is_substituted = False
        self._client = client
        self._currency = ""
        self._packed_currency = b""

    def put_event(self, out: text.Buffer, at: int, body: bytes, currency: str) -> int:
        """The event and the end of the record, from behind the decision's last value on."""
        order = self.order
        at = text.put(out, at, _OPENING)
        at = text.put_i64(out, at, self.received_at_ns)
        at = text.put(out, at, _CLIENT)
        at = text.put_string(out, at, self._client)
        at = text.put(out, at, _BATCH)
        at = text.put_u64(out, at, self.batch_first_sequence)
        at = text.put(out, at, _ORDER)
        at = self._put_order(out, at, body, currency)
        at = text.put(out, at, _ANSWER)
        at = text.put_quoted(out, at, body, order.order_id_at, order.order_id_bytes)
        at = record_text.put_admit(
            out, at, self.sequence, self.reservation_id, self.venue, self.is_substituted,
            self.notional_microcents, self.fee_microcents, _REASON_WORDS[self.reason], False,
        )  # fmt: skip
        return text.put(out, at, _END)

    def _put_order(self, out: text.Buffer, at: int, body: bytes, currency: str) -> int:
        order = self.order
        at = text.put_quoted(out, at, body, order.order_id_at, order.order_id_bytes)
        at = text.put(out, at, _DESK)
        at = text.put_slice(out, at, body, order.desk_at, order.desk_bytes)
        at = text.put(out, at, _SYMBOL)
        at = text.put_slice(out, at, body, order.symbol_at, order.symbol_bytes)
        at = text.put(out, at, _SIDES[order.side])
        for index in range(_MAX_FEE + 1):
            at = text.put(out, at, _INTEGERS[index])
            at = text.put_u64(out, at, order.values[index])
        at = text.put(out, at, _ALLOWED if order.allow_substitute else _NOT_ALLOWED)
        at = text.put(out, at, _TYPES[order.order_type])
        at = text.put(out, at, _TIMES[order.time_in_force])
        at = text.put_string(out, at, currency)
        at = text.put(out, at, _SENT_AT_KEY)
        if order.values[_SENT_AT]:
            return text.put_u64(out, at, order.values[_SENT_AT])
        return text.put(out, at, _NULL)

    def put_memory(self, out: bytearray, at: int, body: bytes, currency: str) -> int:
        """The order and its answer, as they are remembered."""
        order = self.order
        at = text.put(out, at, _CONTENT)
        at = packing.put_text(out, at, body, order.symbol_at, order.symbol_bytes)
        at = text.put(out, at, _PACKED_SIDES[order.side])
        for index in range(_MAX_FEE + 1):
            at = packing.put_unsigned(out, at, order.values[index])
        at = text.put(out, at, _TRUE if order.allow_substitute else _FALSE)
        at = text.put(out, at, _PACKED_TYPES[order.order_type])
        at = text.put(out, at, _PACKED_TIMES[order.time_in_force])
        if currency is not self._currency:
            self._currency, self._packed_currency = currency, _pack(currency)
        at = text.put(out, at, self._packed_currency)
        if order.values[_SENT_AT]:
            at = packing.put_unsigned(out, at, order.values[_SENT_AT])
        else:
            at = text.put(out, at, _NIL)
        at = packing.put_unsigned(out, at, self.reason)
        at = packing.put_unsigned(out, at, self.sequence)
        at = packing.put_unsigned(out, at, self.reservation_id)
        at = packing.put_unsigned(out, at, self.venue)
        at = text.put(out, at, _TRUE if self.is_substituted else _FALSE)
        at = packing.put_unsigned(out, at, self.notional_microcents)
        return packing.put_unsigned(out, at, self.fee_microcents)

    def put_reply(self, out: bytearray, at: int, body: bytes) -> int:
        """The reply."""
        order = self.order
        has_request_id = order.request_id_kind != 0
        at = text.put(out, at, _HEAD_WITH_REQUEST if has_request_id else _HEAD)
        at = packing.put_text(out, at, body, order.order_id_at, order.order_id_bytes)
        at = text.put(out, at, _SEQUENCE_KEY)
        at = packing.put_unsigned(out, at, self.sequence)
        at = text.put(out, at, _RESERVATION_KEY)
        at = packing.put_unsigned(out, at, self.reservation_id)
        at = text.put(out, at, _VENUE_KEY)
        at = packing.put_unsigned(out, at, self.venue)
        at = text.put(out, at, _SUBSTITUTED_KEY)
        at = text.put(out, at, _TRUE if self.is_substituted else _FALSE)
        at = text.put(out, at, _NOTIONAL_KEY)
        at = packing.put_unsigned(out, at, self.notional_microcents)
        at = text.put(out, at, _FEE_KEY)
        at = packing.put_unsigned(out, at, self.fee_microcents)
        at = text.put(out, at, _REASON_KEY)
        at = text.put(out, at, _PACKED_REASONS[self.reason])
        at = text.put(out, at, _REPEAT_KEY)
        at = text.put(out, at, _FALSE)
        if not has_request_id:
            return at
        at = text.put(out, at, _REQUEST_KEY)
        if order.request_id_kind == 1:
            return packing.put_unsigned(out, at, order.request_number)
        return packing.put_text(out, at, body, order.request_id_at, order.request_id_bytes)
