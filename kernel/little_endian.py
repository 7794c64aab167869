"""Little-endian integers, and bytes, at an offset of a row.

Owns: the few reads and writes that the modules with a compiled form need (`kernel.prescribe`,
the order path of `guard`). Compiled, they take the same functions from `little_endian.pxd` beside
this file, where each of an integer becomes one machine instruction.

Must not: check anything. The caller has checked the row's length and the value's range.
"""

Row = bytes | bytearray
Buffer = bytearray | list[int]


def load_u16(row: Row, at: int) -> int:
    """The u16 at that offset."""
    return int.from_bytes(row[at : at + 2], "little")


def load_u32(row: Row, at: int) -> int:
    """The u32 at that offset."""
    return int.from_bytes(row[at : at + 4], "little")


def load_u64(row: Row, at: int) -> int:
    """The u64 at that offset."""
    return int.from_bytes(row[at : at + 8], "little")


def load_i64(row: Row, at: int) -> int:
    """The i64 at that offset."""
    return int.from_bytes(row[at : at + 8], "little", signed=True)


def store_u16(out: Buffer, at: int, value: int) -> None:
    """Put a u16 at that offset."""
    out[at : at + 2] = value.to_bytes(2, "little")


def store_u32(out: Buffer, at: int, value: int) -> None:
    """Put a u32 at that offset."""
    out[at : at + 4] = value.to_bytes(4, "little")


def store_u64(out: Buffer, at: int, value: int) -> None:
    """Put a u64 at that offset."""
    out[at : at + 8] = value.to_bytes(8, "little")


def store_i64(out: Buffer, at: int, value: int) -> None:
    """Put an i64 at that offset; OverflowError, in both forms, where `value` is none."""
    out[at : at + 8] = value.to_bytes(8, "little", signed=True)


def bytes_at(row: Row, at: int, count: int) -> bytes:
    """The `count` bytes at that offset."""
    return bytes(row[at : at + count])


def store_bytes(out: Buffer, at: int, value: bytes) -> None:
    """Put these bytes at that offset."""
    out[at : at + len(value)] = value


def copy_bytes(out: Buffer, at: int, source: Row, count: int) -> None:
    """Put the first `count` bytes of `source` at that offset."""
    out[at : at + count] = source[:count]


def are_equal(one: Row, other: Row, count: int) -> bool:
    """Are the first `count` bytes of both the same?"""
    return one[:count] == other[:count]


def bytes_of(out: Buffer | bytes, count: int) -> bytes:
    """The first `count` bytes, as they are now."""
    return bytes(out[:count])
