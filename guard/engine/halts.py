"""Why entries are halted, and what operators did: plain values of the state. Pure."""

from typing import Final, NamedTuple, TypeAlias

from guard.protocol.ranges import ByteCount, DiskReserveBytes


class EntriesHalt(NamedTuple):
    """Why no desk may enter orders, and the sizes that say so, in bytes."""

    reason: str
    free_bytes: ByteCount
    reserve_bytes: DiskReserveBytes


class ActionDone(NamedTuple):
    """An operator's action: the record that did it, and a digest of what was asked."""

    sequence: int
    digest_hex: str


# By the operator's name for it, the oldest first.
Actions: TypeAlias = dict[str, ActionDone]
ACTIONS_REMEMBERED_MAX: Final = 10_000
