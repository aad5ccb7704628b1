"""The JSON Schema of the scenario format, for editors and `loadgen check --schema`."""

import inspect
from typing import Any, Final

import msgspec

from loadgen.scenario.dump import plain
from loadgen.scenario.lengths import Tokens
from loadgen.scenario.model import (
    Count,
    Duration,
    FilePath,
    Load,
    ReportOptions,
    Scenario,
    Timeouts,
    Workload,
)
from loadgen.units import COUNT_PATTERN, DURATION_PATTERN

# "pattern" binds strings only, "minimum" and "maximum" numbers only: 0 is the one duration without a unit
_DURATION: Final = {"type": ["string", "integer"], "pattern": DURATION_PATTERN, "minimum": 0, "maximum": 0}
_COUNT: Final = {"type": ["integer", "string"], "pattern": COUNT_PATTERN, "minimum": 1}
_CUSTOM: Final[dict[type, dict[str, Any]]] = {
    Duration: _DURATION,
    Count: _COUNT,
    Tokens: _COUNT,
    FilePath: {"type": "string", "minLength": 1},
}


def json_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a scenario's TOML read as JSON."""
    schema = msgspec.json.schema(Scenario, schema_hook=lambda kind: dict(_CUSTOM[kind]))
    defs = schema["$defs"]
    for definition in defs.values():
        definition["description"] = inspect.cleandoc(definition.get("description", ""))
        for key in definition["properties"].values():
            _drop_null(key)
    for key in ("prompt_tokens", "output_tokens"):
        defs["Workload"]["properties"][key]["anyOf"].append(dict(_COUNT))  # a bare number is a constant
    for default in (Timeouts(), Workload(), Load(), ReportOptions()):
        for name, value in plain(default).items():
            defs[type(default).__name__]["properties"][name]["default"] = value
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _drop_null(key: dict[str, Any]) -> None:
    """TOML has no null: a key that may be absent is just not required."""
    if {"type": "null"} in key.get("anyOf", []):
        key["anyOf"].remove({"type": "null"})
        if "default" in key and key["default"] is None:
            del key["default"]
        if len(key["anyOf"]) == 1 and "$ref" not in key["anyOf"][0]:
            key.update(key.pop("anyOf")[0])
