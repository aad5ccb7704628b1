"""Raw TOML tables → the structs of `model`, in one walk that finds every mistake instead of the first."""

import datetime as dt
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import NODEFAULT, inspect

from loadgen.scenario.keys import Key, nearest
from loadgen.scenario.lengths import Constant, ConstantTime, Count, Duration, FilePath, Tokens
from loadgen.scenario.traffic import Level, Rate, RateOrZero, Share
from loadgen.units import parse_count, parse_duration, parse_rate, parse_share

BAD: Final = object()  # stands for a value that was reported as a mistake; none gets out of `load`

_MOST: Final = {Count: 1_000_000_000, Tokens: 100_000_000}

_ONE_OR_MANY: Final = frozenset({"workload", "until"})  # a table, or a list of tables

# A key written in the wrong place must not end up in a message: values of these are never shown.
_SECRET: Final = frozenset({"api_key_env", "env", "headers", "query"})


class Mistake(NamedTuple):
    """What is wrong with the value of a key, and what to do; `unknown` when the key itself is wrong."""

    at: Key
    what: str
    remedy: str
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one scenario.

    folder: what relative paths are relative to. rules: for a struct's type, the checks that need more
    than one field; they get the fields that could be read, by name, and where they are.
    """

    folder: Path
    rules: Mapping[type, "Rule"]
    mistakes: list[Mistake] = field(default_factory=list)

    def wrong(self, at: Key, what: str, remedy: str = "") -> Any:
        """Note a mistake; return BAD."""
        self.mistakes.append(Mistake(at, what, remedy))
        return BAD

    def wrong_value(self, at: Key, value: object, what: str, remedy: str = "") -> Any:
        """Note a mistake of a value, showing it unless it could be a secret; return BAD."""
        shown = "the value" if _SECRET.intersection(at) else show(value)
        return self.wrong(at, f"{shown} {what}", remedy)


Rule = Callable[[dict[str, Any], Key, Reading], None]


def show(value: object) -> str:
    """Write a value the way TOML does, shortened."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = json.dumps(value, ensure_ascii=False)
        case int():
            text = str(value) if abs(value) < 10**40 else "a huge number"
        case dict():
            return "a table"
        case list() | tuple():
            return "a list"
        case dt.date() | dt.time():
            text = value.isoformat()
        case _:
            text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def read(kind: inspect.Type, value: Any, at: Key, r: Reading) -> Any:
    """Return the value of key `at` as `kind` says, or BAD after noting its mistakes in `r`."""
    match kind:
        case inspect.StructType():
            return _read_struct(kind, value, at, r)
        case inspect.UnionType():
            return _read_union(kind, value, at, r)
        case inspect.DictType():
            return _read_dict(kind, value, at, r)
        case inspect.VarTupleType():
            return _read_tuple(kind, value, at, r)
        case inspect.AnyType():
            return _read_json(value, at, r)
    try:
        return _read_leaf(kind, value, r.folder)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        return r.wrong_value(at, value, what, remedy)


def _read_struct(kind: inspect.StructType, table: Any, at: Key, r: Reading) -> Any:
    if not isinstance(table, dict):
        example = f"[{at[-1]}]" if len(at) == 1 else "{ key = value }"
        return r.wrong_value(at, table, "is not a table", f"write {example}")
    known = ([kind.tag_field] if kind.tag_field else []) + [f.encode_name for f in kind.fields]
    for name in table:
        if name not in known:
            r.mistakes.append(Mistake((*at, name), "unknown key", nearest(name, known), unknown=True))
    values: dict[str, Any] = {}
    for f in kind.fields:
        if f.encode_name in table:
            values[f.name] = read(f.type, table[f.encode_name], (*at, f.encode_name), r)
        elif f.required:
            values[f.name] = r.wrong((*at, f.encode_name), "is missing", _example(f.encode_name, f.type))
        elif isinstance(f.type, inspect.StructType):
            values[f.name] = read(f.type, {}, (*at, f.encode_name), r)  # its rules hold for defaults too
        else:
            values[f.name] = f.default if f.default is not NODEFAULT else f.default_factory()
    good = {name: value for name, value in values.items() if value is not BAD}
    if rule := r.rules.get(kind.cls):
        rule(good, at, r)
    if len(good) < len(values):
        return BAD
    try:
        return kind.cls(**good)
    except ValueError as error:
        return r.wrong(at, str(error))


