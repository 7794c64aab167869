# cython: annotation_typing=False
"""The numbers of a decision record, read from its exact text into the kernel's rows. Pure.

Owns the quick way through `input` and `decision` of a record as `guard.record_text` writes them:
every key in its place, every integer as it would be written. Must not: judge; text of any other
form is unusual, and whoever reads goes the long way round. It runs as it stands, or compiled with
the types of `record_reader.pxd` beside it.

How it works: `text` ends with a newline, which stands in no value: every walk over digits ends
there. Compiled, rows are written without a look at their room, which is the caller's to make.

How it fails: a place below 0 says that something is unusual; what was written is then of no use.
"""

from guard.ranges import LOCAL_CLIENT, TIME_NS_MAX
from kernel import little_endian as le
from kernel.layout import DECISION, INPUT, IntType
from kernel.little_endian import Buffer, Row
from kernel.reasons import Action, Reason
from wal import rawbytes as raw

_U64_MAX = 2**64 - 1
_I64_LIMIT = 2**63  # what a negative value reaches at most, and a positive one stays below
_TENTH = 2**64 // 10
_COLON = b'":'
_COMMA = b',"'
_TIME_NS_MAX = TIME_NS_MAX
_WORD_BYTES_MAX = 32
_LOCAL = LOCAL_CLIENT.encode()
_LOCAL_BYTES = len(_LOCAL)
_CLIENT, _BATCH = b',"client":"', b'","batch_first_sequence":'
_SIGNED = 8 + 128  # how `_width_of` marks an i64


def _width_of(int_type: IntType) -> int:
    return int_type.width_bytes + (128 if int_type.minimum < 0 else 0)


# Of each field: its key as it stands in the text, and its width in bytes.
_INPUT_KEYS = [field.name.encode() + _COLON for field in INPUT.fields]
_INPUT_WIDTHS = bytes(_width_of(field.type) for field in INPUT.fields)
_DECISION_KEYS = [
    field.name.encode() + (b'":"' if field.name in ("action", "reason") else _COLON)
    for field in DECISION.fields
]
_DECISION_WIDTHS = bytes(_width_of(field.type) for field in DECISION.fields)
_ACTIONS = [(action.camel.encode(), int(action)) for action in Action]
_REASONS = [(reason.camel.encode(), int(reason)) for reason in Reason]


