# cython: annotation_typing=False, nonecheck=True
"""The short lane: a plain order that is admitted, from its bytes to its reply, without objects.

Owns the way that most orders take in the compiled daemon. The rules are those of
`guard.decide_entry` and `guard.apply`, the record's text that of `guard.journal`, the reply's bytes
those of `guard.wire`, all of which stay as they are: what stands in any rule's way, the lane does
not take, and the engine answers. Nothing rests on the lane alone: `replay` holds each record of
it against the state by code of its own (`guard.replay_lane`), interpreted by the engine's rules,
and the tests compare records, replies and state with the engine's. It runs as it stands, or
compiled with the types of `order_lane.pxd` beside it; where it would run interpreted, the daemon
does without it.

How it works: `admit` reads the order where it stands in the body (`guard.order_reader`), looks for
anything that is not an admission, asks the kernel twice, writes the record and stages it, and only
then changes the state.

How it fails: it says False, with nothing changed, of whatever is not its own. `InvariantError`
where the kernel or the ledger contradicts itself.
"""

from guard import decide_entry, text
from guard.engine import Engine
from guard.instruments import Instrument
from guard.messages import I64_MAX, U32_MAX, U64_MAX
from guard.order_pieces import MEMORY_BYTES_MAX, Admission
from guard.record_text import RecordText
from kernel import Action, InvariantError
from kernel import little_endian as le
from kernel.layout import INPUT_ROW_BYTES, OUTPUT_ROW_BYTES
from kernel.ledger_lines import Tenant
from wal import LogWriter
from wal.failpoint import is_armed, reach

NOT_PLAIN = -1  # as in guard.order_reader

_OUTPUT_BYTES = OUTPUT_ROW_BYTES
_REJECT, _SUBSTITUTE = int(Action.REJECT), int(Action.SUBSTITUTE)
_U32_MAX, _U64_MAX, _I64_MAX = U32_MAX, U64_MAX, I64_MAX

# Places in `OrderReader.values`, as there.
_QUANTITY, _PRICE, _VENUE, _RISK, _CONFIDENCE, _QUALITY, _LATENCY = range(7)
_CAPABILITIES, _PROVIDERS, _REGIONS, _MAX_FEE, _SENT_AT = range(7, 12)


