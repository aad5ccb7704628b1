"""What reports say of the objectives of `[slo]`: one row each, for each target."""

from collections.abc import Iterator

from loadgen.report.figures import NOTHING, UNBOUNDED, clean
from loadgen.report.said import Grid
from loadgen.results.model import Above, ObjectiveReport, Report
from loadgen.scenario.slo import SHARES
from loadgen.units import format_number

MISSED = "missed"


def grid(report: Report) -> Grid | None:
    """One row a target and objective; None without any."""
    rows = [
        (whose + one.objective, _measured(one), "met" if one.met else MISSED) for whose, one in _all(report)
    ]
    return Grid(("objective", "measured", ""), tuple(rows)) if rows else None


def notes(report: Report) -> list[str]:
    """Say once, if so, that some figures say little: those with a star."""
    few = any(one.note for _, one in _all(report) if one.measured is not None)
    return [f"{UNBOUNDED} of an objective: too few requests to tell; report.json says how few"] if few else []


def _all(report: Report) -> Iterator[tuple[str, ObjectiveReport]]:
    for target in report.targets:
        whose = f"{clean(target.name)}: " if len(report.targets) > 1 else ""
        for one in target.slo:
            yield whose, one


def _measured(one: ObjectiveReport) -> str:
    if one.measured is None:
        return NOTHING
    few = f" {UNBOUNDED}" if one.note else ""
    if isinstance(one.measured, Above):
        return f"> {format_number(one.measured.above)}" if one.measured.above else NOTHING
    if one.objective.startswith(SHARES):
        return f"{100 * one.measured:.4g} %{few}"
    return format_number(one.measured) + few
