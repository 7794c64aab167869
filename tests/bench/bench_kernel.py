"""Times a decision over 22 venues, ours beside the Rust crate's wheel, in one run.

    python tests/bench/bench_kernel.py [venues]

Rounds are interleaved, so that what else the machine does falls on both; each figure is the median
of the rounds. *Selective* inputs vary what the gates ask for; *open* ones pass every gate, which is
the dearest case: every venue's cost and utility is worked out. One core, one thread.
"""

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version

import calybris._core as wheel
from measured import say_what_is_measured

from guard.bench.conditions import processor
from guard.bench.wheel import POLICY, policy_of, venue_rows
from kernel import OUTPUT_ROW_BYTES, KernelInput

SEED = 20_240_601
DECISIONS_PER_ROUND = 2_000
ROUNDS = 31
U64_MAX = 2**64 - 1


def input_fields(
    rng: random.Random, count: int, venues: int, selective: bool
) -> list[tuple[int, ...]]:
    """Orders, in the input layout's order."""
    return [
        (
            sequence,
            rng.randint(1, venues),
            rng.randint(1, 10_000),
            10**6,
            rng.randint(10**12, 10**16),
            U64_MAX,
            rng.randint(0, 3_000),
            rng.randint(8_000, 10_000),
            rng.randint(0, 9_500) if selective else 6_000,
            rng.choice([0, 50, 60]) if selective else 0,
            3,
            rng.choice([U64_MAX, 0b1111, 0b111]) if selective else U64_MAX,
            1,
        )
        for sequence in range(count)
    ]


def each(call: Callable[[object], object], arguments: list[object]) -> Callable[[], None]:
    """One call per argument, the loop included."""

    def run() -> None:
        for argument in arguments:
            call(argument)

    return run


def time_rounds(contestants: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median nanoseconds per decision, the contestants taking turns."""
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            started_ns = time.perf_counter_ns()
            run()
            samples[name].append((time.perf_counter_ns() - started_ns) / DECISIONS_PER_ROUND)
    return {name: statistics.median(values) for name, values in samples.items()}


def measure(title: str, venues: int, selective: bool) -> None:
    rng = random.Random(SEED)
    rows = venue_rows(venues)
    inputs = input_fields(rng, DECISIONS_PER_ROUND, venues, selective)
    ours = policy_of(venues)
    theirs = wheel.PolicySnapshot(*POLICY, [wheel.KernelModel(*row) for row in rows])
    our_inputs = [KernelInput(*fields) for fields in inputs]
    their_inputs = [wheel.KernelInput(*fields) for fields in inputs]
    input_rows = [request.row for request in our_inputs]
    packed = b"".join(input_rows)
    output = bytearray(OUTPUT_ROW_BYTES * DECISIONS_PER_ROUND)
    for mine, other in zip(our_inputs, their_inputs, strict=True):
        other_fields = theirs.prescribe(other).as_dict()
        if ours.prescribe(mine).selected_model_id != other_fields["selected_model_id"]:
            raise SystemExit("the two kernels disagree; nothing was timed")
    medians = time_rounds(
        {
            "ours, objects": each(ours.prescribe, list(our_inputs)),
            "wheel, objects": each(theirs.prescribe, list(their_inputs)),
            "ours, object batch": lambda: ours.prescribe_batch(our_inputs),
            "wheel, object batch": lambda: theirs.prescribe_batch(their_inputs),
            "ours, row by row": each(ours.decide_row, list(input_rows)),
            "ours, packed rows": lambda: ours.decide_rows(packed, DECISIONS_PER_ROUND, output),
        }
    )
    print(f"\n{title}, {venues} venues: nanoseconds per decision (median of {ROUNDS} rounds)")
    for name, nanoseconds in medians.items():
        reference = medians["wheel, object batch" if "batch" in name else "wheel, objects"]
        print(f"  {name:<20} {nanoseconds:8.1f}   {nanoseconds / reference:5.2f} of the wheel's")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("venues", nargs="?", type=int, default=22)
    venues = parser.parse_args().venues
    say_what_is_measured(beside_the_wheel=True)
    print(
        f"machine   {processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"
    )
    print(f"python    {platform.python_implementation()} {platform.python_version()}")
    print(f"wheel     calybris {version('calybris')}, compiled Rust")
    print(f"load      {DECISIONS_PER_ROUND} decisions a round, {ROUNDS} rounds, seed {SEED}")
    measure("open", venues, selective=False)
    measure("selective", venues, selective=True)


if __name__ == "__main__":
    main()
