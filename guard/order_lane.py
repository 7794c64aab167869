# cython: annotation_typing=False, nonecheck=True
"""The short lane: a plain order that is admitted, from its bytes to its reply, without objects.

Owns the way that most orders take in the compiled daemon. The rules are those of
`guard.decide_entry` and `guard.apply`, the record's text that of `guard.journal`, the reply's bytes
those of `guard.wire`, all of which stay as they are: what stands in any rule's way, the lane does
not take, and the engine answers. Nothing rests on the lane alone: `replay` makes each of its
records again by the engine's rules and compares the bytes, and so do the tests with replies and
state. It runs as it stands, or compiled with the types of `order_lane.pxd` beside it; where it
would run interpreted, the daemon does without it.

How it works: `admit` reads the order where it stands in the body (`guard.order_reader`), looks for
anything that is not an admission, asks the kernel twice, writes the record and stages it, and only
then changes the state.

How it fails: it says False, with nothing changed, of whatever is not its own. `InvariantError`
where the kernel or the ledger contradicts itself.
"""

from typing import Final

import msgspec

from guard import decide_entry, packing, record_text, text
from guard.decide_entry import REASON_WORD
from guard.engine import Engine
from guard.instruments import Instrument
from guard.messages import I64_MAX, U32_MAX, U64_MAX, Admit
from guard.order_reader import ORDER_TYPES, SIDES, TIMES_IN_FORCE, OrderReader
from guard.record_text import RecordText
from kernel import Action, InvariantError
from kernel import little_endian as le
from kernel.layout import INPUT_ROW_BYTES, OUTPUT_ROW_BYTES
from kernel.ledger_lines import Tenant
from wal import LogWriter
from wal.failpoint import reach

NOT_PLAIN = -1  # as in guard.order_reader

_INPUT_BYTES, _OUTPUT_BYTES = INPUT_ROW_BYTES, OUTPUT_ROW_BYTES
_REJECT, _SUBSTITUTE = int(Action.REJECT), int(Action.SUBSTITUTE)
_U32_MAX, _U64_MAX, _I64_MAX = U32_MAX, U64_MAX, I64_MAX
_IDENTIFIER_BYTES_MAX = 64
_NAME_BYTES_MAX = 32
_MEMORY_BYTES_MAX = 512  # of a key; of an order as it is remembered
REPLY_BYTES_MAX = 512

# Places in `OrderReader.values`, as there.
_QUANTITY, _PRICE, _VENUE, _RISK, _CONFIDENCE, _QUALITY, _LATENCY = range(7)
_CAPABILITIES, _PROVIDERS, _REGIONS, _MAX_FEE, _SENT_AT = range(7, 12)

_pack = msgspec.msgpack.Encoder().encode

# An order's JSON, piece by piece: what stands before each of its integers.
_INTEGER_PIECES: Final = [
    b',"quantity":',
    b',"price":',
    b',"venue":',
    b',"risk_bps":',
    b',"confidence_bps":',
    b',"minimum_quality_bps":',
    b',"max_p95_latency_ms":',
    b',"required_capabilities":',
    b',"allowed_providers":',
    b',"required_regions":',
    b',"max_fee_microcents":',
]
_SIDE_PIECES: Final = [b'","side":"%b"' % word for word in SIDES]
_ALLOWED, _NOT_ALLOWED = b',"allow_substitute":true', b',"allow_substitute":false'
_TYPE_PIECES: Final = [b',"order_type":"%b"' % word for word in ORDER_TYPES]
_TIME_PIECES: Final = [b',"time_in_force":"%b","currency":' % word for word in TIMES_IN_FORCE]

# An order as it is remembered (`guard.orders_codec`): an array of eight, the first of which is the
# array of an order's fields from its symbol to the time it was sent.
_CONTENT_HEAD: Final = b"\x98\xdc\x00\x12"
_PACKED_SIDES: Final = [_pack(word.decode()) for word in SIDES]
_PACKED_TYPES: Final = [_pack(word.decode()) for word in ORDER_TYPES]
_PACKED_TIMES: Final = [_pack(word.decode()) for word in TIMES_IN_FORCE]
_TRUE, _FALSE, _NIL = b"\xc3", b"\xc2", b"\xc0"

# A reply: a map of ten, or of eleven with the request's id.
_HEAD: Final = b"\x8a" + _pack("type") + _pack("admit") + _pack("client_order_id")
_HEAD_WITH_REQUEST: Final = b"\x8b" + _HEAD[1:]
_REPLY_KEYS: Final = [_pack(name) for name in Admit.__struct_fields__]
(_, _SEQUENCE_KEY, _RESERVATION_KEY, _VENUE_KEY, _SUBSTITUTED_KEY, _NOTIONAL_KEY, _FEE_KEY,
 _REASON_KEY, _REPEAT_KEY, _REQUEST_KEY) = _REPLY_KEYS  # fmt: skip
