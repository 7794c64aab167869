"""HMAC-SHA-256 by calling OpenSSL's functions directly, which only compiled code can.

Owns: looking the functions up in a library that is loaded already, and calling them. Compiled,
`wal.entryhash` takes the same functions from `libcrypto.pxd` beside this file; here they say that
there are none, and `hashlib` does the work. Must not: load a library, or be used by any other
module than that one. `kernel` has its own, since neither package may import the other.
"""

from __future__ import annotations

from typing import NamedTuple

from wal.rawbytes import Buffer, Row


class Functions(NamedTuple):
    """Compiled, the three functions that make a digest, or none; here nothing."""


class Prepared(NamedTuple):
    """Compiled, these and what they have made of a key; here nothing."""


def look_up(path: bytes) -> Functions:
    """The functions of the loaded library at `path`, or of one that it depends on; none here."""
    return Functions()


def no_functions() -> Functions:
    """What `look_up` gives where it finds none."""
    return Functions()


def prepare(
    functions: Functions, is_keyed: bool, inner_block: bytes, outer_block: bytes
) -> Prepared:
    """What is the same for every message: SHA-256 of each block, to be gone on with.

    Not keyed, no outer digest is made, and both are empty.
    """
    return Prepared()


def digest_into(
    prepared: Prepared, first: bytes, text: Row, start: int, end: int, out: Buffer
) -> bool:
    """Put the 32 bytes of the digest of `first`, then `text` from `start` to `end`, into `out`.

    False where there are no functions, as here always: nothing is done then.
    """
    return False
