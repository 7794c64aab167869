"""JSON text into a buffer: pieces, integers, strings and hex, one after another.

Owns the few writes that records are made of (`guard.record_text`, `guard.order_pieces` and others),
and the look at a string that `guard.wire` takes. A write takes the buffer and an offset, and gives
the offset behind what it wrote. Compiled, those modules take the same functions from `text.pxd`
beside this file. The text is what the JSON encoder of `guard.record.codec` writes.

Must not: check the buffer's room. The caller has bounded what it writes.

How it fails: `put_string` gives an offset below 0, with a part of the buffer written, for a string
that is not plain; every write at such an offset writes nothing and gives it again.
"""

from kernel.little_endian import Row

Buffer = bytearray

STRING_LENGTH_MAX = 128  # longer than any string that a record of an order or an answer holds
NOT_PLAIN = -1
_TO_BE_ESCAPED = ('"', "\\")


def put(out: Buffer, at: int, piece: bytes) -> int:
    """These bytes as they are."""
    if at < 0:
        return at
    end = at + len(piece)
    out[at:end] = piece
    return end


def put_slice(out: Buffer, at: int, source: Row, start: int, count: int) -> int:
    """So many bytes of `source`, from `start` on, as they are."""
    return put(out, at, bytes(source[start : start + count]))


def put_quoted(out: Buffer, at: int, source: Row, start: int, count: int) -> int:
    """The same as a string, quoted, `"` and `\\` escaped: the bytes are printable ASCII."""
    return put_string(out, at, bytes(source[start : start + count]).decode())


def put_u64(out: Buffer, at: int, value: int) -> int:
    """An integer from 0 to 2^64 - 1. OverflowError, in both forms, where it is none."""
    value.to_bytes(8, "little")
    return put(out, at, b"%d" % value)


def put_i64(out: Buffer, at: int, value: int) -> int:
    """An integer from -2^63 to 2^63 - 1. OverflowError, in both forms, where it is none."""
    value.to_bytes(8, "little", signed=True)
    return put(out, at, b"%d" % value)


def put_hex(out: Buffer, at: int, value: Row | list[int], count: int) -> int:
    """The first `count` bytes in lower-case hex, without quotes."""
    return put(out, at, bytes(value[:count]).hex().encode())


def put_string(out: Buffer, at: int, value: str) -> int:
    """A string of printable ASCII, quoted, `"` and `\\` escaped; NOT_PLAIN for any other.

    It takes at most 2 * STRING_LENGTH_MAX + 2 bytes; a longer one is not plain.
    """
    if at < 0 or len(value) > STRING_LENGTH_MAX or not (value.isascii() and value.isprintable()):
        return NOT_PLAIN
    for character in _TO_BE_ESCAPED[::-1]:
        value = value.replace(character, "\\" + character)
    return put(out, at, b'"%b"' % value.encode())


def is_printable(value: str) -> bool:
    """Is all of it printable ASCII, and none of it a space?"""
    return value.isascii() and value.isprintable() and " " not in value
