"""Replay and verification of a log of decision records, beside the wheel, on the same log.

    python tests/bench/bench_replay.py [RECORDS [VENUES]]    (100,000 and 22)

One core each: CPU time per record, the median of five rounds in turn, so that what else runs on
the machine weighs on both. All cores: wall time with one process and with one for each core. Peak
memory is that of the largest process. On a busy machine believe the CPU times: what the processes
took together, beside what one takes alone, says what more cores could give.
"""

import os
import random
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import calybris
import msgspec
from measured import say_what_is_measured

from guard.audit.decision_log import replay_decision_log
from guard.record.codec import DIALECT
from kernel import KernelInput, KernelModel, PolicySnapshot, audit_bundle
from wal import EMPTY_HEAD, ChainHasher, Head, encode_line, usable_cores, verify_chain

KEY = bytes(range(32))
DISTINCT_RECORDS = 2_000  # their texts are written over and over: only the chain must be new
METADATA = {
    "event": "order",
    "received_at_ns": 1_700_000_000_000_000_000,
    "client": "local",
    "batch_first_sequence": 1,
    "order": {"client_order_id": "B-1", "desk": "desk-alpha", "symbol": "BTC-USD", "side": "buy",
              "quantity": 100, "price": 19_000, "venue": 10, "risk_bps": 200,
              "confidence_bps": 9_000, "time_in_force": "day", "currency": "USD"},
    "answer": {"type": "admit", "client_order_id": "B-1", "wal_sequence": 8, "reservation_id": 1},
}  # fmt: skip
ROUNDS = 5


def make_policy(venues: int) -> PolicySnapshot:
    numbers = random.Random(1)
    models = [
        KernelModel(
            model_id=10 + index,
            provider_id=numbers.randrange(8),
            quality_bps=numbers.randrange(8_000, 10_001),
            risk_ceiling_bps=numbers.randrange(4_000, 10_001),
            enabled=1,
            p95_latency_ms=numbers.randrange(1, 60),
            capabilities=1,
            region_mask=1,
            input_cost_microunits_per_million_tokens=numbers.randrange(1_000, 1_000_000),
            output_cost_microunits_per_million_tokens=numbers.randrange(1_000, 20_000),
        )
        for index in range(venues)
    ]
    return PolicySnapshot(7, 3, 9_500, 1_000, 10_000, 100, models)


def make_datas(policy: PolicySnapshot, venues: int) -> list[bytes]:
    numbers = random.Random(2)
    datas = []
    for sequence in range(1, DISTINCT_RECORDS + 1):
        asked = KernelInput(
            sequence, 10 + numbers.randrange(venues), numbers.randrange(1, 10**6), 1_000_000,
            numbers.randrange(10**9, 10**13), numbers.randrange(10**4, 10**12),
            numbers.randrange(3_000), numbers.randrange(5_000, 10_000), numbers.randrange(9_000),
            numbers.choice([0, 0, 50]), 0, 2**64 - 1, 0,
        )  # fmt: skip
        decision = policy.prescribe(asked)
        record = {
            "audit": audit_bundle(policy, asked, decision),
            "input": asked.as_dict(),
            "decision": decision.as_dict(),
            "metadata": METADATA,
        }
        datas.append(msgspec.json.encode(record))
    return datas


def write_log(path: Path, datas: list[bytes], count: int) -> None:
    hasher, head = ChainHasher(KEY), EMPTY_HEAD
    with path.open("wb") as file:
        for sequence in range(1, count + 1):
            data = datas[sequence % len(datas)]
            entry_hash = hasher.entry_hash(head.entry_hash, data)
            file.write(encode_line(sequence, head.entry_hash, entry_hash, data))
            head = Head(sequence, entry_hash)


def cpu_seconds() -> float:
    """CPU time of this process and of the children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def seconds(clock: Callable[[], float], work: Callable[[], Any]) -> float:
    begun = clock()
    work()
    return clock() - begun


def show(what: str, count: int, taken: list[float], beside: list[float] | None = None) -> None:
    ratio = "" if beside is None else f", {median(beside) / median(taken):.2f} times as fast"
    print(f"  {what:34s} {count / median(taken):10,.0f} records/s{ratio}")


def main(count: int, venues: int) -> None:
    say_what_is_measured(beside_the_wheel=True)
    hasher, policy, cores = ChainHasher(KEY), make_policy(venues), usable_cores()
    fields = policy.as_dict()
    models = [calybris.KernelModel(**model) for model in fields.pop("models")]
    theirs = calybris.PolicySnapshot(**fields, models=models)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log.jsonl"
        write_log(path, make_datas(policy, venues), count)
        size = path.stat().st_size
        print(f"{count:,} records of {size // count} bytes, {venues} venues")

        def ours(jobs: int = 1) -> None:
            report = replay_decision_log(path, hasher, policy, jobs=jobs)
            assert report.record_count == count

        def wheel() -> None:
            calybris.replay_verify_audited_wal(
                path, theirs, hmac_key=KEY, max_entries=count, max_total_bytes=2 * size
            )

        ours(), ours(cores)
        sizes = [
            resource.getrusage(who).ru_maxrss // 1024
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        ]
        rounds = [
            (
                seconds(process_time, ours),
                seconds(process_time, wheel),
                seconds(process_time, lambda: verify_chain(path, hasher, DIALECT)),
                seconds(process_time, lambda: calybris.verify_audited_wal(path, hmac_key=KEY)),
                seconds(perf_counter, ours),
                seconds(perf_counter, lambda: ours(cores)),
                seconds(cpu_seconds, lambda: ours(cores)),
            )
            for _ in range(ROUNDS)
        ]
    columns = [list(column) for column in zip(*rounds, strict=True)]
    mine, wheel_replay, verified, wheel_verify, alone, together, all_cpu = columns
    show("replay, a core", count, mine, wheel_replay)
    show("  the wheel", count, wheel_replay)
    show("verify, a core", count, verified, wheel_verify)
    show("  the wheel", count, wheel_verify)
    show("replay, wall, one process", count, alone)
    show(f"replay, wall, {cores} processes", count, together, alone)
    show(f"replay, CPU of {cores} processes", count, all_cpu, mine)
    print(f"  peak memory: {sizes[0]} MiB, of a process that shares the work {sizes[1]} MiB")


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    main(*(arguments + [100_000, 22][len(arguments) :]))
