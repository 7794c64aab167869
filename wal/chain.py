"""The hash chain: one record's hash from its predecessor's and its own bytes. Pure.

Owns: the chain's beginning, the two hash forms (SHA-256; HMAC-SHA256 under a key), the public
id of a key. Must not: read files, or know what a line looks like.

How it works: `entry_hash = H(previous_hash text || data bytes)`. HMAC (RFC 2104) is written out
as its inner and outer SHA-256, each absorbed once and then copied for every record: quicker than
copying `cryptography`'s HMAC or `hmac`'s (measured by `tests/bench/bench_wal.py`). Where one record
follows the other, `wal.entryhash` does the same without `hashlib`'s objects.

How it fails: a key below 32 bytes raises `WalKeyError`; nothing else can.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from wal.errors import WalInputError, WalKeyError

GENESIS: Final = "genesis"
# RFC 2104 section 3: a key shorter than the hash's output weakens it. The reference agrees.
KEY_BYTES_MIN: Final = 32
KEY_ID_UNKEYED: Final = "none"

_BLOCK_BYTES: Final = 64  # SHA-256's block, to which HMAC pads its key
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
# Separates the key's id from every use of the key in a chain: no record's message starts so,
# because each starts with `genesis` or with 64 hexadecimal characters.
_KEY_ID_DOMAIN: Final = b"pretrade-guard.wal-key-id.v1\x00"
_KEY_ID_HEX_LENGTH: Final = 16


class Head(NamedTuple):
    """The last record of a chain: its sequence and its hash. A fresh chain is `EMPTY_HEAD`."""

    sequence: int
    entry_hash: str


EMPTY_HEAD: Final = Head(0, GENESIS)


class ChainHasher:
    """Hashes entries under one key, or under none."""

    __slots__ = ("_blocks", "_inner", "_outer", "key_id", "keyed")

    def __init__(self, key: bytes | None) -> None:
        """`key`: raw bytes, 32 or more, or None for an unkeyed chain. Raises `WalKeyError`."""
        if key is not None and len(key) < KEY_BYTES_MIN:
            raise WalKeyError(
                f"a log key has at least {KEY_BYTES_MIN} bytes, this one has {len(key)}"
            )
        self.keyed = key is not None
        if key is None:
            self._inner, self._outer = sha256(), sha256()
            self._blocks = b"", b""
            self.key_id: str = KEY_ID_UNKEYED
            return
        block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(
            _BLOCK_BYTES, b"\x00"
        )
        self._blocks = block.translate(_INNER_PAD), block.translate(_OUTER_PAD)
        self._inner, self._outer = map(sha256, self._blocks)
        self.key_id = hmac.digest(key, _KEY_ID_DOMAIN, "sha256").hex()[:_KEY_ID_HEX_LENGTH]

    @property
    def sole_key_id(self) -> str | None:
        """The id of the only key that the log can be under; None where there are several."""
        return self.key_id

    def likely(self) -> Sequence[ChainHasher]:
        """What the end of a log may be hashed by: this, and the key that is to follow, if any."""
        return (self,)

    def entry_hash(self, previous_hash: str, data: bytes) -> str:
        """The hash of `data` after `previous_hash`, as 64 lower-case hexadecimal characters."""
        inner = self._inner.copy()
        inner.update(previous_hash.encode())
        inner.update(data)  # not put together first: copying a record costs more than the call
        if not self.keyed:
            return inner.hexdigest()
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def contexts(self) -> tuple[Any, Any]:
        """`hashlib` contexts, each to be copied for a record: (inner, outer); no outer unkeyed."""
        return self._inner, self._outer if self.keyed else None

    def blocks(self) -> tuple[bytes, bytes]:
        """What each context has absorbed: the key, padded in two ways; nothing without a key."""
        return self._blocks

    def mac(self, domain: str, message: bytes) -> str:
        """The code of `message` under the log's key, for what stands beside the chain.

        `domain` keeps it apart from every entry hash and every other use of the key: it begins
        with none of `genesis` and 64 hexadecimal characters, and ends with a NUL. Without a key
        it is a plain hash, which anyone can make.
        """
        if not domain.endswith("\x00"):
            raise WalInputError(
                f"domain: {domain!r} is not allowed; allowed: text that ends with NUL"
            )
        return self.entry_hash(domain, message)


def hashes_equal(left: str, right: str) -> bool:
    """Whether two hash texts are the same, in a time that does not tell where they differ."""
    # compare_digest refuses text outside ASCII; no hash has any, so such text is just unequal.
    return left.isascii() and right.isascii() and hmac.compare_digest(left, right)
