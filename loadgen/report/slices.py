"""A metric by groups of requests, as a table: `loadgen report RUN --by task`."""

from pathlib import Path
from typing import Any

from rich.table import Column
from rich.text import Text

from loadgen.answers.sides import sides_of_run
from loadgen.answers.slices import GROUPINGS, Slice, slices
from loadgen.errors import ScenarioError, nearest
from loadgen.measure.metrics import METRICS
from loadgen.report.figures import clean
from loadgen.report.layout import plain_table, print_json, standard_output
from loadgen.results.read import open_run
from loadgen.units import format_number

_HEADS = ("requests", "p50", "p90", "p99")


def show(path: Path, by: str, metric: str, *, as_json: bool) -> None:
    """Print a metric of every target of a run, group by group.

    Raises:
        OutputError: the run can't be read. ScenarioError: there is no such grouping or metric.
    """
    if by not in GROUPINGS:
        raise ScenarioError("--by", f'requests have no "{by}"', nearest(by, GROUPINGS))
    names = [m.name for m in METRICS]
    if metric not in names:
        raise ScenarioError("--metric", f'there is no metric "{metric}"', nearest(metric, names))
    sides = sides_of_run(open_run(path))
    found = {side.name: slices(side.parts[0], by, metric) for side in sides}
    if as_json:
        print_json(_plain(found))
    else:
        _print(found, by, metric)


def _plain(found: dict[str, list[Slice]]) -> list[dict[str, Any]]:
    """Return a row a group; p50_ci95: None where it is not bounded."""
    return [
        {"target": target, "group": s.name, "requests": s.requests}
        | dict(zip(_HEADS[1:], s.figures, strict=True))
        | {"p50_ci95": None if s.percentiles[0] is None else s.percentiles[0].interval}
        for target, groups in found.items()
        for s in groups
    ]


def _print(found: dict[str, list[Slice]], by: str, metric: str) -> None:
    """Print one table a target; in brackets the 95 % interval of p50."""
    unit = next(m.unit for m in METRICS if m.name == metric)
    console = standard_output()
    for target, groups in found.items():
        table = plain_table(
            Column(Text(f"{by.replace('_', ' ')}\n{metric}, {unit}", "dim"), overflow="fold"),
            *(Column(Text(f"\n{head}", "bold"), justify="right") for head in _HEADS),
        )
        for group in groups:
            p50, *rest = map(format_number, group.figures)
            if (middle := group.percentiles[0]) is not None:
                low, high = map(format_number, middle.interval)
                p50 += f" [{low}, {high}]"
            table.add_row(*map(Text, (clean(group.name), f"{group.requests:,}", p50, *rest)))
        console.print(Text(f"\n{clean(target)}", "bold"))
        console.print(table, highlight=False)