_PACKED_REASONS: Final = {code: _pack(word) for code, word in REASON_WORD.items()}


class OrderLane:
    """The lane of one engine and one log. All calls belong to the loop's thread."""

    def __init__(self, engine: Engine, writer: LogWriter, client: str) -> None:
        """`client`: whom the records name as the requests' sender."""
        self._state = engine.state
        self._writer = writer
        self._client = client
        self._order = OrderReader()
        self._text = RecordText()
        self._memory = bytearray(_MEMORY_BYTES_MAX)
        self._input_row = bytearray(_INPUT_BYTES)
        self._output_row = bytearray(_OUTPUT_BYTES)
        self._output_again = bytearray(_OUTPUT_BYTES)
        self._currency, self._currency_packed = "", b""
        self.reply_end = 0
        self._instrument: Instrument | None = None
        self._line: Tenant | None = None
        self._numerator = self._denominator = 0

    def admit(
        self,
        body: bytes,
        at: int,
        end: int,
        received_at_ns: int,
        batch_first_sequence: int,
        reply: bytearray,
        reply_at: int,
    ) -> bool:
        """Admits the order from `at` to `end`, and puts the answer at `reply_at` up to `reply_end`.

        False, with nothing changed, where it is not the lane's. The reply takes at most
        REPLY_BYTES_MAX.
        """
        order = self._order
        if order.read(body, at, end) != end:
            return False
        key = self._key_of(body)
        notional_microcents = self._notional_if_clear(body, key, received_at_ns)
        if notional_microcents < 0:
            return False
        state = self._state
        sequence: int = state.next_sequence
        reach("decide.before")
        self._ask_kernel(sequence, notional_microcents)
        output_row = self._output_row
        if not self._is_admission(output_row):
            return False
        reach("decide.after")
        reservation_id = state.ledger.next_reservation_id
        self._stage(
            body, sequence, reservation_id, notional_microcents, output_row, received_at_ns,
            batch_first_sequence,
        )  # fmt: skip
        reach("append.after")
        self._apply(
            body, key, sequence, reservation_id, notional_microcents, output_row, received_at_ns
        )
        reach("apply.after")
        self.reply_end = self._put_reply(
            body, reply, reply_at, sequence, reservation_id, notional_microcents, output_row
        )
        return True

    def _key_of(self, body: bytes) -> bytes:
        """The order's key among those remembered, as `guard.orders_codec.order_key`."""
        order, out = self._order, self._memory
        at = text.put_slice(out, 0, body, order.desk_at, order.desk_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, body, order.order_id_at, order.order_id_bytes)
        return le.bytes_of(out, at)

    def _notional_if_clear(self, body: bytes, key: bytes, received_at_ns: int) -> int:
        """The order's notional, if nothing but the kernel can stand in its way; else NOT_PLAIN."""
        state, order = self._state, self._order
        desk = state.desks.get(order.desk)
        instrument = state.instruments.get(order.symbol)
        if desk is None or instrument is None or state.policy is None:
            return NOT_PLAIN
        if desk.is_halted or state.entries_halt is not None:
            return NOT_PLAIN
        if not state.orders.is_free(key):
            return NOT_PLAIN
        if state.orders.is_full(state.remembered_orders_max, received_at_ns):
            return NOT_PLAIN
        sent_at_ns = order.values[_SENT_AT]
        if sent_at_ns and abs(received_at_ns - sent_at_ns) > state.remembered_order_window_ns:
            return NOT_PLAIN
        if order.has_currency and not self._is_own_currency(body):
            return NOT_PLAIN
        if order.values[_QUANTITY] > _U32_MAX:
            return NOT_PLAIN
        if instrument is not self._instrument:
            self._take_instrument(instrument)
        if self._denominator == 0:
            return NOT_PLAIN
        notional_microcents = notional_of(
            order.values[_QUANTITY], order.values[_PRICE], self._numerator, self._denominator
        )
        if notional_microcents < 0:
            return NOT_PLAIN
        line = state.ledger.line(order.desk)
        if line is None or not line.can_hold(notional_microcents):
            return NOT_PLAIN
        self._line = line
        return notional_microcents

    def _is_own_currency(self, body: bytes) -> bool:
        order = self._order
        said = packing.slice_of(body, order.currency_at, order.currency_bytes)
        return said.decode() == self._state.currency

    def _take_instrument(self, instrument: Instrument) -> None:
        """Keeps what a lot at one tick is worth; a denominator of 0 where it is no 64-bit ratio."""
        self._instrument = instrument
        is_plain = instrument.numerator <= U64_MAX and instrument.denominator <= U64_MAX
        self._numerator = instrument.numerator if is_plain else 0
        self._denominator = instrument.denominator if is_plain else 0

    def _ask_kernel(self, sequence: int, notional_microcents: int) -> None:
        """Has `_output_row` and `_input_row` hold what the kernel says, and was asked."""
        policy, row, values = self._state.policy, self._input_row, self._order.values
        assert policy is not None
        decide_entry.put_input_row(
            row, sequence, notional_microcents, values[_QUANTITY], values[_VENUE], values[_RISK],
            values[_CONFIDENCE], values[_QUALITY], values[_LATENCY], values[_CAPABILITIES],
            values[_PROVIDERS], values[_REGIONS], values[_MAX_FEE],
        )  # fmt: skip
        policy.decide_into(row, self._output_row)
        policy.decide_into(row, self._output_again)
        if self._output_row != self._output_again:
            raise InvariantError(f"the kernel decided sequence {sequence} in two ways")

    def _is_admission(self, row: bytearray) -> bool:
        action = row[8]
        if action == _REJECT:
            return False
        return action != _SUBSTITUTE or self._order.allow_substitute

    def _stage(
        self,
        body: bytes,
        sequence: int,
        reservation_id: int,
        notional_microcents: int,
        output_row: bytearray,
        received_at_ns: int,
        batch_first_sequence: int,
    ) -> None:
        """Writes the record and stages it. Raises what `LogWriter.append` raises."""
        writer = self._text
        at = writer.put_opening(self._input_row, output_row, self._state.policy_digest_hex)
        out = writer.buffer
        at = text.put(out, at, b'},"metadata":{"event":"order","received_at_ns":')
        at = text.put_i64(out, at, received_at_ns)
        at = text.put(out, at, b',"client":')
        at = text.put_string(out, at, self._client)
        at = text.put(out, at, b',"batch_first_sequence":')
        at = text.put_u64(out, at, batch_first_sequence)
        at = text.put(out, at, b',"order":{"type":"order","client_order_id":')
        at = self._put_order(out, at, body)
        at = text.put(out, at, b'},"answer":{"type":"admit","client_order_id":')
        order, row = self._order, output_row
        at = text.put_quoted(out, at, body, order.order_id_at, order.order_id_bytes)
        at = record_text.put_admit(
            out, at, sequence, reservation_id, le.load_u32(row, 11), row[8] == _SUBSTITUTE,
            notional_microcents, le.load_u64(row, 17), REASON_WORD[le.load_u16(row, 9)], False,
        )  # fmt: skip
        at = text.put(out, at, b"}}}")
        if at < 0:
            raise InvariantError(f"the record of sequence {sequence} cannot be written")
        self._writer.append(sequence, le.bytes_of(out, at), is_encoded=True)

    def _put_order(self, out: text.Buffer, at: int, body: bytes) -> int:
        """The order's fields in JSON, in the protocol's order."""
        order = self._order
        at = text.put_quoted(out, at, body, order.order_id_at, order.order_id_bytes)
        at = text.put(out, at, b',"desk":"')
        at = text.put_slice(out, at, body, order.desk_at, order.desk_bytes)
        at = text.put(out, at, b'","symbol":"')
        at = text.put_slice(out, at, body, order.symbol_at, order.symbol_bytes)
        at = text.put(out, at, _SIDE_PIECES[order.side])
        for index in range(_MAX_FEE + 1):
            at = text.put(out, at, _INTEGER_PIECES[index])
            at = text.put_u64(out, at, order.values[index])
        at = text.put(out, at, _ALLOWED if order.allow_substitute else _NOT_ALLOWED)
        at = text.put(out, at, _TYPE_PIECES[order.order_type])
        at = text.put(out, at, _TIME_PIECES[order.time_in_force])
        at = text.put_string(out, at, self._state.currency)
        at = text.put(out, at, b',"sent_at_ns":')
        if order.values[_SENT_AT]:
            return text.put_u64(out, at, order.values[_SENT_AT])
        return text.put(out, at, b"null")

    def _apply(
        self,
        body: bytes,
        key: bytes,
        sequence: int,
        reservation_id: int,
        notional_microcents: int,
        output_row: bytearray,
        received_at_ns: int,
    ) -> None:
        """What `guard.apply` does with this admission."""
        state = self._state
        state.orders.forget_expired(received_at_ns)
        assert self._line is not None
        given = state.ledger.reserve_line(self._line, notional_microcents)
        if given != reservation_id:
            raise InvariantError(
                f"record {sequence} holds reservation {reservation_id}, the ledger gave {given}"
            )
        count = self._put_memory(body, sequence, reservation_id, notional_microcents, output_row)
        state.orders.add_open(key, self._memory, count, notional_microcents)
        state.next_sequence = sequence + 1
        if received_at_ns > state.last_received_at_ns:
            state.last_received_at_ns = received_at_ns
        state.is_closed_cleanly = False

    def _put_memory(
        self,
        body: bytes,
        sequence: int,
        reservation_id: int,
        notional_microcents: int,
        row: bytearray,
    ) -> int:
        """Order and answer as `guard.orders_codec` has them, into `_memory`; the length."""
        order, out = self._order, self._memory
        at = text.put(out, 0, _CONTENT_HEAD)
        at = packing.put_text(out, at, body, order.symbol_at, order.symbol_bytes)
        at = text.put(out, at, _PACKED_SIDES[order.side])
        for index in range(_MAX_FEE + 1):
            at = packing.put_unsigned(out, at, order.values[index])
        at = text.put(out, at, _TRUE if order.allow_substitute else _FALSE)
        at = text.put(out, at, _PACKED_TYPES[order.order_type])
        at = text.put(out, at, _PACKED_TIMES[order.time_in_force])
        currency = self._packed_currency()
        at = text.put(out, at, currency)
        if order.values[_SENT_AT]:
            at = packing.put_unsigned(out, at, order.values[_SENT_AT])
        else:
            at = text.put(out, at, _NIL)
        at = packing.put_unsigned(out, at, le.load_u16(row, 9))
        at = packing.put_unsigned(out, at, sequence)
        at = packing.put_unsigned(out, at, reservation_id)
        at = packing.put_unsigned(out, at, le.load_u32(row, 11))
        at = text.put(out, at, _TRUE if row[8] == _SUBSTITUTE else _FALSE)
        at = packing.put_unsigned(out, at, notional_microcents)
        return packing.put_unsigned(out, at, le.load_u64(row, 17))

    def _packed_currency(self) -> bytes:
        if self._state.currency != self._currency:
            self._currency = self._state.currency
            self._currency_packed = _pack(self._currency)
        return self._currency_packed

    def _put_reply(
        self,
        body: bytes,
        out: bytearray,
        at: int,
        sequence: int,
        reservation_id: int,
        notional_microcents: int,
        row: bytearray,
    ) -> int:
        """The reply in MessagePack; the offset behind it."""
        order = self._order
        has_request_id = order.request_id_kind != 0
        at = text.put(out, at, _HEAD_WITH_REQUEST if has_request_id else _HEAD)
        at = packing.put_text(out, at, body, order.order_id_at, order.order_id_bytes)
        at = text.put(out, at, _SEQUENCE_KEY)
        at = packing.put_unsigned(out, at, sequence)
        at = text.put(out, at, _RESERVATION_KEY)
        at = packing.put_unsigned(out, at, reservation_id)
        at = text.put(out, at, _VENUE_KEY)
        at = packing.put_unsigned(out, at, le.load_u32(row, 11))
        at = text.put(out, at, _SUBSTITUTED_KEY)
        at = text.put(out, at, _TRUE if row[8] == _SUBSTITUTE else _FALSE)
        at = text.put(out, at, _NOTIONAL_KEY)
        at = packing.put_unsigned(out, at, notional_microcents)
        at = text.put(out, at, _FEE_KEY)
        at = packing.put_unsigned(out, at, le.load_u64(row, 17))
        at = text.put(out, at, _REASON_KEY)
        at = text.put(out, at, _PACKED_REASONS[le.load_u16(row, 9)])
        at = text.put(out, at, _REPEAT_KEY)
        at = text.put(out, at, _FALSE)
        if not has_request_id:
            return at
        at = text.put(out, at, _REQUEST_KEY)
        if order.request_id_kind == 1:
            return packing.put_unsigned(out, at, order.request_number)
        return packing.put_text(out, at, body, order.request_id_at, order.request_id_bytes)


def notional_of(quantity: int, price: int, numerator: int, denominator: int) -> int:
    """As `Instrument.notional_microcents`; NOT_PLAIN beyond an i64, or for factors beyond a u64."""
    wide_quantity = quantity
    size = wide_quantity * price
    if size > _U64_MAX:
        return NOT_PLAIN
    worth = size * numerator
    notional = worth // denominator
    if notional * denominator != worth:
        notional += 1
    return notional if notional <= _I64_MAX else NOT_PLAIN
