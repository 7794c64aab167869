"""What-if beside days played live: real flow, under rules that were changed.

    python tests/bench/check_whatif.py [FLOW.csv.gz] [--tells-refused]

Each row: a day played under one set of rules, whose log is asked what other rules would have given,
and the same flow played live under those (`tests/whatif_support.py` says how, and why in process).
The flow is the packaged recording, or a file of the same columns (`guard/data/README.md`). The
estimate may be wrong by a quarter of what the rules move, or by 0.2 % of the admits, and the live
day must lie between the extremes; exit code 1 where one is not. `--tells-refused`: traders report
fills and cancels of refused orders all the same. At the end how long a what-if takes, in replays.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from audit_support import HASHER
from guard.config.file import Config
from guard.demo.flow import Step, read_steps
from guard.replay.replay import replay_log
from guard_support import write_log
from whatif_support import PlayedDay, compare, demo_config, limits_config, play, what_if

RISK = ("hard_risk_limit_bps = 9_000", "hard_risk_limit_bps = 400")
FEE = ("fee_microcents_per_order = 10_000_000", "fee_microcents_per_order = 13_000_000")
DEMO_CAPS = {"desk-beta": "450000.00", "desk-delta": "380000.00"}
HIGHER_CAPS = {"desk-beta": "600000.00", "desk-delta": "500000.00"}
LOWER_CAPS = {"desk-beta": "350000.00", "desk-delta": "300000.00"}

# Name, the rules of the recorded day, the other rules.
CASES: tuple[tuple[str, Config, Config], ...] = (
    ("caps raised", limits_config(DEMO_CAPS), limits_config(HIGHER_CAPS)),
    ("caps lowered", limits_config(DEMO_CAPS), limits_config(LOWER_CAPS)),
    ("budget lowered", demo_config(), limits_config({}, {"desk-gamma": "500000.00"})),
    ("budget raised", demo_config(), limits_config({}, {"desk-gamma": "800000.00"})),
    ("risk limit lowered", demo_config(), demo_config(RISK)),
    ("risk limit raised", demo_config(RISK), demo_config()),
    ("a venue's fee raised", demo_config(), demo_config(FEE)),
)


def check(steps: list[Step], *, tells_refused: bool) -> bool:
    """Prints a row for each case; whether all are good."""
    print(" " * 22 + " recorded    live  what-if     low    high  error    max")
    is_good = True
    for name, before, after in CASES:
        found = compare(steps, before, after, tells_refused=tells_refused)
        said = "" if found.is_close else "  not close"
        said += "" if found.is_bounded else "  out of bounds"
        print(
            f"{name:22}{found.recorded:9,}{found.live:8,}{found.estimate:9,}{found.low:8,}"
            f"{found.high:8,}{found.error:7,}{found.error_max:7.0f}{said}",
            flush=True,
        )
        is_good = is_good and found.is_close and found.is_bounded
    return is_good


def say_how_long(day: PlayedDay) -> None:
    """Prints the CPU time of a what-if in replays of the same log."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        write_log(log, day.records)
        begun = process_time()
        replay_log(log, HASHER)
        replay_s = process_time() - begun
    begun = process_time()
    what_if(day, demo_config(RISK))
    print(f"a what-if takes as long as {(process_time() - begun) / replay_s:.1f} bare replays")


def main() -> int:
    parser = argparse.ArgumentParser(description="hold what-ifs against days played live")
    parser.add_argument("flow", nargs="?", type=Path, help="the packaged recording by default")
    parser.add_argument("--tells-refused", action="store_true")
    options = parser.parse_args()
    steps = list(read_steps(options.flow))
    is_good = check(steps, tells_refused=options.tells_refused)
    say_how_long(play(steps, demo_config()))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
