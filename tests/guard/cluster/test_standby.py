"""A standby, beside real servers: what it folds, where it ends, its checkpoints, its deafness."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_support import DATABASE, Cluster, needs_postgres, running_cluster
from guard.clock import monotonic_ns, wall_ns
from guard.cluster import reconciling, statements
from guard.cluster.epochs import Claim, begin_epoch
from guard.cluster.reconciling import Place
from guard.cluster.standby import Standby, Why
from guard.config.cluster_section import ClusterSection
from guard.recovery.recover import recover_log
from guard_support import KEY, LoggedEngine, order, write_log
from wal import EMPTY_HEAD, ChainHasher, Head, parse_line, read_checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.cluster, needs_postgres]

HASHER = ChainHasher(KEY)
SEGMENT_BYTES = 1_048_576
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A short day's lines, as a log has them."""
    day = LoggedEngine()
    for number in range(12):
        day.submit(order(f"A-{number}"))
    directory = tmp_path_factory.mktemp("day") / "log"
    write_log(directory, day.records)
    (segment,) = directory.glob("*.jsonl")
    return segment.read_bytes().splitlines(keepends=True)


def terms_of(cluster: Cluster, log: str, **others: object) -> ClusterSection:
    names = [cluster.standby_names(name) for name in cluster.nodes]
    return ClusterSection(
        hosts=cluster.hosts, log=log, standby_names=names, database=DATABASE, **others
    )


