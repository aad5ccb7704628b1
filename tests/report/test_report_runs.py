"""The list of saved runs: names stay whole at any width, and how a run ended is told."""

import io

import pytest
from rich.console import Console

from loadgen.report.runs import print_runs
from loadgen.results.read import RunSummary

ID = "20261121T031500Z-abc123"


def summary(scenario: str = "chat", **changes: object) -> RunSummary:
    made = {
        "scenario": scenario,
        "id": ID,
        "path": f"reports/{scenario}/{ID}",
        "latest": False,
        "started_at": "2026-11-21T03:15:00+00:00",
        "targets": ("gpt-5.5",),
        "simulated": False,
        "verdict": "valid",
        "requests": 12_345,
        "duration_s": 24.3,
        "complete": True,
    }
    return RunSummary(**made | changes)  # type: ignore[arg-type]


def printed(*runs: RunSummary, width: int = 80, colour: bool = False) -> list[str]:
    out = io.StringIO()
    print_runs(
        runs,
        Console(file=out, width=width, force_terminal=colour, color_system="standard" if colour else None),
    )
    return out.getvalue().splitlines()


LONG = "a_scenario_name_that_is_rather_long_as_names_of_scenarios_go"
TARGETS = ("qwen3-coder-480b-a35b-instruct-fp8", "gpt-5.5")


@pytest.mark.parametrize("width", [64, 80, 120, 200])
def test_names_are_never_broken(width: int) -> None:
    lines = printed(summary(LONG, targets=TARGETS), summary(), width=width)
    text = "\n".join(lines)
    assert LONG in text
    assert ", ".join(TARGETS) in text
    assert text.count(ID) == 2
    if width >= 200:
        assert len(lines) == 4
    else:
        assert all(len(line) <= 80 or LONG in line for line in lines)


def test_short_names_take_one_line_each() -> None:
    lines = printed(summary(), summary("coding"))
    assert [line.split()[0] for line in lines[2:]] == ["chat", "coding"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "valid "),
        ({"verdict": "suspect", "interrupted": True}, "suspect, interrupted "),
        ({"verdict": "suspect", "complete": False}, "suspect, killed "),
        ({"verdict": "incomplete", "complete": False}, "incomplete "),
    ],
    ids=["whole", "interrupted", "killed and reported", "no report"],
)
@pytest.mark.parametrize("name", ["chat", LONG], ids=["one line", "two lines"])
def test_how_a_run_ended(changes: dict[str, object], told: str, name: str) -> None:
    text = "\n".join(printed(summary(name, **changes)))
    assert told in text
    for other in {"interrupted", "killed"} - set(told.strip().split(", ")):
        assert f", {other}" not in text
    assert ("still running" in text) == (told == "incomplete ")


def test_colours_are_kept_in_two_lines() -> None:
    assert "\x1b[32mvalid" in "\n".join(printed(summary(LONG, targets=TARGETS), colour=True))
