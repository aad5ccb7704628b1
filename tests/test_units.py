"""Durations, counts, money and their text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.units import (
    COUNT_PATTERN,
    DURATION_PATTERN,
    LONGEST_NS,
    MOST_PER_S,
    RATE_PATTERN,
    SHARE_PATTERN,
    format_count,
    format_duration,
    format_number,
    format_rate,
    format_usd,
    parse_count,
    parse_duration,
    parse_rate,
    parse_share,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("250ms", 250_000_000),
        ("2s", 2_000_000_000),
        (" 2 s ", 2_000_000_000),
        ("1.001s", 1_001_000_000),
        ("604799.999999999s", 604_799_999_999_999),
        ("5m", 300_000_000_000),
        ("5min", 300_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1h 2m 3s 4ms 5us 6ns", 3_723_004_005_006),
        ("168h", LONGEST_NS),
    ],
)
def test_a_duration_is_read_exactly(text: str, ns: int) -> None:
    assert parse_duration(text) == ns
    assert re.search(DURATION_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("30", 'has no unit; write it like "30s"'),
        ("1.5", 'has no unit; write it like "1.5s"'),
        ("-30", "has no unit"),
        ("-30s", "is negative"),
        ("", "is not a duration"),
        ("-", "is not a duration"),
        ("fast", "is not a duration"),
        ("30 seconds", "is not a duration"),
        ("1m30", "is not a duration"),
        ("1.s", "is not a duration"),
        ("1e3s", "is not a duration"),
        ("٣s", "is not a duration"),
        ("30S", "is not a duration"),
        ("169h", "is longer than a week"),
        ("9" * 5000 + "s", "is longer than a week"),
    ],
)
def test_what_is_no_duration_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_duration(text)
    assert says == "is longer than a week" or not re.search(DURATION_PATTERN, text)


@given(st.integers(0, LONGEST_NS))
def test_a_printed_duration_reads_back(ns: int) -> None:
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (1500, 1500),
        (20.0, 20),
        ("1500", 1500),
        ("1.5k", 1500),
        ("1.001k", 1001),
        ("0.3M", 300_000),
        ("800M", 800_000_000),
        ("2B", 2_000_000_000),
        ("2 G", 2_000_000_000),
    ],
    ids=repr,
)
def test_a_count_is_read_exactly(value: str | float, count: int) -> None:
    assert parse_count(value) == count
    assert not isinstance(value, str) or re.search(COUNT_PATTERN, value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (True, "is not a count"),
        ("", "is not a count"),
        ("many", "is not a count"),
        ("1,500", "is not a count"),
        ("1.5K", "is not a count"),
        ("--5", "is not a count"),
        (float("nan"), "is not a count"),
        (float("inf"), "is not a count"),
        (-1, "is negative"),
        ("-5k", "is negative"),
        (1.5, "is not a whole number"),
        ("1.0005k", "is not a whole number"),
        (10**400, "is too large"),
        ("2000000G", "is too large"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_count_says_why(value: str | float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_count(value)


@pytest.mark.parametrize(
    ("value", "per_s"),
    [
        ("20/s", 20.0),
        (" 0.5 / s ", 0.5),
        ("300/min", 5.0),
        ("300/m", 5.0),
        ("3600/h", 1.0),
        ("1.5k/s", 1500.0),
        ("0/s", 0.0),
        ("100/min", 100 / 60),
        (20, 20.0),
        (2.5, 2.5),
    ],
    ids=repr,
)
def test_a_rate_is_read(value: str | float, per_s: float) -> None:
    assert parse_rate(value) == per_s
    assert not isinstance(value, str) or re.search(RATE_PATTERN, value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("20", "is not a rate"),
        ("20/d", "is not a rate"),
        ("20 s", "is not a rate"),
        ("/s", "is not a rate"),
        ("many/s", "is not a rate"),
        (float("nan"), "is not a rate"),
        ("-1/s", "is negative"),
        (-1, "is negative"),
        (-(10**400), "is negative"),
        ("11M/s", "is beyond any machine"),
        ("9" * 5000 + "/s", "is beyond any machine"),
        (10**400, "is beyond any machine"),
        (float("inf"), "is beyond any machine"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_rate_says_why(value: str | float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_rate(value)


@given(st.floats(0, MOST_PER_S))
def test_a_printed_rate_reads_back(per_s: float) -> None:
    assert parse_rate(format_rate(per_s)) == per_s


@pytest.mark.parametrize(
    ("value", "share"),
    [("5%", 0.05), ("0.5 %", 0.005), ("100%", 1.0), (0.05, 0.05), (0, 0.0), (1, 1.0)],
    ids=repr,
)
def test_a_share_is_read(value: str | float, share: float) -> None:
    assert parse_share(value) == share
    assert not isinstance(value, str) or re.search(SHARE_PATTERN, value)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("5", "is not a share"),
        ("-5%", "is not a share"),
        (float("nan"), "is not a share"),
        ("101%", "is not between 0 and 100 %"),
        (5, "is not between"),
        (-0.1, "is not between"),
        (10**400, "is not between"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_share_says_why(value: str | float, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_share(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.042, "0.042"),
        (0.9996, "1.00"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1240, "1,240"),
        (-1240.4, "-1,240"),
    ],
    ids=repr,
)
def test_numbers_are_printed_for_people(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (0.0, "0.00"),
        (5.625, "5.63"),
        (69.14375, "69.14"),
        (2_069.14375, "2,069.14"),
        (0.5, "0.50"),
        (0.0125, "0.0125"),
        (0.000123456, "0.000123"),
        (1e-9, "0.000000001"),
        (0.9999, "1.00"),
        (1.005, "1.01"),
        (-2.345, "-2.35"),
    ],
)
def test_money_is_printed_to_the_cent_or_to_three_digits(usd: float, text: str) -> None:
    assert format_usd(usd) == text


@pytest.mark.parametrize(
    ("n", "to", "text"),
    [
        (1, None, "1 user"),
        (0, None, "0 users"),
        (2.5, None, "2.5 users"),
        (12_345, None, "12,345 users"),
        (1, 1, "1 user"),
        (1, 2_000_000, "1 to 2,000,000 users"),
    ],
)
def test_counts_are_told_with_their_noun(n: float, to: float | None, text: str) -> None:
    assert format_count(n, "user", to) == text
