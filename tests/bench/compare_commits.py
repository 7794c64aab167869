"""Measures daemons of several commits side by side, with one load generator: the installed one.

    python tests/bench/compare_commits.py A B [--rounds N] [--seconds S] [--record]

Each commit is checked out and built in a temporary git worktree. The commits take turns within a
round, in an order that changes with the round, so that what else the machine does falls on all; a
figure is the median of the rounds. `--record` adds the figures to `history.jsonl` beside this file,
with machine, disk and date: a line a commit and load. Run it on a quiet machine. Commits of which a
part runs in different forms (one was not built whole) are not compared.
"""

import argparse
import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from history import append

from guard.bench.builds import Build, as_conditions, check_comparable, only_build
from guard.bench.conditions import conditions
from guard.bench.document import Run
from guard.bench.loads import STANDARD
from guard.bench.session import Findings, Options, run_rounds
from guard.bench.site import BenchError
from guard.process import leaving, own_process

CHECKOUT = Path(__file__).resolve().parents[2]
FORMS = Path(__file__).with_name("running_forms.py")
BUILD_S = 600
SHOWN = ("requests/s", "p50 us", "p99 us", "p99.9 us", "CPU us")


def git(*arguments: str) -> str:
    """What git says."""
    command = ("git", "-C", str(CHECKOUT), *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def check_out(commit: str, place: Path, stack: ExitStack) -> None:
    """The commit's tree in `place`, built as this Python builds it; removed with the stack."""
    git("worktree", "add", "--detach", str(place), commit)
    stack.callback(git, "worktree", "remove", "--force", str(place))
    build = (sys.executable, "setup.py", "build_ext", "--inplace")
    subprocess.run(build, cwd=place, check=True, capture_output=True, timeout=BUILD_S)


def forms_of(packages: Path) -> Build:
    """Of a process that is started as the daemons are."""
    command = own_process.command(str(FORMS), packages=packages)
    done = subprocess.run(command, check=True, capture_output=True, timeout=BUILD_S)
    found: Build = json.loads(done.stdout)
    return found


def check_forms(found: dict[str, Findings], forms: dict[str, Build]) -> None:
    """Whether the daemons ran as was found out before. Raises BenchError."""
    for commit, findings in found.items():
        told = only_build(findings.builds)
        check_comparable({f"{commit} as found before": forms[commit], f"{commit}'s daemon": told})


def figures(run: Run) -> dict[str, float]:
    """What is shown of a load."""
    return {
        "requests/s": run.requests_a_second,
        "p50 us": run.latency_ns["p50"] / 1e3,
        "p99 us": run.latency_ns["p99"] / 1e3,
        "p99.9 us": run.latency_ns["p99.9"] / 1e3,
        "CPU us": sum(run.cpu_us_a_request["daemon"].values()),
    }


def measure(options: Options, places: dict[str, Path], rounds: int) -> dict[str, Findings]:
    """The rounds of each commit, the commits in turn."""
    found = {commit: Findings() for commit in places}
    for number in range(rounds):
        commits = list(places)
        for commit in commits if number % 2 == 0 else reversed(commits):
            print(f"round {number + 1} of {rounds}: {commit}", file=sys.stderr)
            part = replace(options, packages=places[commit])
            found[commit].add(run_rounds(part, lambda _text: None))
    return found


def show(by_commit: dict[str, list[Run]]) -> None:
    """Each load's figures of each commit, and the ratio to the first commit's."""
    base = next(iter(by_commit))
    for place, first in enumerate(by_commit[base]):
        print(f"\n{first.load}")
        print(f"  {'':14}" + "".join(f"{name:>24}" for name in SHOWN))
        for commit, runs in by_commit.items():
            cells = []
            for name in SHOWN:
                figure, reference = figures(runs[place])[name], figures(first)[name]
                ratio = figure / reference if reference else float("nan")
                cells.append(f"{figure:>15,.1f} {ratio:>7.2f}x")
            print(f"  {commit:14}" + "".join(cells))


def main() -> None:
    with leaving.nothing_behind(heeds_signals=True):
        compare()


def compare() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commits", nargs="+", help="what git knows them by")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each load")
    parser.add_argument("--directory", type=Path, help="for the logs; default: the temporary one")
    parser.add_argument("--record", action="store_true", help="add the figures to the history")
    given = parser.parse_args()
    with ExitStack() as stack:
        root = stack.enter_context(leaving.temporary_directory("pretrade-guard-compare-"))
        directory = given.directory or root
        options = Options(STANDARD, 1, given.seconds, 0.5, 4, 3, 1, directory)
        places = {}
        for name in given.commits:
            commit = git("rev-parse", "--short=12", f"{name}^{{commit}}")
            places[commit] = root / commit
            check_out(commit, places[commit], stack)
        forms = {commit: forms_of(place) for commit, place in places.items()}
        check_comparable(forms)
        found = measure(options, places, given.rounds)
        check_forms(found, forms)
        by_commit = {commit: findings.runs() for commit, findings in found.items()}
        machine = conditions(directory)
    show(by_commit)
    if given.record:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        for commit, runs in by_commit.items():
            append(commit, date, machine | as_conditions(forms[commit], is_own=False), runs)


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"compare_commits: {error}")
