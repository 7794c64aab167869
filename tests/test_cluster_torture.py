"""The torture of guards on a cluster, in short; and that its oracle finds guards that are broken.

The long form is a command: `tests/cluster/README.md`.
"""

import subprocess
from pathlib import Path

import pytest

from cluster_support import needs_postgres
from guard.process import own_process
from netns_support import needs_namespaces

pytestmark = [pytest.mark.cluster, needs_postgres]

TORTURE = Path(__file__).resolve().parent / "cluster" / "torture.py"
OVER_HOSTS = TORTURE.with_name("torture_hosts.py")
PATIENCE_S = 400.0


def torture(*arguments: str, script: Path = TORTURE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        own_process.command(str(script), *arguments),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.slow
def test_no_answer_is_lost_doubled_or_changed() -> None:
    faults = ("primary_replaced", "idle_guard_slept", "primary_and_guard_killed")
    done = torture("--rounds", "3", "--seed", "20", "--faults", *faults)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise was kept" in done.stdout


@pytest.mark.long
def test_each_fault_once_and_then_some() -> None:
    done = torture("--rounds", "20", "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("mutant", "faults"),
    [
        ("answers_before_the_quorum", ("guard_slept", "guard_killed")),
        ("answers_without_a_fence", ("idle_guard_slept",)),
        ("writes_in_any_epoch", ("idle_guard_slept",)),
        ("calls_itself_current", ("guard_slept", "guard_killed")),
    ],
)
def test_a_guard_that_breaks_a_promise_is_found(mutant: str, faults: tuple[str, ...]) -> None:
    rounds = ("--rounds", str(len(faults)))
    done = torture(*rounds, "--seed", "3", "--mutant", mutant, "--faults", *faults)
    assert done.returncode == 1, done.stdout


@pytest.mark.long
@needs_namespaces
def test_networks_that_part_disks_that_fill_and_clocks_that_are_off() -> None:
    done = torture("--rounds", "15", "--seconds", "300", "--seed", "2", script=OVER_HOSTS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise was kept" in done.stdout


@pytest.mark.long
@needs_namespaces
def test_a_guard_that_goes_on_while_it_is_cut_off_is_found() -> None:
    mutant = ("--mutant", "answers_before_the_quorum", "--faults", "guard_cut_off")
    done = torture("--rounds", "1", "--seed", "3", *mutant, script=OVER_HOSTS)
    assert done.returncode == 1, done.stdout
    assert "WRONG" in done.stdout
