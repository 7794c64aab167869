"""Times how fast a standby takes over rows: lines verified, written, synced and folded.

    python tests/bench/bench_standby.py [--records N] [--batch N ...] [--rounds N] [--profile]
    python tests/bench/bench_standby.py --cluster [--records N] [--batch N ...] [--rounds N]

The rows are made beforehand, of a day of orders, and handed to the very object that a standby hands
them to (`guard.cluster.copying.LocalCopy`), as a standby does: `--batch`, so many records a row.
Beside it the same day's log folded by a start (`recover_log`), which writes nothing. With
`--cluster` they are put into three nodes of PostgreSQL, and a standby's own loop fetches them
(`guard.cluster.standby`). The log is written to the working directory's disk.
"""

import argparse
import asyncio
import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvloop
from bench_recovery import HASHER, Maker
from measured import say_what_is_measured

from cluster_support import DATABASE, Cluster, running_cluster
from guard import clock
from guard.cluster import statements
from guard.cluster.copying import LocalCopy
from guard.cluster.epochs import begin_epoch
from guard.cluster.lines import BatchRow
from guard.cluster.reconciling import Place
from guard.cluster.standby import Standby
from guard.cluster.unsynced import UnsyncedFiles
from guard.config.cluster_section import ClusterSection
from guard.protocol.messages import Order
from guard.recovery.recover import recover_log
from wal import EMPTY_HEAD, LogWriter, TakenBatch

SEGMENT_BYTES = 67_108_864
ORDER = Order(
    "A-1", "desk-alpha", "AAPL", "buy", 100, 19_000, 10, 200, 9_000, currency="USD"
)  # fmt: skip
TURNS_S = 0.005


def rows_of(directory: Path, records: int, batch: int) -> list[BatchRow]:
    """A day of so many records as the rows that its writer puts into the cluster."""
    directory.mkdir()
    rows: list[BatchRow] = []

    def take(taken: TakenBatch) -> None:
        head = taken.head
        lines = bytes(taken.lines)
        rows.append(BatchRow(taken.first_sequence, head.sequence, 1, head.entry_hash, lines))

    with LogWriter.open(
        directory,
        HASHER,
        EMPTY_HEAD,
        monotonic_ns=clock.monotonic_ns,
        wall_ns=clock.wall_ns,
        files=UnsyncedFiles(),
    ) as writer:
        writer.on_taken = take
        maker = Maker(writer, records)
        writer.sync_now()  # what opens the log
        for number in range(records):
            maker.request(replace(ORDER, client_order_id=f"A-{number:09d}"))
            if writer.staged_count >= batch:
                writer.sync_now()
        writer.sync_now()
    return rows


class Took(NamedTuple):
    """Seconds: by the clock, and of the processor."""

    wall_s: float
    processor_s: float


class Watch:
    """Both, from its making on."""

    def __init__(self) -> None:
        self._wall_s, self._processor_s = time.perf_counter(), time.process_time()

    def took(self) -> Took:
        """Until now."""
        return Took(time.perf_counter() - self._wall_s, time.process_time() - self._processor_s)


def take_all(directory: Path, rows: list[BatchRow]) -> Took:
    """What it takes to take all rows over."""
    recovered = recover_log(directory, HASHER, new_log=True)
    copy = LocalCopy(directory, HASHER, recovered, SEGMENT_BYTES)
    watch = Watch()
    for step in copy.steps_of(rows):
        copy.take(step)
    took = watch.took()
    copy.close()
    recovered.lock.release()
    assert recovered.head == rows[-1].head
    return took


def fold_all(directory: Path) -> Took:
    """What a start's fold takes."""
    watch = Watch()
    recover_log(directory, HASHER).lock.release()
    return watch.took()


async def put(terms: ClusterSection, rows: list[BatchRow]) -> None:
    """The rows, in the cluster, all of them acknowledged."""
    claim = await begin_epoch(terms, "bench")
    before = EMPTY_HEAD
    for row in rows:
        words = (terms.log, claim.epoch, *before, *row.head, *before, row.lines)
        assert await claim.session.commit(statements.INSERT_BATCH, *words) is not None
        before = row.head
    assert await claim.session.commit(statements.BEAT, terms.log, claim.epoch, *before) is not None
    claim.session.terminate()


async def follow_all(terms: ClusterSection, directory: Path, rows: list[BatchRow]) -> Took:
    """What it takes until a standby has all of it, from its first look at the cluster on."""
    recovered = recover_log(directory, HASHER, new_log=True)
    standby = Standby(
        terms,
        Place(terms.log, directory, HASHER, SEGMENT_BYTES),
        recovered,
        monotonic_ns=clock.monotonic_ns,
        say=print,
        alarm=print,
        checkpoint_interval_ns=0,
    )
    watch = Watch()
    following = asyncio.ensure_future(standby.follow())
    while standby.recovered.head != rows[-1].head and not following.done():
        await asyncio.sleep(TURNS_S)
    took = watch.took()
    standby.take_over()
    await following
    recovered.lock.release()
    return took


def terms_of(cluster: Cluster, log: str) -> ClusterSection:
    """As a guard's configuration names them."""
    names = [cluster.standby_names(name) for name in cluster.nodes]
    return ClusterSection(hosts=cluster.hosts, log=log, standby_names=names, database=DATABASE)


def say(name: str, count: int, took: Took) -> None:
    """One line."""
    wall, processor = (f"{count / seconds:>9,.0f} records/s" for seconds in took)
    print(f"  {name:<32} {wall}, {processor} of processor time", flush=True)


def measure(options: argparse.Namespace, root: Path, cluster: Cluster | None) -> None:
    """Each batch size, each round."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for batch in options.batch:
            rows = rows_of(root / f"day-{batch}", options.records, batch)
            count = rows[-1].last_sequence
            if cluster is not None:
                terms = terms_of(cluster, f"bench-{batch}")
                runner.run(put(terms, rows))
            for number in range(options.rounds):
                directory = root / f"copy-{number}-{batch}"
                if cluster is None:
                    took = take_all(directory, rows)
                else:
                    took = runner.run(follow_all(terms, directory, rows))
                say(f"a standby's, {batch:,} records a row", count, took)
                say("a start's fold of that log", count, fold_all(directory))
    if options.profile:
        profile = cProfile.Profile()
        profile.runcall(take_all, root / "profiled", rows)
        pstats.Stats(profile).sort_stats("tottime").print_stats(16)


def main() -> None:
    """Measures, and says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 20, 200])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    say_what_is_measured()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        if options.cluster:
            with running_cluster() as cluster:
                measure(options, Path(name), cluster)
        else:
            measure(options, Path(name), None)


if __name__ == "__main__":
    main()
