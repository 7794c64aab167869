"""Records that were durable, and that the log does not hold any more: how a start knows of them.

Owns what is said of such a loss, and the records that a fold is watched for. What vouches for a
record is the manifest of the checkpoints, under the log's key, and the anchor. Whether a loss is
accepted is for `guard.recovery.recover`, and for the person who starts.

How it fails: `KnownLoss`, which is damage: segment, offset, sequence, and the option that accepts
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from guard.engine.events import LossAccepted
from guard.recovery.start_options import ACCEPT_LOSS_OPTION
from wal import Head, LocatedEntry, WalDamage, list_segments, segment_name

ANCHOR_WORD: Final = "the anchor"  # what a record calls it, whose path is nobody's business


class KnownLoss(WalDamage):
    """Records that had been durable are missing, and something kept beside the log knows it."""


class Watch:
    """Keeps those of these sequences of the records that it is told of."""

    def __init__(self, sequences: Iterable[int]) -> None:
        self._sequences = frozenset(sequences)
        self.seen: dict[int, LocatedEntry] = {}

    def take(self, entry: LocatedEntry) -> None:
        """The next record."""
        if entry.sequence in self._sequences:
            self.seen[entry.sequence] = entry


def known_loss(damage: WalDamage) -> KnownLoss:
    """The same, and what a person may do about it."""
    remedy = f"bring them back, or begin without them: {ACCEPT_LOSS_OPTION} --why TEXT"
    reason = f"{damage.reason}; records that were durable are missing: {remedy}"
    return KnownLoss(damage.segment, damage.offset, damage.sequence, reason)


def loss_of(
    directory: Path, vouched: LossAccepted, found: LocatedEntry | None, end: Head
) -> WalDamage:
    """What is said of a record that is vouched for and is not the one `found`; `end`: the log's."""
    if found is not None:
        reason = f"the record is not the one that {vouched.known_from} names"
        return WalDamage(found.segment, found.offset, found.sequence, reason)
    reason = f"the log ends before record {vouched.sequence}, which {vouched.known_from} names"
    segments = list_segments(directory, archived=True)
    place = (segments[-1].name, segments[-1].stat().st_size) if segments else (segment_name(1), 0)
    return WalDamage(*place, end.sequence + 1, reason)
