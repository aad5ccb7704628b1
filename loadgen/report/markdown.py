"""Reports and comparisons as GitHub-flavoured Markdown, for a pull request, a wiki or a job's summary."""

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from loadgen.answers.compared import Compared
from loadgen.report import figures
from loadgen.report.compare import DECIDED_BY, decisions, gate_state, legend, pairs, sentence, table_of
from loadgen.report.figures import NOTHING, Line, clean
from loadgen.report.grids import Grid, environment, errors, instrument, sections
from loadgen.report.said import notes
from loadgen.results.model import Report, TargetReport
from loadgen.units import format_number


def to_markdown(report: Report) -> str:
    """Write a report as Markdown; ends with a line end."""
    parts = [*_head(report), *_figures(report), *_errors(report), *_circumstances(report)]
    return "\n".join(parts).rstrip("\n") + "\n"


def comparison(compared: Compared) -> str:
    """Write a comparison as Markdown: decisions, pairs, gates. More can be put below it."""
    parts = [line for note in compared.notes for line in _paragraph(_text(note))]
    if compared.decisions:
        winners = decisions(compared.decisions)
        parts += [*_grid(winners, "l" * len(winners.heads)), DECIDED_BY, ""]
    for pair in compared.pairs:
        parts += _paragraph(f"**{_text(sentence(pair.rows))}**")
        for flag in pair.flags:
            parts += _paragraph(f"> {_text(flag)}")
        parts += _grid(table_of(pair.rows), "llrrrl")
    if compared.pairs:
        parts += _paragraph(legend(row for pair in compared.pairs for row in pair.rows))
    for gate in compared.gates:
        told = f"{_code(gate.gate.text)} ({_text(f'{gate.other} against {gate.base}')}): {_text(gate.words)}"
        parts.append(f"- **{gate_state(gate)}**: {told}")
    return "\n".join([*parts, "", ""] if compared.gates else [*parts, ""])


def _head(report: Report) -> Iterator[str]:
    verdict, run = report.verdict, report.run
    yield from _paragraph(f"# {_text(run.scenario)}: {_text(verdict.state.upper())}")
    if verdict.reasons:
        yield from _paragraph("\n".join(f"- {_text(reason)}" for reason in verdict.reasons))
    for word, told in figures.alerts(report):
        yield from _paragraph(f"> **{word}** {_text(told)}")
    for rows in pairs(report):
        yield from _paragraph(f"**{_text(sentence(rows))}**")
    if run.description:
        yield from _paragraph(_text(run.description))
    facts = (f"run {run.id}", run.started_at, f"window {format_number(run.window_s)} s", f"seed {run.seed}")
    yield from _paragraph(_text(", ".join(facts)))


def _figures(report: Report) -> Iterator[str]:
    heads = [figures.TIMES_IN, "", *map(_name, report.targets)]
    lines = figures.lines(report.targets, open_loop=report.run.open_loop)
    yield from _table(heads, "ll" + "r" * len(report.targets), map(_figure_row, lines))
    for note in notes(report):
        yield from _paragraph(_text(note))
    for rows in pairs(report):
        yield from _section(table_of(rows), "llrrrl")
    for grid in sections(report):
        yield from _section(grid, "l" + "r" * len(grid.heads[1:]))


def _name(target: TargetReport) -> str:
    below = figures.subtitle(target)
    return f"**{_text(target.name)}**" + (f"<br>{_text(below)}" if below else "")


def _figure_row(line: Line) -> list[str]:
    return ["&nbsp;&nbsp;" * line.indent + _text(line.label), line.at, *(_text(str(c)) for c in line.cells)]


def _errors(report: Report) -> Iterator[str]:
    found = errors(report.targets)
    if found.rows:
        yield from _paragraph("## Errors")
        yield from _paragraph("In all phases of the run, warm-up included.")
        rows = [(_text(name), n, _code(error)) for name, n, error in found.rows]
        yield from _table(found.heads, "lrl", rows)


def _circumstances(report: Report) -> Iterator[str]:
    yield from _paragraph("## Load")
    yield from _paragraph(_text(figures.describe_load(report.run.load) or NOTHING))
    yield from _paragraph("## Targets")
    rows = []
    for name, t in {figures.name_of(t): t for t in report.targets}.items():
        said = ("SIMULATED",) * t.simulated + ("INSECURE",) * t.insecure
        rows.append((_text(name), _code(t.model), t.endpoint, " ".join([_code(t.base_url), *said])))
    yield from _table(("target", "model", "endpoint", "base URL"), "llll", rows)
    yield from _section(instrument(report), "ll")
    yield from _section(environment(report), "ll")


def _section(grid: Grid, sides: str) -> Iterator[str]:
    yield from _paragraph(f"## {_text(grid.title)}")
    yield from _grid(grid, sides)


def _grid(grid: Grid, sides: str) -> Iterator[str]:
    return _table([*map(_text, grid.heads)], sides, ([*map(_text, row)] for row in grid.rows))


def _table(heads: Sequence[str], sides: str, rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table of cells that are Markdown; sides: "l" or "r" for each column, where its text stands."""
    for row in (heads, ["---:" if side == "r" else "---" for side in sides], *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def _paragraph(text: str) -> tuple[str, str]:
    return text, ""


def _text(text: str) -> str:
    """Write text so that it reads as it is: no HTML, no table cell, no formatting out of it."""
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", html.escape(clean(text), quote=False))


def _code(text: str) -> str:
    """Write text from outside as code: no mention, link or markup comes out of it."""
    inner = clean(text).replace("`", "'").replace("|", "\\|")
    return f"`{inner}`" if inner.strip() else NOTHING
