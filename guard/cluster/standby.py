"""A standby guard: follows the rows of a log that another guard writes, and is ready to go on.

Owns the following until it ends, why it ends, and from when on what is held here may be shown.
Must not: write to the cluster, or fold what is not known to be on the quorum: a row that can be
seen may vanish with the node that showed it, so only what a later statement of the writer's names
as acknowledged is taken over.

How it works: the log's row is read again and again; what it names as acknowledged is fetched, put
into the local log byte for byte and folded. Where the local log turns out to hold other records
(it was written by this host before another one took over), its end is set aside first; until it is
known that it does not, nothing of it is shown. Silence is counted while reads succeed: a standby
that cannot see the cluster knows nothing of the writer. One who hears nothing seeks the primary
anew now and then: an old one that is cut off shows the same row for ever.

How it fails: what the cluster refuses or does not say is told, and tried again. `WalError` of the
local log, and rows that cannot be, end it.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from guard.cluster import statements
from guard.cluster.copying import LocalCopy
from guard.cluster.epochs import LogRow, read_log
from guard.cluster.errors import Diverged, Unknown, Unreachable
from guard.cluster.reconciling import Place, end_with, read_batches, shared_head
from guard.cluster.session import Session, open_session
from guard.cluster.sight import Sight
from guard.cluster.standby_checkpoints import StandbyCheckpoints
from guard.config.cluster_section import ClusterSection
from guard.process.line_forms import told
from guard.recovery.checkpoint_schedule import STOP_RECORDS_MIN
from guard.recovery.recover import Recovered

POLL_S: Final = 0.02
RETRY_S: Final = 0.25


class Why(Enum):
    """Why a standby ends to follow."""

    STOPPED = "it was told to stop"
    TOLD = "it was told to take over"
    SILENCE = "the serving guard is silent"


class Shows(Protocol):
    """Who shows to others what a standby holds."""

    is_open: bool

    def open(self, recovered: Recovered, copy: LocalCopy) -> None:
        """What is held is the cluster's, and may be shown. Called again while it is not open."""

    def moved(self) -> None:
        """More of it is held, durably."""

    def close(self) -> None:
        """It may not be shown any more."""


