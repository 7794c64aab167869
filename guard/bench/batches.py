"""How many records each fsync served: read from the log itself.

Owns the reading: every record names the first sequence of its batch, so that the log tells how it
was written. Reads only what was appended between two marks; the log is not touched.
"""

import re
from pathlib import Path
from typing import Final

from guard.histogram import Histogram
from wal import segment_end

READ_BYTES: Final = 8 * 1024 * 1024
LAST_READ_BYTES: Final = 64 * 1024  # far more than an order's record
_BATCH: Final = re.compile(rb'"batch_first_sequence":(\d+)')


def mark(log: Path) -> dict[str, int]:
    """Where the records of each segment end now, by name."""
    return {path.name: segment_end(path) for path in log.glob("*.jsonl")}


def batch_sizes(log: Path, since: dict[str, int], until: dict[str, int]) -> Histogram:
    """Records a batch of what was appended between two marks; the first and last may be cut."""
    counts: dict[bytes, int] = {}
    for name in sorted(until):
        with (log / name).open("rb") as segment:
            segment.seek(since.get(name, 0))
            left = until[name] - since.get(name, 0)
            rest = b""
            while left > 0 and (block := segment.read(min(READ_BYTES, left))):
                left -= len(block)
                rest = _count(rest + block, counts, is_last=left <= 0)
    histogram = Histogram()
    histogram.record_all(counts.values())
    return histogram


def last_record_bytes(log: Path) -> int:
    """What the log's last record takes on the disk, its newline included; 0: there is none."""
    for path in sorted(log.glob("*.jsonl"), reverse=True):
        with path.open("rb") as segment:
            end = segment_end(path)
            segment.seek(max(0, end - LAST_READ_BYTES))
            lines = segment.read(end - segment.tell()).splitlines(keepends=True)
        if lines:
            return len(lines[-1])
    return 0


def _count(data: bytes, counts: dict[bytes, int], *, is_last: bool) -> bytes:
    """Counts the records of each batch in `data`; returns what the next block must begin with."""
    end = len(data) if is_last else data.rfind(b"\n") + 1
    for match in _BATCH.finditer(data, 0, end):
        counts[match[1]] = counts.get(match[1], 0) + 1
    return data[end:]
