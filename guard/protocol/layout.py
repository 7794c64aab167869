# cython: annotation_typing=False, nonecheck=True
"""Tables of what is written one after another: a piece, a value, a piece, a value. Pure.

Owns the walk that writes a record's text, a reply or what is remembered from a request and its
outcome, and the making of such tables from fields (`guard.protocol.fields`). Two walks, one an
encoding; they write what msgspec writes. Reading walks over the same tables
(`guard.protocol.json_reader`, `guard.protocol.pack_reader`).

Must not: check the buffer's room: whoever gives the buffer knows the longest of what is written.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from guard.protocol import json_text as text
from guard.protocol import message_pack as pack
from guard.protocol import slots
from guard.protocol.fields import ALPHABETS, DETAILS, Field, ValueKind, detail_field
from guard.protocol.json_text import Buffer
from guard.protocol.outcome import Outcome
from guard.protocol.request import TEXTS, Request

STEPS_MAX: Final = 64
_TEXT_PLACES: Final = tuple(TEXTS.values())
_ALPHABETS: Final = tuple(ALPHABETS[name] for name in TEXTS)
_TEXT_KINDS: Final = (
    ValueKind.TEXT, ValueKind.OPTIONAL_TEXT, ValueKind.SAME_TEXT, ValueKind.ECHO
)  # fmt: skip
_NULL, _NIL = b"null", b"\xc0"
(_NUMBER, _SIGNED, _OPTIONAL_NUMBER, _TEXT, _OPTIONAL_TEXT, _WORD, _DETAIL, _SAME_TEXT,
 _SAME_SIGNED, _ECHO) = map(int, ValueKind)  # fmt: skip

encode_json, encode_pack = msgspec.json.encode, msgspec.msgpack.encode


class Step(NamedTuple):
    """A piece, then a field's value; `words`: as they are written."""

    piece: bytes
    field: Field
    words: list[bytes]


class Layout:
    """Steps, then a last piece: in lists, and in arrays of the compiler's."""

    def __init__(self, steps: Sequence[Step], tail: bytes = b"") -> None:
        if len(steps) > STEPS_MAX:
            raise ValueError(f"a layout has {len(steps)} steps; must have at most {STEPS_MAX}")
        self.count = len(steps)
        self.pieces = [step.piece for step in steps]
        self.words = [step.words for step in steps]
        self.numbers = [
            {
                text: number
                for number, (text, word) in enumerate(
                    zip(step.words, step.field.words, strict=True)
                )
                if word != ""  # a number that stands for nothing
            }
            for step in steps
        ]
        self.alphabets = [
            _ALPHABETS[step.field.slot] if step.field.kind in _TEXT_KINDS else b"" for step in steps
        ]
        self.tail = tail
        self.kinds = [0] * 64
        self.slots = [0] * 64
        self.text_ats = [0] * 64
        self.text_maxes = [0] * 64
        self.lows = [0] * 64
        self.highs = [0] * 64
        self.defaults = [0] * 64
        self.required = self.sparse = 0
        for index, step in enumerate(steps):
            self._add(index, step.field)

    def _add(self, index: int, field: Field) -> None:
        self.kinds[index] = int(field.kind)
        self.slots[index] = field.slot
        if field.kind in _TEXT_KINDS:
            self.text_ats[index], self.text_maxes[index] = _TEXT_PLACES[field.slot]
        self.lows[index] = field.low
        self.highs[index] = field.high
        self.defaults[index] = field.default
        if field.is_required:
            self.required = self.required | 1 << index
        if field.is_sparse:
            self.sparse = self.sparse | 1 << index


def json_steps(fields: Sequence[Field], opening: bytes = b"{") -> list[Step]:
    """Members of a JSON object; `opening`: what stands before the first one's key."""
    return [
        Step(
            (b"," if index else opening) + encode_json(field.name) + b":",
            field,
            [encode_json(word) for word in field.words],
        )
        for index, field in enumerate(fields)
    ]


def pack_steps(fields: Sequence[Field], opening: bytes = b"") -> list[Step]:
    """Members of a MessagePack map; `opening`: what stands before the first one's key."""
    return [
        Step(
            (b"" if index else opening) + encode_pack(field.name),
            field,
            [encode_pack(word) for word in field.words],
        )
        for index, field in enumerate(fields)
    ]


