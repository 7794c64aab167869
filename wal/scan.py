# cython: annotation_typing=False
"""Checks a run of plain lines of the log at a stretch. Pure.

Owns: the quick way through lines in our exact form whose data is a compact JSON object: their
opening, their JSON, their hash. Must not: refuse anything. At the first line that is not plain,
or not right, it stops; the reader looks at that line the long way round and says what is wrong
with it, if anything. So whatever is counted here is what the long way passes, and no more.

Left to the long way are also the texts of which readers judge differently: halves of surrogate
pairs, numbers with an exponent or of hundreds of digits.

How it works: one pass over the bytes of a block. Interpreted it is far slower than the long way, so
the reader uses it compiled only; the tests run both. A block ends with a newline, which no JSON
text can contain: it stops every walk, so that no walk needs to look for the block's end.

How it fails: a block that does not end with a newline, or a start beyond it, is a `ValueError`.
"""

from typing import Any, Final

from wal import rawbytes as raw
from wal.entryhash import EntryHash
from wal.rawbytes import Row

# Nested deeper than this, a line goes the long way round. Our own records are nested four deep.
_DEPTH_MAX: Final = 48
_SPANS_PER_LINE: Final = 3
_HASH_LENGTH: Final = 64
_DIGITS_MAX: Final = 20
_DIGITS_IN_ROW_MAX: Final = 300  # from 309 on a number may be out of a float's range
_SEQUENCE: Final = b'{"sequence":'
_PREVIOUS: Final = b',"previous_hash":"'
_HASH: Final = b'","entry_hash":"'
_DATA: Final = b'","data":{'
_CLOSING: Final = b"}\n"
_TRUE: Final = b"true"
_FALSE: Final = b"false"
_NULL: Final = b"null"
_OBJECT = 1
_ARRAY = 2


def string_end(text: Row, at: int, size: int) -> int:
    """The place behind the string whose opening quote is before `at`; -1 where it is none."""
    while True:
        at = raw.plain_end(text, at, size)
        byte = text[at]
        if byte == 0x22:  # the closing quote
            return at + 1
        if byte < 0x20:
            return -1
        byte = text[at + 1]  # behind a backslash
        at += 2
        if byte == 0x75:  # \u and four hexadecimal digits
            for digit in range(at, at + 4):
                if not raw.is_hex_digit(text[digit]):
                    return -1
            if raw.is_surrogate(text[at], text[at + 1]):
                return -1
            at += 4
        elif not raw.is_escaped(byte):
            return -1


def digits_end(text: Row, at: int) -> int:
    """The place behind the digits at `at`; -1 where there is none, or very many."""
    start = at
    while 0x30 <= text[at] <= 0x39:
        at += 1
    return at if start < at <= start + _DIGITS_IN_ROW_MAX else -1


def number_end(text: Row, at: int) -> int:
    """The place behind the JSON number at `at`; -1 where it is none, or has an exponent."""
    if text[at] == 0x2D:  # a minus
        at += 1
    start = at
    at = digits_end(text, at)
    if at < 0 or (text[start] == 0x30 and at > start + 1):
        return -1
    if text[at] == 0x2E:  # a point
        at = digits_end(text, at + 1)
        if at < 0:
            return -1
    return at if text[at] != 0x65 and text[at] != 0x45 else -1  # e, E


def scalar_end(text: Row, at: int, size: int) -> int:
    """The place behind the value at `at` that is neither object nor array; -1 where it is none."""
    byte = text[at]
    if byte == 0x22:
        return string_end(text, at + 1, size)
    if byte == 0x2D or 0x30 <= byte <= 0x39:
        return number_end(text, at)
    if byte == 0x74 and raw.has_at(text, at, _TRUE, 4):
        return at + 4
    if byte == 0x66 and raw.has_at(text, at, _FALSE, 5):
        return at + 5
    if byte == 0x6E and raw.has_at(text, at, _NULL, 4):
        return at + 4
    return -1


def value_end(text: Row, at: int, size: int) -> int:
    """The place behind the compact JSON value at `at`; -1 where it is none, or nested too deep.

    A newline must follow somewhere. Bytes from 128 on pass within strings: whether they are UTF-8
    is for the caller to say.
    """
    kinds = [0] * 48  # compiled: an array on the stack
    depth = 0
    while True:
        byte = text[at]
        is_closed = False
        if byte == 0x7B or byte == 0x5B:  # an object or an array begins
            if depth == _DEPTH_MAX:
                return -1
            kinds[depth] = _OBJECT if byte == 0x7B else _ARRAY
            depth += 1
            at += 1
            is_closed = text[at] == byte + 2  # the bracket that closes it
            if not is_closed:
                if byte == 0x7B:
                    at = name_end(text, at, size)
                    if at < 0:
                        return -1
                continue
        else:
            at = scalar_end(text, at, size)
            if at < 0:
                return -1
            if depth == 0:
                return at
        while True:  # behind a value, or before the bracket that closes an empty one
            byte = text[at]
            at += 1
            if byte == 0x2C and not is_closed:  # a comma
                if kinds[depth - 1] == _OBJECT:
                    at = name_end(text, at, size)
                    if at < 0:
                        return -1
                break
            if byte != (0x7D if kinds[depth - 1] == _OBJECT else 0x5D):
                return -1
            is_closed = False
            depth -= 1
            if depth == 0:
                return at


