"""The write-ahead log: hash-chained records in files, durable before anyone is answered.

The package owns the files of record; what a record means is opaque to it. `FORMAT.md` describes
every byte. Life of a log: `open_for_recovery` (lock, fsync), `read_checkpoints` and
`open_checkpoint` (where to begin), `plan_repair` and `apply_repair` (a torn end only),
`read_entries` (verify and fold), `rewrite_tail` (the last batch anew), `LogWriter` (append,
sync), `write_checkpoint`; offline `archive_segments` and `salvage_log`. It imports neither
`kernel` nor `guard`.
"""

from forms import FORM as WAL_FORM
from wal.ahead import WRITE_AHEAD_BYTES_MAX, segment_end
from wal.anchor import (
    ANCHOR_SCHEMA,
    Anchor,
    anchor_of,
    decode_anchor,
    encode_anchor,
    read_anchor,
    write_anchor,
)
from wal.archive import archive_segments, movable_segments
from wal.backup import Backup, backup_log
from wal.chain import (
    EMPTY_HEAD,
    GENESIS,
    KEY_BYTES_MIN,
    KEY_ID_UNKEYED,
    ChainHasher,
    Head,
    hashes_equal,
)
from wal.chainfile import ChainFile
from wal.checkpoint import (
    CHECKPOINTS_KEPT,
    abandon_checkpoint,
    authenticate_anew,
    checkpoint_bytes_written,
    keep_checkpoints,
    read_checkpoints,
    write_checkpoint,
)
from wal.commit import Batch as TakenBatch
from wal.commit import FileLayer, SyncStats
from wal.copying import filled_directory
from wal.entry import (
    ENVELOPE_BYTES_MAX,
    LINE_BYTES_MAX,
    Entry,
    check_data,
    encode_line,
    parse_heads,
    parse_line,
    parse_opening,
)
from wal.errors import (
    CheckpointDamage,
    CheckpointError,
    CheckpointUnreadable,
    MerkleProofError,
    WalAnchorError,
    WalAnchorMismatch,
    WalDamage,
    WalDisplaced,
    WalEntryError,
    WalError,
    WalInputError,
    WalInvariantError,
    WalKeyError,
    WalKeyMismatch,
    WalLocked,
    WalPoisoned,
    WalStartMismatch,
)
from wal.find_record import find_start, first_head
from wal.follow import Follower, LogState
from wal.headfile import HEAD_NAME, HeadFile, PublishedHead, read_published_head
from wal.keyring import (
    KEY_NUMBER_MAX,
    SECRET_BYTES,
    EvolvingKey,
    KeyChange,
    KeyRing,
    RingHasher,
)
from wal.lock import LogLock
from wal.log_pass import Dialect, Walk
from wal.manifest import CheckpointHead, CheckpointInfo
from wal.map_records import fold_runs, prepare_runs
from wal.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    TREE_SIZE_MAX,
    MerkleTree,
    check_consistency,
    check_inclusion,
    leaf_hash,
    leaf_of,
    node_hash,
)
from wal.missing import find_missing
from wal.parallel import JOBS_MAX, usable_cores
from wal.payload import CheckpointReader, open_checkpoint
from wal.publish import publish_file
from wal.reader import Position, durable_head, paths_of, position_after, read_entries, read_runs
from wal.recover import open_for_recovery
from wal.regularfile import open_regular, open_to_read, read_regular
from wal.repair import Cut, apply_repair, cuts_at_end, plan_emptying, plan_repair
from wal.rewrite_end import Rewrite, rewrite_tail
from wal.salvage import LeftOut, SalvageReport, salvage_log
from wal.segment import (
    MANIFEST_NAME,
    PRIVATE_DIRECTORY_MODE,
    PRIVATE_FILE_MODE,
    SEGMENT_NAME,
    create_directory,
    forget_pages,
    fsync_directory,
    holds_files,
    list_segments,
    remove_leftovers,
    segment_name,
    sync_source,
)
from wal.segment_keys import SegmentDigest, current_key, seal_of
from wal.set_aside import set_aside
from wal.space import OUT_OF_SPACE, free_bytes
from wal.spares import Spares
from wal.verified_run import LocatedEntry, Run
from wal.verify import ChainReport, find_head, verify_chain
from wal.wholesegment import WholeSegment
from wal.writer import BATCH_BYTES_MAX, SEGMENT_BYTES_MAX, LogWriter

