# cython: annotation_typing=False, nonecheck=True
"""Values in JSON text, read into the fields of a request and its outcome. Pure.

Owns the reading of what `guard.protocol.layout` writes: every piece in its place, every integer as
it would be written, texts of printable ASCII. Whoever reads text that may be written otherwise
(`guard.protocol.request_reader`) brings the places of the values.

How it fails: a place below 0 says that the text is none of these, or that a value is none that its
field may have; what was put into the fields is then of no use.
"""

from guard.protocol import json_text as text
from guard.protocol import layout as layout_of
from guard.protocol import message_pack as pack
from guard.protocol import slots
from guard.protocol.fields import REASON_WORDS, ValueKind, detail_of_reason
from guard.protocol.layout import DETAILS_JSON, Layout
from guard.protocol.outcome import Outcome
from guard.protocol.request import Request
from kernel.little_endian import Row

NOT_PLAIN = -1
_U64_MAX = 2**64 - 1
_I64_LIMIT = 2**63  # what a negative value reaches at most, and a positive one stays below
_TENTH = 2**64 // 10
_NULL = b"null"
_WORDS_LOOKED_THROUGH = 24  # of more words in quotes one is found by its text
_REQUEST_ID_BYTES_MAX = 64
(_NUMBER, _SIGNED, _OPTIONAL_NUMBER, _TEXT, _OPTIONAL_TEXT, _WORD, _DETAIL, _SAME_TEXT,
 _SAME_SIGNED, _ECHO) = map(int, ValueKind)  # fmt: skip
_DETAIL_OF_REASON = [detail_of_reason(code) for code in range(len(REASON_WORDS))]
_DETAILS = DETAILS_JSON


