"""Plays seeds until they are done, the time is up, or one of them fails.

    python tests/sim/run.py --seeds 1000 [--first 0] [--seconds 600] [--trace]

A failing seed is printed with its whole trace, and plays the same on any machine. Exit code 1 then.
"""

import argparse
import sys
import time
from pathlib import Path


def main() -> int:
    """Runs; the exit code."""
    parser = argparse.ArgumentParser(description="plays seeds of the simulator")
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long (0: never)")
    parser.add_argument("--trace", action="store_true", help="print every trace")
    parser.add_argument("--twice", action="store_true", help="play each twice, compare the traces")
    options = parser.parse_args()
    tests = Path(__file__).resolve().parent.parent
    # The helpers of the tests first; the product itself from here only where none is installed.
    sys.path[:0] = [str(tests)]
    sys.path.append(str(tests.parent))
    from sim.seeds import FailureError, run_seed

    started_s = time.monotonic()
    played = crashes = power_cuts = cuts = replies = records = 0
    checkpoints = failed = spoilt = begun_with = 0
    for seed in range(options.first, options.first + options.seeds):
        if options.seconds and time.monotonic() - started_s > options.seconds:
            break
        try:
            result = run_seed(seed)
            if options.twice and run_seed(seed).digest != result.digest:
                raise FailureError(f"seed {seed}: played twice, two traces")
        except FailureError as failure:
            print(failure)
            return 1
        if options.trace:
            print("\n".join(result.trace), f"\nseed {seed}: digest {result.digest}", sep="")
        played += 1
        crashes += result.crashes
        power_cuts += result.power_cuts
        cuts += result.cuts
        replies += result.replies
        records += result.records
        checkpoints += result.checkpoints
        failed += result.failed_checkpoints
        spoilt += result.spoilt_checkpoints
        begun_with += result.starts_from_checkpoints
    took_s = time.monotonic() - started_s
    print(
        f"{played} seeds from {options.first} in {took_s:.1f} s, nothing found: {crashes} crashes, "
        f"{power_cuts} of them power cuts, {cuts} torn ends cut, {records} records, "
        f"{replies} replies checked; {checkpoints} checkpoints taken, {failed} more failed, "
        f"{spoilt} spoilt, {begun_with} starts began with one"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
