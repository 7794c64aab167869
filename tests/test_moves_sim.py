"""The simulation of desks that move, in short; the long form is `run_slices.py --moves`."""

from collections.abc import Callable
from typing import Any

import pytest

from sim.moves_mutations import MUTATIONS, SEEDS_MAX, Patch, find, play

pytestmark = pytest.mark.slow  # of no compiled form


@pytest.mark.parametrize(("seed", "guard_count"), [(200, 5), (201, 5), (202, 20), (203, 20)])
def test_no_history_serves_twice_or_loses(seed: int, guard_count: int) -> None:
    world = play(seed, guard_count)
    assert world.arrivals > 50
    assert world.admitted > 100
    assert world.takeovers > 10
    assert world.cluster.failovers > 2


def test_same_seed_gives_same_trace() -> None:
    assert play(7, 5, 15).digest == play(7, 5, 15).digest


def planted(place: int, mutation: Callable[[], Patch]) -> Any:
    marks = () if place % 3 == 0 else pytest.mark.long
    return pytest.param(mutation, marks=marks, id=mutation.__name__)


@pytest.mark.parametrize("mutation", [planted(*each) for each in enumerate(MUTATIONS)])
def test_planted_bug_is_caught(mutation: Callable[[], Patch]) -> None:
    found = find(mutation)
    assert found is not None, f"{mutation.__name__} survives {SEEDS_MAX} seeds"
