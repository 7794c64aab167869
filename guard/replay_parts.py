"""Stretches of a log made ready to be replayed: what needs no state, done by any process. Pure.

Owns the form in which verified records go from who read them to who folds them: one row a record,
end to end, in the log's order. `wal.prepare_runs` says by which process which part is made.

A row: its kind (one byte), the length of the rest (four, little-endian), the rest. `RAW`: the
record's data as it stands. Must not: judge a record; what is wrong shows when it is decided again.

How it fails: it does not.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple, Protocol

from wal import Head, Run

RAW: Final = 0
ROW_HEAD: Final = Struct("<BI")


class Part(NamedTuple):
    """Verified records that stand one after another: from `offset` of `segment` on, after `head`.

    `last`: the head behind them. `rows`: one for each.
    """

    segment: str
    offset: int
    head: Head
    last: Head
    rows: bytes


class Place(Protocol):
    """Where the record at hand stands: all that who watches a replay is told of that.

    `segment`: its file's name, in which its line begins at byte `offset`. `entry_hash`: 64
    lower-case hexadecimal characters.
    """

    sequence: int

    @property
    def segment(self) -> str: ...

    @property
    def offset(self) -> int: ...

    @property
    def entry_hash(self) -> str: ...


def prepare_part(runs: Iterator[Run]) -> Part | None:
    """These runs of one segment as a part; None where there is no record."""
    rows = bytearray()
    first: Run | None = None
    last: Run | None = None
    for last in runs:
        first = first or last
        for data in last.datas():
            rows += ROW_HEAD.pack(RAW, len(data))
            rows += data
    if first is None or last is None:
        return None
    return Part(first.segment, first.offset, first.head, last.last, bytes(rows))
