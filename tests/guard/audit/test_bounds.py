"""Bounds of a replay: what each form means, to the nanosecond, and which are none."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.bounds import BoundsError, bounds_of
from guard.cli.check_proof import _as_text

DAY_NS = 86_400 * 10**9
MIDNIGHT_NS = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 10**9
HALF_PAST_NINE_NS = MIDNIGHT_NS + (9 * 60 + 30) * 60 * 10**9


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2026-11-23T09:30", HALF_PAST_NINE_NS),
        ("2026-11-23 09:30:00", HALF_PAST_NINE_NS),
        ("2026-11-23T09:30:00Z", HALF_PAST_NINE_NS),
        ("2026-11-23T10:30:00+01:00", HALF_PAST_NINE_NS),
        ("2026-11-22T21:00-12:30", HALF_PAST_NINE_NS),
        ("2026-11-23T09:30:01.5Z", HALF_PAST_NINE_NS + 1_500_000_000),
        ("2026-11-23 09:30:00.123456789 UTC", HALF_PAST_NINE_NS + 123_456_789),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("0001-01-01T00:00+23:59", -62_135_683_140 * 10**9),
    ],
)
def test_a_time_is_that_instant_on_either_side(text: str, time_ns: int) -> None:
    bounds = bounds_of(text, text)
    assert (bounds.first_ns, bounds.last_ns) == (time_ns, time_ns)


def test_a_date_is_the_whole_day() -> None:
    bounds = bounds_of("2026-11-23", "2026-11-23")
    assert (bounds.first_ns, bounds.last_ns) == (MIDNIGHT_NS, MIDNIGHT_NS + DAY_NS - 1)
    last = bounds_of(None, "9999-12-31").last_ns
    assert last == 253_402_300_800 * 10**9 - 1


@given(st.integers(0, 2**63 - 1))
def test_a_time_as_check_proof_prints_it_is_that_very_time(at_ns: int) -> None:
    text = _as_text(at_ns)
    assert text is not None
    bounds = bounds_of(text, text)
    assert (bounds.first_ns, bounds.last_ns) == (at_ns, at_ns)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "2026-W47-1",
        "2026W471",
        "2026-11",
        "2026-11-31",
        "2026-11-23T09",
        "2026-11-23T25:00",
        "2026-11-23T09:30:60",
        "2026-11-23T09:30.5",
        "2026-11-23T09:30:00.",
        "2026-11-23T09:30:00.1234567890",
        "2026-11-23T09:30:00,5",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T09:30:00+0100",
        "2026-11-23T09:30:00 CET",
        "2026-11-23T09:30:00Z\n",
        "\u0662026-11-23",
        "20\u0662\u0666-11-23",
    ],
)
def test_what_is_no_bound_is_refused_by_name(text: str) -> None:
    for first, last in ((text, None), (None, text)):
        with pytest.raises(BoundsError, match="is no sequence, date or time: such as") as caught:
            bounds_of(first, last)
        assert repr(text) in str(caught.value)