class JsonReader:
    """A reader. `value`: the integer read last, in 64 bits; `count`: the last text's bytes."""

    def __init__(self) -> None:
        self.value = 0
        self.count = 0
        self.is_negative = False
        self._again = bytearray(1024)

    def read(
        self, layout: Layout, source: bytes, at: int, end: int, request: Request, outcome: Outcome
    ) -> int:
        """Reads what stands at `at` as the layout's text; the offset behind it."""
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
            if kind == _OPTIONAL_NUMBER and pack.stands_at(source, at, end, _NULL):
                slots.set_number(request, outcome, slot, 0)
                return at + 4
            at = self.number(source, at, end)
            if at < 0 or self.is_negative:
                return NOT_PLAIN
            if not layout.lows[index] <= self.value <= layout.highs[index]:
                return NOT_PLAIN
            slots.set_number(request, outcome, slot, self.value)
            return at
        if kind in (_TEXT, _OPTIONAL_TEXT):
            if kind == _OPTIONAL_TEXT and pack.stands_at(source, at, end, _NULL):
                slots.set_text_bytes(request, slot, 0)
                return at + 4
            place = layout.text_ats[index]
            at = self.string(source, at, end, request, place, layout.text_maxes[index])
            if at < 0 or not is_made_of(request, place, self.count, layout.alphabets[index]):
                return NOT_PLAIN
            slots.set_text_bytes(request, slot, self.count)
            return at
        if kind == _WORD:
            return self._word(layout, index, source, at, end, request, outcome)
        if kind == _SAME_TEXT:
            count = text.put_quoted(
                self._again, 0, request.texts, layout.text_ats[index],
                slots.text_bytes(request, slot),
            )  # fmt: skip
            return at + count if is_same(source, at, end, self._again, count) else NOT_PLAIN
        if kind == _DETAIL:
            detail = _DETAIL_OF_REASON[outcome.reason]
            outcome.detail = detail
            return self.read(_DETAILS[detail], source, at, end, request, outcome)
        if kind == _ECHO:
            return self._echo(source, at, end, request, layout.text_ats[index])
        return self._signed(kind, source, at, end, request, outcome, slot)

    def _signed(
        self,
        kind: int,
        source: bytes,
        at: int,
        end: int,
        request: Request,
        outcome: Outcome,
        slot: int,
    ) -> int:
        at = self.number(source, at, end)
        if at < 0 or (not self.is_negative and self.value >= _I64_LIMIT):
            return NOT_PLAIN
        if kind == _SIGNED:
            slots.set_signed(request, outcome, slot, self.value)
            return at
        return at if slots.number_of(request, outcome, slot) == self.value else NOT_PLAIN

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
        count = len(words)
        if count > _WORDS_LOOKED_THROUGH and source[at] == 0x22:
            behind = at + 1
            while behind < end and source[behind] != 0x22:
                behind += 1
            word = pack.bytes_at(source, at, behind + 1 - at)
            number = layout.numbers[index].get(word, -1)
            if behind >= end or number < 0:
                return NOT_PLAIN
            slots.set_number(request, outcome, layout.slots[index], number)
            return behind + 1
        for number in range(count):
            word = words[number]
            if pack.stands_at(source, at, end, word):
                slots.set_number(request, outcome, layout.slots[index], number)
                return at + len(word)
        return NOT_PLAIN

    def _echo(self, source: bytes, at: int, end: int, request: Request, place: int) -> int:
        """A request's id, kept as it will stand in the reply; nothing for null."""
        request.echo_bytes = 0
        if pack.stands_at(source, at, end, _NULL):
            return at + 4
        if at < end and source[at] == 0x22:
            at = self.string(source, at, end, request, place + 1, _REQUEST_ID_BYTES_MAX)
            if at < 0:
                return NOT_PLAIN
            pack.copy(self._again, request.texts, place + 1, self.count)
            behind = text.put_quoted(request.texts, place, self._again, 0, self.count)
            request.echo_bytes = behind - place
            return at
        start = at
        at = self.number(source, at, end)
        if at < 0:
            return NOT_PLAIN
        request.echo_bytes = at - start
        text.put_slice(request.texts, place, source, start, at - start)
        return at

    def number(self, source: bytes, at: int, end: int) -> int:
        """The offset behind an integer from -2^63 to 2^64 - 1, as it would be written."""
        self.is_negative = at < end and source[at] == 0x2D
        if self.is_negative:
            at += 1
        start = at
        value = 0
        while at < end and 0x30 <= source[at] <= 0x39:
            digit = source[at] - 0x30
            if at - start >= 19 and (value > _TENTH or (value == _TENTH and digit > 5)):
                return NOT_PLAIN
            value = value * 10 + digit
            at += 1
            if at - start > 20:
                return NOT_PLAIN
        if at == start or (source[start] == 0x30 and (at - start > 1 or self.is_negative)):
            return NOT_PLAIN
        if self.is_negative:
            if value > _I64_LIMIT:
                return NOT_PLAIN
            value = slots.negative(value)
        self.value = value
        return at

    def string(
        self, source: bytes, at: int, end: int, request: Request, place: int, bytes_max: int
    ) -> int:
        """The offset behind a string of printable ASCII, which is put at that place of the texts.

        Of escapes it knows those of a quotation mark and of a backslash.
        """
        if at >= end or source[at] != 0x22:
            return NOT_PLAIN
        at += 1
        count = 0
        while at < end and source[at] != 0x22:
            character = source[at]
            if character == 0x5C:
                at += 1
                if at >= end or (source[at] != 0x22 and source[at] != 0x5C):
                    return NOT_PLAIN
                character = source[at]
            if count == bytes_max or not 0x20 <= character <= 0x7E:
                return NOT_PLAIN
            request.texts[place + count] = character
            count += 1
            at += 1
        self.count = count
        return at + 1 if at < end else NOT_PLAIN


def is_made_of(request: Request, place: int, count: int, alphabet: bytes) -> bool:
    """Has the text there one character or more, all of that alphabet?"""
    for index in range(place, place + count):
        if not alphabet[request.texts[index]]:
            return False
    return count > 0


def is_same(source: Row, at: int, end: int, again: Row, count: int) -> bool:
    """Do the first `count` bytes of `again` stand there?"""
    if at + count > end:
        return False
    for index in range(count):  # noqa: SIM110, a loop in C
        if source[at + index] != again[index]:
            return False
    return True
