"""Raw TOML tables → the structs of `model`, in one walk that finds every mistake instead of the first."""

import datetime as dt
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import NODEFAULT, inspect

from loadgen.errors import nearest
from loadgen.scenario.keys import Key, text_of
from loadgen.scenario.lengths import Constant, Count, Duration, Tokens
from loadgen.scenario.traffic import Rate, RateOrZero, Share
from loadgen.scenario.values import read_value

BAD: Final = object()  # stands for a value that was reported as a mistake; none gets out of `load`

_EXAMPLES: Final = {
    "lengths": 'write 220, "1.5k" or { kind = "uniform", min = 16, max = 96 }',
    "times": 'write "2s" or { kind = "lognormal", median = "5s", p95 = "30s" }',
}

_EXAMPLES_OF: Final[dict[type, str]] = {
    Tokens: "220",
    Count: "100",
    Duration: '"30s"',
    Rate: '"20/s"',
    RateOrZero: '"20/s"',
    Share: '"5%"',
}

ONE_OR_MANY: Final = frozenset({"workload", "until"})  # a table, or a list of tables
WORD_OR_MANY: Final = frozenset({"task", "risk"})  # of a route: a string, or a list of strings

# Words of other tools and of the APIs that likeness does not lead to the key that they stand for here.
_ELSEWHERE: Final = {
    "url": "targets[].base_url",
    "max_tokens": "workload.output_tokens",
    "max_completion_tokens": "workload.output_tokens",
    "max_output_tokens": "workload.output_tokens",
    "input_tokens": "workload.prompt_tokens",
    "qps": "load.rate",
    "rps": "load.rate",
    "request_rate": "load.rate",
}

_MOST_AT_ONCE: Final = 1_000_000

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

    def check_file(self, path: str, at: Key) -> bool:
        """Note a mistake unless `path` is a file; return whether it is."""
        if Path(path).is_file():
            return True
        what = "is a directory, not a file" if Path(path).is_dir() else "does not exist"
        self.wrong(at, f"{show(path)} {what}", "paths are relative to the scenario file")
        return False

    def check_most(self, number: float | None, at: Key) -> None:
        """Note a mistake of a number of things that are there at the same time."""
        if number is not None and number > _MOST_AT_ONCE:
            self.wrong_value(at, int(number), "is beyond any machine", f"write at most {_MOST_AT_ONCE:,}")

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
        return read_value(kind, value, r.folder)
    except ValueError as error:
        what, _, remedy = str(error).partition("; ")
        return r.wrong_value(at, value, what, remedy)


def _read_struct(kind: inspect.StructType, table: Any, at: Key, r: Reading) -> Any:
    if not isinstance(table, dict):
        fields = [f for f in kind.fields if f.required] or kind.fields[:1]
        keys = ", ".join(_example(f.encode_name, f.type).removeprefix("write ") for f in fields)
        return r.wrong_value(
            at, table, "is not a table", f"write {f'[{at[-1]}]' if len(at) == 1 else f'{{ {keys} }}'}"
        )
    known = ([kind.tag_field] if kind.tag_field else []) + [f.encode_name for f in kind.fields]
    remedies = {name: _meant(name, known) for name in table if name not in known}
    for name, remedy in remedies.items():
        r.mistakes.append(Mistake((*at, name), "unknown key", remedy, unknown=True))
    values: dict[str, Any] = {}
    for f in kind.fields:
        if f.encode_name in table:
            values[f.name] = read(f.type, table[f.encode_name], (*at, f.encode_name), r)
        elif f'did you mean "{f.encode_name}"?' in remedies.values():
            values[f.name] = BAD  # that it is missing would tell the same mistake again
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


def _meant(name: str, known: list[str]) -> str:
    """Say what an unknown key was probably meant to be; with its table where it belongs into another."""
    if path := _ELSEWHERE.get(name):
        key = path.rpartition(".")[2]
        return f'did you mean "{key if key in known else path}"?'
    metric, _, percentile = name.rpartition("_")
    if metric in known and re.fullmatch(r"p\d+", percentile):  # ttft_p95, as an objective
        return f'did you mean "{metric}.{percentile}"?'
    return nearest(name, known)


