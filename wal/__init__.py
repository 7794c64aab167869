"""The write-ahead log: hash-chained records in files, durable before anyone is answered.

The package owns the files of record; what a record means is opaque to it. `FORMAT.md` describes
every byte. Life of a log: `open_for_recovery` (lock, fsync), `plan_repair` and `apply_repair`
(a torn end only), `read_entries` (verify and fold), `LogWriter` (append, sync). It imports
neither `kernel` nor `guard`.
"""

from wal.anchor import (
    ANCHOR_SCHEMA,
    Anchor,
    anchor_of,
    decode_anchor,
    encode_anchor,
    read_anchor,
    write_anchor,
)
from wal.chain import (
    EMPTY_HEAD,
    GENESIS,
    KEY_BYTES_MIN,
    KEY_ID_UNKEYED,
    ChainHasher,
    Head,
    hashes_equal,
)
from wal.commit import FileLayer
from wal.entry import LINE_BYTES_MAX, Entry, check_data, encode_line, parse_line
from wal.errors import (
    WalAnchorError,
    WalDamage,
    WalEntryError,
    WalError,
    WalInputError,
    WalKeyError,
    WalKeyMismatch,
    WalLocked,
    WalPoisoned,
    WalStartMismatch,
)
from wal.reader import Dialect, LocatedEntry, Position, position_after, read_entries
from wal.recover import open_for_recovery
from wal.repair import Cut, apply_repair, cut_at_end, cuts_at_end, plan_repair
from wal.segment import (
    LogLock,
    create_directory,
    fsync_directory,
    list_segments,
    remove_leftovers,
    segment_name,
)
from wal.verify import ChainReport, find_head, verify_chain
from wal.writer import BATCH_BYTES_MAX, SEGMENT_BYTES_MAX, LogWriter, SyncStats

__all__ = [
    "ANCHOR_SCHEMA",
    "BATCH_BYTES_MAX",
    "EMPTY_HEAD",
    "GENESIS",
    "KEY_BYTES_MIN",
    "KEY_ID_UNKEYED",
    "LINE_BYTES_MAX",
    "SEGMENT_BYTES_MAX",
    "Anchor",
    "ChainHasher",
    "ChainReport",
    "Cut",
    "Dialect",
    "Entry",
    "FileLayer",
    "Head",
    "LocatedEntry",
    "LogLock",
    "LogWriter",
    "Position",
    "SyncStats",
    "WalAnchorError",
    "WalDamage",
    "WalEntryError",
    "WalError",
    "WalInputError",
    "WalKeyError",
    "WalKeyMismatch",
    "WalLocked",
    "WalPoisoned",
    "WalStartMismatch",
    "anchor_of",
    "apply_repair",
    "check_data",
    "create_directory",
    "cut_at_end",
    "cuts_at_end",
    "decode_anchor",
    "encode_anchor",
    "encode_line",
    "find_head",
    "fsync_directory",
    "hashes_equal",
    "list_segments",
    "open_for_recovery",
    "parse_line",
    "plan_repair",
    "position_after",
    "read_anchor",
    "read_entries",
    "remove_leftovers",
    "segment_name",
    "verify_chain",
    "write_anchor",
]
