"""What the terminal shows: words and widths."""

from typing import Any

import pytest

from guard.observe.picture import SERIES_COLUMNS
from guard.top import show

DESK: dict[str, Any] = {
    "desk": "desk-alpha",
    "state": "reducing",
    "why": ["person"],
    "use_per_mille": 123,
    "held_microcents": 12_345_00000000,
    "spent_microcents": 7,
    "remaining_microcents": 2_000_000_00000000,
    "max_reserved_microcents": None,
}


@pytest.mark.parametrize(
    ("units", "said"),
    [
        (0, "0.00"),
        (99_999, "99,999.00"),
        (999_999, "999,999"),
        (1_000_000, "1.000M"),
        (1_234_567, "1.234M"),
        (123_456_789, "123.45M"),
        (92_233_720_368, "92.233G"),
        (-2_500_000, "-2.500M"),
    ],
)
def test_money_stays_narrow(units: int, said: str) -> None:
    assert show.short_money(units * 100_000_000) == said
    assert len(said) <= 9


def test_a_desk_s_row_fits_eighty_columns() -> None:
    (row,) = show.desk_rows([DESK], "ALPHA")
    assert row == (
        "desk-alpha", "reducing", "12.3%", "█·······",
        "12,345.00", "     0.00", "   2.000M", "     none",
    )  # fmt: skip
    assert show.desk_rows([DESK], "beta") == []
    assert sum(width for _, width in show.DESK_COLUMNS) <= 80


def test_rates_are_means_of_seconds_that_are_over() -> None:
    row: list[int | None] = [0] * len(SERIES_COLUMNS)
    row[SERIES_COLUMNS.index("admitted")] = 10
    row[SERIES_COLUMNS.index("fills")] = 5
    row[SERIES_COLUMNS.index("sync_p99")] = 1_500_000
    quiet = {"daemon": None}
    (text,) = show.figures(quiet, [row, [0] * len(row)])
    assert text == "5.0 orders/s, 0.0 rejects/s, 2.5 fills/s; sync 0.0 ms p50, 1.5 ms p99"
    assert show.figures(quiet, []) == ["nothing is counted yet"]


def test_the_limits_of_which_most_is_used_have_a_line() -> None:
    rows = [
        ("position long max", "firm", "desk-a in AAPL", 955),
        ("rate of orders", "desk b", "–", 400),
        ("position short max", "firm", "desk-a in AAPL", None),
        ("budget", "firm", "–", 1),
    ]
    names = ("limit", "said_by", "used_by", "use_per_mille")
    of = {"checkpoint_age_ns": 0, "anchor_sequence": -1, "disk_left_bytes": -1, "open_orders": 0}
    now = {
        "daemon": {"figures": of},
        "limits": [dict(zip(names, row, strict=True)) for row in rows],
    }
    assert show.figures(now, [])[2:] == [
        "limits: position long max 95.5% (firm: desk-a in AAPL), rate of orders 40.0% (desk b), "
        "position short max all (firm: desk-a in AAPL)"
    ]
    assert len(show.figures({**now, "limits": []}, [])) == 2
