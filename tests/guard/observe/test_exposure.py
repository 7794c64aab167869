"""Desks' days in rows: peaks are kept, a day is kept, memory is bounded."""

import itertools
from typing import Any

from guard.admin.messages import DeskLine
from guard.observe.exposure import BUCKETS_MAX, DAY_NS, WIDTHS_NS, DayExposure
from guard.observe.series import MINUTE_NS, SECOND_NS

T0 = 1_000 * DAY_NS


def desk(held: int, spent: int = 0, name: str = "a", cap: int | None = None) -> DeskLine:
    return DeskLine(name, 1_000, held, spent, 1_000 - held - spent, cap, 0, "active", [])


def buckets(day: DayExposure, rows: list[list[Any]]) -> list[list[Any]]:
    return [[(row[0] - T0) // day.width_ns, *row[1:]] for row in rows]


def test_rows_hold_the_peaks_of_their_bucket_and_how_it_ended() -> None:
    day = DayExposure()
    for second, line in enumerate((desk(10), desk(70, 5), desk(20, 5), desk(20, 5))):
        day.note(line, T0 + second)
    day.note(desk(20, 5), T0 + day.width_ns)  # nothing moved: no row
    day.note(desk(0, 8, cap=500), T0 + 3 * day.width_ns)
    assert buckets(day, day.series("a", T0 + 3 * day.width_ns)) == [
        [0, 70, 75, 20, 5, 1_000, None],
        [3, 20, 25, 0, 8, 1_000, 500],  # it stood so when the bucket began
    ]
    assert day.series("b", T0) == []


def test_buckets_are_as_fine_as_a_chart_can_show_and_keep_the_peaks() -> None:
    day = DayExposure()
    day.note(desk(9), T0)
    day.note(desk(3), T0 + WIDTHS_NS[0])
    assert day.width_ns == WIDTHS_NS[0]
    day.note(desk(4), T0 + 2 * 3_600 * SECOND_NS)
    assert day.width_ns == WIDTHS_NS[1]
    rows = buckets(day, day.series("a", T0 + 2 * 3_600 * SECOND_NS))
    assert rows == [[0, 9, 9, 3, 0, 1_000, None], [480, 4, 4, 4, 0, 1_000, None]]
    for width, wider in itertools.pairwise(WIDTHS_NS):
        assert wider % width == 0


def test_what_is_older_than_a_day_is_forgotten_but_for_how_it_stood() -> None:
    day = DayExposure()
    for minute in range(0, 3 * 1_440, 2):
        day.note(desk(minute % 7), T0 + minute * MINUTE_NS)
    now_ns = T0 + 3 * DAY_NS
    rows = day.series("a", now_ns)
    assert (len(rows), day.width_ns) == (BUCKETS_MAX, 2 * MINUTE_NS)
    assert buckets(day, rows)[0][:2] == [2 * BUCKETS_MAX, 2 * 1_440 % 7]
    assert len(day._desks["a"]) <= 7 * (BUCKETS_MAX + BUCKETS_MAX // 4)
    [last] = day.series("a", now_ns + 2 * DAY_NS)  # quiet since: a line through the day
    stood = (3 * 1_440 - 2) % 7
    assert buckets(day, [last]) == [[4 * BUCKETS_MAX, *[stood] * 3, 0, 1_000, None]]


def test_many_desks_have_wider_buckets() -> None:
    day = DayExposure(rows_max=1_000)
    for number in range(100):
        day.note(desk(1, name=f"d-{number}"), T0)
    assert day.width_ns == WIDTHS_NS[0]
    day.note(desk(2, name="d-0"), T0 + MINUTE_NS)
    assert day.width_ns == WIDTHS_NS[1]
    day.note(desk(2, name="d-1"), T0 + DAY_NS)  # beyond the widest, desks alone bound it
    assert day.width_ns == WIDTHS_NS[-1]
    day.keep_only({"d-1"})
    assert day.series("d-0", T0) == []
