"""Whether a start finds the space that it needs, asked before anything is written.

Owns two questions: does the log's disk take the session's first records, and may this process write
files as long as a segment. Must not: write, or ask what a running daemon leaves (`disk_reserve`).

How it fails: `WalError`, with how many bytes are needed. What a repair needs `wal.repair` says, and
what the rewrite of the last batch does `wal.rewrite_end`.
"""

import resource

from guard.server.disk_reserve import SEGMENT_BYTES
from wal import BATCH_BYTES_MAX, LogWriter, WalError, free_bytes


def check_start_space(writer: LogWriter, descriptor: int) -> None:
    """Checks that there is space for what is staged, in a segment of its own.

    `descriptor`: open on the log's disk. A write that fails would leave a torn end, of which the
    next start would have to keep a copy. Raises WalError, OSError.
    """
    needed, free = writer.staged_bytes + SEGMENT_BYTES, free_bytes(descriptor)
    if free < needed:
        raise WalError(
            f"the log's disk has {free} bytes free, and a start needs {needed} for its records"
        )


def raise_file_limit(segment_bytes_max: int) -> None:
    """Sees that this process may write files as long as a segment (RLIMIT_FSIZE).

    Its own limit is raised as far as it may be. Raises WalError where that is not far enough: a
    write would fail in the middle of the day.
    """
    needed = max(segment_bytes_max, BATCH_BYTES_MAX)  # a longer batch has a segment for itself
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise WalError(
            f"this process may write files of at most {hard} bytes (RLIMIT_FSIZE), and a segment "
            f"of the log takes up to {needed}"
        )
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
