"""Plays seeds of the slices' simulation, a thousand guards in each, and tells what they came to.

    python tests/sim/run_slices.py [--seeds 3] [--first 0] [--guards 1000] [--seconds 60] [--trace]
    python tests/sim/run_slices.py --moves         # desks move between the guards meanwhile
    python tests/sim/run_slices.py --bugs          # every planted bug must be found

A seed that fails is printed with the end of its trace, and plays the same on any machine. Exit code
1 then.
"""

import argparse
import sys
import time
from pathlib import Path


def main() -> int:
    """Runs; the exit code."""
    parser = argparse.ArgumentParser(description="plays seeds of the slices' simulation")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--guards", type=int, default=1_000, help="how many guards")
    parser.add_argument("--seconds", type=int, default=60, help="so long things go wrong")
    parser.add_argument("--trace", action="store_true", help="print the end of every trace")
    parser.add_argument("--moves", action="store_true", help="desks move between the guards, too")
    parser.add_argument("--bugs", action="store_true", help="look for the planted bugs instead")
    options = parser.parse_args()
    tests = Path(__file__).resolve().parent.parent
    sys.path[:0] = [str(tests)]
    sys.path.append(str(tests.parent))
    return _find_bugs() if options.bugs else _play(options)


def _play(options: argparse.Namespace) -> int:
    from sim.disk import ViolationError
    from sim.moves_world import MovesWorld
    from sim.slices_world import SlicesWorld

    kind = MovesWorld if options.moves else SlicesWorld
    for seed in range(options.first, options.first + options.seeds):
        started_s = time.monotonic()
        world = kind(seed, options.guards, options.seconds)
        try:
            world.run()
        except ViolationError as error:
            print("\n".join(world.trace), f"\nseed {seed}: {error}", sep="")
            return 1
        if options.trace:
            print("\n".join(world.trace))
        cluster = world.cluster
        print(
            f"seed {seed}: {options.guards} guards, {options.seconds} s of faults, "
            f"{time.monotonic() - started_s:.1f} s: {world.steps} steps, {world.oracle.checks} "
            f"times the sum looked at; {world.messages} messages, {cluster.commits} batches, "
            f"{world.admitted} orders answered, {world.deaths} guards died, {world.takeovers} "
            f"takeovers, {cluster.failovers} failovers with {cluster.undone} transactions lost; "
            f"{world.arrivals} moves of desks; "
            f"nothing exceeded, nothing lost; digest {world.digest[:16]}"
        )
    return 0


def _find_bugs() -> int:
    from sim import moves_mutations, slices_mutations

    survivors = 0
    for module in (slices_mutations, moves_mutations):
        for mutation in module.MUTATIONS:
            found = module.find(mutation)
            survivors += found is None
            print(f"{mutation.__name__}: {found or 'SURVIVES'}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
