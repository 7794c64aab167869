"""A line written into a buffer: `wal.entry`'s exact form, in place.

Owns nothing but that. Compiled, `wal.staging` takes the same functions from `linetext.pxd` beside
this file, where they make no object. Must not: check anything. The caller has made sure that the
line fits, and that the data is what a line can hold.
"""

from typing import Final

from wal.entry import LINE_END, encode_envelope
from wal.rawbytes import Buffer, Row

# What an envelope has beside the digits of its sequence and the hash before; the line's end.
_FIXED_BYTES: Final = len(encode_envelope(1, b"", b"h" * 64)) - 1 + len(LINE_END)


def line_bytes(sequence: int, previous_hash: bytes, data_bytes: int) -> int:
    """How long the line of a record is, its newline included."""
    return _FIXED_BYTES + len(str(sequence)) + len(previous_hash) + data_bytes


def put_line(
    out: bytearray,
    at: int,
    sequence: int,
    previous_hash: bytes,
    digest32: Buffer,
    data: Row,
    data_bytes: int,
) -> None:
    """Write it at that place of `out`, which is long enough; its hash is given as 32 bytes."""
    envelope = encode_envelope(sequence, previous_hash, bytes(digest32).hex().encode())
    line = b"".join((envelope, data[:data_bytes], LINE_END))
    out[at : at + len(line)] = line
