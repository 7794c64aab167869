"""Lines of a log as a row of the cluster holds them, taken apart. Pure.

Owns that a row holds what its columns say: whole lines in the form that a guard writes, one record
after the other. The hashes of the records are the reader's who has the key.

How it fails: `ClusterError` naming the row.
"""

from collections.abc import Iterator
from typing import NamedTuple

from guard.cluster.errors import ClusterError
from wal import LINE_BYTES_MAX, Entry, Head, WalEntryError, parse_line


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


def check_lines(row: BatchRow) -> None:
    """Whether it holds whole lines that a guard may have written. Raises ClusterError."""
    lines = row.lines
    if not lines.endswith(b"\n"):
        raise bad_row(row, "it does not end with a line")
    if len(lines) > LINE_BYTES_MAX and max(map(len, lines.split(b"\n"))) >= LINE_BYTES_MAX:
        raise bad_row(row, f"a line has at most {LINE_BYTES_MAX} bytes")


def entries_of(row: BatchRow) -> Iterator[tuple[bytes, Entry]]:
    """Each line, with its newline, and what it says. Raises ClusterError."""
    check_lines(row)
    lines = row.lines.split(b"\n")[:-1]
    if len(lines) != row.last_sequence - row.first_sequence + 1:
        raise bad_row(row, f"it holds {len(lines)} lines")
    for sequence, text in enumerate(lines, row.first_sequence):
        line = text + b"\n"
        try:
            entry = parse_line(line)
        except WalEntryError as error:
            raise bad_row(row, str(error)) from None
        if entry.sequence != sequence:
            raise bad_row(row, f"record {sequence} says that it is {entry.sequence}")
        yield line, entry


def place_behind(row: BatchRow, head: Head) -> int | None:
    """How many of its bytes stand up to that record; None where it holds another one there, or
    begins behind the next one.

    A row that ends before it has nothing behind it, and what that holds is not looked at. Raises
    ClusterError.
    """
    if row.last_sequence < head.sequence:
        return len(row.lines)
    if row.first_sequence > head.sequence:
        return 0 if row.first_sequence == head.sequence + 1 else None
    place = 0
    for line, entry in entries_of(row):
        place += len(line)
        if entry.sequence == head.sequence:
            break
    return place if entry.head == head else None


def head_at(row: BatchRow, sequence: int) -> Head:
    """The head behind one of its records. Raises ClusterError."""
    if sequence == row.last_sequence:
        return row.head
    for _, entry in entries_of(row):
        if entry.sequence == sequence:
            return entry.head
    raise bad_row(row, f"it does not hold record {sequence}")


def bad_row(row: BatchRow, why: str) -> ClusterError:
    """The error of who reads a row that no guard has written."""
    place = f"records {row.first_sequence} to {row.last_sequence}"
    return ClusterError(f"the cluster's row of {place} is damaged: {why}")
