"""Looks for a sequence of requests and facts that gets past a limit, or that holds an exit up.

    python tests/search/run.py --sequences 2000000      # until done, or until one is found

Each history is another choice of limits and sixty steps from an empty guard; every step ends a
sequence of its own. What is found is printed with its steps, and the exit code is 1.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import kernel
from search.history import STEPS, History, broken_in


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    histories = -(-options.sequences // options.steps)
    checked: dict[str, int] = {}
    begun = time.monotonic()
    for seed in range(options.first, options.first + histories):
        history = History(seed)
        broken = broken_in(history, options.steps)
        for name, count in history.claims.checked.items():
            checked[name] = checked.get(name, 0) + count
        if broken is not None:
            print(f"seed {seed}: {broken}", history.terms, *history.trace, sep="\n  ")
            return 1
    took_s = time.monotonic() - begun
    said = ", ".join(f"{count:,} {name}" for name, count in checked.items())
    print(
        f"{histories * options.steps:,} sequences in {histories:,} histories, {said}: nothing "
        f"found, {took_s:.0f} s, {kernel.KERNEL_FORM}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