class Standby:
    """One log's follower. All calls belong to the loop's thread; `recovered` holds the lock."""

    def __init__(
        self,
        terms: ClusterSection,
        place: Place,
        recovered: Recovered,
        *,
        monotonic_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
        checkpoint_interval_ns: int,
        checkpoint_records_min: int = STOP_RECORDS_MIN,
        sight: Sight | None = None,
        shows: Shows | None = None,
    ) -> None:
        """`checkpoint_interval_ns`: 0 for none by time. `sight`: is told how it stands."""
        self._sight = Sight(monotonic_ns()) if sight is None else sight
        self._shows = shows
        self._is_settled = False  # is what is held here known to be the cluster's?
        self._checkpoints = StandbyCheckpoints(
            place.directory,
            place.hasher,
            recovered.head,
            interval_ns=checkpoint_interval_ns,
            records_min=checkpoint_records_min,
            monotonic_ns=monotonic_ns,
            alarm=alarm,
        )
        self._terms = terms
        self._place = place
        self.recovered = recovered
        self._monotonic_ns, self._wall_ns = monotonic_ns, wall_ns
        self._say, self._alarm = say, alarm
        self._asked: Why | None = None
        self._failure: BaseException | None = None
        self._session: Session | None = None
        self._opening: asyncio.Future[Session] | None = None
        self._copy: LocalCopy | None = None
        self._seen: tuple[int, int] | None = None  # epoch and beat
        self._seen_ns = self._sought_ns = 0
        self._is_troubled = self._is_quiet = False
        self._see_folded(recovered.head.sequence)

    def take_over(self) -> None:
        """Ends the following, to serve."""
        self._asked = self._asked or Why.TOLD
        self._leave_cluster()

    def stop(self) -> None:
        """Ends the following, and the process with it."""
        self._asked = Why.STOPPED
        self._leave_cluster()

    def fail(self, error: BaseException) -> None:
        """Ends the following with an error that somebody beside it has met."""
        self._failure = self._failure or error

    async def follow(self) -> Why:
        """Follows until something ends it; the local log is closed then, and `recovered` its state.

        Raises WalError, and what `fail` was told.
        """
        try:
            while self._asked is None:
                pause_s = await self._look()
                if self._failure is not None:
                    raise self._failure
                self._checkpoints.tick(self.recovered)
                if pause_s:
                    await asyncio.sleep(pause_s)
            if self._asked is Why.STOPPED:
                self._checkpoints.take_at_stop(self.recovered)
            return self._asked
        finally:
            self._checkpoints.stop()
            self._end_session()
            self._close_copy()

    async def _look(self) -> float:
        """One look at the log's row; how long to rest behind it."""
        try:
            if self._session is None:
                self._session = await self._opened_session()
            begun_ns = self._monotonic_ns()
            row = await read_log(self._session, self._terms.log)
            if row is not None:
                self._sight.look(begun_ns, row)
            moved = row is not None and await self._take_rows(self._session, row)
        except (Unknown, Unreachable) as error:
            self._note_trouble(error)
            return RETRY_S if self._asked is None else 0.0
        if self._is_troubled:
            self._is_troubled = False
            self._say(told("standby_sees", "the cluster can be seen again, and is followed"))
        if row is not None:
            self._listen(row)
        self._show(has_all=not moved)
        return 0.0 if moved else POLL_S

    async def _opened_session(self) -> Session:
        """Raises Unreachable, also where it is not wanted any more."""
        name = statements.reader_name(self._terms.log)
        opening = self._opening = asyncio.ensure_future(open_session(self._terms, name))
        try:
            await asyncio.wait([opening])
        finally:
            opening.cancel()
            self._opening = None
        if opening.cancelled():
            raise Unreachable("it is not followed any more")
        return opening.result()

    def _leave_cluster(self) -> None:
        """Whatever is waited for there is not, from now on: a node may say nothing for long."""
        if self._opening is not None:
            self._opening.cancel()
        if self._session is not None:
            self._session.terminate()

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.terminate()
        self._session = None
        self._sight.lose()

    def _note_trouble(self, error: Exception) -> None:
        self._end_session()
        self._seen = None
        if not self._is_troubled and self._asked is None:
            self._is_troubled = True
            text = f"the cluster cannot be seen, and is not followed: {error}"
            self._alarm(told("standby_blind", text))

    def _listen(self, row: LogRow) -> None:
        now_ns = self._monotonic_ns()
        if (row.epoch, row.beat) != self._seen:
            self._seen, self._seen_ns = (row.epoch, row.beat), now_ns
            self._sought_ns = now_ns
        silence_ms = (now_ns - self._seen_ns) // 1_000_000
        self._is_quiet = silence_ms >= self._terms.silence_ms
        if now_ns - self._sought_ns >= self._terms.silence_ms * 1_000_000:
            self._sought_ns = now_ns
            self._end_session()
        if self._terms.takeover == "silent" and self._is_quiet:
            self._asked = self._asked or Why.SILENCE

    async def _take_rows(self, session: Session, row: LogRow) -> bool:
        """Takes over what the row names as acknowledged; whether that was something."""
        head, acknowledged = self.recovered.head, row.acknowledged
        if acknowledged.sequence <= head.sequence:
            if acknowledged.sequence == head.sequence and not self._is_settled:
                if acknowledged != head:
                    await self._end_with_shared(session, row)
                    return True
                self._is_settled = True
            return False
        rows = await read_batches(session, self._terms.log, head.sequence, acknowledged.sequence)
        copy = self._opened_copy()
        for step in copy.steps_of(rows):
            if self._asked is not None:
                return True
            try:
                copy.take(step)
            except Diverged:
                await self._end_with_shared(session, row)
                return True
            self._is_settled = True
            self._see_folded(copy.head.sequence)
            await asyncio.sleep(0)  # signals come first
        if rows:
            copy.publish()
            if self._shows is not None and self._shows.is_open:
                self._shows.moved()
        return bool(rows)

    def _opened_copy(self) -> LocalCopy:
        if self._copy is None:
            place = self._place
            self._copy = LocalCopy(
                place.directory, place.hasher, self.recovered, place.segment_bytes_max
            )
        return self._copy

    def _see_folded(self, sequence: int) -> None:
        taken_in_at_ns = self.recovered.engine.state.last_received_at_ns
        age_ns = max(0, self._wall_ns() - taken_in_at_ns)
        self._sight.fold(sequence, self._monotonic_ns() - age_ns)

    def _show(self, *, has_all: bool) -> None:
        """Once what is held is the cluster's, and was all of it, others may see it: as somebody's
        sign of life has shown, or where nobody has given one for long, as far as can be seen.
        """
        shows, has_records = self._shows, self.recovered.head.sequence > 0
        is_seen = self._sight.is_known or (has_all and self._is_quiet)
        is_due = self._is_settled and is_seen and has_records
        if shows is not None and is_due and not shows.is_open:
            shows.open(self.recovered, self._opened_copy())

    async def _end_with_shared(self, session: Session, row: LogRow) -> None:
        """What the cluster acknowledged is other than what stands here: that goes."""
        self._is_settled = False
        self._checkpoints.stop()
        self._close_copy()
        place, head = self._place, self.recovered.head
        shared = await shared_head(place, head, session, row.acknowledged)
        self.recovered = end_with(place, self.recovered, shared, self._say)
        self._see_folded(self.recovered.head.sequence)

    def _close_copy(self) -> None:
        if self._shows is not None and self._shows.is_open:
            self._shows.close()
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.close()
