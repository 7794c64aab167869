"""Rates against an oracle that keeps every time: no window holds more, little is held up."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guard.engine.rates import PARTS, Bucket
from kernel import InvariantError

MS = 1_000_000


def bucket(window_ms: int, most: int, kind: str = "orders") -> Bucket:
    made = Bucket(kind, window_ms, 1)  # type: ignore[arg-type]
    made.max = most
    return made


# Steps of time about a part and a window of 16 ms, in eighths of a millisecond.
STEPS = st.integers(0, 40) | st.sampled_from([0, 7, 8, 9, 127, 128, 129, 135, 136, 137, 1_000])


@given(
    steps=st.lists(st.tuples(STEPS, st.integers(1, 5)), max_size=60),
    most=st.integers(1, 12),
    first=st.sampled_from([1, 8, 1_000, 2**40]),
)
@example(steps=[(0, 3), (127, 1), (1, 1), (7, 1), (1, 1)], most=3, first=1)
@example(steps=[(0, 1)] * 5, most=1, first=1)
def test_no_window_holds_more_than_its_number(
    steps: list[tuple[int, int]], most: int, first: int
) -> None:
    window_ns = 16 * MS
    rate, again = bucket(16, most), bucket(16, most)
    admitted: list[tuple[int, int]] = []
    now_ns = first
    for step, amount in steps:
        now_ns += step * MS // 8
        used = rate.used(now_ns)
        in_window = sum(size for at_ns, size in admitted if now_ns - at_ns < window_ns)
        longer = sum(
            size for at_ns, size in admitted if now_ns - at_ns < window_ns + window_ns // PARTS
        )
        assert in_window <= used <= longer
        if used + amount <= most:
            assert rate.take(now_ns, amount) == used + amount
            admitted.append((now_ns, amount))
        if rate.dump():
            again = bucket(16, most)
            again.load(rate.dump())
            assert (again.dump(), again.used(now_ns)) == (rate.dump(), rate.used(now_ns))
    for at_ns, _ in admitted:
        held = [size for other, size in admitted if at_ns - window_ns < other <= at_ns]
        assert sum(held) <= most


@pytest.mark.parametrize("window_ms", [1, 7, 1_000, 86_400_000])
def test_the_whole_number_at_once_and_none_until_the_window_is_over(window_ms: int) -> None:
    rate = bucket(window_ms, 5)
    window_ns = window_ms * MS
    part_ns = -(-window_ns // PARTS)
    for used in range(5):
        assert rate.used(1) == used
        rate.take(1, 1)
    assert rate.used(window_ns) == 5
    assert rate.used(window_ns + part_ns + 1) == 0
    assert rate.used(2**62) == 0


def test_amounts_up_to_what_can_be_counted() -> None:
    rate = bucket(1_000, 2**63 - 1, "notional")
    rate.take(1, 2**63 - 2)
    assert rate.take(1, 1) == 2**63 - 1
    with pytest.raises(InvariantError, match="1 more than 9223372036854775807"):
        rate.take(1, 1)
    assert rate.used(1) == 2**63 - 1
    assert rate.take(2_000 * MS, 7) == 7


@pytest.mark.parametrize(
    "numbers", [[], [0] * 17, [0] * 19, [-1] + [1] * 17, [0, -1] + [1] * 16, [0] + [2**62] * 17]
)
def test_what_no_rate_dumps_is_refused(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="a rate's amounts are"):
        bucket(1_000, 1).load(numbers)


@pytest.mark.parametrize("window_ms", [1, 1_000, 86_400_000])
def test_what_no_clock_reaches_is_refused(window_ms: int) -> None:
    part_ns = -(-window_ms * MS // PARTS)
    last = (2**63 - 1) // part_ns - 1
    rate = bucket(window_ms, 1)
    rate.load([last] + [1] * 17)
    assert rate.dump() == [last] + [1] * 17
    for newest in (last + 1, 2**63 - 1):
        with pytest.raises(ValueError, match=f"newest part is {newest}"):
            rate.load([newest] + [1] * 17)
