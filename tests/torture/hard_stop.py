"""kill -9 at random moments, under load, in a loop; the same checks as `run.py`.

    python tests/torture/hard_stop.py [--minutes M] [--seed S] [--log-settings TOML]

Nothing inside the process chooses the moment: it comes from outside, while it starts, recovers, is
checked or serves. Ends by itself. Exit codes as `run.py`.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from run import base_parser, run_trials
from trial import Death, Tally

WHILE_STARTING = 0.3  # so much of the kills come within START_S of the process's start
START_S = 0.8
SERVE_S = 1.0  # the others come within so much of the load's begin
NO_LIMIT = 10**9


def main() -> int:
    parser = base_parser("kill -9 at random moments under load, in a loop, with checks.")
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    options.runs, options.seconds = NO_LIMIT, options.minutes * 60
    print(f"seed {options.seed}", flush=True)
    draw = random.Random(options.seed)

    def next_death() -> Death:
        is_armed = draw.random() < WHILE_STARTING
        return Death(is_armed=is_armed, after_s=draw.uniform(0.0, START_S if is_armed else SERVE_S))

    return run_trials(options, Tally(), draw, next_death, lambda _death, _was_struck: None)


if __name__ == "__main__":
    sys.exit(main())
