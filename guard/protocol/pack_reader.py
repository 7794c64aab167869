# cython: annotation_typing=False, nonecheck=True
"""Values in MessagePack, read into the fields of a request and its outcome. Pure.

Owns for MessagePack what `guard.protocol.json_reader` owns for JSON; integers may be of any of its
formats.

How it fails: a place below 0, as there.
"""

from guard.protocol import json_reader, slots
from guard.protocol import json_text as text
from guard.protocol import layout as layout_of
from guard.protocol import message_pack as pack
from guard.protocol.fields import REASON_WORDS, ValueKind, detail_of_reason
from guard.protocol.layout import DETAILS_PACK, Layout
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request

NOT_PLAIN = -1
_I64_LIMIT = 2**63
_REQUEST_ID_BYTES_MAX = 64
(_NUMBER, _SIGNED, _OPTIONAL_NUMBER, _TEXT, _OPTIONAL_TEXT, _WORD, _DETAIL, _SAME_TEXT,
 _SAME_SIGNED, _ECHO) = map(int, ValueKind)  # fmt: skip
_DETAIL_OF_REASON = [detail_of_reason(code) for code in range(len(REASON_WORDS))]
_DETAILS = DETAILS_PACK
_REASONS = len(REASON_WORDS)


class PackReader:
    """A reader. `value`: the integer read last, in 64 bits; of a text `start` and `count`."""

    def __init__(self) -> None:
        self.value = 0
        self.start = self.count = 0
        self.is_negative = False

    def read(
        self, layout: Layout, source: bytes, at: int, end: int, request: Request, outcome: Outcome
    ) -> int:
        """Reads what stands at `at` as the layout's values; the offset behind it."""
        for index in range(layout.count):
            piece = layout.pieces[index]
            if not pack.stands_at(source, at, end, piece):
                if layout.sparse >> index & 1 == 0:
                    return NOT_PLAIN
                layout_of.leave_out(layout, index, request, outcome)
                continue
            at = self.read_value(layout, index, source, at + len(piece), end, request, outcome)
            if at < 0 or layout_of.is_absent(layout, index, request, outcome):
                return NOT_PLAIN
        if not pack.stands_at(source, at, end, layout.tail):
            return NOT_PLAIN
        return at + len(layout.tail)

    def read_value(
        self,
        layout: Layout,
        index: int,
        source: bytes,
        at: int,
        end: int,
        request: Request,
        outcome: Outcome,
    ) -> int:
        """Takes in the value of the layout's step of that number; the offset behind it."""
        if at >= end:
            return NOT_PLAIN
        kind = layout.kinds[index]
        slot = layout.slots[index]
        if kind in (_NUMBER, _OPTIONAL_NUMBER):
            if kind == _OPTIONAL_NUMBER and source[at] == 0xC0:
                slots.set_number(request, outcome, slot, 0)
                return at + 1
            at = self.number(source, at, end)
            if at < 0 or self.is_negative:
                return NOT_PLAIN
            if not layout.lows[index] <= self.value <= layout.highs[index]:
                return NOT_PLAIN
            slots.set_number(request, outcome, slot, self.value)
            return at
        if kind in (_TEXT, _OPTIONAL_TEXT):
            if kind == _OPTIONAL_TEXT and source[at] == 0xC0:
                slots.set_text_bytes(request, slot, 0)
                return at + 1
            at = self.string(source, at, end)
            if at < 0 or self.count > layout.text_maxes[index]:
                return NOT_PLAIN
            place = layout.text_ats[index]
            text.put_slice(request.texts, place, source, self.start, self.count)
            if not json_reader.is_made_of(request, place, self.count, layout.alphabets[index]):
                return NOT_PLAIN
            slots.set_text_bytes(request, slot, self.count)
            return at
        if kind == _WORD:
            return self._word(layout, index, source, at, end, request, outcome)
        if kind == _DETAIL:
            if outcome.reason >= _REASONS:
                return NOT_PLAIN
            detail = _DETAIL_OF_REASON[outcome.reason]
            outcome.detail = detail
            return self.read(_DETAILS[detail], source, at, end, request, outcome)
        if kind == _ECHO:
            return self._echo(source, at, end, request, layout.text_ats[index])
        at = self.number(source, at, end)
        if at < 0 or (not self.is_negative and self.value >= _I64_LIMIT):
            return NOT_PLAIN
        slots.set_signed(request, outcome, slot, self.value)
        return at

    def _word(
        self,
        layout: Layout,
        index: int,
        source: bytes,
        at: int,
        end: int,
        request: Request,
        outcome: Outcome,
    ) -> int:
        words = layout.words[index]
        for number in range(len(words)):
            word = words[number]
            if pack.stands_at(source, at, end, word):
                slots.set_number(request, outcome, layout.slots[index], number)
                return at + len(word)
        return NOT_PLAIN

    def _echo(self, source: bytes, at: int, end: int, request: Request, place: int) -> int:
        """A request's id, kept as it will stand in the reply; nothing for nil."""
        request.echo_bytes = 0
        head = source[at]
        if head == 0xC0:
            return at + 1
        if 0xA0 <= head <= 0xBF or head == 0xD9:
            at = self.string(source, at, end)
            if at < 0 or self.count > _REQUEST_ID_BYTES_MAX:
                return NOT_PLAIN
            for index in range(self.start, self.start + self.count):
                if not 0x20 <= source[index] <= 0x7E:
                    return NOT_PLAIN
            behind = pack.put_text(request.texts, place, source, self.start, self.count)
            request.echo_bytes = behind - place
            return at
        at = self.number(source, at, end)
        if at < 0:
            return NOT_PLAIN
        if self.is_negative:
            behind = pack.put_signed(request.texts, place, self.value)
        else:
            behind = pack.put_unsigned(request.texts, place, self.value)
        request.echo_bytes = behind - place
        return at

    def number(self, source: bytes, at: int, end: int) -> int:
        """The offset behind an integer of any format from -2^63 to 2^64 - 1."""
        self.is_negative = False
        head = source[at]
        size = pack.integer_bytes(source, at, end)
        if size >= 0:
            self.value = pack.integer_at(source, at, size)
            return at + 1 + size
        if head >= 0xE0:
            self.is_negative = True
            self.value = slots.negative(256 - head)
            return at + 1
        if not 0xD0 <= head <= 0xD3:
            return NOT_PLAIN
        size = 1 << (head - 0xD0)
        one = 1
        if at + 1 + size > end:
            return NOT_PLAIN
        value = pack.integer_at(source, at, size)
        if value >> (8 * size - 1):
            self.is_negative = True
            if size < 8:
                value = slots.negative((one << (8 * size)) - value)
        self.value = value
        return at + 1 + size

    def string(self, source: bytes, at: int, end: int) -> int:
        """The offset behind a text of at most 255 bytes, which is from `start` on."""
        head = source[at]
        if 0xA0 <= head <= 0xBF:
            self.start = at + 1
            self.count = head & 0x1F
        elif head == 0xD9 and at + 2 <= end:
            self.start = at + 2
            self.count = source[at + 1]
        else:
            return NOT_PLAIN
        behind = self.start + self.count
        return behind if behind <= end else NOT_PLAIN
