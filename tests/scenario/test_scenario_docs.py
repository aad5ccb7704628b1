"""docs/scenario.md names every key, with its default and an example that can be read; and no other key."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w
from msgspec import NODEFAULT, inspect

from loadgen.scenario.dump import plain
from loadgen.scenario.lengths import Lengths, Times
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.scenario.reading import Reading, read
from loadgen.units import format_duration

TEXT = (Path(__file__).parents[2] / "docs" / "scenario.md").read_text("utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| .+? \| (`[^`]*`|required|none) \| `([^`]+)` \| .+ \|$", re.MULTILINE)


def keys(kind: inspect.Type, prefix: str) -> Iterator[tuple[str, inspect.Field]]:
    """Every key of a struct that is no table itself, the way the docs write it."""
    assert isinstance(kind, inspect.StructType)
    for field in kind.fields:
        name = f"{prefix}{field.encode_name}"
        if table := table_of(field.type):
            yield from keys(table, f"{name}.")
        elif isinstance(field.type, inspect.VarTupleType) and (table := table_of(field.type.item_type)):
            yield from keys(table, f"{name}." if name == "workload" else f"{name}[].")
        else:
            yield name, field


def table_of(kind: inspect.Type) -> inspect.StructType | None:
    """The struct that a key holds, if it is there."""
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    tables = [k for k in kinds if isinstance(k, inspect.StructType)]
    return tables[0] if len(tables) == 1 and tables[0].tag is None and len(kinds) < 3 else None


def all_keys() -> dict[str, inspect.Field]:
    found = dict(keys(inspect.type_info(Scenario), ""))
    for prefix, union in (("", Lengths), ("time.", Times)):
        choice = inspect.type_info(union)
        assert isinstance(choice, inspect.UnionType)
        for kind in choice.types:
            assert isinstance(kind, inspect.StructType)
            found |= dict(keys(kind, f"{prefix}{kind.tag}."))
    return found


def default_of(field: inspect.Field) -> str:
    """The default as the docs write it."""
    if field.required:
        return "required"
    value: Any = field.default if field.default is not NODEFAULT else field.default_factory()
    if value is None:
        return "none"
    return f"`{json.dumps(format_duration(value) if field.name.endswith('_ns') else plain(value))}`"


def test_every_key_is_there_with_its_default_and_no_other() -> None:
    documented = {key: default for key, default, _ in ROW.findall(TEXT)}
    assert documented == {key: default_of(field) for key, field in all_keys().items()}


def test_no_row_of_a_table_of_keys_escapes_the_check() -> None:
    tables = re.findall(r"^\| key \|.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert sum(table.count("\n") for table in tables) == len(ROW.findall(TEXT)) == len(all_keys())


def test_every_example_can_be_read() -> None:
    for key, _, example in ROW.findall(TEXT):
        (name, value), *others = tomllib.loads(example).items()
        assert not others
        assert key.endswith(f".{name}") or key == name
        reading = Reading(Path(), {})
        read(all_keys()[key].type, value, (key,), reading)
        assert not reading.mistakes


def test_every_block_of_a_scenario_can_be_loaded(tmp_path: Path) -> None:
    blocks = [
        tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    ]
    assert len(blocks) > 3
    for block in blocks:
        whole = {"name": "s", "targets": [{"name": "a", "model": "m"}], "load": {"requests": 1}} | block
        (tmp_path / "s.toml").write_text(tomli_w.dumps(whole))
        assert load(tmp_path / "s.toml").targets
