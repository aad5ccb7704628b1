"""Dates and times of recorded traffic, as nanoseconds; the room knows no clock's module."""

import functools
import re
from typing import Final

import numpy as np

from loadgen.units import NS_PER_S

_ISO: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]{1,9})[0-9]*)?"
    r"(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?"
)

_LATEST_NS: Final = 10**20  # the year 5138


def number_ns(value: float, unit_ns: int) -> int:
    """Return nanoseconds of a number of units from any origin; exact where it is whole.

    Raises:
        ValueError: it is not finite, or too large to be in that unit.
    """
    if not abs(value) <= _LATEST_NS / unit_ns:  # NaN too
        raise ValueError(f"{value:g} is too large for its unit")
    return value * unit_ns if isinstance(value, int) else round(value * unit_ns)


def iso_ns(text: str) -> int:
    """Return nanoseconds since 1970 of `2023-11-16 18:17:03.9799600`; without an offset it is UTC.

    A `T`, any number of decimals, `Z` or an offset such as `+01:00` may be there.

    Raises:
        ValueError: it is no such date and time.
    """
    match = _ISO.fullmatch(text)
    if not match:
        raise ValueError(f'"{text[:40]}" is not a date and time; write it like 2023-11-16T18:17:03.98Z')
    date, hours, minutes, seconds, decimals, sign, ahead_h, ahead_min = match.groups()
    if hours > "23" or minutes > "59" or seconds > "60":  # a leap second is the first of the next minute
        raise ValueError(f'"{text}" is not a time of day')
    total_s = _days(date) * 86_400 + int(hours) * 3600 + int(minutes) * 60 + int(seconds)
    if sign:
        ahead_s = int(ahead_h) * 3600 + int(ahead_min) * 60
        total_s += ahead_s if sign == "-" else -ahead_s
    return total_s * NS_PER_S + (int(decimals.ljust(9, "0")) if decimals else 0)


@functools.lru_cache(maxsize=16)
def _days(date: str) -> int:
    try:
        return int(np.datetime64(date, "D").astype(np.int64))
    except ValueError:
        raise ValueError(f'"{date}" is not a day of the calendar') from None
