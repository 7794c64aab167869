"""The anchor: the head of a log, kept somewhere else (`calybris.wal-anchor.v1`).

Owns: the anchor's JSON form and its replacement on disk. Must not: decide where anchors are
kept, or read the log (`verify` compares the two). A log that was cut at the end of a record is
itself a valid log: an anchor is the only thing that shows the cut.

How it works: one small JSON object, replaced as `publish` does it, so that a reader finds the old
one or the new one, whole. How it fails: `WalAnchorError` for a file that is
no anchor, `WalError` for what the operating system refuses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from wal.chain import EMPTY_HEAD, GENESIS, Head
from wal.entry import SEQUENCE_MAX
from wal.errors import WalAnchorError, WalError
from wal.publish import publish_file
from wal.regularfile import read_regular

ANCHOR_SCHEMA: Final = "calybris.wal-anchor.v1"
ANCHOR_BYTES_MAX: Final = 4096  # ten times what one takes, with any indentation

_HASH: Final = re.compile("[0-9a-f]{64}")


class Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A head that was durable, and whether its chain was keyed."""

    schema_version: str
    sequence: int
    last_hash: str
    keyed: bool

    @property
    def head(self) -> Head:
        """The anchored head."""
        return Head(self.sequence, self.last_hash)


_decode: Final = msgspec.json.Decoder(Anchor).decode


def anchor_of(head: Head, keyed: bool) -> Anchor:
    """The anchor of a durable head."""
    return Anchor(ANCHOR_SCHEMA, head.sequence, head.entry_hash, keyed)


def encode_anchor(anchor: Anchor) -> bytes:
    """The anchor as compact JSON with a newline."""
    return msgspec.json.encode(anchor) + b"\n"


def decode_anchor(data: bytes) -> Anchor:
    """The anchor in `data`. Raises `WalAnchorError`."""
    if len(data) > ANCHOR_BYTES_MAX:
        raise WalAnchorError(f"an anchor has at most {ANCHOR_BYTES_MAX} bytes")
    try:
        anchor = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WalAnchorError(f"not an anchor: {error}") from None
    if anchor.schema_version != ANCHOR_SCHEMA:
        raise WalAnchorError(f"the anchor's schema_version is not {ANCHOR_SCHEMA}")
    if not 0 <= anchor.sequence <= SEQUENCE_MAX:
        raise WalAnchorError("the anchor's sequence is out of range")
    if (anchor.last_hash == GENESIS) != (anchor.sequence == EMPTY_HEAD.sequence):
        raise WalAnchorError("an anchor has the hash `genesis` exactly at sequence 0")
    if anchor.last_hash != GENESIS and not _HASH.fullmatch(anchor.last_hash):
        raise WalAnchorError("the anchor's last_hash is not a hash")
    return anchor


def read_anchor(path: Path) -> Anchor:
    """The anchor kept at `path`. Raises `WalAnchorError`, `WalError`."""
    try:
        data = read_regular(path, ANCHOR_BYTES_MAX, follows_links=True)
    except OSError as error:
        raise WalError(f"cannot read the anchor {path}: {error.strerror}") from error
    return decode_anchor(data)


def write_anchor(path: Path, anchor: Anchor) -> None:
    """Replace the anchor at `path`, durably and in one step. Raises `WalError`."""
    try:
        publish_file(path, encode_anchor(anchor))
    except OSError as error:
        raise WalError(f"cannot write the anchor {path}: {error}") from error
