"""MessagePack at an offset of a buffer: heads, integers, texts, one after another.

Owns the few reads and writes that requests, replies and what is remembered are made of
(`guard.protocol.layout`, `guard.protocol.pack_reader`), with the bytes that msgspec writes: every
head and every integer as short as it goes. A write takes the buffer and an offset, and gives the
offset behind what it wrote. Compiled, those modules take the same functions from
`message_pack.pxd`.

Must not: check the buffer's room when it writes, or any range. The caller has.
"""

from kernel.little_endian import Row

Buffer = bytearray

NOT_PLAIN = -1


def put_array_head(out: Buffer, at: int, count: int) -> int:
    """What stands before the `count` elements of an array, at most 65,535."""
    if count < 16:
        out[at] = 0x90 | count
        return at + 1
    out[at] = 0xDC
    out[at + 1 : at + 3] = count.to_bytes(2, "big")
    return at + 3


def put_unsigned(out: Buffer, at: int, value: int) -> int:
    """An integer from 0 to 2^64 - 1."""
    if value < 0x80:
        out[at] = value
        return at + 1
    head, size = 0xCC, 1
    while value >> 8 * size:
        head, size = head + 1, 2 * size
    out[at] = head
    out[at + 1 : at + 1 + size] = value.to_bytes(size, "big")
    return at + 1 + size


def put_signed(out: Buffer, at: int, value: int) -> int:
    """An integer of either sign, given as its two's complement in 64 bits."""
    if value >> 63 == 0:
        return put_unsigned(out, at, value)
    signed = value - (1 << 64)
    if signed >= -32:
        out[at] = value & 0xFF
        return at + 1
    head, size = 0xD0, 1
    while signed < -(1 << (8 * size - 1)):
        head, size = head + 1, 2 * size
    out[at] = head
    out[at + 1 : at + 1 + size] = signed.to_bytes(size, "big", signed=True)
    return at + 1 + size


def put_text(out: Buffer, at: int, source: Row, start: int, count: int) -> int:
    """A text: `count` bytes of UTF-8, at most 255, from `start` on in `source`."""
    if count < 32:
        out[at] = 0xA0 | count
        at += 1
    else:
        out[at] = 0xD9
        out[at + 1] = count
        at += 2
    out[at : at + count] = source[start : start + count]
    return at + count


def integer_bytes(body: bytes, at: int, end: int) -> int:
    """How many bytes follow the head of the unsigned integer there; NOT_PLAIN for none."""
    head = body[at]
    if head < 0x80:
        return 0
    if not 0xCC <= head <= 0xCF:
        return NOT_PLAIN
    size = 1 << (head - 0xCC)
    return size if at + 1 + size <= end else NOT_PLAIN


def integer_at(body: bytes, at: int, size: int) -> int:
    """The unsigned integer there, of so many bytes behind its head."""
    return int.from_bytes(body[at + 1 : at + 1 + size], "big") if size else body[at]


def map_count(body: bytes, at: int, end: int) -> int:
    """How many pairs the map there has; NOT_PLAIN where none begins. See `map_head_bytes`."""
    if at >= end:
        return NOT_PLAIN
    head = body[at]
    if 0x80 <= head <= 0x8F:
        return head & 0x0F
    if head == 0xDE and at + 3 <= end:
        return body[at + 1] << 8 | body[at + 2]
    return NOT_PLAIN


def map_head_bytes(body: bytes, at: int) -> int:
    """How many bytes stand before the pairs of the map there, which `map_count` has found."""
    return 3 if body[at] == 0xDE else 1


def stands_at(body: bytes, at: int, end: int, piece: bytes) -> bool:
    """Does the body go on with `piece` there?"""
    return at + len(piece) <= end and body.startswith(piece, at)


def bytes_at(body: bytes, at: int, count: int) -> bytes:
    """The `count` bytes at that offset."""
    return bytes(body[at : at + count])


def copy(out: Buffer, source: list[int], at: int, count: int) -> None:
    """Puts `count` bytes of `source`, from `at` on, at the buffer's beginning."""
    out[0:count] = bytes(source[at : at + count])
