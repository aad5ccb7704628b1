"""A `Scenario` as TOML again: what a run folder keeps, to repeat the run."""

from typing import Any

import msgspec
import tomli_w

from loadgen.scenario.lengths import Duration
from loadgen.scenario.model import Scenario
from loadgen.scenario.traffic import ONLY_WITH, Level, Load, Rate, RateOrZero, Share
from loadgen.units import format_duration, format_rate


def to_toml(scenario: Scenario) -> str:
    """Write every key that has a value, defaults included; `load` reads an equal Scenario back.

    Left out is what says nothing with this way to load. Durations are text in their exact form, paths
    absolute, `{ env = "NAME" }` stays a reference.
    """
    table = plain(scenario)
    _tidy_load(scenario.load, table["load"])
    if len(scenario.workloads) == 1:
        (table["workload"],) = table["workload"]
    return tomli_w.dumps(table)


def _tidy_load(load: Load, table: dict[str, Any]) -> None:
    for key, modes in ONLY_WITH.items():
        if load.mode not in modes:
            table.pop(key, None)
    if not load.one_at_a_time:
        del table["one_at_a_time"]
    if load.levels:
        table["levels"] = [format_rate(n) if load.mode == "rate" else int(n) for n in load.levels]


def plain(value: Any) -> Any:
    """Return a value of a Scenario as the raw TOML value that a file has for it."""
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        table = {config.tag_field: config.tag} if config.tag_field else {}
        for f in msgspec.structs.fields(value):
            item = getattr(value, f.name)
            if item is None or item == {} or item == f.default == ():
                continue
            table[f.encode_name] = format_duration(item) if f.name.endswith("_ns") else plain(item)
        return table
    if isinstance(value, Rate | RateOrZero):
        return format_rate(value)
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, Level | Share):
        return float(value)
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
