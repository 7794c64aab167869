"""Looking at bytes in place: the few questions that `wal.scan` asks of each, and what others need.

Owns nothing but these. Compiled, its callers take the same functions from `rawbytes.pxd` beside
this file, where they make no object. Must not: check where it looks. The caller has made sure that
a newline follows; a comparison stops at the first byte that differs.
"""

import re
from hmac import compare_digest
from typing import Final

Row = bytes | bytearray
Buffer = bytearray | list[int]

_NOT_PLAIN: Final = re.compile(rb'["\\\x00-\x1f]')
_HEX_DIGITS: Final = frozenset(b"0123456789abcdefABCDEF")
_ESCAPED: Final = frozenset(b'"\\/bfnrt')


def plain_end(text: Row, at: int, size: int) -> int:
    """The first place from `at` on with a quote, a backslash or a byte below the space.

    `size`: where the text ends, with a newline.
    """
    match = _NOT_PLAIN.search(text, at, size)
    assert match is not None
    return match.start()


def is_hex_digit(byte: int) -> bool:
    """Whether it is a hexadecimal digit of either case."""
    return byte in _HEX_DIGITS


def is_surrogate(first: int, second: int) -> bool:
    """Whether four hexadecimal digits that begin so are half of a surrogate pair: d8 to df."""
    return first in b"dD" and second in b"89abcdefABCDEF"


def is_escaped(byte: int) -> bool:
    """Whether JSON has it behind a backslash, alone."""
    return byte in _ESCAPED


def has_at(text: Row, at: int, literal: bytes, count: int) -> bool:
    """Whether `text` has the `count` bytes of `literal` at that place. Stops where they differ."""
    return text[at : at + count] == literal


def holds(text: Row, at: int, literal: bytes, count: int, size: int) -> bool:
    """Whether `text`, which has `size` bytes, has the `count` bytes of `literal` at that place."""
    return at + count <= size and text[at : at + count] == literal


def same_at(text: Row, at: int, secret: bytes, count: int) -> bool:
    """The same in a time that does not tell where they differ; the bytes must be there."""
    return compare_digest(text[at : at + count], secret)


def same_rows(left: Row, left_at: int, right: Row, right_at: int, count: int) -> bool:
    """Whether both hold the same `count` bytes at their places."""
    return left[left_at : left_at + count] == right[right_at : right_at + count]


def bytes_at(text: Row, at: int, count: int) -> bytes:
    """The `count` bytes at that place."""
    return bytes(text[at : at + count])


def bytes_of(out: Buffer, count: int) -> bytes:
    """The first `count` bytes, as they are now."""
    return bytes(out[:count])


def store_bytes(out: Buffer, value: bytes) -> None:
    """Put these bytes at the beginning."""
    out[: len(value)] = value


def is_ascii(text: Row, start: int, end: int) -> bool:
    """Whether every byte from `start` to `end` is below 128."""
    return text[start:end].isascii()


def is_utf8(message: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_hex_of(text: Row, at: int, digest: Row | list[int]) -> bool:
    """Whether the lower-case hexadecimal text of the 32 bytes is there, in constant time."""
    return compare_digest(text[at : at + 64], bytes(digest).hex().encode())
