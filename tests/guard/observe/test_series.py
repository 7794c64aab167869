"""Rings of rows in time, and percentiles of classes: bounded, whatever times come."""

from guard.observe.latency import percentile, since
from guard.observe.series import SECOND_NS, Ring


def seconds(ring: Ring, until_s: int, count: int | None = None) -> list[list[int | None]]:
    rows = ring.rows(until_s * SECOND_NS, count)
    return [[(row[0] or 0) // SECOND_NS, *row[1:]] for row in rows]


def touch(ring: Ring, at_s: int) -> bool:
    row = ring.row(at_s * SECOND_NS + 1)
    if row is not None:
        row[0] = (row[0] or 0) + 1
    return row is not None


def test_a_ring_keeps_the_last_buckets_and_fills_the_gaps() -> None:
    ring = Ring(SECOND_NS, 4, (0, None))
    assert seconds(ring, 100) == []
    assert touch(ring, 10)
    assert touch(ring, 10)
    assert touch(ring, 12)
    assert seconds(ring, 13) == [[10, 2, None], [11, 0, None], [12, 1, None]]
    assert seconds(ring, 12) == [[10, 2, None], [11, 0, None]]  # the one that lasts is left out
    assert seconds(ring, 15) == [[11, 0, None], [12, 1, None], [13, 0, None], [14, 0, None]]
    assert seconds(ring, 15, 1) == [[14, 0, None]]
    assert not touch(ring, 10)  # it has left the ring
    assert touch(ring, 13)  # late, and still in it
    assert seconds(ring, 15, 2) == [[13, 1, None], [14, 0, None]]


def test_a_leap_in_time_empties_a_ring_and_costs_no_more_than_its_length() -> None:
    ring = Ring(SECOND_NS, 4, (0,))
    touch(ring, 1)
    assert touch(ring, 10**9)
    assert seconds(ring, 10**9 + 1) == [[10**9 - 3, 0], [10**9 - 2, 0], [10**9 - 1, 0], [10**9, 1]]


def test_percentiles_are_the_ends_of_classes() -> None:
    classes = [(100, 50), (200, 49), (500, 0), (2**63 - 1, 1)]
    assert percentile(classes, 500) == 100
    assert percentile(classes, 990) == 200
    assert percentile(classes, 1_000, greatest_ns=777) == 777
    assert percentile([(100, 0)], 500) is None
    assert percentile([], 500) is None


def test_what_came_since_is_all_of_it_where_the_counting_began_anew() -> None:
    before = [(100, 5), (200, 1)]
    assert since([(100, 7), (200, 1)], before) == [(100, 2), (200, 0)]
    assert since([(100, 1), (200, 0)], before) == [(100, 1), (200, 0)]  # the daemon restarted
    assert since([(100, 9), (300, 9)], before) == [(100, 9), (300, 9)]  # and counts otherwise
    assert since([(100, 3)], []) == [(100, 3)]
