"""Durations, counts and their text: parsed strictly from scenarios, printed for people.

A duration is an `int` of nanoseconds everywhere inside the program; a count is an `int`.
"""

import re
from typing import Final

NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000

_DURATION_NS: Final = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_COUNT: Final = {"": 1, "k": 1_000, "M": 1_000_000, "B": 1_000_000_000, "G": 1_000_000_000}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|min|s|m|h)", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern}\s*)+", re.ASCII)
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kMBG]?)", re.ASCII)
LONGEST_NS: Final = 7 * 24 * 3600 * NS_PER_S


def parse_duration(text: str) -> int:
    """Read `"250ms"`, `"30s"`, `"5m"`, `"1h30m"` as nanoseconds.

    Raises:
        ValueError: no unit, not a duration, negative, or longer than a week; the text says which.
    """
    clean = text.strip()
    if clean == "0":
        return 0
    if not _DURATION.fullmatch(clean):
        raise ValueError('is not a duration; write it like "250ms", "30s" or "5m"')
    total = sum(float(n) * _DURATION_NS[unit] for n, unit in _DURATION_PART.findall(clean))
    if total > LONGEST_NS:
        raise ValueError('is longer than a week; write it like "250ms", "30s" or "5m"')
    return round(total)


def parse_count(value: str | float) -> int:
    """Read a count: `1500`, `"1.5k"`, `"800M"`.

    Raises:
        ValueError: not a whole number of things, or negative; the text says which.
    """
    if isinstance(value, bool):
        raise ValueError('is not a count; write it like 1500 or "1.5k"')
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if not match:
            raise ValueError('is not a count; write it like 1500 or "1.5k"')
        value = float(match[1]) * _COUNT[match[2]]
    if value < 0:
        raise ValueError("is negative; a count is 0 or more")
    if not value < 1e15:
        raise ValueError("is too large for a count")
    if value != round(value):
        raise ValueError("is not a whole number")
    return round(value)


def format_duration(ns: int) -> str:
    """Print nanoseconds the way a scenario writes them, exactly: `2s`, `250ms`, `1m30s`."""
    if ns == 0:
        return "0s"
    parts = []
    rest = ns
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        n, rest = divmod(rest, _DURATION_NS[unit])
        if n:
            parts.append(f"{n}{unit}")
    return "".join(parts)


def format_ms(ms: float) -> str:
    """Print milliseconds for people, three significant digits: `0.042`, `12.3`, `1,240`."""
    return format_number(ms)


def format_number(value: float) -> str:
    """Print a number for people with three significant digits, no exponent, thousands apart."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    if size >= 1:
        return f"{value:.2f}"
    if size == 0:
        return "0"
    return f"{value:.3f}"
