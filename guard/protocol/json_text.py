"""JSON text into a buffer: pieces, integers, strings and hex, one after another.

Owns the few writes that records and replies are made of (`guard.protocol.layout`,
`guard.record.writer`). A write takes the buffer and an offset, and gives the offset behind what it
wrote. Compiled, those modules take the same functions from `json_text.pxd` beside this file. The
text is what msgspec's JSON encoder writes.

Must not: check the buffer's room. The caller has bounded what it writes.
"""

from kernel.little_endian import Row

Buffer = bytearray


def put(out: Buffer, at: int, piece: bytes) -> int:
    """These bytes as they are."""
    end = at + len(piece)
    out[at:end] = piece
    return end


def put_slice(out: Buffer, at: int, source: Row, start: int, count: int) -> int:
    """So many bytes of `source`, from `start` on, as they are."""
    return put(out, at, bytes(source[start : start + count]))


def put_quoted(out: Buffer, at: int, source: Row, start: int, count: int) -> int:
    """The same as a string, quoted, `"` and `\\` escaped: the bytes are printable ASCII."""
    text = bytes(source[start : start + count]).replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    return put(out, at, b'"%b"' % text)


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
