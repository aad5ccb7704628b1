"""Which sides are set against which: targets of one run, or runs against a base."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadgen.answers.sides import Side, sides_of_runs
from loadgen.errors import ScenarioError, nearest
from loadgen.results.model import Report
from loadgen.results.read import SavedRun, list_runs, open_run

LAST_GOOD: Final = "last-good"
_FIRST: Final = "no good run before this one: nothing to compare with yet"
_REMEDY: Final = "give one run of several targets, or several runs"


def pairs_of(groups: Sequence[Sequence[SavedRun]], baseline: str | None = None) -> list[tuple[Side, Side]]:
    """Return the pairs (base, other) to compare.

    groups: runs; those of one group are repetitions of the same. One group: its targets against the first of
    them, or the one named `baseline`. Several: each target of the later groups against that of the first, or
    of the group whose run `baseline` names.

    Raises:
        OutputError: samples can't be read. ScenarioError: there is nothing to compare.
    """
    folders = [run.folder for group in groups for run in group]
    if twice := [folder for i, folder in enumerate(folders) if folder in folders[:i]]:
        raise ScenarioError(str(twice[0]), "is compared with itself", _REMEDY)
    found = [sides_of_runs(group) for group in groups]
    if len(found) == 1:
        return _within(found[0], baseline)
    first = _named(found, baseline)
    return [
        pair for number, sides in enumerate(found) if number != first for pair in _across(found[first], sides)
    ]


def _within(sides: Sequence[Side], baseline: str | None) -> list[tuple[Side, Side]]:
    names = [side.name for side in sides]
    if len(sides) < 2:
        raise ScenarioError("compare", f'there is only "{names[0]}"', _REMEDY)
    if baseline is not None and baseline not in names:
        choice = [*names, LAST_GOOD]
        raise ScenarioError("--baseline", f'there is no target "{baseline}"', nearest(baseline, choice))
    base = sides[0 if baseline is None else names.index(baseline)]
    return [(base, side) for side in sides if side is not base]


def _named(found: Sequence[Sequence[Side]], baseline: str | None) -> int:
    """Return the number of the group that is the base."""
    if baseline is None:
        return 0
    ids = [[part.report.run.id for side in sides for part in side.parts] for sides in found]
    for number, group in enumerate(ids):
        if baseline in group:
            return number
    known = sorted({run for group in ids for run in group})
    raise ScenarioError(
        "--baseline", f'no run is called "{baseline}"', nearest(baseline, [*known, LAST_GOOD])
    )


def _across(base: Sequence[Side], others: Sequence[Side]) -> list[tuple[Side, Side]]:
    """Pair targets by name; where each run has one target, these two whatever their names."""
    by_name = {side.name: side for side in base}
    common = [(by_name[side.name], side) for side in others if side.name in by_name]
    if not common and len(base) == len(others) == 1:
        common = [(base[0], others[0])]
    if not common:
        names = ", ".join(sorted(by_name))
        what = f"{_run_of(others[0])} and {_run_of(base[0])} have no target in common ({names})"
        raise ScenarioError("compare", what, "compare runs of the same targets, or of one target each")
    return [(_renamed(a, b), _renamed(b, a)) for a, b in common]


def _renamed(side: Side, than: Side) -> Side:
    """Call a side by its runs too: targets of two runs often have one name."""
    run, runs = _run_of(side), len(side.parts)
    if run[:10] == _run_of(than)[:10] and run[:10] != run:  # of one day: the time tells them apart
        run = run[11:]
    return dataclasses.replace(side, name=f"{side.name} {run}{f' ({runs} runs)' if runs > 1 else ''}")


def _run_of(side: Side) -> str:
    """Name a run by its label where it has one, else by the time it began (UTC)."""
    run = side.parts[0].report.run
    label = next(iter(run.labels.values()), None)
    return label or run.started_at.partition("+")[0].replace("T", " ")


def last_good(runs: Sequence[SavedRun]) -> SavedRun | str:
    """Return the latest good run before these of the same scenario and plan, or in words why there is none.

    Good: valid, carried out to its end, all objectives met.

    Raises:
        OutputError: a run that may be it can't be read.
    """
    first = min(runs, key=lambda run: run.report.run.id)
    passed: Counter[str] = Counter()
    for summary in list_runs(first.folder.parent.parent):
        if summary.scenario != first.report.run.scenario or summary.id >= first.report.run.id:
            continue
        before = open_run(Path(summary.path)) if summary.verdict == "valid" else None
        unfit = summary.verdict if before is None else _unfit(before.report, first.report)
        if before is not None and not unfit:
            return before
        passed[unfit] += 1
    if not passed:
        return _FIRST
    why = ", ".join(f"{n:,} {what}" for what, n in passed.items())
    none = f"no good run of this plan before this one (passed over: {why}): nothing to compare with"
    return f"{none}; give both runs to compare with one of those"


def _unfit(before: Report, after: Report) -> str:
    """Say what keeps a valid run from being the baseline; "": nothing."""
    run = before.run
    if not run.complete or run.interrupted or run.stopped_by in ("errors", "budget"):
        return "stopped before its end"
    if run.digest != after.run.digest:
        return "of another plan"
    if run.simulated != after.run.simulated:
        return "simulated" if run.simulated else "not simulated"
    missed = any(not objective.met for target in before.targets for objective in target.slo)
    return "with an objective missed" if missed else ""
