"""Objectives in the reports for people."""

import io
from typing import Any

import pytest
from rich.console import Console

from loadgen.report.grids import objectives
from loadgen.report.markdown import to_markdown
from loadgen.report.table import print_report
from loadgen.results.model import Above, ObjectiveReport, Report

SLO = (
    ObjectiveReport("ttft.p99 <= 500ms", 612.34, met=False),
    ObjectiveReport("e2e.p99 <= 5s", Above(4200.0), met=False),
    ObjectiveReport("output_tokens_per_s.p5 >= 30", 48.4, met=True, note="40 values can't bound p5"),
    ObjectiveReport("error_rate <= 0.5%", 0.0025, met=True),
    ObjectiveReport("tpot.p95 <= 40ms", None, met=False, note="no request has it"),
)


def show(report: Report, **options: Any) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=80, **options))
    return out.getvalue()


def test_a_row_for_each(invent: Any) -> None:
    text = show(invent.report(invent.target(slo=SLO)))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "ttft.p99 <= 500ms 612 missed" in rows
    assert "e2e.p99 <= 5s > 4,200 missed" in rows
    assert "output_tokens_per_s.p5 >= 30 48.4 * met" in rows
    assert "error_rate <= 0.5% 0.25 % met" in rows
    assert "tpot.p95 <= 40ms - missed" in rows
    assert "* of an objective: too few requests to tell; report.json says how few" in rows
    assert any(row.startswith("good requests/s") for row in rows)


@pytest.mark.parametrize(
    ("objective", "measured", "told"),
    [
        ("tpot.p95 <= 40ms", 40.02, "40.02"),
        ("tpot.p95 <= 40ms", 40.0, "> 40.0"),
        ("e2e.p95 <= 1s500ms", 1500.4, "1,500.4"),
        ("output_tokens_per_s.p5 >= 30", 29.98, "29.98"),
        ("output_tokens_per_s.p5 >= 30", 30.0, "< 30.0"),
        ("error_rate <= 0.5%", 0.0050004, "0.50004 %"),
        ("goodput >= 95%", 0.94999, "94.999 %"),
        ("goodput >= 95%", 0.9, "90 %"),
        ("goodput >= 29%", 0.29, "< 29 %"),
        ("e2e.p95 <= 2m", 120_000.0, "> 120,000"),
    ],
)
def test_what_is_missed_differs_from_its_bound(
    invent: Any, objective: str, measured: float, told: str
) -> None:
    one = ObjectiveReport(objective, measured, met=False)
    assert objectives(invent.report(invent.target(slo=(one,)))).rows == ((objective, told, "missed"),)


def test_what_is_missed_is_red(invent: Any) -> None:
    text = show(invent.report(invent.target(slo=SLO)), force_terminal=True, color_system="standard")
    assert "\x1b[31mmissed" in text
    assert "\x1b[31mmet" not in text


def test_several_targets_are_named(invent: Any) -> None:
    text = show(invent.report(invent.target("a", slo=SLO[:1]), invent.target("b")))
    assert "a: ttft.p99 <= 500ms" in text


def test_without_objectives_nothing_is_said(invent: Any) -> None:
    report = invent.report(invent.target())
    assert "objective" not in show(report)
    assert "good requests/s" not in show(report)
    assert "Objectives" not in to_markdown(report)


def test_markdown_has_them(invent: Any) -> None:
    text = to_markdown(invent.report(invent.target(slo=SLO)))
    assert "## Objectives" in text
    assert "| ttft.p99 &lt;= 500ms | 612 | missed |" in text