class RecordReader:
    """A walk over a record's text, which is at `at` and goes to `end`.

    `value`: the integer that was read last; of a negative one, its two's complement in 64 bits.
    `client_at`, `client_bytes`: the name in the last `origin`.
    """

    def __init__(self) -> None:
        self.value = 0
        self.client_at = self.client_bytes = 0
        self.at = self.end = self.last = 0

    # Reading: each step goes on at `at`, and says whether the text is the one that must be there.

    def is_next(self, text: Row, piece: bytes) -> bool:
        length = len(piece)
        if not raw.holds(text, self.at, piece, length, self.end):
            return False
        self.at += length
        return True

    def number(self, text: Row, piece: bytes, width: int) -> bool:
        """The piece and an integer behind it, which is then `value`."""
        if not self.is_next(text, piece):
            return False
        at = self.read_number(text, self.at, width)
        if at < 0:
            return False
        self.at = at
        return True

    def is_number(self, text: Row, piece: bytes, value: int) -> bool:
        """The piece and that very integer, from 0 to 2^64 - 1, behind it."""
        return self.number(text, piece, 8) and self.value == value

    def string(self, text: Row, piece: bytes, bytes_max: int) -> bool:
        """The piece and a plain string behind it, up to its closing quote: `last` to `at`.

        Plain is what needs no escape and may stand in an id: printable, and no space.
        """
        if not self.is_next(text, piece):
            return False
        at = self.at
        self.last = at
        while 0x20 < text[at] < 0x7F and text[at] != 0x22 and text[at] != 0x5C:
            at += 1
        self.at = at
        return text[at] == 0x22 and at - self.last <= bytes_max

    def word(self, text: Row, piece: bytes, words: list[bytes]) -> int:
        """The piece and one of the words, up to its closing quote: which one; -1 for none."""
        if not self.string(text, piece, _WORD_BYTES_MAX):
            return -1
        for index in range(len(words)):
            word = words[index]
            if len(word) == self.at - self.last and raw.has_at(text, self.last, word, len(word)):
                return index
        return -1

    def is_again(self, text: Row, piece: bytes, start: int, count: int, bytes_max: int) -> bool:
        """The piece, and behind it the same string as the one at `start`."""
        return (
            self.string(text, piece, bytes_max)
            and self.at - self.last == count
            and raw.same_rows(text, self.last, text, start, count)
        )

    def origin(self, text: Row, piece: bytes, row: Buffer, to: int) -> bool:
        """The piece and the fields that every event begins with.

        The client's name is a place; time and batch are put as two integers at `to`.
        """
        if not self.number(text, piece, 8) or self.value > _TIME_NS_MAX:
            return False
        le.store_u64(row, to, self.value)
        if not self.string(text, _CLIENT, _LOCAL_BYTES):
            return False
        self.client_at = self.last
        self.client_bytes = self.at - self.last
        if self.client_bytes != _LOCAL_BYTES or not raw.has_at(
            text, self.client_at, _LOCAL, _LOCAL_BYTES
        ):
            return False
        if not self.number(text, _BATCH, 8) or self.value == 0 or self.value >= _I64_LIMIT:
            return False
        le.store_u64(row, to + 8, self.value)
        return True

    # The kernel's part, between places that are given. Two loops, alike: one for both, told what to
    # read, cost a replay of decisions 9 % of its rate.

    def read_input(self, text: Row, at: int, size: int, row: Buffer, to: int) -> int:
        """The place behind the input's last value, its row put at `to`; -1 if it is unusual."""
        for field in range(13):
            key = _INPUT_KEYS[field]
            length = len(key)
            if not raw.holds(text, at, key, length, size):
                return -1
            width = _INPUT_WIDTHS[field]
            at = self.read_number(text, at + length, width)
            if at < 0:
                return -1
            width &= 127
            store_value(row, to, self.value, width)
            to += width
            if field < 12:
                if not raw.holds(text, at, _COMMA, 2, size):
                    return -1
                at += 2
        return at

    def read_decision(self, text: Row, at: int, size: int, row: Buffer, to: int) -> int:
        """The same for the decision."""
        for field in range(13):
            key = _DECISION_KEYS[field]
            length = len(key)
            if not raw.holds(text, at, key, length, size):
                return -1
            at += length
            width = _DECISION_WIDTHS[field]
            if field == 1 or field == 2:
                at = self._read_word(text, at, _ACTIONS if field == 1 else _REASONS, size)
            else:
                at = self.read_number(text, at, width)
            if at < 0:
                return -1
            width &= 127
            store_value(row, to, self.value, width)
            to += width
            if field < 12:
                if not raw.holds(text, at, _COMMA, 2, size):
                    return -1
                at += 2
        return at

    def _read_word(self, text: Row, at: int, words: list[tuple[bytes, int]], size: int) -> int:
        """The place behind one of `words` and its closing quote; `value` is its number."""
        for word, number in words:
            length = len(word)
            if raw.holds(text, at, word, length, size) and text[at + length] == 0x22:
                self.value = number
                return at + length + 1
        return -1

    def read_number(self, text: Row, at: int, width: int) -> int:
        """The place behind an integer of that width, as it would be written; -1 if it is none.

        `width`: 1, 2, 4 or 8 bytes; 8 + 128 for a signed one.
        """
        is_negative = text[at] == 0x2D
        if is_negative:
            if width != _SIGNED:
                return -1
            at += 1
        digit = text[at]
        if not 0x30 <= digit <= 0x39:
            return -1
        value = digit - 0x30
        at += 1
        if value == 0:
            if is_negative or 0x30 <= text[at] <= 0x39:
                return -1
            self.value = 0
            return at
        digits = 1
        while 0x30 <= text[at] <= 0x39:
            digit = text[at] - 0x30
            digits += 1
            # The twentieth digit is the first that may not fit: 2^64 - 1 ends in 5.
            if digits > 19 and (digits > 20 or value > _TENTH or (value == _TENTH and digit > 5)):
                return -1
            value = value * 10 + digit
            at += 1
        if is_negative:
            if value > _I64_LIMIT:
                return -1
            value = _U64_MAX - value + 1
        elif width == _SIGNED:
            if value >= _I64_LIMIT:
                return -1
        elif width < 8 and value >> (8 * width) != 0:
            return -1
        self.value = value
        return at


def store_value(out: Buffer, at: int, value: int, width: int) -> None:
    """Put an integer of 1, 2, 4 or 8 bytes at that place."""
    if width == 8:
        le.store_u64(out, at, value)
    elif width == 4:
        le.store_u32(out, at, value)
    elif width == 2:
        le.store_u16(out, at, value)
    else:
        out[at] = value
