"""What a run's own samples add to its report: intervals that know of correlation, drift, its comparison.

With these it can be judged.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from loadgen.answers.compare import Pair, compare_all
from loadgen.answers.sides import Part, Side
from loadgen.answers.slices import groups, slowest
from loadgen.measure.groups import GROUP_METRICS
from loadgen.measure.metrics import CHUNK_GAP, METRICS
from loadgen.measure.statistics import ENOUGH_BEYOND, Floats, drift, quantiles, sizes_at, unsettled
from loadgen.results import read
from loadgen.results.columns import read_columns
from loadgen.results.model import Dist, Drift, GroupReport, ObjectiveReport, Report, TargetReport
from loadgen.results.read import SavedRun
from loadgen.verdict.rules import judge

_PERCENTS: Final = (50, 90, 99)
_UNKNOWN: Final = dict.fromkeys(f"p{percent}" for percent in _PERCENTS)
_SIXTHS: Final = 6
_LEAST: Final = 10  # requests in each
_RISEN: Final = 1.5
_UNSTEADY: Final = frozenset({"stages", "burst", "trace"})  # a load that is meant to change


def open_run(path: Path) -> SavedRun:
    """Open a run as `results.read.open_run` does; of one that was killed the report is made as of any other.

    Raises:
        OutputError: there is no such run, or it can't be read.
    """
    run = read.open_run(path)
    return replace(run, report=with_answers(run.report, run.folder)) if run.rebuilt else run


def with_answers(report: Report, folder: Path) -> Report:
    """Return the report with its intervals made anew from the samples, with drift, comparison and verdict.

    Raises:
        OutputError: the samples can't be read.
    """
    columns = read_columns(folder)
    sides = []
    targets = []
    for target in report.targets:
        part = Part(report, target, columns)
        target = _with_intervals(part, steady=not _UNSTEADY & set(report.run.load))  # noqa: PLW2901
        targets.append(target)
        sides.append(Side(target.name, (part,)))
    pairs = _pairs(sides)
    # of one run: what is said of the run itself is its verdict
    flags = dict.fromkeys(flag for pair in pairs for flag in pair.flags if report.run.id not in flag)
    rows = tuple(row for pair in pairs for row in pair.rows)
    whole = msgspec.structs.replace(
        report, targets=tuple(targets), comparison=rows, comparison_flags=tuple(flags)
    )
    return judge(whole)


def _with_intervals(part: Part, *, steady: bool) -> TargetReport:
    """Return the target with the intervals of its metrics, and of its groups', by effective sample size."""
    target, metrics = part.target, dict(part.target.metrics)
    for metric in METRICS:
        if metrics[metric.key].count:
            metrics[metric.key] = _refined(metrics[metric.key], part.values(metric.name))
    # gaps of one stream, and of streams that one batch serves, come together: no count of them says how sure
    metrics[CHUNK_GAP.key] = msgspec.structs.replace(metrics[CHUNK_GAP.key], ci95=_UNKNOWN)
    moved = _drift(part) if steady else None
    rising = _rising(part) if steady and "rate" in part.report.run.load else None
    slow = tuple(slowest(part, "ttft" if metrics["ttft_ms"].count else "e2e"))
    return msgspec.structs.replace(
        target,
        metrics=metrics,
        slo=tuple(_told(one, part) for one in target.slo),
        groups=_groups(part),
        drift=moved,
        rising_ttft_ms=rising,
        slowest=slow,
        cached_before=_cached_before(part) if part.report.run.repeats_prompts else None,
    )


def _cached_before(part: Part) -> float | None:
    rows = part.ok() & (part.columns.turn == 0)
    cached, prompt = (part.columns.metric(name)[rows] for name in ("cached_tokens", "prompt_tokens"))
    told = ~np.isnan(cached) & (prompt > 0)
    return round(float(cached[told].sum() / prompt[told].sum()), 4) if told.any() else None


def _groups(part: Part) -> tuple[GroupReport, ...]:
    members = {
        (by, name): rows
        for by in {group.by for group in part.target.groups}
        for name, rows in groups(part, by)
    }
    found = []
    for group in part.target.groups:
        rows = members.get((group.by, group.name))  # none: of task names too many to be kept apart
        refined = {
            m.key: _refined(group.metrics[m.key], part.values(m.name, rows))
            if rows is not None and group.metrics[m.key].count
            else group.metrics[m.key]
            for m in GROUP_METRICS
        }
        found.append(msgspec.structs.replace(group, metrics=refined))
    return tuple(found)


def _refined(known: Dist, values: Floats) -> Dist:
    ps = [percent / 100 for percent in _PERCENTS]
    sizes = sizes_at(values, ps)
    found = quantiles(values, ps, sizes)
    ci95 = {}
    for percent, estimate in zip(_PERCENTS, found, strict=True):
        low, high = (-np.inf, np.inf) if estimate is None else estimate.interval
        bounded = np.isfinite(low) and np.isfinite(high)
        ci95[f"p{percent}"] = (float(f"{low:.5g}"), float(f"{high:.5g}")) if bounded else None
    effective = {f"p{100 * p:g}": round(size) for p, size in sizes.items()}
    return msgspec.structs.replace(known, ci95=ci95, effective=effective)


def _told(objective: ObjectiveReport, part: Part) -> ObjectiveReport:
    """Note where an objective's percentile is not bounded, as its table says by the effective sample size."""
    metric, _, at = objective.objective.partition(" ")[0].partition(".")
    if objective.note or metric not in {m.name for m in METRICS}:
        return objective
    p = float(at.removeprefix("p")) / 100
    values = part.values(metric)
    size = sizes_at(values, [p]).get(p, float(len(values)))
    needed = math.ceil(ENOUGH_BEYOND / min(p, 1 - p)) if 0 < p < 1 else 0
    if not len(values) or size >= needed:
        return objective
    few = f"{len(values):,} values" + (f" that count as {size:,.0f}" if size < 0.9 * len(values) else "")
    return msgspec.structs.replace(
        objective, note=f"{few} can't bound {at}: {needed:,} independent ones could"
    )


def _drift(part: Part) -> Drift | None:
    """Return how the second half's median TTFT stands to the first's; None where it can't be told."""
    values = part.values("ttft")
    found = drift(values)
    if found is None or found.ratio is None or found.ratio_interval is None:
        return None
    share = unsettled(values) / len(values)
    return Drift(
        ratio=float(f"{found.ratio:.4g}"),
        ci95=(float(f"{found.ratio_interval[0]:.4g}"), float(f"{found.ratio_interval[1]:.4g}")),
        p_value=found.p_value,
        unsettled_s=round(share * part.target.window_s, 1),
    )


def _rising(part: Part) -> tuple[float, float] | None:
    """Return the median TTFT (ms) of the first and the last sixth of the requests if it rose all the way.

    In an open loop a queue that grows makes the requests so alike that no interval can tell the halves
    apart; six medians are in this order by chance once in 720 times.
    """
    values = part.values("ttft")
    if len(values) < _SIXTHS * _LEAST:
        return None
    medians = [float(np.median(sixth)) for sixth in np.array_split(values, _SIXTHS)]
    if any(a >= b for a, b in pairwise(medians)) or medians[-1] < _RISEN * medians[0]:
        return None
    return round(medians[0], 3), round(medians[-1], 3)


def _pairs(sides: Sequence[Side]) -> list[Pair]:
    """Compare the first target with each other one, level by level where there are several."""
    pairs = []
    for side in sides:
        level = side.parts[0].target.level
        base = next(s for s in sides if s.parts[0].target.level == level)
        if base is not side:
            pairs.append((base, side))
    return compare_all(pairs)
