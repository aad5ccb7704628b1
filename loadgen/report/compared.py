"""What `loadgen compare` prints and writes."""

from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from loadgen.answers.compare import BETTER, NO_VERDICT, NOT_BOUNDED, WORSE
from loadgen.answers.compared import Compared
from loadgen.report.compare import DECIDED_BY, decisions, gate_state, legend, sentence, table_of
from loadgen.report.figures import clean
from loadgen.report.grids import Grid
from loadgen.report.junit import write_junit
from loadgen.report.layout import numbers, plain_table, print_json, standard_output
from loadgen.report.markdown import comparison
from loadgen.results.folder import append_text

EXIT_GATE: Final = 3
_STYLES: Final = {BETTER: "green", WORSE: "red", NOT_BOUNDED: "dim", NO_VERDICT: "dim"}
_GATE_STATES: Final = {
    "failed": ("FAILED", "bold red"),
    "passed": ("passed", "green"),
    "not told": ("NOT TOLD", "yellow"),
}
_LEAST_NAME: Final = 11  # columns of a side's name, and of all that stands beside the two
_BESIDE_NAMES: Final = 72


def show(compared: Compared, *, as_json: bool, markdown_file: Path | None, junit_file: Path | None) -> int:
    """Print a comparison and write its files; return the exit code.

    Raises:
        OutputError: a file can't be written.
    """
    if markdown_file is not None:
        append_text(markdown_file, comparison(compared))  # a job summary is added to
    if junit_file is not None:
        write_junit(junit_file, compared.reports, compared.gates)
    if as_json:
        print_json(compared.as_json())
    else:
        _print(compared, standard_output())
    return EXIT_GATE if any(gate.failed for gate in compared.gates) else 0


def _print(compared: Compared, console: Console) -> None:
    for note in compared.notes:
        console.print(clean(note), highlight=False)
    for pair in compared.pairs:
        console.print()
        console.print(Text(sentence(pair.rows), "bold"))
        for flag in pair.flags:
            console.print(Text(f"- {clean(flag)}", "yellow"))
        console.print()
        console.print(_table(table_of(pair.rows), console.width), highlight=False)
    if compared.pairs:
        told = legend(row for pair in compared.pairs for row in pair.rows)
        console.print(Text(f"\n{told}", "dim"))
    if compared.decisions:
        grid = decisions(compared.decisions)
        table = plain_table(*(Column(Text(head, "bold"), overflow="fold") for head in grid.heads))
        for row in grid.rows:
            table.add_row(*map(Text, row))
        console.print()
        console.print(table, highlight=False)
        console.print(Text(f"\n{DECIDED_BY}", "dim"))
    for gate in compared.gates:
        told = f"{gate.gate.text} ({gate.other} against {gate.base}): {gate.words}"
        state = Text(*_GATE_STATES[gate_state(gate)])
        console.print(Text.assemble("gate ", state, " ", clean(told)), highlight=False)


def _table(grid: Grid, width: int) -> Table:
    wide = max(_LEAST_NAME, (width - _BESIDE_NAMES) // 2)
    sides = (
        Column(Text(name, "bold"), justify="right", overflow="fold", max_width=wide)
        for name in grid.heads[2:4]
    )
    table = plain_table(Column(), Column(), *sides, numbers("change"), Column("verdict", overflow="fold"))
    for (*figures, words), verdict in zip(grid.rows, grid.verdicts, strict=True):
        table.add_row(*map(Text, figures), Text(words, _STYLES.get(verdict, "")))
    return table