def name_end(text: Row, at: int, size: int) -> int:
    """The place behind the member's name at `at` and its colon; -1 where it is none."""
    if text[at] != 0x22:
        return -1
    at = string_end(text, at + 1, size)
    return at + 1 if at >= 0 and text[at] == 0x3A else -1


def count_end(text: Row, at: int, count: int) -> int:
    """The place behind `count` as it is written at `at`; -1 where another number stands there."""
    if not 0x31 <= text[at] <= 0x39:
        return -1
    start = at
    found = 0
    while 0x30 <= text[at] <= 0x39:
        if at - start == _DIGITS_MAX - 1:
            return -1  # from 10^19 on it might not fit: the long way round
        found = found * 10 + (text[at] - 0x30)
        at += 1
    return at if found == count else -1


class LineScanner:
    """The chain's head, and the lines that follow it.

    `sequence` and `entry_hash` (text as bytes) are those of the last line that was counted;
    `stopped_at` is the place behind it.
    """

    def __init__(self, hasher: EntryHash, sequence: int, entry_hash: bytes) -> None:
        """`sequence`, `entry_hash`: the head that the lines follow."""
        self._hasher = hasher
        self.sequence = sequence
        self.entry_hash = entry_hash
        self.stopped_at = 0

    def scan(self, block: bytes, start: int, spans: Any, lines_max: int) -> int:
        """How many lines from `start` on are plain and right, at most `lines_max`.

        For each, `spans` (an `array("q")` of at least three times `lines_max`) takes three
        places: where its data begins and ends, and where its own hash begins.
        """
        size = len(block)
        if not (0 <= start < size and block[size - 1] == 0x0A):
            raise ValueError(f"a block of {size} bytes cannot be scanned from {start} on")
        places = spans
        if len(places) < _SPANS_PER_LINE * lines_max:
            raise ValueError(f"spans holds {len(places)} places; must be 3 for each line")
        text = block
        at = start
        count = 0
        while count < lines_max and at < size:
            hash_at = self._opening_end(text, at, size)
            if hash_at < 0:
                break
            data_at = hash_at + _HASH_LENGTH + 9
            end = value_end(text, data_at, size)
            if end < 0 or not raw.has_at(text, end, _CLOSING, 2):
                break
            if not self._is_chained(block, hash_at, data_at, end):
                break
            places[count * 3] = data_at
            places[count * 3 + 1] = end
            places[count * 3 + 2] = hash_at
            count += 1
            at = end + 2
        self.stopped_at = at
        return count

    def _opening_end(self, text: Row, at: int, size: int) -> int:
        """Where the hash of the line at `at` begins; -1 where it does not follow the head."""
        if not raw.has_at(text, at, _SEQUENCE, 12):
            return -1
        at = count_end(text, at + 12, self.sequence + 1)
        if at < 0 or not raw.has_at(text, at, _PREVIOUS, 18):
            return -1
        at += 18
        length = len(self.entry_hash)
        if at + length + 16 + _HASH_LENGTH + 10 > size:
            return -1
        if not raw.same_at(text, at, self.entry_hash, length):
            return -1
        at += length
        if not raw.has_at(text, at, _HASH, 16):
            return -1
        at += 16
        return at if raw.has_at(text, at + _HASH_LENGTH, _DATA, 10) else -1

    def _is_chained(self, block: bytes, hash_at: int, data_at: int, end: int) -> bool:
        """Whether the line's hash is right; if so it is the head's from now on."""
        if not raw.is_ascii(block, data_at, end) and not raw.is_utf8(
            raw.bytes_at(block, data_at, end - data_at)
        ):
            return False
        digest = [0] * 32  # compiled: an array on the stack
        self._hasher.digest_into(self.entry_hash, block, data_at, end, digest)
        if not raw.is_hex_of(block, hash_at, digest):
            return False
        self.entry_hash = raw.bytes_at(block, hash_at, _HASH_LENGTH)
        self.sequence += 1
        return True
