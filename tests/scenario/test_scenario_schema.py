"""The JSON Schema agrees with what `load` takes and refuses."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.dump import to_toml
from loadgen.scenario.load import load
from loadgen.scenario.schema import json_schema

SCENARIOS = Path(__file__).parents[2] / "scenarios"
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """Check a value by the few keywords that our schema uses."""
    if "$ref" in schema:
        return fits(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root)
    if "anyOf" in schema:
        return any(fits(value, choice, root) for choice in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, TYPES[n]) and isinstance(value, bool) == (n == "boolean") for n in names):
        return False
    match value:
        case dict():
            known, other = schema.get("properties", {}), schema.get("additionalProperties", {})
            keys_fit = all(
                fits(item, known[key], root)
                if key in known
                else (other is not False and (not other or fits(item, other, root)))
                for key, item in value.items()
            )
            return keys_fit and set(schema.get("required", [])) <= value.keys()
        case list():
            return len(value) >= schema.get("minItems", 0) and all(
                fits(item, schema["items"], root) for item in value
            )
        case str():
            return len(value) >= schema.get("minLength", 0) and bool(
                re.search(schema.get("pattern", ""), value)
            )
        case bool():
            return True
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.name)
def test_shipped_and_dumped_scenarios_fit(path: Path) -> None:
    schema = json_schema()
    assert fits(tomllib.loads(path.read_text("utf-8")), schema, schema)
    assert fits(tomllib.loads(to_toml(load(path))), schema, schema)


@pytest.mark.parametrize(
    ("keys", "good"),
    [
        ("workload.prompt_tokens = 220", True),
        ('workload.prompt_tokens = "1.5k"', True),
        ("workload.prompt_tokens = 0", False),
        ('workload.prompt_tokens = { kind = "empirical", values = [1, 2], weights = [0.5, 1] }', True),
        ('workload.prompt_tokens = { kind = "uniform", min = 1 }', False),
        ("load.warmup = 0", True),
        ("load.warmup = 30", False),
        ('load.warmup = "30"', False),
        ('load.warmup = "1m 30s"', True),
        ("load.requests = true", False),
        ('load.rate = "20/s"', True),
        ("load.rate = 2.5", True),
        ("load.rate = -1", False),
        ('load.rate = "20"', False),
        ("load.burst = { size = 5 }", True),
        ("load.burst = { size = 0 }", False),
        ('load.levels = ["5/s", "10/s"]', True),
        ('load.levels = [5, "1k"]', True),
        ("load.levels = []", False),
        ("load.levels = [5.5]", False),
        ('load.until = { metric = "e2e", percentile = 90, relative = "5%" }', True),
        ('load.until = [{ metric = "e2e", percentile = 90, relative = 0.05 }]', True),
        ('load.until = [{ metric = "e2e", percentile = 90, relative = "5" }]', False),
        ('load.stop_at_errors = { share = "5%", over = "2s" }', True),
        ("load.stop_at_errors = { share = 1.5 }", False),
        ("[workload]", True),
        ("[[workload]]\n[[workload]]", True),
        ("workload = []", False),
        ('workload.turns = 3\nworkload.think_time = "2s"', True),
        ('workload.turns = 3\nworkload.think_time = { kind = "exponential", mean = "2s" }', True),
        ("workload.turns = 3\nworkload.think_time = 2", False),
        ("workload.tools = [{ name = 'a', result = 'b', parameters = { x = [1, {}] } }]", True),
        ("workload.tools = [{ name = 'a' }]", False),
        ("seed = -1", False),
        ("report.labels = { a = 1 }", False),
    ],
)
def test_the_schema_and_load_agree(tmp_path: Path, keys: str, good: bool) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f'name = "s"\nload.duration = "5s"\n{keys}\n[[targets]]\nname = "a"\nmodel = "m"\n')
    schema = json_schema()
    assert fits(tomllib.loads(path.read_text()), schema, schema) == good
    if good:
        load(path)
    else:
        with pytest.raises(ScenarioError):
            load(path)


def test_every_default_is_in_the_schema() -> None:
    definitions = json_schema()["$defs"]
    assert definitions["Timeouts"]["properties"]["total"]["default"] == "5m"
    assert definitions["Load"]["properties"]["arrivals"]["default"] == "poisson"
    assert definitions["ErrorStop"]["properties"]["over"]["default"] == "10s"
    assert "default" not in definitions["Load"]["properties"]["stages"]
    assert "null" not in repr(definitions)
    assert all(definition["description"] for definition in definitions.values())
