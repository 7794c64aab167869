"""A start on a cluster: the local log and the rows are brought to the same end.

Owns what is done where they differ, once an epoch has begun: from then on the rows stand still, and
all of them are on the quorum. Rows that the local log lacks are appended to it, byte for byte. A
local end that the rows lack was written by this guard and acknowledged by nobody: where the rows
end with a record of the local log, it becomes rows; where they hold other records instead, it is
set aside, with a copy beside its segment. Must not: run before the epoch has begun, or choose
between two logs that share no record.

How it fails: `ClusterError`, the `WalError` family. What was done until then stays, and the next
start goes on from it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guard.cluster import statements
from guard.cluster.copying import STEP_BYTES_MAX, LocalCopy
from guard.cluster.epochs import Claim, why_refused
from guard.cluster.errors import ClusterError
from guard.cluster.lines import BatchRow, head_at
from guard.cluster.session import Session
from guard.process.line_forms import told
from guard.record.codec import DIALECT
from guard.recovery.recover import Recovered, recover_log
from wal import (
    EMPTY_HEAD,
    ChainHasher,
    Follower,
    Head,
    LogState,
    keep_checkpoints,
    parse_line,
    read_checkpoints,
    set_aside,
)

# Of one look: what is taken over in one step. Rows of one record have some 2 kB.
ROWS_A_PAGE: Final = 10_000
HEADS_A_PAGE: Final = 1_000
# A local end that becomes rows: so many bytes a row, unless a batch alone has more.
TAIL_ROW_BYTES: Final = 1024 * 1024


class Place(NamedTuple):
    """A log: its name in the cluster, its directory here, its key, how long its segments are."""

    log: str
    directory: Path
    hasher: ChainHasher
    segment_bytes_max: int


async def bring_together(
    place: Place, recovered: Recovered, claim: Claim, say: Callable[[str], None]
) -> tuple[Recovered, Claim]:
    """The local log as the cluster has it, and the claim with the head that both end with."""
    shared = await shared_head(place, recovered.head, claim.session, claim.head)
    if recovered.head != shared:
        if shared == claim.head:
            claim = await _publish_tail(place, recovered.head, claim, say)
        else:
            recovered = end_with(place, recovered, shared, say)
    if recovered.head != claim.head:
        await _fetch(place, recovered, claim, say)
    head = recovered.head
    if head != claim.head:
        raise ClusterError(
            f"the cluster's log ends with record {claim.head.sequence}, and its rows with "
            f"{head.sequence}"
        )
    # A cut can be named by the record that stands in its place alone.
    recovered.cuts = [cut for cut in recovered.cuts if cut.first_sequence_lost == head.sequence + 1]
    return recovered, claim


async def shared_head(place: Place, local: Head, session: Session, cluster: Head) -> Head:
    """The last record that both hold. Raises ClusterError where they hold none in common."""
    least = min(local.sequence, cluster.sequence)
    if least == 0:
        return EMPTY_HEAD
    row = await row_of(session, place.log, least)
    found = head_at(row, least)
    if _local_head(place, local, least) == found:
        return found
    before = least
    while heads := await session.rows(statements.READ_HEADS, place.log, before, HEADS_A_PAGE):
        ends = [Head(*each) for each in heads]
        held = _local_heads(place, ends[-1].sequence, ends[0].sequence)
        for head in ends:
            if held.get(head.sequence) == head.entry_hash:
                return head
        before = ends[-1].sequence
    raise ClusterError(
        f"the log in {place.directory} and the cluster's log {place.log!r} have no record in "
        "common: they are two logs; correct cluster.log or log.directory"
    )


async def row_of(session: Session, log: str, sequence: int) -> BatchRow:
    """The row that holds that record. Raises ClusterError."""
    found = await session.row(statements.READ_BATCH_OF, log, sequence)
    row = None if found is None else BatchRow(*found)
    if row is None or row.last_sequence < sequence:
        raise ClusterError(f"the cluster has no row that holds record {sequence} of {log!r}")
    return row


async def read_batches(session: Session, log: str, after: int, until: int) -> list[BatchRow]:
    """The next rows that hold records behind `after` and none behind `until`. Raises Unknown."""
    words = (log, after, until, ROWS_A_PAGE, STEP_BYTES_MAX)
    found = await session.rows(statements.READ_BATCHES, *words)
    return [BatchRow(*row) for row in found]


def end_with(
    place: Place, recovered: Recovered, shared: Head, say: Callable[[str], None]
) -> Recovered:
    """The local log without what stands behind `shared`, recovered anew. Raises WalError."""
    heads = [info.head for info in read_checkpoints(place.directory, place.hasher)]
    kept = [head for head in heads if head.sequence <= shared.sequence]
    gone = [head for head in heads if head.sequence > shared.sequence]
    keep_checkpoints(place.directory, kept, gone, place.hasher)
    cuts = set_aside(place.directory, shared, "the cluster's log holds other records from here on")
    names = ", ".join(cut.copy_name for cut in cuts)
    first, last = shared.sequence + 1, recovered.head.sequence
    text = (
        f"the cluster's log holds other records from {first} on: records {first} to {last} of this "
        f"one, which no quorum had, are set aside; copies: {names}"
    )
    say(told("tail_set_aside", text, first_sequence=first, last_sequence=last))
    recovered.lock.release()
    return recover_log(place.directory, place.hasher)


def _local_head(place: Place, local: Head, sequence: int) -> Head:
    """The local log's head behind that record. Raises WalError."""
    if sequence == local.sequence:
        return local
    follower = Follower(place.directory)
    follower.skip_to_sequence(sequence + 1)
    return follower.head


