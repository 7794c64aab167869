# cython: annotation_typing=False
"""The kernel's rows as members of a record's text, and back. Pure.

Owns the text of a record's `input` and `decision`: every field of `kernel.layout`, in its order,
enums in CamelCase. One table a row; writing and reading walk over it.

How it fails: a place below 0 for text that is none of what is written here.
"""

from collections.abc import Mapping
from typing import Any

from guard.protocol import json_text as text
from guard.protocol import message_pack as pack
from guard.protocol.json_reader import JsonReader
from guard.protocol.json_text import Buffer
from kernel import little_endian as le
from kernel.layout import DECISION, INPUT, Layout
from kernel.reasons import Action, Reason

NOT_PLAIN = -1
_I64_LIMIT = 2**63


def _by_number(words: dict[int, str]) -> list[bytes]:
    """The words, quoted, each at the place of its number; nothing at the others."""
    return [
        b'"%b"' % words[number].encode() if number in words else b""
        for number in range(max(words) + 1)
    ]


_WORDS: Mapping[str, list[bytes]] = {
    "action": _by_number({int(action): action.camel for action in Action}),
    "reason": _by_number({int(reason): reason.camel for reason in Reason}),
}


class RowText:
    """One kind of row: of each field its key, its place, its width, its words if it has any."""

    def __init__(self, layout: Layout) -> None:
        self.count = len(layout.fields)
        self.keys = [
            b'%b"%b":' % (b"," if index else b"", field.name.encode())
            for index, field in enumerate(layout.fields)
        ]
        self.words = [_WORDS.get(field.name, []) for field in layout.fields]
        self.offsets = [0] * 16
        self.widths = [0] * 16
        self.signs = [0] * 16
        for index, field in enumerate(layout.fields):
            self.offsets[index] = field.offset
            self.widths[index] = field.type.width_bytes
            self.signs[index] = field.minimum < 0
        self._reader = JsonReader()

    def put(self, out: Buffer, at: int, row: Any) -> int:
        """The row's members without the braces around them; the offset behind them."""
        for index in range(self.count):
            at = text.put(out, at, self.keys[index])
            value = load(row, self.offsets[index], self.widths[index])
            words = self.words[index]
            if len(words) > 0:
                at = text.put(out, at, word_of(words, value))
            elif self.signs[index]:
                at = text.put_i64(out, at, le.load_i64(row, self.offsets[index]))
            else:
                at = text.put_u64(out, at, value)
        return at

    def read(self, source: bytes, at: int, end: int, row: Buffer, to: int) -> int:
        """The offset behind the members, their row put at `to`; NOT_PLAIN if they are unusual."""
        for index in range(self.count):
            key = self.keys[index]
            if not pack.stands_at(source, at, end, key):
                return NOT_PLAIN
            at += len(key)
            words = self.words[index]
            if len(words) > 0:
                at = self._read_word(words, source, at, end)
            else:
                at = self._read_number(index, source, at, end)
            if at < 0:
                return NOT_PLAIN
            store(row, to + self.offsets[index], self._reader.value, self.widths[index])
        return at

    def _read_word(self, words: list[bytes], source: bytes, at: int, end: int) -> int:
        for number in range(len(words)):
            word = words[number]
            if len(word) > 0 and pack.stands_at(source, at, end, word):
                self._reader.value = number
                return at + len(word)
        return NOT_PLAIN

    def _read_number(self, index: int, source: bytes, at: int, end: int) -> int:
        reader = self._reader
        at = reader.number(source, at, end)
        if self.signs[index]:
            return at if reader.is_negative or reader.value < _I64_LIMIT else NOT_PLAIN
        width = self.widths[index]
        if reader.is_negative or (width < 8 and reader.value >> (8 * width)):
            return NOT_PLAIN
        return at


def word_of(words: list[bytes], number: int) -> bytes:
    """The word of that number, which the kernel gave."""
    return words[number]


def load(row: Any, at: int, width: int) -> int:
    """An integer of 1, 2, 4 or 8 bytes."""
    if width == 8:
        return le.load_u64(row, at)
    if width == 4:
        return le.load_u32(row, at)
    if width == 2:
        return le.load_u16(row, at)
    value: int = row[at]
    return value


def store(out: Buffer, at: int, value: int, width: int) -> None:
    """Puts one."""
    if width == 8:
        le.store_u64(out, at, value)
    elif width == 4:
        le.store_u32(out, at, value)
    elif width == 2:
        le.store_u16(out, at, value)
    else:
        out[at] = value


INPUT_TEXT = RowText(INPUT)
DECISION_TEXT = RowText(DECISION)
