"""The keys of a log that was written under more than one, and which may follow which. Pure.

Owns: how an evolving key goes on to the next, and the rules by which one key follows another. Must
not: read files (`segment_keys` does), or decide when a key is changed.

How it works: a record that begins a segment may name the key that it is itself hashed under, and
the one before. A plain key may be followed by any other plain one that is known. Evolving keys are
numbered from 1, each made of the one before by HKDF-Expand (RFC 5869, with SHA-256), so that who
has one has all later ones and none before it; they follow each other without a gap, and nothing
follows them but the next.

How it fails: `KeyStepError` for a key that is not known (wrong use), or may not follow (damage).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from wal.chain import ChainHasher
from wal.errors import WalKeyError

SECRET_BYTES: Final = 32
# Some ten seconds of deriving; one a minute takes nineteen years to get there.
KEY_NUMBER_MAX: Final = 10_000_000

_CHAIN_INFO: Final = b"pretrade-guard.wal-evolving-chain.v1\x01"
_NEXT_INFO: Final = b"pretrade-guard.wal-evolving-next.v1\x01"


class KeyChange(NamedTuple):
    """What a segment's first record says of keys.

    `key_id`: of the key that it is hashed under; `key_number`: 0 for a plain key, else its place
    among the evolving ones. `previous_key_id`: of the key before; None in a log's first record.
    `sealed_bytes` and `sealed_sha256`: of the segment before, as it was sealed.
    """

    key_id: str
    key_number: int = 0
    previous_key_id: str | None = None
    sealed_bytes: int = 0
    sealed_sha256: str = ""


class KeyStepError(Exception):
    """The log goes on under a key that is not known (`is_unknown`), or that may not follow."""

    def __init__(self, reason: str, is_unknown: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_unknown = is_unknown


def check_step(before: KeyChange | None, change: KeyChange) -> None:
    """May the key of `change` follow? `before`: of the log's key so far, None at its beginning.

    Raises `KeyStepError`.
    """
    number = change.key_number
    if (before is None) != (change.previous_key_id is None):
        raise KeyStepError("the record changes the log's key where it begins, or begins it twice")
    if before is not None and change.previous_key_id != before.key_id:
        raise KeyStepError(
            f"the record follows key {change.previous_key_id}, and the log was under "
            f"{before.key_id}"
        )
    at = 0 if before is None else before.key_number
    if number != at + 1 and (number or at):
        raise KeyStepError(
            f"the record is under evolving key {number}, and {at + 1} was due"
            if number
            else f"the record is under a plain key, and evolving key {at + 1} was due"
        )


class EvolvingKey:
    """One of a chain of keys: its number, and the secret that it and all later ones come from.

    The secret stands in a buffer that `wipe` fills with zeros. What `hashlib` has absorbed of a
    chain key goes when its hasher does.
    """

    __slots__ = ("number", "secret")

    def __init__(self, number: int, secret: bytes | bytearray) -> None:
        """`number`: 0 is the root, under which nothing is written. Raises `WalKeyError`."""
        if len(secret) != SECRET_BYTES:
            raise WalKeyError(f"an evolving key has {SECRET_BYTES} bytes, this has {len(secret)}")
        if not 0 <= number <= KEY_NUMBER_MAX:
            raise WalKeyError(f"evolving key {number}: must be from 0 to {KEY_NUMBER_MAX}")
        self.number = number
        self.secret = bytearray(secret)

    def chain_key(self) -> bytes:
        """The key that records are hashed under."""
        return hmac.digest(self.secret, _CHAIN_INFO, "sha256")

    def next(self) -> EvolvingKey:
        """The one that follows. Nothing leads back."""
        return EvolvingKey(self.number + 1, hmac.digest(self.secret, _NEXT_INFO, "sha256"))

    def wipe(self) -> None:
        """Fills the secret with zeros."""
        self.secret[:] = bytes(len(self.secret))


class RingHasher(ChainHasher):
    """The hasher of one key of several: `ring` holds the others, `number` is as in `KeyChange`."""

    __slots__ = ("number", "ring")

    def __init__(self, key: bytes, ring: KeyRing, number: int = 0) -> None:
        super().__init__(key)
        self.ring = ring
        self.number = number

    @property
    def sole_key_id(self) -> str | None:
        return None  # the reader goes by the id that a record names

    def likely(self) -> Sequence[ChainHasher]:
        following = self.ring.following(self)
        return (self,) if following is None else (self, following)

    def copy(self) -> RingHasher:
        """Another one of the same key, which may `become` the next."""
        made = RingHasher.__new__(RingHasher)
        made.become(self)
        return made

    def become(self, other: RingHasher) -> None:
        """This is `other` from now on, for all who hold it. What it was is forgotten."""
        for name in (*ChainHasher.__slots__, *RingHasher.__slots__):
            setattr(self, name, getattr(other, name))

    def forget(self) -> None:
        """Its key is of no more use: nothing verifies by it from here on."""
        self._blocks = b"", b""
        self._inner, self._outer = sha256(), sha256()

    def change(self, before: RingHasher | None, sealed: tuple[int, str] = (0, "")) -> KeyChange:
        """What the first record under this key says. `sealed`: the segment before, its SHA-256."""
        previous = None if before is None else before.key_id
        return KeyChange(self.key_id, self.number, previous, *sealed)


class KeyRing:
    """The keys by which a log can be read: plain ones, and evolving ones from some number on."""

    def __init__(self, plain: Sequence[bytes], evolving: EvolvingKey | None = None) -> None:
        """`plain`: the one that is to be in force first, then older ones. Raises `WalKeyError`."""
        if not plain and evolving is None:
            raise WalKeyError("no key was given")
        self.plain = [RingHasher(key, self) for key in plain]
        self._by_id = {hasher.key_id: hasher for hasher in self.plain}
        self.evolving = evolving
        self._reached = evolving

    @property
    def newest(self) -> RingHasher:
        """The key that a fresh log begins with."""
        if self.evolving is None:
            return self.plain[0]
        return self._evolved(max(self.evolving.number, 1))

    def find(self, change: KeyChange) -> RingHasher | None:
        """The key that a record names; None where it is not known."""
        if change.key_number == 0:
            return self._by_id.get(change.key_id)
        if self.evolving is None or not (
            self.evolving.number <= change.key_number <= KEY_NUMBER_MAX
        ):
            return None
        found = self._evolved(change.key_number)
        return found if found.key_id == change.key_id else None

    def following(self, hasher: RingHasher) -> RingHasher | None:
        """The key that is to follow `hasher`'s, None where none is."""
        if self.evolving is not None:
            due = hasher.number + 1
            if self.evolving.number <= due <= KEY_NUMBER_MAX:
                return self._evolved(due)
            return None
        return self.plain[0] if hasher.key_id != self.plain[0].key_id else None

    def evolving_at(self, number: int) -> EvolvingKey:
        """The evolving key of that number, which the ring's own leads to."""
        assert self.evolving is not None
        reached = self._reached
        if reached is None or reached.number > number:
            reached = self.evolving
        if reached.number > number:
            raise WalKeyError(f"evolving key {number} was erased; {reached.number} is the oldest")
        while reached.number < number:
            reached = reached.next()
        self._reached = reached
        return reached

    def forget_before(self, number: int) -> None:
        """Wipes the evolving keys before that one: nothing under them is checked from here on."""
        assert self.evolving is not None
        kept = self.evolving_at(number)
        if self.evolving is not kept:
            self.evolving.wipe()
        self.evolving = self._reached = kept

    def _evolved(self, number: int) -> RingHasher:
        return RingHasher(self.evolving_at(number).chain_key(), self, number)
