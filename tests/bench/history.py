"""The history of what was measured: `history.jsonl` beside this file, a line a commit and load.

    pretrade-guard bench --compare --json REPORT && python tests/bench/history.py REPORT

Adds the runs of a report, peers included. `compare_commits.py --record` adds its own.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import msgspec

from guard.bench.document import Report, Run

HISTORY = Path(__file__).with_name("history.jsonl")
# What a figure depends on, beside the commit.
FORMS = ("kernel_form", "log_form", "guard_form", "socket_form")
KEPT = ("machine", "system", "filesystem", "python", *FORMS, "load_average")


def append(commit: str, date: str, conditions: dict[str, str], runs: Iterable[Run]) -> None:
    """Adds a line a run, as JSON."""
    kept = {name: conditions[name] for name in KEPT}
    with HISTORY.open("ab") as history:
        for run in runs:
            line = {"commit": commit, "date": date, **kept, **msgspec.to_builtins(run)}
            history.write(msgspec.json.encode(line) + b"\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path, help="what `pretrade-guard bench --json` wrote")
    report = msgspec.json.decode(parser.parse_args().report.read_bytes(), type=Report)
    append(report.conditions["commit"], report.started_at, report.conditions, report.runs)


if __name__ == "__main__":
    main()
