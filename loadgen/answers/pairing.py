"""Which sides are set against which: targets of one run, or runs against a base."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadgen.answers.sides import Side, sides_of_runs
from loadgen.errors import ScenarioError, nearest
from loadgen.results.read import SavedRun, list_runs, open_run

LAST_GOOD: Final = "last-good"
_GOOD: Final = ("valid", "suspect")  # on a busy build server hardly a run is valid; a suspect one is flagged
_REMEDY: Final = "give one run of several targets, or several runs"


def pairs_of(groups: Sequence[Sequence[SavedRun]], baseline: str | None = None) -> list[tuple[Side, Side]]:
    """Return the pairs (base, other) to compare.

    groups: runs; those of one group are repetitions of the same. One group: its targets against the first of
    them, or the one named `baseline`. Several: each target of the later groups against that of the first, or
    of the group whose run `baseline` names; "last-good": against the latest run before, of the same scenario,
    that was not invalid and met its objectives, and nothing where there is none, as of the first run of all.

    Raises:
        OutputError: samples, or the last good run, can't be read. ScenarioError: there is nothing to compare.
    """
    if baseline == LAST_GOOD:
        before = _last_good(groups[0][0])
        if before is None:
            return []
        groups, baseline = [[before], *groups], None
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


def _last_good(run: SavedRun) -> SavedRun | None:
    """Return the latest run before this one that was not invalid and met its objectives; None: none."""
    out = run.folder.parent.parent
    for summary in list_runs(out):
        earlier = summary.scenario == run.report.run.scenario and summary.id < run.report.run.id
        if earlier and summary.verdict in _GOOD and not summary.interrupted:
            before = open_run(Path(summary.path))
            if all(objective.met for target in before.report.targets for objective in target.slo):
                return before
    return None
