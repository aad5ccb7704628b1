"""The table of `loadgen runs`."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Column
from rich.text import Text

from loadgen.report.figures import NOTHING, amount, clean, number
from loadgen.report.layout import listing, numbers, standard_output
from loadgen.results.read import RunSummary

_STYLES: Final = {"valid": "green", "suspect": "yellow", "invalid": "red", "incomplete": "dim"}
_LATEST: Final = "*"
_UNBOUNDED: Final = 1000  # columns


def print_runs(runs: Sequence[RunSummary], console: Console | None = None) -> None:
    """Print saved runs, one a line; console: where (None: standard output).

    Where names are too long for that, each run has its scenario and targets on a line above it.
    """
    console = console or standard_output()
    table = listing("scenario", *_heads(), "targets")
    for run in runs:
        table.add_row(clean(run.scenario), *_figures(run), _targets(run))
    unbounded = console.options.update(width=_UNBOUNDED)
    if console.measure(table, options=unbounded).maximum <= console.width:
        console.print(table, highlight=False)
    else:
        _print_two_lines(runs, console)
    notes = [f"{_LATEST} latest of its scenario"] if any(run.latest for run in runs) else []
    if any(run.verdict == "incomplete" for run in runs):
        notes.append("incomplete: killed or still running; `loadgen report` writes what there is")
    for note in notes:
        console.print(Text(note, "dim"))


def _print_two_lines(runs: Sequence[RunSummary], console: Console) -> None:
    figures = listing(*_heads())
    for run in runs:
        figures.add_row(*_figures(run))
    # one table, so that its columns stand in line; printed row by row between the names
    with console.capture() as captured:
        console.print(Padding(figures, (0, 0, 0, 2), expand=False), highlight=False)
    head, rule, *rows = map(Text.from_ansi, captured.get().rstrip("\n").split("\n"))
    lines = [head, rule]
    for run, row in zip(runs, rows, strict=True):
        lines += [Text(f"{clean(run.scenario)}: ").append(_targets(run)), row]
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True, highlight=False)  # a name is there to be copied: never broken


def _heads() -> tuple[str | Column, ...]:
    return "run", "verdict", numbers("requests"), numbers("took, s")


def _figures(run: RunSummary) -> tuple[Text, ...]:
    return (
        Text(clean(run.id) + (f" {_LATEST}" if run.latest else "")),
        Text(_ended(run), _STYLES.get(run.verdict, "red")),
        Text(amount(run.requests)),
        Text(number(run.duration_s)),
    )


def _ended(run: RunSummary) -> str:
    """The verdict, and how the run ended where that was not by itself."""
    if run.verdict == "incomplete":
        return run.verdict
    if not run.complete:
        return f"{run.verdict}, killed"
    return f"{run.verdict}, interrupted" if run.interrupted else run.verdict


def _targets(run: RunSummary) -> Text:
    names = ", ".join(clean(name) for name in run.targets) or NOTHING
    return Text(names + (" SIMULATED" if run.simulated else ""))
