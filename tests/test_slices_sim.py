"""The slices' simulation, in short: some histories, the same trace twice, planted bugs caught.

`guard/CLUSTER_SLICES.md` says what is simulated; the long form is `python tests/sim/run_slices.py`.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim.slices_mutations import MUTATIONS, SEEDS_MAX, Patch, find, play

pytestmark = pytest.mark.slow  # of no compiled form

SIM = Path(__file__).resolve().parent / "sim"


def test_oracle_imports_nothing_of_the_product() -> None:
    tree = ast.parse((SIM / "slices_oracle.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported == {"collections", "collections.abc", "sim.disk"}


@pytest.mark.parametrize("seed", range(100, 104))
def test_no_history_exceeds_or_loses(seed: int) -> None:
    world = play(seed)
    assert world.takeovers > 30
    assert world.deaths > 5
    assert world.cluster.failovers > 0
    assert world.admitted > 1_000
    assert world.oracle.checks > 5_000


@pytest.mark.long
def test_a_thousand_guards() -> None:
    world = play(1, guard_count=1_000, faulty_s=30)
    assert world.admitted > 50_000
    assert world.cluster.undone > 100


def test_same_seed_gives_same_trace() -> None:
    one, other = play(7, 10, 15), play(7, 10, 15)
    assert one.digest == other.digest
    assert one.digest != play(8, 10, 15).digest


def planted(place: int, mutation: Callable[[], Patch]) -> Any:
    marks = () if place % 3 == 0 else pytest.mark.long
    return pytest.param(mutation, marks=marks, id=mutation.__name__)


@pytest.mark.parametrize("mutation", [planted(*each) for each in enumerate(MUTATIONS)])
def test_planted_bug_is_caught(mutation: Callable[[], Patch]) -> None:
    found = find(mutation)
    assert found is not None, f"{mutation.__name__} survives {SEEDS_MAX} seeds"