class OrderLane:
    """The lane of one engine and one log. All calls belong to the loop's thread."""

    def __init__(self, engine: Engine, writer: LogWriter, client: str) -> None:
        """`client`: whom the records name as the requests' sender."""
        self._state = engine.state
        self._staging = writer.staging
        self._admission = Admission(client)
        self._order = self._admission.order
        self._text = RecordText()
        self._memory = bytearray(MEMORY_BYTES_MAX)
        self._input_row = bytearray(INPUT_ROW_BYTES)
        self._output_row = bytearray(OUTPUT_ROW_BYTES)
        self._output_again = bytearray(OUTPUT_ROW_BYTES)
        self._line: Tenant | None = None
        self._instrument: Instrument | None = None
        self._numerator = self._denominator = 0
        self._is_watched = False
        self.reply_end = 0

    def begin_message(self, received_at_ns: int, batch_first_sequence: int) -> None:
        """Says what the records of the orders to come say of when they came."""
        self._admission.received_at_ns = received_at_ns
        self._admission.batch_first_sequence = batch_first_sequence
        self._is_watched = is_armed()

    def admit(self, body: bytes, at: int, end: int, reply: bytearray, reply_at: int) -> bool:
        """Admits the order from `at` to `end`, and puts the answer at `reply_at` up to `reply_end`.

        False, with nothing changed, where it is not the lane's. The reply takes at most
        REPLY_BYTES_MAX.
        """
        if self._order.read(body, at, end) != end:
            return False
        key = self._key_of(body)
        notional_microcents = self._notional_if_clear(body, key)
        if notional_microcents < 0:
            return False
        if self._is_watched:
            reach("decide.before")
        if not self._is_admitted_by_kernel(notional_microcents):
            return False
        if self._is_watched:
            reach("decide.after")
        self._stage(body)
        if self._is_watched:
            reach("append.after")
        self._apply(body, key)
        if self._is_watched:
            reach("apply.after")
        self.reply_end = self._admission.put_reply(reply, reply_at, body)
        return True

    def _key_of(self, body: bytes) -> bytes:
        """The order's key among those remembered, as `guard.orders_codec.order_key`."""
        order, out = self._order, self._memory
        at = text.put_slice(out, 0, body, order.desk_at, order.desk_bytes)
        at = text.put(out, at, b"\0")
        at = text.put_slice(out, at, body, order.order_id_at, order.order_id_bytes)
        return le.bytes_of(out, at)

    def _notional_if_clear(self, body: bytes, key: bytes) -> int:
        """The order's notional, if nothing but the kernel can stand in its way; else NOT_PLAIN."""
        state, order = self._state, self._order
        received_at_ns = self._admission.received_at_ns
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
        self._line = line = state.ledger.line(order.desk)
        if notional_microcents < 0 or line is None or not line.can_hold(notional_microcents):
            return NOT_PLAIN
        return notional_microcents

    def _is_own_currency(self, body: bytes) -> bool:
        order = self._order
        said = le.bytes_at(body, order.currency_at, order.currency_bytes)
        return said.decode() == self._state.currency

    def _take_instrument(self, instrument: Instrument) -> None:
        """Keeps what a lot at one tick is worth; a denominator of 0 where it is no 64-bit ratio."""
        self._instrument = instrument
        is_plain = instrument.numerator <= U64_MAX and instrument.denominator <= U64_MAX
        self._numerator = instrument.numerator if is_plain else 0
        self._denominator = instrument.denominator if is_plain else 0

    def _is_admitted_by_kernel(self, notional_microcents: int) -> bool:
        """Asks the kernel, twice; where it admits the order, `_admission` holds what is said."""
        state, said, values = self._state, self._admission, self._order.values
        policy, row, sequence = state.policy, self._output_row, state.next_sequence
        assert policy is not None
        decide_entry.put_input_row(
            self._input_row, sequence, notional_microcents, values[_QUANTITY], values[_VENUE],
            values[_RISK], values[_CONFIDENCE], values[_QUALITY], values[_LATENCY],
            values[_CAPABILITIES], values[_PROVIDERS], values[_REGIONS], values[_MAX_FEE],
        )  # fmt: skip
        policy.decide_into(self._input_row, row)
        policy.decide_into(self._input_row, self._output_again)
        if not le.are_equal(row, self._output_again, _OUTPUT_BYTES):
            raise InvariantError(f"the kernel decided sequence {sequence} in two ways")
        said.is_substituted = row[8] == _SUBSTITUTE
        if row[8] == _REJECT or (said.is_substituted and not self._order.allow_substitute):
            return False
        said.sequence = sequence
        said.reservation_id = state.ledger.next_reservation_id
        said.notional_microcents = notional_microcents
        said.reason = le.load_u16(row, 9)
        said.venue = le.load_u32(row, 11)
        said.fee_microcents = le.load_u64(row, 17)
        return True

    def _stage(self, body: bytes) -> None:
        """Writes the record and stages it. Raises what `LogWriter.append` raises."""
        state, record, sequence = self._state, self._text, self._admission.sequence
        at = record.put_opening(self._input_row, self._output_row, state.policy_digest_hex)
        at = self._admission.put_event(record.buffer, at, body, state.currency)
        if at < 0:
            raise InvariantError(f"the record of sequence {sequence} cannot be written")
        self._staging.append_text(sequence, record.buffer, at)

    def _apply(self, body: bytes, key: bytes) -> None:
        """What `guard.apply` does with this admission."""
        state, said, line = self._state, self._admission, self._line
        received_at_ns = said.received_at_ns
        state.orders.forget_expired(received_at_ns)
        assert line is not None
        given = state.ledger.reserve_line(line, said.notional_microcents)
        if given != said.reservation_id:
            raise InvariantError(
                f"record {said.sequence} holds reservation {said.reservation_id}, "
                f"the ledger gave {given}"
            )
        count = said.put_memory(self._memory, 0, body, state.currency)
        state.orders.add_open(key, self._memory, count, said.notional_microcents)
        state.advance(said.sequence, received_at_ns)


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
