"""report.md: the report as GitHub-flavoured Markdown, for a pull request or a wiki."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

from loadgen.report import money, objectives
from loadgen.report.answer import answer, pair_tables
from loadgen.report.environment import environment, instrument
from loadgen.report.figures import (
    NOTHING,
    TIMES_IN,
    Line,
    alerts,
    clean,
    counts,
    describe_load,
    distributions,
    footnotes,
    legend,
    subtitle,
)
from loadgen.report.said import groups, levels, routes, sentences
from loadgen.results.model import Report, TargetReport
from loadgen.units import format_number


def to_markdown(report: Report) -> str:
    """Write a report as Markdown; ends with a line end."""
    parts = [*_head(report), *_figures(report), *_errors(report.targets), *_circumstances(report)]
    return "\n".join(parts).rstrip("\n") + "\n"


def _head(report: Report) -> Iterator[str]:
    verdict, run = report.verdict, report.run
    yield f"# {_text(run.scenario)}: {_text(verdict.state.upper())}"
    yield ""
    for reason in verdict.reasons:
        yield f"- {_text(reason)}"
    if verdict.reasons:
        yield ""
    for word, sentence in alerts(report):
        yield f"> **{word}** {_text(sentence)}"
        yield ""
    for sentence in answer(report) if report.comparison else ():
        yield f"**{_text(sentence)}**"
        yield ""
    if run.description:
        yield _text(run.description)
        yield ""
    facts = (f"run {run.id}", run.started_at, f"window {format_number(run.window_s)} s", f"seed {run.seed}")
    yield _text(", ".join(facts))
    yield ""


def _figures(report: Report) -> Iterator[str]:
    names = [_name(target) for target in report.targets]
    yield from _row([TIMES_IN, "", *names])
    yield from _row(["---", "---", *["---:"] * len(names)])
    for line in (*counts(report.targets, open_loop=report.run.open_loop), *money.lines(report.targets)):
        yield from _figure_row(line)
    for block in distributions(report.targets):
        for i, line in enumerate(block):
            yield from _figure_row(line if i == 0 else line._replace(label="", indent=False))
    yield ""
    for note in (
        *sentences(report),
        *money.sentences(report),
        *footnotes(report),
        *objectives.notes(report),
        legend(report),
    ):
        yield _text(note)
        yield ""
    for pair in pair_tables(report):
        yield from (f"## {pair.title}", "", *_row([head or " " for head in pair.grid.heads]))
        yield from _row(["---", "---", *["---:"] * 3, "---"])
        for row in pair.grid.rows:
            yield from _row([_text(cell) for cell in row])
        yield ""
    grids = {
        "Objectives": objectives.grid(report),
        "Levels": levels(report),
        "Routes": routes(report),
        "Tasks and turns": groups(report),
    }
    for title, grid in grids.items():
        if grid is not None:
            yield from (f"## {title}", "", *_row(grid.heads), *_row(["---", *["---:"] * len(grid.heads[1:])]))
            for row in grid.rows:
                yield from _row([_text(cell) for cell in row])
            yield ""


def _name(target: TargetReport) -> str:
    below = subtitle(target)
    return f"**{_text(target.name)}**" + (f"<br>{_text(below)}" if below else "")


def _figure_row(line: Line) -> Iterator[str]:
    label = f"&nbsp;&nbsp;{_text(line.label)}" if line.indent else _text(line.label)
    return _row([label, line.at, *(_text(str(cell)) for cell in line.cells)])


def _errors(targets: Sequence[TargetReport]) -> Iterator[str]:
    if not any(t.errors for t in targets):
        return
    yield "## Errors"
    yield ""
    yield "In all phases of the run, warmup included."
    yield ""
    yield from _row(["target", "requests", "error"])
    yield from _row(["---", "---:", "---"])
    for target in targets:
        for error, n in target.errors.items():
            yield from _row([_text(target.name), f"{n:,}", _code(error)])
    yield ""


def _circumstances(report: Report) -> Iterator[str]:
    yield "## Load"
    yield ""
    yield _text(describe_load(report.run.load) or NOTHING)
    yield ""
    yield "## Targets"
    yield ""
    yield from _row(["target", "model", "endpoint", "base URL"])
    yield from _row(["---"] * 4)
    for name, t in {t.target or t.name: t for t in report.targets}.items():
        said = ("SIMULATED",) * t.simulated + ("INSECURE",) * t.insecure
        yield from _row([_text(name), _code(t.model), t.endpoint, " ".join([_code(t.base_url), *said])])
    yield ""
    yield "## Instrument"
    yield ""
    yield from _pairs(instrument(report.instrument))
    yield "## Run"
    yield ""
    yield from _pairs(environment(report))


def _pairs(pairs: dict[str, Any]) -> Iterator[str]:
    yield from _row(["", ""])
    yield from _row(["---", "---"])
    for name, value in pairs.items():
        yield from _row([_text(name), _text(str(value))])
    yield ""


def _row(cells: Sequence[str]) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Write text so that it reads as it is: no HTML, no table cell, no formatting out of it."""
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", html.escape(clean(text), quote=False))


def _code(text: str) -> str:
    """Write text from outside as code: no mention, link or markup comes out of it."""
    inner = clean(text).replace("`", "'").replace("|", "\\|")
    return f"`{inner}`" if inner.strip() else NOTHING
