"""How fast a log of decisions is replayed: ours beside the wheel, on one core and on all.

Owns the log: the wheel writes it, keyed, so that both read the very same bytes. Each checks the
chain, makes every decision again and compares the digests. Per core is per second of processor
time; what more cores gain is by the clock on the wall, one run right behind the other, beside what
loops gain that share nothing.
"""

import os
import secrets
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import clock
from guard.audit.decision_log import replay_decision_log
from guard.bench.builds import check_peers_comparable
from guard.bench.cores import busy_ratio
from guard.bench.schedule import NS_PER_S
from guard.bench.wheel import policy_of, write_decisions
from wal import ChainHasher

RECORDS: Final = 400_000  # a second of one core: starting a process is no part of it
ROUNDS: Final = 5
VENUES: Final = 22
LOG_BYTES_MAX: Final = 2**32  # what the wheel is told to take; it bounds itself lower

Figures = dict[str, float]


def measure_replay(directory: Path) -> Figures:
    """Records a second of each, and the ratios. Raises BenchError unless all is compiled, as the
    wheel is; ImportError without it.
    """
    check_peers_comparable()
    import calybris

    path, key = directory / "decisions.jsonl", secrets.token_bytes(32)
    theirs = write_decisions(path, key, VENUES, RECORDS)
    ours, hasher = policy_of(VENUES), ChainHasher(key)
    cores = os.cpu_count() or 1

    def replay(jobs: int) -> None:
        report = replay_decision_log(path, hasher, ours, jobs=jobs)
        assert report.record_count == RECORDS

    def replay_wheel() -> None:
        calybris.replay_verify_audited_wal(
            path, theirs, hmac_key=key, max_entries=RECORDS, max_total_bytes=LOG_BYTES_MAX
        )

    contestants: dict[str, Callable[[], None]] = {
        "ours": lambda: replay(1),
        "all cores": lambda: replay(cores),
        "wheel": replay_wheel,
    }
    wall_s: dict[str, list[float]] = {name: [] for name in contestants}
    cpu_s: dict[str, list[float]] = {name: [] for name in contestants}
    busy_ratios = []
    try:
        os.sync()  # what was written before is no longer the disk's, and a core's, business
        for _ in range(ROUNDS):
            for name, run in contestants.items():
                started_ns, used_ns = clock.monotonic_ns(), clock.process_cpu_ns()
                run()
                cpu_s[name].append((clock.process_cpu_ns() - used_ns) / NS_PER_S)
                wall_s[name].append((clock.monotonic_ns() - started_ns) / NS_PER_S)
            busy_ratios.append(busy_ratio(cores))
    finally:
        path.unlink()
    ours_s, wheel_s = statistics.median(cpu_s["ours"]), statistics.median(cpu_s["wheel"])
    gains = [
        one_s / all_s for one_s, all_s in zip(wall_s["ours"], wall_s["all cores"], strict=True)
    ]
    return {
        "replay_records_a_second": RECORDS / ours_s,
        "replay_wheel_records_a_second": RECORDS / wheel_s,
        "replay_wheel_ratio": wheel_s / ours_s,
        "replay_cores_ratio": statistics.median(gains),
        "busy_cores_ratio": statistics.median(busy_ratios),
    }
