"""The answer on top of a report: what was measured, which target is faster, by how much, how sure that is."""

from typing import Final

from loadgen.report.compare import sentence, table_of
from loadgen.report.figures import clean, describe_load, headline, name_of
from loadgen.report.grids import Grid
from loadgen.results.model import Comparison, Dist, Report
from loadgen.units import format_number

_NAMES: Final = {"ttft_ms": "Time to first token", "e2e_ms": "Time to the whole answer"}
_NONE: Final = Dist(count=0)
_SIDE_BY_SIDE: Final = 4  # of more targets than these the fastest and the slowest are told


def measured(report: Report) -> str:
    """Say in one sentence what was measured: how many requests, of how many targets, under which load."""
    targets = list(dict.fromkeys(map(name_of, report.targets)))
    ok = sum(t.requests.ok for t in report.targets)
    whom = (
        targets[0] if len(targets) == 1 else f"{len(targets)} targets, all asked the same at the same times"
    )
    load = describe_load(report.run.load)
    return f"{ok:,} successful requests to {whom}{f' ({load})' if load else ''}."


def answer(report: Report) -> list[str]:
    """Say which target is faster where a comparison was made; else the figures, the fastest first."""
    if told := _pairs(report):
        return [sentence(rows) for rows in told]
    key = headline(report.targets)
    known = sorted(
        (d.p50, d.p99, clean(t.name))
        for t in report.targets
        if (d := t.metrics.get(key, _NONE)).p50 is not None and d.p99 is not None
    )
    if not known:
        return ["No request of the window succeeded: there are no figures."]
    few = len(known) <= _SIDE_BY_SIDE
    shown = known if few else [known[0], known[-1]]
    figures = [f"{who} {format_number(p50)} / {format_number(p99)} ms" for p50, p99, who in shown]
    said = [f"{_NAMES[key]}, p50 / p99: {('; ' if few else ' to ').join(figures)}."]
    if len(set(map(name_of, report.targets))) > 1:
        said.append("Whether they differ was not tested; the table has 95 % intervals.")
    return said


def pairs(report: Report) -> list[Grid]:
    """Every figure and verdict, a table for each pair of targets; none where nothing was compared."""
    return [table_of(rows) for rows in _pairs(report)]


def _pairs(report: Report) -> list[list[Comparison]]:
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in report.comparison:
        found.setdefault((row.base_target, row.other_target), []).append(row)
    return list(found.values())