DETAILS_JSON: Final = [
    Layout(json_steps([detail_field(name) for name in names]), b"}" if names else b"{}")
    for names in DETAILS
]
DETAILS_PACK: Final = [
    Layout(pack_steps([detail_field(name) for name in names], bytes([0x80 + len(names)])),
           b"" if names else b"\x80")
    for names in DETAILS
]  # fmt: skip
_DETAILS_JSON, _DETAILS_PACK = DETAILS_JSON, DETAILS_PACK


def is_absent(layout: Layout, index: int, request: Request, outcome: Outcome) -> bool:
    """Is the step's field one that is not written where it is 0, or empty, and is it that?"""
    if layout.sparse >> index & 1 == 0:
        return False
    if layout.kinds[index] == _TEXT:
        return slots.text_bytes(request, layout.slots[index]) == 0
    return slots.number_of(request, outcome, layout.slots[index]) == 0


def leave_out(layout: Layout, index: int, request: Request, outcome: Outcome) -> None:
    """Makes the step's field what it is where it is not written."""
    if layout.kinds[index] == _TEXT:
        slots.set_text_bytes(request, layout.slots[index], 0)
    else:
        slots.set_number(request, outcome, layout.slots[index], 0)


def count_written(layout: Layout, request: Request, outcome: Outcome) -> int:
    """How many of the steps are written."""
    count = layout.count
    if layout.sparse != 0:
        for index in range(layout.count):
            if is_absent(layout, index, request, outcome):
                count -= 1
    return count


def write_json(layout: Layout, out: Buffer, at: int, request: Request, outcome: Outcome) -> int:
    """Writes the layout's text at `at`; the offset behind it."""
    pieces = layout.pieces
    for index in range(layout.count):
        if is_absent(layout, index, request, outcome):
            continue
        at = text.put(out, at, pieces[index])
        kind = layout.kinds[index]
        slot = layout.slots[index]
        if kind in (_TEXT, _SAME_TEXT, _OPTIONAL_TEXT):
            count = slots.text_bytes(request, slot)
            if count == 0 and kind == _OPTIONAL_TEXT:
                at = text.put(out, at, _NULL)
            else:
                at = text.put_quoted(out, at, request.texts, layout.text_ats[index], count)
            continue
        value = slots.number_of(request, outcome, slot)
        if kind == _NUMBER:
            at = text.put_u64(out, at, value)
        elif kind == _WORD:
            at = text.put(out, at, _word(layout.words[index], value))
        elif kind == _OPTIONAL_NUMBER:
            at = text.put(out, at, _NULL) if value == 0 else text.put_u64(out, at, value)
        elif kind == _DETAIL:
            at = write_json(_DETAILS_JSON[value], out, at, request, outcome)
        else:
            at = text.put_i64(out, at, slots.as_signed(value))
    return text.put(out, at, layout.tail)


def write_pack(layout: Layout, out: Buffer, at: int, request: Request, outcome: Outcome) -> int:
    """The same in MessagePack."""
    pieces = layout.pieces
    for index in range(layout.count):
        if is_absent(layout, index, request, outcome):
            continue
        at = text.put(out, at, pieces[index])
        kind = layout.kinds[index]
        slot = layout.slots[index]
        if kind in (_TEXT, _SAME_TEXT, _OPTIONAL_TEXT):
            count = slots.text_bytes(request, slot)
            if count == 0 and kind == _OPTIONAL_TEXT:
                at = text.put(out, at, _NIL)
            else:
                at = pack.put_text(out, at, request.texts, layout.text_ats[index], count)
            continue
        value = slots.number_of(request, outcome, slot)
        if kind == _NUMBER:
            at = pack.put_unsigned(out, at, value)
        elif kind == _WORD:
            at = text.put(out, at, _word(layout.words[index], value))
        elif kind == _OPTIONAL_NUMBER:
            at = text.put(out, at, _NIL) if value == 0 else pack.put_unsigned(out, at, value)
        elif kind == _DETAIL:
            at = write_pack(_DETAILS_PACK[value], out, at, request, outcome)
        else:
            at = pack.put_signed(out, at, value)
    return text.put(out, at, layout.tail)


def _word(words: list[bytes], number: int) -> bytes:
    return words[number]
