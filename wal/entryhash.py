# cython: annotation_typing=False
"""The chain's hash of one record after the other, with no object made on the way. Pure.

Owns: which code hashes. Must not: know what a line looks like; what is hashed, and the key, are
`wal.chain`'s.

How it works: HMAC (RFC 2104) is two SHA-256, inner and outer, whose states behind the key's blocks
are copied for every record. Compiled, the functions beneath `hashlib` are called directly: those of
the OpenSSL that it has loaded, looked up once. Where they cannot be found (another library, a
static one), where that OpenSSL is bound to its FIPS providers, and interpreted, `hashlib` does it:
the same hashes.

How it fails: not at all. A function that is found must give the known digest of a message first.
"""

from __future__ import annotations

import sys
from typing import Final

from wal import libcrypto as lib
from wal import rawbytes as raw
from wal.chain import ChainHasher
from wal.rawbytes import Buffer, Row

# FIPS 180-4's second example: two blocks once it is padded.
_MESSAGE: Final = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
_DIGEST: Final = bytes.fromhex("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")

_functions = lib.no_functions()


class EntryHash:
    """Hashes records under the key of a `ChainHasher`, or under none, as that does."""

    def __init__(self, hasher: ChainHasher) -> None:
        inner, outer = hasher.contexts()
        self._copy_inner = inner.copy
        self._copy_outer = None if outer is None else outer.copy
        inner_block, outer_block = hasher.blocks()
        self._prepared = lib.prepare(_functions, outer is not None, inner_block, outer_block)

    def digest(self, previous_hash: bytes, data: bytes) -> bytes:
        """The 32 bytes of the hash of `data` after `previous_hash` (text, as bytes)."""
        digest = [0] * 32  # compiled: an array on the stack
        self.digest_into(previous_hash, data, 0, len(data), digest)
        return raw.bytes_of(digest, 32)

    def digest_into(
        self, previous_hash: bytes, text: Row, start: int, end: int, digest32: Buffer
    ) -> int:
        """Put the same into `digest32`; the data is `text` from `start` to `end`."""
        if not lib.digest_into(self._prepared, previous_hash, text, start, end, digest32):
            inner = self._copy_inner()
            inner.update(previous_hash)
            inner.update(raw.bytes_at(text, start, end - start))
            digest = inner.digest()
            if self._copy_outer is not None:
                outer = self._copy_outer()
                outer.update(digest)
                digest = outer.digest()
            raw.store_bytes(digest32, digest)
        return 0


def use_library(path: str | None) -> bool:
    """From now on new ones hash by the functions of the loaded library at `path`; None: `hashlib`.

    Returns whether they were found and give right digests; if not, `hashlib` does it.
    """
    global _functions
    _functions = lib.no_functions() if path is None else lib.look_up(path.encode())
    probe = [0] * 32
    unkeyed = lib.prepare(_functions, False, b"", b"")
    if lib.digest_into(unkeyed, b"", _MESSAGE, 0, len(_MESSAGE), probe):
        if raw.bytes_of(probe, 32) == _DIGEST:
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
