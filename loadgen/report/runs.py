"""The table of `loadgen runs`."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.report.figures import NOTHING, clean
from loadgen.report.table import standard_output
from loadgen.results.read import RunSummary
from loadgen.units import format_number

_STYLES: Final = {"valid": "green", "suspect": "yellow", "invalid": "red", "incomplete": "dim"}
_LATEST: Final = "*"


def print_runs(runs: Sequence[RunSummary], console: Console | None = None) -> None:
    """Print saved runs, one a line; console: where (None: standard output)."""
    console = console or standard_output()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("scenario", overflow="fold")
    # the id is what the user copies: never cut
    table.add_column("run", no_wrap=True, min_width=max((len(r.id) + 2 for r in runs), default=0))
    table.add_column("verdict", no_wrap=True)
    table.add_column("requests", justify="right", no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    table.add_column("targets", overflow="fold")
    for run in runs:
        mark = f" {_LATEST}" if run.latest else ""
        targets = ", ".join(clean(name) for name in run.targets) or NOTHING
        table.add_row(
            clean(run.scenario),
            Text(clean(run.id) + mark),
            Text(run.verdict, _STYLES.get(run.verdict, "red")),
            NOTHING if run.requests is None else f"{run.requests:,}",
            NOTHING if run.duration_s is None else format_number(run.duration_s),
            Text(targets + (" SIMULATED" if run.simulated else "")),
        )
    console.print(table, highlight=False)
    if any(run.latest for run in runs):
        console.print(Text(f"{_LATEST} latest", "dim"))
