"""Plants bugs in a copy of the guard, one at a time; `run.py` must catch each.

    python tests/torture/prove.py [--seed S]

Owns the list of bugs, each a piece of source and what it becomes. Exit 0: all were caught; 1: one
was not; 2: a piece is not there any more, so that the list must follow the source.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from guard.process import own_process
from guard.process.installation import PACKAGES

RUN = Path(__file__).resolve().parent / "run.py"
PATIENCE_S = 120.0
RUNS, SECONDS = 60, 40
POINTS = ("apply.after", "sync.before", "before-write", "after-write", "after-sync", "reply.after")


@dataclass(frozen=True, slots=True)
class Bug:
    """In `file`, `old` (there once) becomes `new`."""

    name: str
    file: str
    old: str
    new: str


BUGS = (
    Bug(
        "replies leave before their batch is written",
        "guard/server/pipeline.py",
        '        reach("sync.before")\n        return self._batch\n',
        "        self._send(self._batch, self._writer.durable_head)\n"
        "        return self._batch._replace(answers=[])\n",
    ),
    Bug(
        "refused orders are not remembered",
        "guard/engine/apply.py",
        "        _apply_rejected(state, request, outcome)\n",
        "        pass\n",
    ),
    Bug(
        "fills are not remembered",
        "guard/engine/decide.py",
        "    if fill_row != _NO_ROW:\n",
        "    if fill_row != _NO_ROW and False:\n",
    ),
    Bug(
        "a part fill's share is a microcent off, live and in replay alike",
        "guard/engine/decide.py",
        "    return first_microcents - freed\n",
        "    return first_microcents - freed - 1\n",
    ),
    Bug(
        "a refusal by the cap does not count what is held",
        "guard/engine/checks.py",
        "    outcome.asked, outcome.limit = outcome.notional_microcents, line.cap\n"
        "    outcome.used = line.reserved\n",
        "    outcome.asked, outcome.limit = outcome.notional_microcents, line.cap\n"
        "    outcome.used = 0\n",
    ),
    Bug(
        "what was remembered of orders is lost at recovery",
        "guard/recovery/recover.py",
        "    return engine, head\n",
        "    engine.state.orders = type(engine.state.orders)()\n    return engine, head\n",
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Plant bugs; the torture must catch each.")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    verdicts = [prove(bug, options.seed) for bug in BUGS]
    print(f"{verdicts.count(0)} of {len(BUGS)} planted bugs were caught")
    return max(verdicts)


def prove(bug: Bug, seed: int) -> int:
    """0: caught, 1: not caught, 2: it cannot be planted."""
    with tempfile.TemporaryDirectory(prefix="torture-prove-") as place:
        sources = shutil.ignore_patterns("*.so")  # what was built has no bug planted in it
        for package in ("forms", "guard", "kernel", "wal"):
            shutil.copytree(PACKAGES / package, Path(place) / package, ignore=sources)
        source = Path(place) / bug.file
        text = source.read_text()
        if text.count(bug.old) != 1:
            print(f"cannot be planted: {bug.name} ({bug.file})")
            return 2
        source.write_text(text.replace(bug.old, bug.new))
        limits = ("--runs", str(RUNS), "--seconds", str(SECONDS), "--seed", str(seed))
        done = subprocess.run(
            own_process.command(str(RUN), *limits, "--points", *POINTS, packages=Path(place)),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, "TMPDIR": place},
            check=False,
        )
    is_caught = done.returncode == 1 and "BROKEN" in done.stdout
    said = next((line for line in done.stdout.splitlines() if line.startswith("BROKEN")), "")
    said = said.split("): ", 1)[-1][:150] or done.stderr[-300:]
    print(f"{'caught' if is_caught else 'NOT CAUGHT'}: {bug.name}: {said}", flush=True)
    return 0 if is_caught else 1


if __name__ == "__main__":
    sys.exit(main())