__all__ = [
    "ANCHOR_SCHEMA",
    "BATCH_BYTES_MAX",
    "CHECKPOINTS_KEPT",
    "EMPTY_HEAD",
    "EMPTY_ROOT",
    "ENVELOPE_BYTES_MAX",
    "GENESIS",
    "HASH_BYTES",
    "HEAD_NAME",
    "JOBS_MAX",
    "KEY_BYTES_MIN",
    "KEY_ID_UNKEYED",
    "KEY_NUMBER_MAX",
    "LINE_BYTES_MAX",
    "MANIFEST_NAME",
    "OUT_OF_SPACE",
    "PRIVATE_DIRECTORY_MODE",
    "PRIVATE_FILE_MODE",
    "SECRET_BYTES",
    "SEGMENT_BYTES_MAX",
    "SEGMENT_NAME",
    "TREE_SIZE_MAX",
    "WAL_FORM",
    "WRITE_AHEAD_BYTES_MAX",
    "Anchor",
    "Backup",
    "ChainFile",
    "ChainHasher",
    "ChainReport",
    "CheckpointDamage",
    "CheckpointError",
    "CheckpointHead",
    "CheckpointInfo",
    "CheckpointReader",
    "CheckpointUnreadable",
    "Cut",
    "Dialect",
    "Entry",
    "EvolvingKey",
    "FileLayer",
    "Follower",
    "Head",
    "HeadFile",
    "KeyChange",
    "KeyRing",
    "LeftOut",
    "LocatedEntry",
    "LogLock",
    "LogState",
    "LogWriter",
    "MerkleProofError",
    "MerkleTree",
    "Position",
    "PublishedHead",
    "Rewrite",
    "RingHasher",
    "Run",
    "SalvageReport",
    "SegmentDigest",
    "Spares",
    "SyncStats",
    "TakenBatch",
    "WalAnchorError",
    "WalAnchorMismatch",
    "WalDamage",
    "WalDisplaced",
    "WalEntryError",
    "WalError",
    "WalInputError",
    "WalInvariantError",
    "WalKeyError",
    "WalKeyMismatch",
    "WalLocked",
    "WalPoisoned",
    "WalStartMismatch",
    "Walk",
    "WholeSegment",
    "abandon_checkpoint",
    "anchor_of",
    "apply_repair",
    "archive_segments",
    "authenticate_anew",
    "backup_log",
    "check_consistency",
    "check_data",
    "check_inclusion",
    "checkpoint_bytes_written",
    "create_directory",
    "current_key",
    "cuts_at_end",
    "decode_anchor",
    "durable_head",
    "encode_anchor",
    "encode_line",
    "filled_directory",
    "find_head",
    "find_missing",
    "find_start",
    "first_head",
    "fold_runs",
    "forget_pages",
    "free_bytes",
    "fsync_directory",
    "hashes_equal",
    "holds_files",
    "keep_checkpoints",
    "leaf_hash",
    "leaf_of",
    "list_segments",
    "movable_segments",
    "node_hash",
    "open_checkpoint",
    "open_for_recovery",
    "open_regular",
    "open_to_read",
    "parse_heads",
    "parse_line",
    "parse_opening",
    "paths_of",
    "plan_emptying",
    "plan_repair",
    "position_after",
    "prepare_runs",
    "publish_file",
    "read_anchor",
    "read_checkpoints",
    "read_entries",
    "read_published_head",
    "read_regular",
    "read_runs",
    "remove_leftovers",
    "rewrite_tail",
    "salvage_log",
    "seal_of",
    "segment_end",
    "segment_name",
    "set_aside",
    "sync_source",
    "usable_cores",
    "verify_chain",
    "write_anchor",
    "write_checkpoint",
]
