"""Times a guard with its log on a quorum beside PostgreSQL's own commit, and a guard without.

    python tests/bench/bench_cluster.py [--rounds N] [--seconds S]

Three nodes of PostgreSQL, the guards and the load all on this machine. In turn, so that each round
meets the same machine: PostgreSQL's commit of one order's bytes, in the guard's own statement over
one session; a guard with `durability = "both"`, one message in flight and 200; a guard without a
cluster, likewise. The medians of the rounds, and how far the rounds spread.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from measured import say_what_is_measured

from cluster_support import DATABASE, Cluster, running_cluster
from daemon_support import Site, command
from guard.cluster import statements
from guard.cluster.epochs import begin_epoch
from guard.config.cluster_section import ClusterSection
from guard.process import own_process
from wal import EMPTY_HEAD, Head

ORDER_BYTES = 1_650
COMMITS = 200
IN_FLIGHT = (1, 200)
PATIENCE_S = 120.0


async def commit_times_us(cluster: Cluster, log: str) -> list[float]:
    """How long PostgreSQL's own commits of an order's bytes take."""
    names = [cluster.standby_names(name) for name in cluster.nodes]
    terms = ClusterSection(hosts=cluster.hosts, log=log, standby_names=names, database=DATABASE)
    claim = await begin_epoch(terms, "bench")
    head, times = EMPTY_HEAD, []
    for sequence in range(1, COMMITS + 1):
        behind = Head(sequence, f"{sequence:064x}")
        words = (log, claim.epoch, *head, *behind, *head, b"x" * ORDER_BYTES)
        began = time.perf_counter_ns()
        row = await claim.session.row(statements.INSERT_BATCH, *words, "on", names)
        times.append((time.perf_counter_ns() - began) / 1_000)
        assert row is not None
        head = behind
    claim.session.terminate()
    return times


def measured(endpoint: str, in_flight: int, seconds: float, report: Path) -> tuple[float, float]:
    """The median latency in microseconds, and requests a second."""
    load = ("--in-flight", str(in_flight), "--clients", "1" if in_flight == 1 else "4")
    times = ("--seconds", str(seconds), "--warm-up-s", "0.5", "--rounds", "1")
    line = ("bench", "--endpoint", endpoint, *load, *times, "--json", str(report))
    done = subprocess.run(
        own_process.command("guard.cli", *line),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = json.loads(report.read_text())["runs"]
    return run["latency_ns"]["p50"] / 1_000, run["requests_a_second"]


def main() -> None:
    """Measures, and says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    say_what_is_measured()
    config = command("bench", "--print-config").stdout
    found: dict[str, list[float]] = {}
    with running_cluster() as cluster, tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        root = Path(name)
        sites = {"both": config + cluster.section("bench"), "local": config}
        for kind in sites:
            (root / kind).mkdir()
        both, local = (Site(root / kind, text) for kind, text in sites.items())
        with both.running() as first, local.running() as second:
            for number in range(options.rounds):
                own = asyncio.run(commit_times_us(cluster, f"own-{number}"))
                found.setdefault("PostgreSQL's own commit, p50 µs", []).append(
                    statistics.median(own)
                )
                for kind, guard in (("both", first), ("local", second)):
                    for in_flight in IN_FLIGHT:
                        p50_us, rate = measured(
                            guard.endpoint, in_flight, options.seconds, root / "report"
                        )
                        place = f"{kind}, {in_flight} in flight"
                        found.setdefault(f"{place}, p50 µs", []).append(p50_us)
                        found.setdefault(f"{place}, orders/s", []).append(rate)
    for name, values in found.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"  {name:<34} {statistics.median(values):>10,.0f}   ({spread})")


if __name__ == "__main__":
    main()
