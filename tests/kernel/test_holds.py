"""Open holds in slabs: beside a dictionary, and what they take."""

import random
import struct
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.holds import OpenHolds
from kernel.ledger_lines import Tenant

I64_MAX = 2**63 - 1
SLAB = 1_024
SPARSE_MAX = 128


class Beside:
    """Holds, and the same in a dictionary."""

    def __init__(self, tenant_count: int = 3) -> None:
        self.holds = OpenHolds()
        self.tenants = [Tenant(f"t-{number}", 1, 0) for number in range(tenant_count)]
        for tenant in self.tenants:
            self.holds.add_tenant(tenant)
        self.expected: dict[int, tuple[str, int]] = {}

    def add(self, number: int, microcents: int = 1, tenant: int = 0) -> None:
        self.holds.add(number, self.tenants[tenant], microcents)
        self.expected[number] = (f"t-{tenant}", microcents)

    def lower(self, number: int, microcents: int) -> None:
        hold = self.holds.get(number)
        assert hold is not None
        self.holds.lower(hold, microcents)
        tenant_id, left = self.expected.pop(number)
        assert hold.microcents == left - microcents
        if left > microcents:
            self.expected[number] = (tenant_id, left - microcents)

    def end(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.lower(number, self.expected[number][1])

    def check(self, asked: Iterable[int] = ()) -> None:
        assert len(self.holds) == len(self.expected)
        found = {hold.number: (hold.tenant.tenant_id, hold.microcents) for hold in self.holds}
        assert list(found.items()) == sorted(self.expected.items())
        for number in {*self.expected, *asked}:
            hold = self.holds.get(number)
            got = None if hold is None else (hold.tenant.tenant_id, hold.microcents)
            assert got == self.expected.get(number), number
        places = {tenant.tenant_id: 7 + at for at, tenant in enumerate(self.tenants)}
        given = b"".join(self.holds.rows(places, 5))
        assert list(struct.iter_unpack("<QIq", given)) == [
            (number, places[tenant_id], microcents)
            for number, (tenant_id, microcents) in sorted(self.expected.items())
        ]


def test_none_is_open() -> None:
    beside = Beside()
    beside.check([1, 0, -1, SLAB, I64_MAX, -I64_MAX - 1])


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(("add", "leap", "part", "end", "end", "end many")),
                  st.integers(0, 2**32)),
        max_size=60,
    ),
    first=st.sampled_from((1, SLAB - 1, SLAB, 5 * SLAB + 3, I64_MAX - 4_000)),
)  # fmt: skip
def test_as_a_dictionary(steps: list[tuple[str, int]], first: int) -> None:
    beside, number = Beside(), first
    for kind, drawn in steps:
        chosen = random.Random(drawn)
        if kind == "add":
            for _ in range(chosen.choice((1, 3, 40))):
                if number < I64_MAX:
                    beside.add(number, chosen.choice((1, 2, I64_MAX)), drawn % 3)
                    number += 1
        elif kind == "leap":
            number = min(number + chosen.choice((0, 1, SLAB - 1, SLAB, 3 * SLAB)), I64_MAX)
        elif beside.expected and kind == "part":
            which = chosen.choice(sorted(beside.expected))
            beside.lower(which, chosen.randint(1, beside.expected[which][1]))
        elif beside.expected and kind == "end":
            beside.end([chosen.choice(sorted(beside.expected))])
        elif kind == "end many":
            beside.end(chosen.sample(sorted(beside.expected), len(beside.expected) * 3 // 4))
    beside.check([number, first - 1])
    beside.end(list(beside.expected))
    beside.check([first, number])


@pytest.mark.parametrize("left", [0, 1, SPARSE_MAX - 1, SPARSE_MAX, SPARSE_MAX + 1, SLAB - 1])
@pytest.mark.parametrize("is_newest", [True, False])
def test_a_slab_that_empties(left: int, is_newest: bool) -> None:
    """Before and after the next one begins; what is left can still be lowered and ended."""
    beside = Beside()
    for number in range(SLAB, 2 * SLAB):
        beside.add(number, 3, number % 3)
    if not is_newest:
        beside.add(2 * SLAB)
    ends = random.Random(left).sample(range(SLAB, 2 * SLAB), SLAB - left)
    beside.end(ends)
    beside.check(ends)
    beside.add(2 * SLAB + 1)
    for number in [each for each in beside.expected if each < 2 * SLAB]:
        beside.lower(number, 1)
    beside.check(ends)
    beside.end(list(beside.expected))
    beside.check(ends)


@pytest.mark.parametrize("kind", ["end", "open"])
def test_going_through_holds_that_change_is_refused(kind: str) -> None:
    """Also where a slab gives its other rows up meanwhile."""
    beside = Beside()
    for number in range(1, 4 * SLAB):
        beside.add(number, 2)
    going = iter(beside.holds)
    assert [next(going).number for _ in range(3)] == [1, 2, 3]
    beside.lower(1, 1)  # what is left of a hold may change
    assert next(going).number == 4
    if kind == "end":
        beside.end(range(5, SLAB - 2))
    else:
        beside.add(4 * SLAB)
    with pytest.raises(RuntimeError, match="while they are gone through"):
        next(going)
    pieces = beside.holds.rows({"t-0": 0}, 10)
    next(pieces)
    beside.end([SLAB + 1])
    with pytest.raises(RuntimeError, match="while they are gone through"):
        next(pieces)


def test_what_stays_open_does_not_keep_the_memory_of_what_ended() -> None:
    """One of a hundred of 200,000: far below the 16 bytes that each of them has had."""
    beside = Beside()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(1, 200_001):
            beside.holds.add(number, beside.tenants[0], 9)
        full = tracemalloc.get_traced_memory()[0] - before
        for number in range(1, 200_001):
            if number % 100:
                hold = beside.holds.get(number)
                assert hold is not None
                beside.holds.lower(hold, 9)
        del hold
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(beside.holds) == 2_000
    assert 16 * 200_000 <= full < 20 * 200_000
    assert left < 60 * 2_000, left
