"""The JSON Schema of the scenario format, for editors and `loadgen check --schema`."""

import inspect
from typing import Any, Final, get_args

import msgspec

from loadgen.scenario.dump import plain
from loadgen.scenario.lengths import Count, Duration, FilePath, Tokens
from loadgen.scenario.model import ReportOptions, Scenario, Timeouts
from loadgen.scenario.reading import ONE_OR_MANY, WORD_OR_MANY
from loadgen.scenario.slo import Percentile
from loadgen.scenario.traffic import ErrorStop, Level, Load, Rate, RateOrZero, Share, Trace
from loadgen.scenario.words import Workload
from loadgen.units import COUNT_PATTERN, DURATION_PATTERN, RATE_PATTERN, SHARE_PATTERN

# "pattern" binds strings only, "minimum" and "maximum" numbers only: 0 is the one duration without a unit
_DURATION: Final = {"type": ["string", "integer"], "pattern": DURATION_PATTERN, "minimum": 0, "maximum": 0}
_COUNT: Final = {"type": ["integer", "string"], "pattern": COUNT_PATTERN, "minimum": 1}
_RATE: Final = {"type": ["string", "number"], "pattern": RATE_PATTERN, "minimum": 0}
_CUSTOM: Final[dict[type, dict[str, Any]]] = {
    Rate: _RATE,
    RateOrZero: _RATE,
    Level: {"type": ["integer", "string"], "pattern": f"{COUNT_PATTERN}|{RATE_PATTERN}", "minimum": 1},
    Share: {"type": ["string", "number"], "pattern": SHARE_PATTERN, "minimum": 0, "maximum": 1},
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
    for key in ("prompt_tokens", "output_tokens", "turns"):
        defs["Workload"]["properties"][key]["anyOf"].append(dict(_COUNT))  # a bare number is a constant
    defs["Workload"]["properties"]["think_time"]["anyOf"].append(dict(_DURATION))
    for definition in defs.values():
        for name in (ONE_OR_MANY | WORD_OR_MANY) & definition["properties"].keys():
            many = definition["properties"][name]
            if "items" in many:
                definition["properties"][name] = {"anyOf": [many["items"], many]}
    for metric in defs["Slo"]["properties"].values():
        if "additionalProperties" in metric:
            metric["propertyNames"] = {"enum": list(get_args(Percentile))}
    for default in (Timeouts(), Workload(), Load(), ReportOptions(), Trace(), ErrorStop(share=Share(1))):
        definition = defs[type(default).__name__]
        for name in plain(default).keys() - definition.get("required", ()):
            definition["properties"][name]["default"] = plain(default)[name]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _drop_null(key: dict[str, Any]) -> None:
    """TOML has no null, and some lists may not be empty: a key that may be absent is just not required."""
    if key.get("minItems") and not key.get("default"):
        key.pop("default", None)
    if {"type": "null"} in key.get("anyOf", []):
        key["anyOf"].remove({"type": "null"})
        if "default" in key and key["default"] is None:
            del key["default"]
        if len(key["anyOf"]) == 1 and "$ref" not in key["anyOf"][0]:
            key.update(key.pop("anyOf")[0])
