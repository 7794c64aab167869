"""A log's whole life, through every named place once."""

from pathlib import Path

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    LogWriter,
    archive_segments,
    open_for_recovery,
    rewrite_tail,
    write_checkpoint,
)
from wal_support import DIALECT, KEY, fake_clock, opened, record

HASHER = ChainHasher(KEY)


def life(directory: Path, told: object = lambda sequence: None) -> None:
    """A log's life in `directory`, with everything that has a failpoint in it."""
    assert callable(told)
    log = directory / "log"
    log.mkdir()
    head = EMPTY_HEAD
    for _ in range(2):
        with open_for_recovery(log) as lock:
            if head.sequence:
                rewrite_tail(log, head, HASHER, DIALECT)
            with LogWriter.open(
                log,
                HASHER,
                head,
                monotonic_ns=fake_clock(),
                lock=lock,
                fresh_segment=True,
                write_ahead_bytes=10_000,
            ) as writer:
                for _ in range(2):
                    sequence = head.sequence + 1
                    first = opened(HASHER) if sequence == 1 else record("order", sequence)
                    writer.append(sequence, first)
                    writer.append(sequence + 1, record("order", sequence, text="x" * 700))
                    head = writer.sync_now()
                    told(head.sequence)
                    write_checkpoint(log, head, "ab" * 32, iter([b"%d" % head.sequence]), HASHER, 1)
                writer.seal()
    archive_segments(log, directory / "old", 4)