def _read_union(kind: inspect.UnionType, value: Any, at: Key, r: Reading) -> Any:
    kinds = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
    structs = {k.tag: k for k in kinds if isinstance(k, inspect.StructType)}
    if len(kinds) == 1:
        return read(kinds[0], value, at, r)
    if isinstance(value, dict) and None in structs:
        return read(structs[None], value, at, r)
    if "constant" in structs:
        return _read_distribution(structs, value, at, r)
    for k in kinds:
        if isinstance(value, bool if isinstance(k, inspect.BoolType) else str):
            return read(k, value, at, r)
    if structs:
        return r.wrong_value(at, value, "is not a string", 'write it in quotes, or as { env = "NAME" }')
    return r.wrong_value(at, value, "is neither true, false nor a string")


def _read_distribution(structs: Mapping[Any, inspect.StructType], value: Any, at: Key, r: Reading) -> Any:
    """Read a length or a time: a table with its `kind`, or a plain value that is always the same."""
    constant = structs["constant"].cls
    noun, plain = ("lengths", Tokens) if constant is Constant else ("times", Duration)
    if not isinstance(value, dict):
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return r.wrong_value(at, value, f"is not one of {noun}", _EXAMPLES[noun])
        number = read(inspect.CustomType(plain), value, at, r)
        return number if number is BAD else constant(number)
    tag = value.get("kind")
    if isinstance(tag, str) and tag in structs:
        return read(structs[tag], value, at, r)
    choice = [str(t) for t in structs]
    if tag is None:
        return r.wrong((*at, "kind"), "is missing", nearest("", choice))
    return r.wrong_value((*at, "kind"), tag, f"is not a kind of {noun}", nearest(str(tag), choice))


def _read_dict(kind: inspect.DictType, table: Any, at: Key, r: Reading) -> Any:
    if not isinstance(table, dict):
        return r.wrong_value(at, table, "is not a table", f"write {at[-1]} = {{ key = value }}")
    if isinstance(kind.key_type, inspect.LiteralType):
        known = [str(name) for name in kind.key_type.values]
        for name in table.keys() - known:
            r.mistakes.append(Mistake((*at, name), "unknown key", nearest(name, known), unknown=True))
        table = {name: value for name, value in table.items() if name in known}
    values = {name: read(kind.value_type, value, (*at, name), r) for name, value in table.items()}
    return {name: value for name, value in values.items() if value is not BAD}  # for the rules to go on


def _read_tuple(kind: inspect.VarTupleType, items: Any, at: Key, r: Reading) -> Any:
    if (isinstance(items, dict) and at[-1] in ONE_OR_MANY) or (
        isinstance(items, str) and at[-1] in WORD_OR_MANY
    ):
        value = read(kind.item_type, items, at, r)  # its keys keep the places they have in the file
        return BAD if value is BAD else (value,)
    if isinstance(items, dict) and isinstance(kind.item_type, inspect.StructType):
        name = text_of(tuple(part for part in at if isinstance(part, str)))
        return r.wrong(at, "is one table, not a list of tables", f"write [[{name}]], in two brackets")
    if not isinstance(items, list | tuple):
        return r.wrong_value(at, items, "is not a list", _example(str(at[-1]), kind))
    if len(items) < (kind.min_length or 0):
        return r.wrong(at, "is empty", _example(str(at[-1]), kind))
    if len(items) > (kind.max_length or math.inf):
        return r.wrong(at, f"has {len(items)} items", f"write at most {kind.max_length}")
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


def _example(key: str, kind: inspect.Type) -> str:
    """What to write for a key that must be there, by its type."""
    match kind:
        case inspect.VarTupleType(item_type=inspect.StructType()) if key == "targets":
            return "write at least one [[targets]] with a name and a model"
        case inspect.VarTupleType():
            return f"write {key} = [..]"
        case inspect.CustomType(cls=cls):
            return f"write {key} = {_EXAMPLES_OF.get(cls, '..')}"
        case inspect.FloatType():
            return f"write {key} = 90"
    return f'write {key} = "..."'