def _local_heads(place: Place, first: int, last: int) -> dict[int, str]:
    """The hashes of the local log's records from `first` to `last`. Raises WalError."""
    follower = Follower(place.directory)
    follower.skip_to_sequence(first)
    held: dict[int, str] = {}
    for _ in follower.poll():
        held[follower.head.sequence] = follower.head.entry_hash
        if follower.head.sequence >= last:
            break
    return held


async def _publish_tail(
    place: Place, local: Head, claim: Claim, say: Callable[[str], None]
) -> Claim:
    """Makes rows of what the local log has behind the cluster's end. Raises ClusterError."""
    first = claim.head.sequence + 1
    text = (
        f"the cluster's log ends with record {claim.head.sequence}; it is given records {first} to "
        f"{local.sequence} of this one"
    )
    say(told("tail_published", text, first_sequence=first, last_sequence=local.sequence))
    for head, lines in _tail_rows(place, first):
        words = (place.log, claim.epoch, *claim.head, *head, *claim.head, lines)
        if await claim.session.commit(statements.INSERT_BATCH, *words) is None:
            raise await why_refused(claim.session, place.log)
        claim = claim._replace(head=head)
    return claim


def _tail_rows(place: Place, first: int) -> Iterator[tuple[Head, bytes]]:
    """Whole batches of the local log from record `first` on, as rows."""
    follower = Follower(place.directory)
    follower.skip_to_sequence(first)
    lines: list[bytes] = []
    byte_count, head = 0, follower.head
    for line in follower.poll():
        entry = parse_line(line)
        begins = DIALECT.batch_first_sequence(entry.data) == entry.sequence
        if lines and begins and byte_count >= TAIL_ROW_BYTES:
            yield head, b"".join(lines)
            lines, byte_count = [], 0
        lines.append(line)
        byte_count += len(line)
        head = entry.head
    if follower.state() is not LogState.ENDED or follower.has_torn_end:
        raise ClusterError(f"the log in {place.directory} is being written")
    if lines:
        yield head, b"".join(lines)


async def _fetch(
    place: Place, recovered: Recovered, claim: Claim, say: Callable[[str], None]
) -> None:
    """Appends to the local log what the cluster has behind its end."""
    first, last = recovered.head.sequence + 1, claim.head.sequence
    text = f"the local log is given records {first} to {last}, which the cluster has"
    say(told("rows_fetched", text, first_sequence=first, last_sequence=last))
    copy = LocalCopy(place.directory, place.hasher, recovered, place.segment_bytes_max)
    try:
        while copy.head.sequence < last:
            rows = await read_batches(claim.session, place.log, copy.head.sequence, last)
            if not rows:
                break
            for step in copy.steps_of(rows):
                copy.take(step)
    finally:
        copy.close()
