"""One value of a TOML file → the plain type that its key has: a number, name, count, rate, duration, path.

A `ValueError` says what is wrong with the value and, after a semicolon, what to do.
"""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from msgspec import inspect

from loadgen.errors import nearest
from loadgen.scenario.lengths import Count, Duration, FilePath, Tokens
from loadgen.scenario.traffic import Level, Rate, RateOrZero, Share
from loadgen.units import parse_count, parse_duration, parse_rate, parse_share

_MOST: Final = {Count: 1_000_000_000, Tokens: 100_000_000}


class RateLevel(Level):
    """A level that is a rate, so that rules can tell it from a count."""


def read_value(kind: inspect.Type, value: Any, folder: Path) -> Any:
    """Return `value` as `kind` says; relative paths begin at `folder`.

    Raises:
        ValueError: see above.
    """
    match kind:
        case inspect.Metadata(type=inspect.StrType() as text, extra_json_schema={"description": rule}):
            if not isinstance(value, str) or not re.fullmatch(text.pattern or ".*", value):
                raise ValueError(f"is not allowed; write {rule}")
        case inspect.StrType():
            if not isinstance(value, str):
                raise ValueError("is not a string; write it in quotes")
            if len(value) < (kind.min_length or 0):
                raise ValueError("is empty; leave the key out, or give it a value")
        case inspect.BoolType():
            if not isinstance(value, bool):
                raise ValueError("is neither true nor false; write it without quotes")
        case inspect.IntType():
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError("is not a whole number; write it like 7")
            if not (kind.ge or 0) <= value <= (kind.le or math.inf):
                raise ValueError(f"is out of range; write a whole number from {kind.ge} to {kind.le}")
        case inspect.FloatType():
            return _number(value, kind)
        case inspect.LiteralType():
            if value not in kind.values:
                raise ValueError(f"is not known here; {nearest(str(value), map(str, kind.values))}")
        case inspect.CustomType():
            return _CUSTOM[kind.cls](value, folder)
        case _:
            raise TypeError(f"no reader for {kind}")
    return value


def _number(value: Any, kind: inspect.FloatType) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("is not a number; write it like 0.5")
    if not (kind.ge or 0) <= value < 1e15:
        raise ValueError(f"is out of range; write a number of {kind.ge} or more")
    return float(value)


def _duration(value: Any, _: Path) -> Duration:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('is not a duration; write it like "250ms", "30s" or "5m"')
    return Duration(parse_duration(str(value)))


def _counter(kind: type[Count | Tokens]) -> Callable[[Any, Path], int]:
    def read_count(value: Any, _: Path) -> int:
        if not isinstance(value, int | float | str):
            raise ValueError('is not a count; write it like 1500 or "1.5k"')
        number = parse_count(value)
        if not 1 <= number <= _MOST[kind]:
            raise ValueError(f"is out of range; write a count from 1 to {_MOST[kind]:,}")
        return kind(number)

    return read_count


def _file(value: Any, folder: Path) -> FilePath:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError('is not a path; write it like "prompts.jsonl"')
    return FilePath(os.path.normpath(folder / value))


def _rate(value: Any, _: Path) -> Rate:
    number = _per_second(value)
    if number <= 0:
        raise ValueError('is not above 0; write it like "20/s" or "300/min"')
    return Rate(number)


def _per_second(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('is not a rate; write it like "20/s" or "300/min", or 20 without quotes')
    return parse_rate(value)


def _level(value: Any, folder: Path) -> Level:
    if isinstance(value, str) and "/" in value:
        return RateLevel(_rate(value, folder))
    return Level(_CUSTOM[Count](value, folder))


def _share(value: Any, _: Path) -> Share:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('is not a share; write it like "5%" or 0.05')
    return Share(parse_share(value))


_CUSTOM: Final[dict[type, Callable[[Any, Path], Any]]] = {
    Rate: _rate,
    RateOrZero: lambda value, _: RateOrZero(_per_second(value)),
    Level: _level,
    Share: _share,
    Duration: _duration,
    Count: _counter(Count),
    Tokens: _counter(Tokens),
    FilePath: _file,
}
