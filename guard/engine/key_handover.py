"""What a record says where the log goes on under another key. Pure.

Owns the type, which two events hold: the start of a session, and a change while one runs.
"""

from msgspec import UNSET, Struct, UnsetType

from guard.protocol.ranges import ByteCount, CountAboveZero, HexDigest, KeyId
from wal import KeyChange


class KeyHandover(Struct, forbid_unknown_fields=True):
    """The record that says so is the first of its segment, and itself under the new key.

    `sealed_segment`, `sealed_bytes`, `sealed_sha256`: the segment before, whole. `key_number`: the
    new key's place among the evolving ones; left out for a plain key.
    """

    key_id: KeyId
    previous_key_id: KeyId
    sealed_segment: str
    sealed_bytes: ByteCount
    sealed_sha256: HexDigest
    key_number: CountAboveZero | UnsetType = UNSET


def handover_of(change: KeyChange, sealed_segment: str) -> KeyHandover:
    """What is recorded of a change to another key."""
    assert change.previous_key_id is not None
    return KeyHandover(
        change.key_id,
        change.previous_key_id,
        sealed_segment,
        change.sealed_bytes,
        change.sealed_sha256,
        change.key_number or UNSET,
    )
