"""The `calybris` wheel in process, doing an order's work without a network.

Owns the loop: decide, reserve, append the audited entry under a key, and one fsync a batch. Its
lowest interface is used, the Rust objects themselves, with the inputs made beforehand: what is
timed is the wheel's work, not this module's.
"""

import importlib
import os
import random
import secrets
import statistics
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any, Final

from guard import clock
from guard.bench.schedule import NS_PER_S
from kernel import KERNEL_FORM, OUTPUT_ROW_BYTES, KernelInput, KernelModel, PolicySnapshot

DECISIONS: Final = 2_000
ROUNDS: Final = 15
SEED: Final = 20_240_601
U64_MAX: Final = 2**64 - 1
POLICY: Final = (1, 1, 9_000, 1_000, 10_000, 1_000)
_NOTIONAL_MICROCENTS: Final = 619_000_000


def _wheel() -> Any:
    """Its Rust module. Raises ImportError where it is not installed."""
    return importlib.import_module("calybris._core")


def venue_rows(venues: int) -> list[tuple[int, ...]]:
    """Venues in the model layout's order; the same every time."""
    rng = random.Random(SEED)
    return [
        (
            *(number, number % 8, rng.randint(7_000, 9_999), 9_000, 1, rng.randint(5, 60)),
            *(U64_MAX, U64_MAX, rng.randint(10**10, 10**12), rng.randint(10**6, 9 * 10**7)),
        )
        for number in range(1, venues + 1)
    ]


def input_rows(venues: int, count: int) -> list[tuple[int, ...]]:
    """Inputs in the input layout's order, which pass every gate: the dearest case."""
    rng = random.Random(SEED + 1)
    return [
        (
            *(sequence, rng.randint(1, venues), rng.randint(1, 10_000), 10**6),
            *(rng.randint(10**12, 10**16), U64_MAX, rng.randint(0, 3_000)),
            *(rng.randint(8_000, 10_000), 6_000, 0, 3, U64_MAX, 1),
        )
        for sequence in range(count)
    ]


def measure_orders(directory: Path, venues: int, batch: int, duration_s: float) -> float:
    """Durable orders a second of the wheel, `batch` of them an fsync. Raises ImportError."""
    wheel = _wheel()
    policy = wheel.PolicySnapshot(*POLICY, [wheel.KernelModel(*row) for row in venue_rows(venues)])
    inputs = [wheel.KernelInput(*row) for row in input_rows(venues, DECISIONS)]
    budget = wheel.BudgetEngine()
    budget.ensure_tenant("desk-00000", 2**62)
    path = directory / "wheel.jsonl"
    log = wheel.AuditedWal(path, hmac_key=secrets.token_bytes(32))
    count = 0
    os.sync()
    started_ns = clock.monotonic_ns()
    deadline_ns = started_ns + int(duration_s * NS_PER_S)
    try:
        while (now_ns := clock.monotonic_ns()) < deadline_ns:
            for _ in range(batch):
                request = inputs[count % DECISIONS]
                decision = policy.prescribe(request)
                budget.try_reserve("desk-00000", _NOTIONAL_MICROCENTS)
                log.append_verified(policy, request, decision, "{}")
                count += 1
            log.flush_and_sync()
    finally:
        log.close()
        path.unlink()
    return count * NS_PER_S / (now_ns - started_ns)


def policy_of(venues: int) -> PolicySnapshot:
    """Our policy of so many venues."""
    return PolicySnapshot(*POLICY, [KernelModel(*row) for row in venue_rows(venues)])


def write_decisions(path: Path, key: bytes, venues: int, count: int) -> Any:
    """So many decisions in the wheel's audited log; returns its policy. Raises ImportError."""
    wheel = _wheel()
    policy = wheel.PolicySnapshot(*POLICY, [wheel.KernelModel(*row) for row in venue_rows(venues)])
    log = wheel.AuditedWal(path, hmac_key=key)
    try:
        for row in input_rows(venues, count):
            request = wheel.KernelInput(*row)
            log.append_verified(policy, request, policy.prescribe(request), "{}")
    finally:
        log.close()
    return policy


def measure_kernels(venues: int) -> dict[str, float]:
    """Nanoseconds of processor time a decision, by who makes it: the median of rounds in turn.

    The wheel's batch takes its own objects; the crate's `prescribe` in Rust cannot be had here.
    """
    rows, inputs = venue_rows(venues), input_rows(venues, DECISIONS)
    policy = policy_of(venues)
    packed = b"".join(KernelInput(*row).row for row in inputs)
    output = bytearray(OUTPUT_ROW_BYTES * DECISIONS)
    contestants: dict[str, Callable[[], object]] = {
        f"kernel ({KERNEL_FORM}), packed rows": lambda: policy.decide_rows(
            packed, DECISIONS, output
        )
    }
    if util.find_spec("calybris") is not None:
        wheel = _wheel()
        theirs = wheel.PolicySnapshot(*POLICY, [wheel.KernelModel(*row) for row in rows])
        objects = [wheel.KernelInput(*row) for row in inputs]
        contestants["wheel, a batch of objects"] = lambda: theirs.prescribe_batch(objects)
        contestants["wheel, one by one"] = lambda: [theirs.prescribe(one) for one in objects]
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            started_ns = clock.thread_cpu_ns()
            run()
            samples[name].append((clock.thread_cpu_ns() - started_ns) / DECISIONS)
    return {name: statistics.median(values) for name, values in samples.items()}
