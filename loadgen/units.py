"""Durations, counts and their text: parsed strictly from scenarios, printed for people.

A duration is an `int` of nanoseconds everywhere inside the program; a count is an `int`.
"""

import math
import re
from decimal import ROUND_HALF_UP, Decimal
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
_DURATION_PART: Final = r"([0-9]+(?:\.[0-9]+)?)\s*(ns|us|µs|ms|min|s|m|h)"
_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)\s*([kMBG]?)"
MOST_PER_S: Final = 10_000_000.0
LONGEST_NS: Final = 7 * 24 * 3600 * NS_PER_S

# What the parsers below accept, for a JSON Schema.
DURATION_PATTERN: Final = rf"^\s*(0|({_DURATION_PART}\s*)+)$"
COUNT_PATTERN: Final = rf"^\s*{_NUMBER}\s*$"
RATE_PATTERN: Final = rf"^\s*{_NUMBER}\s*/\s*(s|min|m|h)\s*$"
SHARE_PATTERN: Final = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"


def parse_duration(text: str) -> int:
    """Read `"250ms"`, `"30s"`, `"5m"`, `"1h30m"` as nanoseconds, exactly; a bare `"0"` needs no unit.

    Raises:
        ValueError: no unit, not a duration, negative, or longer than a week; the text says which.
    """
    clean = text.strip()
    unsigned = clean.removeprefix("-")
    if clean == "0":
        return 0
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", unsigned):
        raise ValueError(f'has no unit; write it like "{unsigned}s" or "{unsigned}ms"')
    if not re.fullmatch(rf"({_DURATION_PART}\s*)+", unsigned):
        raise ValueError('is not a duration; write it like "250ms", "30s" or "5m"')
    if clean != unsigned:
        raise ValueError('is negative; write it like "250ms", "30s" or "5m"')
    # Decimal, so that 1.001s is exactly what it says
    total = sum(Decimal(n) * _DURATION_NS[unit] for n, unit in re.findall(_DURATION_PART, clean))
    if total > LONGEST_NS:
        raise ValueError('is longer than a week; write it like "250ms", "30s" or "5m"')
    return round(total)


def parse_count(value: str | float) -> int:
    """Read a count: `1500`, `"1.5k"`, `"800M"`.

    Raises:
        ValueError: not a whole number of things, or negative; the text says which.
    """
    exact = Decimal("nan")
    if isinstance(value, str):
        if match := re.fullmatch(rf"(-?){_NUMBER}", value.strip()):
            exact = Decimal(match[1] + match[2]) * _COUNT[match[3]]
    elif not isinstance(value, bool):
        exact = Decimal(value)
    if not exact.is_finite():
        raise ValueError('is not a count; write it like 1500 or "1.5k"')
    if exact < 0:
        raise ValueError('is negative; write it like 1500 or "1.5k"')
    if exact >= 10**15:
        raise ValueError("is too large for a count")
    if exact != round(exact):
        raise ValueError("is not a whole number")
    return round(exact)


def parse_rate(value: str | float) -> float:
    """Read a rate as a number a second: `"20/s"`, `"300/min"`, `"1k/s"`; a bare number is a second's.

    Raises:
        ValueError: not a rate, negative, or beyond any machine; the text says which.
    """
    if isinstance(value, str):
        match = re.fullmatch(rf"\s*(-?){_NUMBER}\s*/\s*(s|min|m|h)\s*", value)
        if not match:
            raise ValueError('is not a rate; write it like "20/s" or "300/min", or 20 without quotes')
        number = float(Decimal(match[1] + match[2]) * _COUNT[match[3]] * NS_PER_S / _DURATION_NS[match[4]])
    else:
        number = _float(value, 'is not a rate; write it like "20/s" or "300/min"')
    if number < 0:
        raise ValueError('is negative; write it like "20/s"')
    if number > MOST_PER_S:
        raise ValueError(f'is beyond any machine; write at most "{MOST_PER_S:.0f}/s"')
    return number


def parse_share(value: str | float) -> float:
    """Read a part of a whole, 0 to 1: `"5%"`, `"0.5%"`, `0.05`.

    Raises:
        ValueError: not a share, or not between 0 and 100 %; the text says which.
    """
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", value)
        if not match:
            raise ValueError('is not a share; write it like "5%" or 0.05')
        number = float(Decimal(match[1]) / 100)
    else:
        number = _float(value, 'is not a share; write it like "5%" or 0.05')
    if not 0 <= number <= 1:
        raise ValueError('is not between 0 and 100 %; write it like "5%" or 0.05')
    return number


def _float(value: float, otherwise: str) -> float:
    """Return a number as a float; infinite where it is too large for one. Raises ValueError for NaN."""
    try:
        number = float(value)
    except OverflowError:  # an int of 309 digits
        return math.inf if value > 0 else -math.inf
    if math.isnan(number):
        raise ValueError(otherwise)
    return number


def format_rate(per_s: float) -> str:
    """Print a rate the way a scenario writes it, exactly: `20/s`, `0.5/s`."""
    return f"{int(per_s)}/s" if per_s == int(per_s) else f"{Decimal(repr(per_s)):f}/s"


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
    """Print milliseconds for people, as `format_number` does: `0.042`, `12.3`, `1,240`."""
    return format_number(ms)


def format_number(value: float) -> str:
    """Print a number for people: three significant digits (at most three decimals), no exponent."""
    size = abs(value)
    if size >= 99.95:  # the steps lie where rounding would add a digit
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.9995:
        return f"{value:.2f}"
    if size == 0:
        return "0"
    return f"{value:.3f}"


def format_count(n: float, noun: str, to: float | None = None) -> str:
    """Print how many: `1 session`, `8 sessions`, with `to` also `1 to 8 sessions`."""
    few, many = (f"{value:,.0f}" if value >= 1_000 else f"{value:g}" for value in (n, to or n))
    return f"{few if few == many else f'{few} to {many}'} {noun}{'' if few == many == '1' else 's'}"


def format_usd(usd: float) -> str:
    """Print money: `2,069.14`, `0.50`; below a dollar three significant digits: `0.0125`. Halves go up."""
    exact = Decimal(repr(usd))
    digits = 2 if exact == 0 or abs(exact) >= 1 else max(2, 2 - exact.adjusted())
    text = f"{exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP):,f}"
    kept = text.rstrip("0")
    return text[: max(len(kept), text.index(".") + 3)]