def _read_union(kind: inspect.UnionType, value: Any, at: Key, r: Reading) -> Any:
    kinds = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
    structs = {k.tag: k for k in kinds if isinstance(k, inspect.StructType)}
    if len(kinds) == 1:
        return read(kinds[0], value, at, r)
    if isinstance(value, dict) and structs:
        if None in structs:
            return read(structs[None], value, at, r)
        tag = value.get("kind")
        if isinstance(tag, str) and tag in structs:
            return read(structs[tag], value, at, r)
        choice = [str(t) for t in structs]
        if tag is None:
            return r.wrong((*at, "kind"), "is missing", nearest("", choice))
        return r.wrong_value((*at, "kind"), tag, "is not a kind of lengths", nearest(str(tag), choice))
    if any(k.cls is Constant for k in structs.values()):
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            example = 'write 220, "1.5k" or { kind = "uniform", min = 16, max = 96 }'
            return r.wrong_value(at, value, "is not a length", example)
        number = read(inspect.CustomType(Tokens), value, at, r)
        return number if number is BAD else Constant(number)
    if any(k.cls is ConstantTime for k in structs.values()):
        time_ns = read(inspect.CustomType(Duration), value, at, r)
        return time_ns if time_ns is BAD else ConstantTime(time_ns)
    for k in kinds:
        if isinstance(value, bool if isinstance(k, inspect.BoolType) else str):
            return read(k, value, at, r)
    if structs:
        return r.wrong_value(at, value, "is not a string", 'write it in quotes, or as { env = "NAME" }')
    return r.wrong_value(at, value, "is neither true, false nor a string")


def _read_dict(kind: inspect.DictType, table: Any, at: Key, r: Reading) -> Any:
    if not isinstance(table, dict):
        return r.wrong_value(at, table, "is not a table", f"write {at[-1]} = {{ key = value }}")
    values = {name: read(kind.value_type, value, (*at, name), r) for name, value in table.items()}
    return {name: value for name, value in values.items() if value is not BAD}  # for the rules to go on


def _read_tuple(kind: inspect.VarTupleType, items: Any, at: Key, r: Reading) -> Any:
    if isinstance(items, dict) and at[-1] in _ONE_OR_MANY:
        value = read(kind.item_type, items, at, r)  # its keys keep the places they have in the file
        return BAD if value is BAD else (value,)
    if isinstance(items, dict) and isinstance(kind.item_type, inspect.StructType):
        return r.wrong(at, "is one table, not a list of tables", f"write [[{at[-1]}]], in two brackets")
    if not isinstance(items, list | tuple):
        return r.wrong_value(at, items, "is not a list", _example(str(at[-1]), kind))
    if len(items) < (kind.min_length or 0):
        return r.wrong(at, "is empty", _example(str(at[-1]), kind))
    values = tuple(read(kind.item_type, item, (*at, i), r) for i, item in enumerate(items))
    return BAD if BAD in values else values


def _read_json(value: Any, at: Key, r: Reading) -> Any:
    """What a request's JSON body can carry: no dates, no inf or nan, integers of 64 bits."""
    match value:
        case bool() | str():
            return value
        case dict():
            return {name: _read_json(item, (*at, name), r) for name, item in value.items()}
        case list() | tuple():
            return [_read_json(item, (*at, i), r) for i, item in enumerate(value)]
        case int() if -(2**63) <= value < 2**64:
            return value
        case float() if math.isfinite(value):
            return value
    return r.wrong_value(
        at, value, "can't be written as JSON", "use a string, a number, true or false, a list or a table"
    )


def _read_leaf(kind: inspect.Type, value: Any, folder: Path) -> Any:
    """Read one value; a ValueError says what is wrong, then what to do after a semicolon."""
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
        raise ValueError('is not a rate; write it like "20/s" or "300/min"')
    return parse_rate(value)


def _level(value: Any, folder: Path) -> Level:
    is_rate = isinstance(value, float) or (isinstance(value, str) and "/" in value)
    return Level(_rate(value, folder) if is_rate else _CUSTOM[Count](value, folder))


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


def _example(key: str, kind: inspect.Type) -> str:
    """What to write for a key that must be there, by its type."""
    match kind:
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return f"write at least one [[{key}]] with a name and a model"
        case inspect.VarTupleType():
            return f"write {key} = [..]"
        case inspect.CustomType(cls=cls) if cls is Tokens:
            return f"write {key} = 220"
        case inspect.FloatType():
            return f"write {key} = 0.5"
    return f'write {key} = "..."'
