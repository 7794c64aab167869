"""SHA-256 by calling OpenSSL's functions directly, which only compiled code can.

Owns: looking the functions up in a library that is loaded already, and calling them. Compiled,
`kernel.sha256` takes the same functions from `libcrypto.pxd` beside this file; here they say that
there are none, and `hashlib` does the work. Must not: load a library, or be used by any other
module than that one.
"""

from typing import NamedTuple

from kernel.little_endian import Buffer, Row


class Functions(NamedTuple):
    """Compiled, the three functions that make a digest, or none; here nothing."""


def look_up(path: bytes) -> Functions:
    """The functions of the loaded library at `path`, or of one that it depends on; none here."""
    return Functions()


def no_functions() -> Functions:
    """What `look_up` gives where it finds none."""
    return Functions()


def digest_into(
    functions: Functions,
    first: Row,
    first_size: int,
    second: Row,
    second_size: int,
    out: Buffer,
) -> bool:
    """Put the 32 bytes of SHA-256(first ‖ second) into `out`.

    False where there are no functions, as here always: nothing is done then.
    """
    return False
