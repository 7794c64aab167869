"""The fuzzers' targets and seeds, without a fuzzer (`tests/fuzz/fuzz.py`)."""

from pathlib import Path

import pytest

pytest.importorskip("nacl.bindings", reason="CURVE needs PyNaCl (the extra `curve`)")

from fuzz_targets import TARGETS, mutations

FOUND = Path(__file__).parent / "data" / "fuzz"
MUTATIONS = 400


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    """So that a fuzzer begins behind what it would else have to find its way through."""
    for seed in TARGETS[name].seeds:
        assert TARGETS[name].check(seed), seed


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_near_the_seeds_breaks_no_promise(name: str) -> None:
    check, seeds, _ = TARGETS[name]
    taken = sum(map(check, mutations(seeds, MUTATIONS, 1)))
    assert taken < MUTATIONS


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str) -> None:
    for path in sorted((FOUND / name).glob("*")):
        TARGETS[name].check(path.read_bytes())
