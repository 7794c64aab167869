"""What the log's disk still takes, counted by the byte between two looks, and what is refused then.

Owns the reserve: how much of the free space is not for everybody, and what each part of it is for.
Must not: touch the log (it has an event recorded), or decide what an order is answered.

How it works: a look asks the system what is free, and takes off what was promised and is not
written: records that are staged or on their way, a checkpoint that a child is writing, the next
segment. So many bytes may then be staged until the next edge, or `LOOK_EVERY_BYTES`, before anybody
looks again; on the way of an order that is one comparison of two integers a message
(`guard.server.batch`). What others write to the disk is seen at each look, and once a second. The
edges, of what is left:

- the reserve: entries are halted by an event in the log (and resume a quarter above it); each order
  is refused by a record, fills and cancels are recorded;
- half of it, or `ORDERS_EDGE_BYTES`: a flood of orders would eat the reserve by its own refusals,
  so orders that would need a record get an error instead (`disk_full`), which changes nothing;
  fills and cancels go on;
- a quarter, or `EVERYTHING_EDGE_BYTES`: so does everything that would need a record. What is left
  is for a stop and a start.

Where a batch is on its way, nobody knows how much of it the system has counted already. If entries
would have to halt with it and not without, nothing more is taken in until it has landed.

How it fails: a look that fails is said once, and counted on from the one before. The first look of
a process, before its first order, must not fail: OSError.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from guard.engine.actor import Actor
from guard.engine.events import EntriesHalted, EntriesResumed, Outcome
from guard.engine.state import GuardState
from guard.process.line_forms import told
from wal import LogWriter

RESUME_NUMERATOR: Final = 5  # entries resume above 5/4 of the reserve: no flapping around its edge
RESUME_DENOMINATOR: Final = 4
# Others write to the same disk: at the rate of 100,000 orders/s a look every 30 ms.
LOOK_EVERY_BYTES: Final = 4 * 1024 * 1024
# A segment's inode, its first block, its tree of blocks and a longer directory, on any file system.
SEGMENT_BYTES: Final = 32 * 1024
# An event of a few hundred bytes is not written to a disk that may not take even that.
EVENT_SPACE_BYTES: Final = 2 * SEGMENT_BYTES
# What a torn write leaves of a batch is copied by the next start, which is to find space for that:
# for the largest that the pipeline gathers, or that such a reserve lets it gather.
EVERYTHING_EDGE_BYTES: Final = 16 * 1024 * 1024
EVERYTHING_EDGES_IN_RESERVE: Final = 4
BATCH_BYTES_MIN: Final = 64 * 1024  # whatever the reserve: some forty orders
# As much again, for fills and cancels alone: some 20,000 of them.
ORDERS_EDGE_BYTES: Final = 2 * EVERYTHING_EDGE_BYTES
ORDERS_EDGES_IN_RESERVE: Final = 2
UNBOUNDED: Final = 2**62


class Refused(IntEnum):
    """Which requests get an error where they would need a record."""

    NOTHING = 0
    ORDERS = 1
    EVERYTHING = 2


class Allowance(NamedTuple):
    """Look again when so many bytes have been staged since the start; meanwhile refuse so much."""

    staged_bytes: int
    refused: Refused


def disk_event(
    state: GuardState, left: int, reserve_bytes: int, actor: Actor
) -> EntriesHalted | EntriesResumed | None:
    """The halt or the resumption that so much space calls for. Pure."""
    if state.entries_halt is None:
        if left < reserve_bytes:
            return actor.event(
                EntriesHalted,
                reason="disk_low",
                free_bytes=max(left, 0),
                reserve_bytes=reserve_bytes,
            )
    elif left * RESUME_DENOMINATOR >= reserve_bytes * RESUME_NUMERATOR:
        return actor.event(EntriesResumed, free_bytes=left)
    return None


def sentence_of(event: EntriesHalted | EntriesResumed) -> str:
    """What has happened to entries, for the operator."""
    free = f"the disk of the log has {event.free_bytes:,} bytes free"
    if isinstance(event, EntriesResumed):
        return f"entries resumed: {free} again"
    return f"entries halted: {free}, less than its reserve of {event.reserve_bytes:,}"


def refused_at(left: int, reserve_bytes: int) -> Refused:
    """What is refused with so much left. Pure."""
    _, orders_edge, everything_edge = _edges(reserve_bytes)
    if left >= orders_edge:
        return Refused.NOTHING
    return Refused.ORDERS if left >= everything_edge else Refused.EVERYTHING


def bytes_to_edge(left: int, reserve_bytes: int) -> int:
    """How many bytes may be taken before something else is refused, at least 1. Pure."""
    below = (left - edge + 1 for edge in _edges(reserve_bytes) if left >= edge)
    return min(below, default=UNBOUNDED)


def _edges(reserve_bytes: int) -> tuple[int, int, int]:
    """Of entries, of orders that need a record, and of everything that does."""
    return (
        reserve_bytes,
        min(-(-reserve_bytes // ORDERS_EDGES_IN_RESERVE), ORDERS_EDGE_BYTES),
        min(-(-reserve_bytes // EVERYTHING_EDGES_IN_RESERVE), EVERYTHING_EDGE_BYTES),
    )


def batch_bytes_max(reserve_bytes: int) -> int:
    """How much may gather for one batch beside such a reserve."""
    if not reserve_bytes:
        return UNBOUNDED
    return max(BATCH_BYTES_MIN, _edges(reserve_bytes)[-1])


class DiskReserve:
    """The reserve of one log. All calls belong to the loop's thread."""

    def __init__(
        self,
        state: GuardState,
        writer: LogWriter,
        reserve_bytes: int,
        *,
        free_bytes: Callable[[], int],
        record: Callable[[Outcome], None],
        actor: Callable[[], Actor],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
    ) -> None:
        """`reserve_bytes`: 0 for none. `free_bytes` asks the system, and may raise OSError."""
        self._state = state
        self._writer = writer
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes
        self._record = record
        self._actor = actor
        self._say = say
        self._alarm = alarm
        self._promised: Callable[[], int] = lambda: 0
        self._break_promise: Callable[[], None] = lambda: None
        # As of the last look that succeeded: what was left, and how much had been staged.
        self._seen_left: int | None = None
        self._seen_staged = 0
        self._fails = False
        self._refused = Refused.NOTHING

    def promise(self, promised: Callable[[], int], break_promise: Callable[[], None]) -> None:
        """Somebody else writes to the disk by our leave: how much is still to come, and how to
        end that where records need the space."""
        self._promised, self._break_promise = promised, break_promise

    def left(self) -> int:
        """What is free, less all that is promised. Raises OSError."""
        # Asked in this order: what a child writes in between is counted twice, not never.
        ahead = self._promised() + self._writer.ahead_bytes + SEGMENT_BYTES
        return self._free_bytes() - ahead

    def look(self) -> Allowance:
        """Looks, and halts entries or lets them in again. Raises OSError at the first time."""
        staged = self._writer.staged_total_bytes
        if not self._reserve_bytes:
            return Allowance(UNBOUNDED, Refused.NOTHING)
        left = self._measure(staged)
        if left < self._reserve_bytes and self._promised():
            self._break_promise()
            left = self._measure(staged)
        under_way = self._writer.under_way_bytes
        is_halted = self._state.entries_halt is not None
        if not is_halted and left < self._reserve_bytes <= left + under_way:
            return Allowance(staged, self._refused)
        self._refuse(refused_at(left, self._reserve_bytes), left)
        if self._refused is not Refused.EVERYTHING or left >= EVENT_SPACE_BYTES:
            event = disk_event(self._state, left, self._reserve_bytes, self._actor())
            if event is not None:
                self._record(event)
                if isinstance(event, EntriesHalted):
                    self._alarm(told("entries_halted", sentence_of(event), free_bytes=left))
                elif isinstance(event, EntriesResumed):
                    self._say(told("entries_resumed", sentence_of(event), free_bytes=left))
        bytes_more = min(bytes_to_edge(left, self._reserve_bytes), LOOK_EVERY_BYTES)
        return Allowance(self._writer.staged_total_bytes + bytes_more, self._refused)

    def _measure(self, staged: int) -> int:
        """What is left; counted on from the last look, where it cannot be found out."""
        try:
            left = self.left()
        except OSError as error:
            if self._seen_left is None:
                raise
            if not self._fails:
                text = f"how much is free on the log's disk cannot be found out: {error}"
                self._alarm(told("disk_unknown", text))
            self._fails = True
            return self._seen_left - (staged - self._seen_staged)
        if self._fails:
            text = "how much is free on the log's disk can be found out again"
            self._say(told("disk_known", text))
        self._fails = False
        self._seen_left, self._seen_staged = left, staged
        return left

    def _refuse(self, refused: Refused, left: int) -> None:
        if refused is not self._refused:
            what = {
                Refused.NOTHING: "requests are recorded again",
                Refused.ORDERS: "orders that need a record get an error (disk_full)",
                Refused.EVERYTHING: "whatever needs a record gets an error (disk_full)",
            }[refused]
            tell = self._say if refused is Refused.NOTHING else self._alarm
            tell(f"{max(left, 0):,} bytes are left on the log's disk: {what}")
        self._refused = refused
