"""How fast a log of decisions is replayed: ours beside the wheel, on one core and on all.

Owns the log: the wheel writes it, keyed, so that both read the very same bytes. Each checks the
chain, makes every decision again and compares the digests. Per core is per second of processor
time; what more cores gain is by the clock on the wall.
"""

import os
import secrets
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Final

from guard import clock
from guard.audit.decision_log import replay_decision_log
from guard.bench.schedule import NS_PER_S
from guard.bench.wheel import policy_of, write_decisions
from wal import ChainHasher

RECORDS: Final = 200_000  # enough that starting a process is no part of it
ROUNDS: Final = 3
VENUES: Final = 22
LOG_BYTES_MAX: Final = 2**32  # what the wheel is told to take; it bounds itself lower

Figures = dict[str, float]


def measure_replay(directory: Path) -> Figures:
    """Records a second of each, and the ratios. Raises ImportError without the wheel."""
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
        "wheel": replay_wheel,
        "all cores": lambda: replay(cores),
    }
    wall_s: dict[str, list[float]] = {name: [] for name in contestants}
    cpu_s: dict[str, list[float]] = {name: [] for name in contestants}
    try:
        for _ in range(ROUNDS):
            for name, run in contestants.items():
                started_ns, used_ns = clock.monotonic_ns(), clock.process_cpu_ns()
                run()
                cpu_s[name].append((clock.process_cpu_ns() - used_ns) / NS_PER_S)
                wall_s[name].append((clock.monotonic_ns() - started_ns) / NS_PER_S)
    finally:
        path.unlink()
    ours_s, wheel_s = statistics.median(cpu_s["ours"]), statistics.median(cpu_s["wheel"])
    one_s, all_s = statistics.median(wall_s["ours"]), statistics.median(wall_s["all cores"])
    return {
        "replay_records_a_second": RECORDS / ours_s,
        "replay_wheel_records_a_second": RECORDS / wheel_s,
        "replay_wheel_ratio": wheel_s / ours_s,
        "replay_cores_ratio": one_s / all_s,
    }