class Following:
    """A standby that follows, as a task."""

    def __init__(self, terms: ClusterSection, directory: Path, **others: int) -> None:
        self.said: list[str] = []
        recovered = recover_log(directory, HASHER, new_log=not directory.exists())
        self.standby = Standby(
            terms,
            Place(terms.log, directory, HASHER, SEGMENT_BYTES),
            recovered,
            monotonic_ns=monotonic_ns,
            wall_ns=wall_ns,
            say=self.said.append,
            alarm=self.said.append,
            **{"checkpoint_interval_ns": 0, **others},
        )
        self.task = asyncio.create_task(self.standby.follow())

    async def until(self, sequence: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.standby.recovered.head.sequence < sequence:
                await asyncio.sleep(0.01)

    async def end(self) -> Why:
        async with asyncio.timeout(PATIENCE_S):
            why = await self.task
        self.standby.recovered.lock.release()
        return why


async def write(claim: Claim, log: str, lines: list[bytes], first: int, last: int) -> None:
    """A row of these records."""
    before = EMPTY_HEAD if first == 1 else parse_line(lines[first - 2]).head
    behind: Head = parse_line(lines[last - 1]).head
    words = (log, claim.epoch, *before, *behind, *before, b"".join(lines[first - 1 : last]))
    assert await claim.session.commit(statements.INSERT_BATCH, *words)


async def test_it_folds_what_a_later_statement_names_and_no_more(
    cluster: Cluster, tmp_path: Path, lines: list[bytes]
) -> None:
    terms = terms_of(cluster, "folds")
    claim = await begin_epoch(terms, "guard")
    following = Following(terms, tmp_path / "log")
    await write(claim, "folds", lines, 1, 7)
    await asyncio.sleep(0.3)
    assert following.standby.recovered.head == EMPTY_HEAD, "nothing names it as acknowledged yet"
    await write(claim, "folds", lines, 8, 9)
    await following.until(7)
    await asyncio.sleep(0.3)
    assert following.standby.recovered.head.sequence == 7
    head = parse_line(lines[8]).head
    assert await claim.session.commit(statements.BEAT, "folds", claim.epoch, *head)
    await following.until(9)
    following.standby.take_over()
    assert await following.end() is Why.TOLD
    assert following.standby.recovered.head == head
    claim.session.terminate()


async def test_it_takes_a_checkpoint_and_starts_from_it(
    cluster: Cluster, tmp_path: Path, lines: list[bytes]
) -> None:
    terms = terms_of(cluster, "checkpoints")
    claim = await begin_epoch(terms, "guard")
    await write(claim, "checkpoints", lines, 1, 12)
    await write(claim, "checkpoints", lines, 13, 14)
    following = Following(terms, tmp_path / "log", checkpoint_records_min=5)
    await following.until(12)
    following.standby.stop()
    assert await following.end() is Why.STOPPED
    recovered = recover_log(tmp_path / "log", HASHER)
    assert recovered.checkpoint is not None
    assert recovered.checkpoint.sequence == 12
    recovered.lock.release()
    again = Following(terms, tmp_path / "log")
    await write(claim, "checkpoints", lines, 15, 16)
    await again.until(14)
    again.standby.stop()
    await again.end()
    assert again.said == []
    claim.session.terminate()


async def test_it_goes_on_to_follow_while_it_writes_a_checkpoint(
    cluster: Cluster, tmp_path: Path, lines: list[bytes]
) -> None:
    terms = terms_of(cluster, "beside")
    claim = await begin_epoch(terms, "guard")
    await write(claim, "beside", lines, 1, 12)
    await write(claim, "beside", lines, 13, 14)
    following = Following(
        terms, tmp_path / "log", checkpoint_interval_ns=1, checkpoint_records_min=5
    )
    await following.until(12)
    async with asyncio.timeout(PATIENCE_S):
        while [
            (info.head.sequence, info.problem)
            for info in read_checkpoints(tmp_path / "log", HASHER)
        ] != [(12, None)]:
            await asyncio.sleep(0.01)
    await write(claim, "beside", lines, 15, 16)
    await following.until(14)
    following.standby.take_over()
    assert await following.end() is Why.TOLD
    recovered = recover_log(tmp_path / "log", HASHER)
    assert recovered.checkpoint is not None
    assert (recovered.checkpoint.sequence, recovered.head.sequence) == (12, 14)
    recovered.lock.release()
    assert following.said == []
    claim.session.terminate()


async def test_who_tells_it_to_take_over_does_not_wait_for_a_node_that_says_nothing(
    cluster: Cluster, tmp_path: Path, lines: list[bytes]
) -> None:
    terms = terms_of(cluster, "mute", unknown_after_ms=60_000)
    claim = await begin_epoch(terms, "guard")
    await write(claim, "mute", lines, 1, 7)
    await write(claim, "mute", lines, 8, 9)
    following = Following(terms, tmp_path / "log")
    await following.until(7)
    cluster.primary.signal_all(signal.SIGSTOP)
    try:
        await asyncio.sleep(0.2)  # a look is under way
        following.standby.take_over()
        async with asyncio.timeout(2.0):
            assert await following.end() is Why.TOLD
    finally:
        cluster.primary.signal_all(signal.SIGCONT)
    assert following.said == []
    claim.session.terminate()


async def test_a_look_brings_rows_of_so_many_bytes_and_one_at_least(
    cluster: Cluster, lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = terms_of(cluster, "pages")
    claim = await begin_epoch(terms, "guard")
    ends = [(1, 7), (8, 8), (9, 9), (10, 12)]
    for first, last in ends:
        await write(claim, "pages", lines, first, last)

    async def found(after: int, byte_count: int) -> list[tuple[int, int]]:
        monkeypatch.setattr(reconciling, "STEP_BYTES_MAX", byte_count)
        rows = await reconciling.read_batches(claim.session, "pages", after, 12)
        return [(row.first_sequence, row.last_sequence) for row in rows]

    two = sum(map(len, lines[:8]))
    assert await found(0, 10 * two) == ends
    assert await found(0, two) == ends[:2]
    assert await found(0, two - 1) == ends[:1]
    assert await found(0, 1) == ends[:1]
    assert await found(3, two) == ends[:2], "a row of which a part is here already counts"
    assert await found(7, len(lines[7]) + len(lines[8])) == ends[1:3]
    assert await found(12, two) == []
    claim.session.terminate()


async def test_silence_is_counted_while_it_sees_the_cluster(
    cluster: Cluster, tmp_path: Path, lines: list[bytes]
) -> None:
    terms = terms_of(cluster, "silent", takeover="silent", beat_ms=100, silence_ms=600)
    claim = await begin_epoch(terms, "guard")
    await write(claim, "silent", lines, 1, 7)
    cluster.primary.kill()
    following = Following(terms, tmp_path / "log")
    await asyncio.sleep(1.5)
    assert not following.task.done(), "it knows nothing of the guard"
    assert "the cluster cannot be seen" in following.said[0]
    cluster.primary.start()
    assert await following.end() is Why.SILENCE
    assert "can be seen again" in following.said[-1]
