"""The log's way to the cluster while a guard serves: batch by batch, each acknowledged or unknown.

Owns what is on its way there, the head that is known to be on the quorum, and what is done where
the outcome of a statement is unknown. Must not: say anything twice in one epoch, or let an answer
go for which the cluster has not spoken.

How it works: the log's writer hands over each batch as it goes to the disk (`take`), so that both
are under way at once; one task says one statement after the other. Whoever must wait asks
`confirm`: for a batch, until its row is on the quorum; for answers that stand on no new record,
until a statement that was begun after them has come back, for another guard may have taken over.
With nothing to write a beat is said every so often, which shows followers that this guard lives,
and names the head that they may fold.

Unknown is never tried again in its epoch. The connection is closed, nothing is answered, and the
next epoch is begun, if the last one was still ours: its commit puts on the quorum whatever is
there. If the row of the batch is, the batch is acknowledged; if not, it never will be, and is
written under the new epoch. So it is where the settings of synchronous replication are refused.

How it fails: `ClusterError`, to all who wait and to `on_failure`; `take` is silent from then on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from guard.cluster import statements
from guard.cluster.epochs import GIVE_UP_NS, RETRY_S, Claim, begin_epoch_in_time, why_refused
from guard.cluster.errors import ClusterError, Fenced, Unfit, Unknown
from guard.config.cluster_section import ClusterSection
from guard.process.line_forms import told
from wal import Head, TakenBatch

# Where the cluster follows behind: batches that wait go as one row, up to so many bytes.
MERGED_BYTES_MAX: Final = 1024 * 1024


class Row(NamedTuple):
    """Lines of the log on their way: what they follow, where they end."""

    before: Head
    head: Head
    lines: bytes


class Quorum:
    """One log's writer in the cluster. All calls belong to the loop's thread."""

    def __init__(
        self,
        terms: ClusterSection,
        claim: Claim,
        *,
        monotonic_ns: Callable[[], int],
        say: Callable[[str], None],
        alarm: Callable[[str], None],
    ) -> None:
        self._terms = terms
        self._session, self._epoch, self._acknowledged, self._holder = claim
        self._monotonic_ns = monotonic_ns
        self._say, self._alarm = say, alarm
        self._is_merging = terms.durability == "follow"
        self._taken = claim.head
        self._confirmed_sequence = claim.head.sequence
        self._rows: deque[Row] = deque()
        self._under_way: Row | None = None
        self._bytes = 0  # of rows that are not acknowledged
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._begun = self._ended = self._started_ns = 0  # statements
        self._is_asked = self._is_beat_due = self._is_closing = self._is_releasing = False
        self._failure: ClusterError | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.on_failure: Callable[[BaseException], None] = _nobody_is_told
        self._commits = self._beats = self._epochs_begun_again = 0
        self._last_ns = self._greatest_ns = 0

    @property
    def acknowledged(self) -> Head:
        """The last head that is known to be on the quorum."""
        return self._acknowledged

    def start(self) -> None:
        """Begins to write and to beat."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(self._on_end)
        self._plan_beat()

    def take(self, batch: TakenBatch) -> None:
        """A batch is on its way to the disk: it goes to the cluster, too."""
        if self._failure is not None:
            return
        row = Row(self._taken, batch.head, bytes(batch.lines))
        assert row.before.sequence + 1 == batch.first_sequence
        self._taken = batch.head
        self._bytes += len(row.lines)
        last = self._rows[-1] if self._rows and self._is_merging else None
        if last is not None and len(last.lines) + len(row.lines) <= MERGED_BYTES_MAX:
            self._rows[-1] = Row(last.before, row.head, last.lines + row.lines)
        else:
            self._rows.append(row)
        self._wake.set()

    async def confirm(self, head: Head) -> None:
        """Until all up to `head` is on the quorum. Raises ClusterError.

        A batch with records is taken when its answers are, so that its row's statement is begun
        behind their requests. Where there is none since the last call, one is begun now.
        """
        if head.sequence <= self._confirmed_sequence:
            wanted = self._begun + 1
            self._is_asked = True
            self._wake.set()
            while self._ended < wanted:
                await self._next()
        self._confirmed_sequence = head.sequence
        while self._acknowledged.sequence < head.sequence:
            await self._next()

    async def keep_up(self, _head: Head) -> None:
        """Until no more is on its way than the configuration allows. Raises ClusterError."""
        while self._bytes > self._terms.lag_bytes_max:
            await self._next()

    async def settle(self) -> None:
        """Until all that was taken is on the quorum. Raises ClusterError."""
        self._confirmed_sequence = self._taken.sequence
        while self._acknowledged.sequence < self._taken.sequence:
            await self._next()

    async def release(self) -> None:
        """All is done: whoever is next need not wait for a silence. Ends as `close` does."""
        self._is_releasing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.close()

    async def close(self) -> None:
        """Closes the connection, whatever is under way, and waits for the task's end."""
        self._is_closing = True
        if self._beat is not None:
            self._beat.cancel()
        self._session.terminate()
        self._wake.set()
        if self._task is not None:
            # Never cancelled: that would have the server cancel a commit.
            await asyncio.wait([self._task])

    def gauges(self) -> dict[str, int]:
        """How it stands, in figures."""
        return {
            "cluster_epoch": self._epoch,
            "cluster_acknowledged_sequence": self._acknowledged.sequence,
            "cluster_lag_records": self._taken.sequence - self._acknowledged.sequence,
            "cluster_lag_bytes": self._bytes,
            "cluster_commits": self._commits,
            "cluster_beats": self._beats,
            "cluster_commit_ns_last": self._last_ns,
            "cluster_commit_ns_max": self._greatest_ns,
            "cluster_waiting_ns": self._waiting_ns(),
            "cluster_epochs_begun_again": self._epochs_begun_again,
            "cluster_fenced": int(self._failure is not None),
        }

    def _waiting_ns(self) -> int:
        """For how long the statement that is under way has been."""
        is_under_way = self._begun != self._ended
        return self._monotonic_ns() - self._started_ns if is_under_way else 0

    async def _next(self) -> None:
        """Until a statement has come back, or the cluster has failed, which is raised."""
        if self._failure is not None:
            raise self._failure
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter
        if self._failure is not None:
            raise self._failure

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _plan_beat(self) -> None:
        def due() -> None:
            self._is_beat_due = True
            self._wake.set()

        loop = asyncio.get_running_loop()
        self._beat = loop.call_later(self._terms.beat_ms / 1_000, due)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is None and (self._is_closing or self._is_releasing):
            return
        if isinstance(error, ClusterError):
            self._failure = error
        else:
            self._failure = ClusterError(f"the task that writes to the cluster has ended: {error}")
            self._failure.__cause__ = error
        self._tell()
        if not self._is_closing:
            self.on_failure(self._failure)

    async def _run(self) -> None:
        while not self._is_closing:
            await self._wake.wait()
            self._wake.clear()
            while (self._rows or self._is_asked or self._is_beat_due) and not self._is_closing:
                await self._step()
            if self._is_releasing:
                words = (self._terms.log, self._epoch, *self._acknowledged)
                await self._session.row(statements.RELEASE, *words)
                return

    async def _step(self) -> None:
        """One statement: the next row, or a beat where there is none."""
        self._begun += 1
        number, self._started_ns = self._begun, self._monotonic_ns()
        self._is_asked = False
        row = self._under_way = self._rows.popleft() if self._rows else None
        is_due, self._is_beat_due = self._is_beat_due, False
        try:
            took = await (
                self._session.commit(statements.BEAT, *self._beat_words())
                if row is None
                else self._session.commit(statements.INSERT_BATCH, *self._row_words(row))
            )
            if took is None:
                raise await why_refused(self._session, self._terms.log)
        except (Unknown, Unfit) as error:
            await self._begin_again(error)
        else:
            self._last_ns = self._monotonic_ns() - self._started_ns
            self._greatest_ns = max(self._greatest_ns, self._last_ns)
            if row is None:
                self._beats += 1
            else:
                self._settle(row)
        self._under_way, self._ended = None, number
        if is_due:
            self._plan_beat()
        self._tell()

    def _row_words(self, row: Row) -> tuple[object, ...]:
        known = self._acknowledged
        return (self._terms.log, self._epoch, *row.before, *row.head, *known, row.lines)

    def _beat_words(self) -> tuple[object, ...]:
        return (self._terms.log, self._epoch, *self._acknowledged)

    def _settle(self, row: Row) -> None:
        self._acknowledged = row.head
        self._bytes -= len(row.lines)
        self._commits += 1

    async def _begin_again(self, error: Unknown | Unfit) -> None:
        """The next epoch, and what it shows of the row whose outcome is unknown."""
        self._session.terminate()
        if self._is_closing:
            raise error
        text = (
            f"the cluster: a statement is not known to be on the quorum ({error}); nothing is "
            f"answered before the epoch behind {self._epoch} has begun"
        )
        self._alarm(told("cluster_unknown", text, epoch=self._epoch))
        claim = await self._claim()
        rows = [*([] if self._under_way is None else [self._under_way]), *self._rows]
        self._session, self._epoch = claim.session, claim.epoch
        self._epochs_begun_again += 1
        if claim.head != self._acknowledged and claim.head not in [row.head for row in rows]:
            claim.session.terminate()
            raise Fenced(
                f"the cluster's log ends with record {claim.head.sequence}, which this guard has "
                "not written there"
            )
        while self._acknowledged != claim.head:
            self._settle(rows.pop(0))
        self._rows = deque(rows)
        text = f"the cluster: epoch {self._epoch} has begun, orders are answered again"
        self._say(told("cluster_again", text, epoch=self._epoch))

    async def _claim(self) -> Claim:
        """Not at once: who ended our session to take over shall not meet us at the row."""
        end_ns = self._monotonic_ns() + GIVE_UP_NS
        await asyncio.sleep(RETRY_S)
        return await begin_epoch_in_time(
            self._terms,
            self._holder,
            self._holder,
            lambda: self._is_closing or self._monotonic_ns() > end_ns,
        )


def _nobody_is_told(_failure: BaseException) -> None:
    """Whoever waits next is."""
