# cython: annotation_typing=False
"""SHA-256 of short messages, with no object made on the way. Pure.

Owns: which code hashes. Must not: know what is hashed, or load anything.

How it works: `hashlib` makes two objects for a digest, which takes five times as long as hashing 80
bytes. Compiled, the functions beneath it are called directly: those of the OpenSSL that `hashlib`
has loaded, looked up once. Where they cannot be found (another library, a static one), where that
OpenSSL is bound to its FIPS providers, and interpreted, `hashlib` does it: the same digests.

How it fails: not at all. A function that is found must give the known digest of a message first.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from typing import Final

from kernel import libcrypto as lib
from kernel import little_endian as le
from kernel.little_endian import Buffer, Row

# FIPS 180-4's second example: two blocks once it is padded.
_MESSAGE: Final = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
_DIGEST: Final = bytes.fromhex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")

_functions = lib.no_functions()


def sha256_into(data: Row, size: int, digest32: Buffer) -> int:
    """Put the 32 bytes of the digest of `size` bytes of `data` into `digest32`."""
    return sha256_tagged_into(b"", 0, data, size, digest32)


def sha256_tagged_into(tag: Row, tag_size: int, data: Row, size: int, digest32: Buffer) -> int:
    """As `sha256_into`, with `tag_size` bytes of `tag` before the data."""
    if not lib.digest_into(_functions, tag, tag_size, data, size, digest32):
        message = le.bytes_at(tag, 0, tag_size) + le.bytes_at(data, 0, size)
        le.store_bytes(digest32, 0, sha256(message).digest())
    return 0


def sha256_digest(data: bytes) -> bytes:
    """The 32 bytes of the digest of `data`."""
    digest = [0] * 32  # compiled: an array on the stack
    sha256_into(data, len(data), digest)
    return le.bytes_of(digest, 32)


def use_library(path: str | None) -> bool:
    """From now on hash by the functions of the loaded library at `path`; None: by `hashlib`.

    Returns whether they were found and give right digests; if not, `hashlib` does it.
    """
    global _functions
    _functions = lib.no_functions() if path is None else lib.look_up(path.encode())
    probe = [0] * 32
    if lib.digest_into(_functions, b"", 0, _MESSAGE, len(_MESSAGE), probe):
        if le.bytes_of(probe, 32) == _DIGEST:
            return True
        _functions = lib.no_functions()
    return False


def loaded_library() -> str | None:
    """The file of the module through which `hashlib` calls OpenSSL; None where it may not be used.

    There is none where `hashlib` has its own code, or is part of the interpreter. In FIPS mode only
    OpenSSL's approved providers may hash, which these functions pass by.
    """
    module = sys.modules.get("_hashlib")
    path = getattr(module, "__file__", None)
    if module is None or path is None or module.get_fips_mode():
        return None
    return str(path)


use_library(loaded_library())
