"""Figures for people: exact money, times in UTC, durations with their unit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.formats import NOTHING, count, duration, money, share, shortened, time


@pytest.mark.parametrize(
    ("microcents", "text"),
    [
        (0, "0.00"),
        (1, "0.00000001"),
        (-150_000_000, "-1.50"),
        (100_000_000, "1.00"),
        (123_456_789_012_345_678, "1,234,567,890.12345678"),
        (2**63 - 1, "92,233,720,368.54775807"),
        (None, NOTHING),
    ],
)
def test_money(microcents: int | None, text: str) -> None:
    assert money(microcents) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_money_is_exact(microcents: int) -> None:
    assert Decimal(money(microcents).replace(",", "")) * 10**8 == microcents


@pytest.mark.parametrize(
    ("microcents", "text"),
    [
        (0, "0.00"),
        (1, "<0.01"),
        (499_999, "<0.01"),
        (500_000, "0.01"),
        (-1, ">-0.01"),
        (-500_000, "-0.01"),
        (149_500_000, "1.50"),
        (123_456_789_012_345_678, "1,234,567,890.12"),
        (99_999_500_000, "1,000.00"),
    ],
)
def test_money_in_two_decimals(microcents: int, text: str) -> None:
    assert shortened(money(microcents)) == text


def test_what_is_no_amount_stays_as_it_is() -> None:
    assert (shortened(money(None)), shortened("1.23456")) == (NOTHING, "1.23456")


def test_counts_and_shares() -> None:
    assert (count(1_234_567), count(None)) == ("1,234,567", NOTHING)
    assert (share(1, 1), share(0, 7), share(1, 0)) == ("100.0 %", "0.0 %", NOTHING)
    assert share(0, None) == NOTHING


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (2, 3, "66.7 %"),
        (1, 3, "33.3 %"),
        (1, 2_000, "0.1 %"),
        (1, 2_001, "<0.1 %"),
        (1_999, 2_000, ">99.9 %"),
        (999, 1_000, "99.9 %"),
        (999_999, 1_000_000, ">99.9 %"),
        (3, 2, "150.0 %"),
        (1_000_001, 1_000_000, "100.0 %"),
        (12_345, 1, "1,234,500.0 %"),
    ],
)
def test_a_share_is_rounded_and_a_part_is_never_all_or_nothing(
    part: int, whole: int, text: str
) -> None:
    assert share(part, whole) == text


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01 00:00:00.000"),
        (1_700_000_000_123_999_999, "2023-11-14 22:13:20.123"),
        (253_402_300_799_999_999_999, "9999-12-31 23:59:59.999"),
        (253_402_300_800_000_000_000, "253402300800000000000 ns"),
        (-1, "-1 ns"),
        (None, NOTHING),
    ],
)
def test_time(at_ns: int | None, text: str) -> None:
    assert time(at_ns) == text


@pytest.mark.parametrize(
    ("span_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (12_345, "12.3 µs"),
        (1_234_567, "1.23 ms"),
        (999_999_999, "999 ms"),
        (60_000_000_000, "60.0 s"),
        (86_400_000_000_000, "86,400 s"),
        (-1_500, "-1.50 µs"),
        (None, NOTHING),
    ],
)
def test_duration(span_ns: int | None, text: str) -> None:
    assert duration(span_ns) == text
