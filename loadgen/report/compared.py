"""What `loadgen compare` prints and writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.text import Text

from loadgen.answers.compared import Compared
from loadgen.answers.gate import GateResult
from loadgen.report.compare import markdown, print_decisions, print_pairs
from loadgen.report.figures import clean
from loadgen.report.junit import write_junit
from loadgen.report.table import standard_output
from loadgen.results.folder import append_text

EXIT_GATE: Final = 3
_GATE_STATES: Final = {
    "failed": ("FAILED", "bold red"),
    "passed": ("passed", "green"),
    "not told": ("NOT TOLD", "yellow"),
}


def show(compared: Compared, *, as_json: bool, markdown_file: Path | None, junit_file: Path | None) -> int:
    """Print a comparison and write its files; return the exit code.

    Raises:
        OutputError: a file can't be written.
    """
    if markdown_file is not None:
        notes = "".join(f"{clean(note)}\n" for note in compared.notes)
        text = notes + markdown(compared.pairs, compared.decisions) + _gates_markdown(compared.gates)
        append_text(markdown_file, text)  # a job summary is added to
    if junit_file is not None:
        write_junit(junit_file, compared.reports, compared.gates)
    console = standard_output()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(compared.as_json()), indent=1))
    else:
        for note in compared.notes:
            console.print(clean(note), highlight=False)
        print_pairs(compared.pairs, console)
        if compared.decisions:
            print_decisions(compared.decisions, console)
        for gate in compared.gates:
            console.print(_gate(gate), highlight=False)
    return EXIT_GATE if any(gate.failed for gate in compared.gates) else 0


def _gate(gate: GateResult) -> Text:
    state = Text(*_GATE_STATES[_state(gate)])
    told = f"{gate.gate.text} ({gate.other} against {gate.base}): {gate.words}"
    return Text.assemble("gate ", state, " ", clean(told))


def _state(gate: GateResult) -> str:
    return "failed" if gate.failed else "passed" if gate.told else "not told"


def _gates_markdown(gates: Sequence[GateResult]) -> str:
    lines = []
    for gate in gates:
        sides = f"{clean(gate.other)} against {clean(gate.base)}"
        lines.append(f"- **{_state(gate)}**: `{clean(gate.gate.text)}` ({sides}): {clean(gate.words)}")
    return "\n".join([*lines, ""]) if lines else ""
