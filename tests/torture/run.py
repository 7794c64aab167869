"""Kills a guard at its named places, restarts it, and checks what it promised.

    python tests/torture/run.py [--runs N] [--seed S] [--seconds T] [--points P ...]
        [--log-settings TOML]

`README.md` beside this says what is injected and what is promised. Ends by itself after N kills at
places or T seconds, whichever is first. Exit 0: every promise was kept; 1: one was not (the log is
left where the message says).
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from trial import Death, Tally, Trial
from victim import POINTS

KILLS_A_LOG = 25
ARMED_FROM_START = 0.25  # so much of the kills come while it starts, recovers or is checked
MISSES_MAX = 2  # a place that was missed so many times more often than reached is left out
# Places that each request passes, so that a kill can come early or late in a session's load.
A_REQUEST = frozenset({"decide.before", "decide.after", "append.after", "apply.after"})
A_MESSAGE = frozenset({"reply.after"})
# Words in the names of places that a session passes once or twice, if at all.
SELDOM = frozenset({"segment", "tail", "checkpoint", "manifest", "archive"})
REQUESTS_DEEP, MESSAGES_DEEP, BATCHES_DEEP = 150, 100, 6


class Chooser:
    """Draws the next place; learns which ones this guard never reaches."""

    def __init__(self, draw: random.Random, points: Sequence[str]) -> None:
        self._draw = draw
        self._points = points
        self._misses: Counter[tuple[str, bool]] = Counter()
        self._hits: Counter[tuple[str, bool]] = Counter()

    def next_death(self) -> Death:
        is_armed = self._draw.random() < ARMED_FROM_START
        open_points = [
            name
            for name in self._points
            if self._misses[name, is_armed] < MISSES_MAX + self._hits[name, is_armed]
        ]
        point = self._draw.choice(open_points)
        deep = 1 if SELDOM & set(point.split("-")) else BATCHES_DEEP
        if not is_armed and point in A_REQUEST:
            deep = REQUESTS_DEEP
        elif not is_armed and point in A_MESSAGE:
            deep = MESSAGES_DEEP
        if is_armed or not self._hits[point, is_armed]:
            deep = min(deep, 2)
        return Death(point, self._draw.randint(1, deep), is_armed)

    def learn(self, death: Death, was_struck: bool) -> None:
        (self._hits if was_struck else self._misses)[death.point, death.is_armed] += 1


def run_trials(
    options: argparse.Namespace,
    tally: Tally,
    draw: random.Random,
    next_death: Callable[[], Death],
    learn: Callable[[Death, bool], None],
) -> int:
    """Log after log, until kills or seconds are used up. The exit code."""
    # Who is told to stop ends its guard first.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    started = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="torture-"))

    def is_over() -> bool:
        seconds = time.monotonic() - started
        return bool(tally.kills_at_place.total() >= options.runs or seconds >= options.seconds)

    try:
        while not is_over():
            place = root / f"log-{tally.logs + 1}"
            place.mkdir()
            trial = Trial(place, draw, tally, options.log_settings, options.duties_fail)
            for _ in range(KILLS_A_LOG):
                if is_over():
                    break
                death = next_death()
                learn(death, trial.session(death))
            trial.finish()
            shutil.rmtree(place)
            print(f"log {tally.logs} is right, {tally.kills} kills so far", flush=True)
    except AssertionError as broken:
        print(f"BROKEN (seed {options.seed}, log {tally.logs + 1}, kept in {place}): {broken}")
        report(tally, time.monotonic() - started)
        return 1
    shutil.rmtree(root)
    report(tally, time.monotonic() - started)
    print("every promise was kept: 0 lost, 0 doubled, 0 changed")
    return 0


def report(tally: Tally, seconds: float) -> None:
    """The figures, for people."""
    answered = sum(tally.answered.values())
    orders = sum(count for name, count in tally.answered.items() if name.startswith("order "))
    print(
        f"{tally.kills} kills in {seconds:.1f} s ({seconds / max(tally.kills, 1):.2f} s each), "
        f"{tally.kills_before_ready} of them before the guard was ready, "
        f"{tally.kills_by_hand} from outside; {tally.checks} full checks, {tally.logs} logs"
    )
    print(
        f"{answered} requests answered, {orders} of them orders; {tally.repeats} repeats compared"
    )
    print(f"{tally.checkpoints} of the logs ended with a start from a checkpoint")
    print("answers: " + listed(tally.answered))
    print("kills at: " + listed(tally.kills_at_place))
    missed = [name for name in POINTS if not tally.reached[name]]
    print("never reached by this guard: " + (", ".join(missed) or "none"))
    sys.stdout.flush()


def listed(counts: Counter[str]) -> str:
    """Names and counts, in the order of the names."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def base_parser(text: str) -> argparse.ArgumentParser:
    """The options that both commands have."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**32))
    parser.add_argument(
        "--duties-fail",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="so many of the duties beside the orders fail, at random (0 to 1)",
    )
    parser.add_argument(
        "--log-settings", default="", metavar="TOML", help="lines for the [log] section"
    )
    return parser


def main() -> int:
    parser = base_parser("Kill a guard at its named places and check what it promised.")
    parser.add_argument("--runs", type=int, default=1_000, help="kills at places (default 1000)")
    parser.add_argument("--seconds", type=float, default=1_800.0, help="at most (default 1800)")
    parser.add_argument(
        "--points", nargs="+", choices=POINTS, default=POINTS, help="only these places", metavar="P"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    draw = random.Random(options.seed)
    chooser = Chooser(draw, options.points)
    return run_trials(options, Tally(), draw, chooser.next_death, chooser.learn)


if __name__ == "__main__":
    sys.exit(main())
