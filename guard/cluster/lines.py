"""Lines of a log as a row of the cluster holds them, taken apart. Pure.

Owns that a row holds what its columns say: whole lines in the form that a guard writes, one record
after the other. The hashes of the records are the reader's who has the key.

How it fails: `ClusterError` naming the row.
"""

from collections.abc import Iterator
from typing import NamedTuple

from guard.cluster.errors import ClusterError
from wal import Entry, Head, WalEntryError, parse_line


class BatchRow(NamedTuple):
    """A row of `batches`."""

    first_sequence: int
    last_sequence: int
    epoch: int
    head_hash: str
    lines: bytes

    @property
    def head(self) -> Head:
        """The head behind it."""
        return Head(self.last_sequence, self.head_hash)


def entries_of(row: BatchRow) -> Iterator[tuple[bytes, Entry]]:
    """Each line, with its newline, and what it says. Raises ClusterError."""
    lines = row.lines.split(b"\n")
    if lines.pop():
        raise _bad(row, "it does not end with a line")
    if len(lines) != row.last_sequence - row.first_sequence + 1:
        raise _bad(row, f"it holds {len(lines)} lines")
    for sequence, text in enumerate(lines, row.first_sequence):
        line = text + b"\n"
        try:
            entry = parse_line(line)
        except WalEntryError as error:
            raise _bad(row, str(error)) from None
        if entry.sequence != sequence:
            raise _bad(row, f"record {sequence} says that it is {entry.sequence}")
        yield line, entry


def head_at(row: BatchRow, sequence: int) -> Head:
    """The head behind one of its records. Raises ClusterError."""
    if sequence == row.last_sequence:
        return row.head
    for _, entry in entries_of(row):
        if entry.sequence == sequence:
            return entry.head
    raise _bad(row, f"it does not hold record {sequence}")


def _bad(row: BatchRow, why: str) -> ClusterError:
    place = f"records {row.first_sequence} to {row.last_sequence}"
    return ClusterError(f"the cluster's row of {place} is damaged: {why}")
