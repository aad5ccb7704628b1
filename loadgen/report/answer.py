"""The answer on top of a report: what was measured, which target is faster, by how much, how sure that is."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from loadgen.report.compare import answer as of_pair
from loadgen.report.compare import cells
from loadgen.report.figures import clean, describe_load
from loadgen.report.said import Grid
from loadgen.results.model import Comparison, Dist, Report, TargetReport
from loadgen.units import format_number

_TTFT: Final = ("ttft_ms", "time to first token")
_E2E: Final = ("e2e_ms", "time to the whole answer")
_NONE: Final = Dist(count=0)
_SIDE_BY_SIDE: Final = 4  # of more targets than these the fastest and the slowest are told


def measured(report: Report) -> str:
    """Say in one sentence what was measured: how many requests, of how many targets, under which load."""
    targets = _names(report)
    ok = sum(t.requests.ok for t in report.targets)
    whom = (
        targets[0] if len(targets) == 1 else f"{len(targets)} targets, all asked the same at the same times"
    )
    load = describe_load(report.run.load)
    return f"{ok:,} successful requests to {whom}{f' ({load})' if load else ''}."


def answer(report: Report) -> list[str]:
    """Say which target is faster where a comparison was made; else the figures, the fastest first."""
    key, name = _headline(report.targets)
    told = _pairs(report.comparison)
    if told:
        return [of_pair(rows) for rows in told.values()]
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
    said = [f"{name.capitalize()}, p50 / p99: {('; ' if few else ' to ').join(figures)}."]
    if len(_names(report)) > 1:
        said.append("Whether they differ was not tested; the table has 95 % intervals.")
    return said


class PairTable(NamedTuple):
    """The verdicts on one pair of targets. verdicts: of each row, without what stands behind it."""

    title: str
    grid: Grid
    verdicts: tuple[str, ...]


def pair_tables(report: Report) -> list[PairTable]:
    """Every figure and verdict, a table for each pair of targets; none where nothing was compared."""
    return [
        PairTable(
            f"{clean(other)} against {clean(base)}",
            Grid(("", "", clean(base), clean(other), "change", "verdict"), tuple(cells(rows))),
            tuple(row.verdict for row in rows),
        )
        for (base, other), rows in _pairs(report.comparison).items()
    ]


def _pairs(rows: Iterable[Comparison]) -> dict[tuple[str, str], list[Comparison]]:
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        found.setdefault((row.base_target, row.other_target), []).append(row)
    return found


def _names(report: Report) -> list[str]:
    return list(dict.fromkeys(clean(t.target or t.name) for t in report.targets))


def _headline(targets: Sequence[TargetReport]) -> tuple[str, str]:
    """What the answer is about: the first token, or where answers come whole, the answer."""
    return _TTFT if any(t.metrics.get(_TTFT[0], _NONE).count for t in targets) else _E2E
