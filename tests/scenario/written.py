"""Scenario files as tests write them, and the messages of wrong ones."""

from pathlib import Path

import pytest

from loadgen.errors import ScenarioError
from loadgen.scenario.load import load
from loadgen.scenario.model import Scenario
from loadgen.scenario.words import Workload

TARGET = '[[targets]]\nname = "a"\nmodel = "m"\n'
LOAD = '[load]\nduration = "5s"\n'


def scenario(
    folder: Path, *, top: str = "", target: str = "", workload: str = "", load_keys: str = LOAD
) -> Path:
    """Write a good scenario with some keys added."""
    text = f'name = "s"\n{top}\n{TARGET}{target}\n[workload]\n{workload}\n{load_keys}'
    path = folder / "s.toml"
    path.write_text(text, "utf-8")
    return path


def lines_of(path: Path, *overrides: tuple[str, object]) -> list[str]:
    """Load a wrong scenario; return its messages."""
    with pytest.raises(ScenarioError) as caught:
        load(path, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


def only(scenario: Scenario) -> Workload:
    (workload,) = scenario.workloads
    return workload


def cases(part: str, rows: list[tuple[str, str]]) -> list[object]:
    return [pytest.param(part, keys, says, id=keys.replace("\n", ",")[:60] or "empty") for keys, says in rows]
