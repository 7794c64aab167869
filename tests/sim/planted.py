"""Planted bugs in what runs: the compiled way of requests, built with all of them, one switched on.

    python tests/sim/planted.py [--only NAME ...] [--sample N]

A bug is an expression of the product that is there once, and another in its place. All of them are
built into one copy of the packages, each behind a number that a run is told (PLANTED in its
environment); then seeds are played until one fails. Exit 1 where a bug survives. For bugs in what
is not compiled, and in the disk's calls, there is `mutations.py`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import guard
from sim.mutations import SEEDS_MAX

PACKAGES = Path(guard.__file__).resolve().parents[1]
TESTS = Path(__file__).resolve().parents[1]
BUILD_PATIENCE_S, RUN_PATIENCE_S = 900, 600

_SWITCH = 'import os as _os\n\n_PLANTED = int(_os.environ.get("PLANTED", "0"))\n'
_PLAY = """
import sys
from guard import GUARD_FORM
from sim.seeds import FailureError, run_seed
assert GUARD_FORM == "compiled", GUARD_FORM
for seed in range({seeds}):
    try:
        run_seed(seed)
    except FailureError as failure:
        print(str(failure).rpartition(chr(10))[2])
        sys.exit(9)
"""
_CAUGHT = 9


@dataclass(frozen=True, slots=True)
class Bug:
    """In `file`, the expression `old` gives what `new` gives."""

    name: str
    file: str
    old: str
    new: str


_DECIDE, _APPLY = "guard/engine/decide.py", "guard/engine/apply.py"
_SETTLING = "guard/engine/settling.py"
_LIMITS, _RATES = "guard/engine/limit_checks.py", "guard/engine/rates.py"
_MARKS = "guard/server/marks.py"
_REVALUING, _PRICES = "guard/server/revaluing.py", "guard/engine/prices.py"
_EXPOSURE = "guard/engine/exposure.py"
_EXPOSURE_CHECKS = "guard/engine/exposure_checks.py"
_WORTH = "guard/engine/worth.py"
_ORDERS, _STATES = "guard/engine/order_checks.py", "guard/engine/state_checks.py"
_STATE = "guard/engine/state.py"

BUGS = (
    Bug("share_off_by_one", _SETTLING, "first_microcents - freed", "first_microcents - freed - 1"),
    Bug("fill_counted_again", _DECIDE, "fill_row != _NO_ROW", "False"),
    Bug(
        "content_not_compared",
        _DECIDE,
        "settling.first_difference(_ORDER_CONTENT, _ORDER_KEY_FIELDS, orders.known, request)",
        "_SAME",
    ),
    Bug("unpaid_fee_unseen", _SETTLING, "fee - payable if fee > payable else 0", "0"),
    Bug(
        "earlier_fills_forgotten",
        _DECIDE,
        "orders.left(row), orders.known.quantity",
        "(orders.known.quantity, orders.known.quantity)",
    ),
    Bug("refused_not_flagged", _DECIDE, "_UNKNOWN | _REFUSED", "_UNKNOWN"),
    Bug("refused_not_remembered", _APPLY, "outcome.reason in _NOT_REMEMBERED", "True"),
    Bug("late_fee_not_charged", _APPLY, "paid > 0", "False"),
    Bug("desk_halted_unseen", _STATES, "desk.is_halted or desk.is_stopped", "False"),
    Bug("disk_low_unseen", _STATES, "halt is None", "True"),
    Bug(
        "window_full_unseen",
        _ORDERS,
        "orders.is_full(share, ids_max, request.received_at_ns)",
        "False",
    ),
    Bug(
        "forgotten_close_unseen",
        _ORDERS,
        "sent_at_ns > state.orders.forgotten_close_ns",
        "True",
    ),
    Bug("notional_rounded_down", _WORTH, "notional * self._denominator != worth", "False"),
    Bug(
        "id_forgotten_early",
        _STATE,
        "self._window_behind(since_ns, 1)",
        "since_ns + self.remembered_order_window_ns // 10",
    ),
    Bug("collar_unseen", _LIMITS, "wide_distance * _BPS <= wide_allowed * collar_bps", "True"),
    Bug("rate_unseen", _LIMITS, "amount <= bucket.max - used", "True"),
    Bug("sell_valued_low", _LIMITS, "highest if highest > price else price", "price"),
    Bug("word_unseen", _LIMITS, "effective.values[number] >> word & 1", "True"),
    Bug("part_forgotten_early", _RATES, "passed > _PARTS", "passed >= _PARTS"),
    Bug("worst_short_unseen", _EXPOSURE, "book.value(-wide_short)", "0"),
    Bug("exposure_unseen", _EXPOSURE_CHECKS, "is_within and not proposal.overflows", "True"),
    Bug("price_not_recorded", _REVALUING, "order.elapsed_ns >= self.next_due_ns", "False"),
    Bug("price_recorded_late", _PRICES, "due_at_ns <= elapsed_ns", "due_at_ns < elapsed_ns"),
    Bug(
        "mark_younger_than_it_is",
        _MARKS,
        "self.late_ns + since_ns if self.late_ns <= _AGE_MAX - since_ns else _AGE_MAX",
        "self.late_ns or 1",
    ),
)


def plant(place: Path) -> None:
    """Builds a copy of the packages with all the bugs in it, none of them on."""
    for package in ("forms", "guard", "kernel", "wal"):
        shutil.copytree(PACKAGES / package, place / package)
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy2(PACKAGES / name, place / name)
    for number, bug in enumerate(BUGS, 1):
        source = place / bug.file
        text = source.read_text()
        if text.count(bug.old) != 1:
            raise ValueError(f"{bug.name}: {bug.old!r} is not once in {bug.file}")
        if _SWITCH not in text:
            text = text.replace("\nfrom guard.", f"\n{_SWITCH}\nfrom guard.", 1)
        text = text.replace(bug.old, f"(({bug.new}) if _PLANTED == {number} else ({bug.old}))")
        source.write_text(text)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=place,
        env={**os.environ, "CFLAGS": "-O0"},
        check=True,
        timeout=BUILD_PATIENCE_S,
        capture_output=True,
    )


def caught(place: Path, number: int) -> str:
    """The seed that catches the bug of that number, and how; nothing where none does."""
    paths = os.pathsep.join((str(place), str(TESTS)))
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PLAY.format(seeds=SEEDS_MAX)],
        env={**os.environ, "PYTHONPATH": paths, "PLANTED": str(number)},
        capture_output=True,
        text=True,
        timeout=RUN_PATIENCE_S,
        check=False,
    )
    if done.returncode not in (0, _CAUGHT):
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def survivors(names: Sequence[str]) -> list[str]:
    """Of the bugs of these names: those that no seed catches."""
    alive = []
    with tempfile.TemporaryDirectory(prefix="planted-") as directory:
        plant(Path(directory))
        for number, bug in enumerate(BUGS, 1):
            if bug.name not in names:
                continue
            said = caught(Path(directory), number)
            print(f"{bug.name}: {said[:150] or 'SURVIVES'}", flush=True)
            if not said:
                alive.append(bug.name)
    return alive


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Plants bugs in the compiled form.")
    parser.add_argument("--only", nargs="*", default=[bug.name for bug in BUGS])
    parser.add_argument("--sample", type=int, default=len(BUGS))
    options = parser.parse_args()
    return int(bool(survivors(options.only[: options.sample])))


if __name__ == "__main__":
    sys.exit(main())
