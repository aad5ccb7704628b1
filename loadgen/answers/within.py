"""What a run's own samples add to its report: intervals that know of correlation, drift, its comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from loadgen.answers.compare import Pair, compare_all
from loadgen.answers.sides import Part, Side
from loadgen.answers.slices import slowest
from loadgen.measure.statistics import Floats, drift, quantiles, unsettled
from loadgen.results.columns import read_columns
from loadgen.results.model import Dist, Drift, Report, TargetReport

_PERCENTS: Final = (50, 90, 99)
_METRICS: Final = {
    "ttft": "ttft_ms",
    "ttft_from_plan": "ttft_from_plan_ms",
    "ttfa": "ttfa_ms",
    "tpot": "tpot_ms",
    "e2e": "e2e_ms",
    "e2e_from_plan": "e2e_from_plan_ms",
    "longest_gap": "longest_gap_ms",
    "output_tokens_per_s": "output_tokens_per_s",
    "output_chars_per_s": "output_chars_per_s",
}
"""The metrics that requests share a cause of (a queue), by their keys; the others are as they were drawn."""

_UNSTEADY: Final = frozenset({"stages", "burst", "trace"})  # a load that is meant to change


def with_answers(report: Report, folder: Path) -> Report:
    """Return the report with its intervals made anew from the samples, with drift, and its comparison.

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
    return msgspec.structs.replace(
        report, targets=tuple(targets), comparison=rows, comparison_flags=tuple(flags)
    )


def _with_intervals(part: Part, *, steady: bool) -> TargetReport:
    """Return the target with the intervals of its metrics by effective sample size."""
    metrics = dict(part.target.metrics)
    for name, key in _METRICS.items():
        if metrics.get(key) is not None and metrics[key].count:
            metrics[key] = _refined(metrics[key], part.values(name))
    moved = _drift(part) if steady else None
    slow = tuple(slowest(part, "ttft" if metrics["ttft_ms"].count else "e2e"))
    return msgspec.structs.replace(part.target, metrics=metrics, drift=moved, slowest=slow)


def _refined(known: Dist, values: Floats) -> Dist:
    found = quantiles(values, [percent / 100 for percent in _PERCENTS])
    ci95 = {}
    sizes = {}
    for percent, estimate in zip(_PERCENTS, found, strict=True):
        low, high = (-np.inf, np.inf) if estimate is None else estimate.interval
        bounded = np.isfinite(low) and np.isfinite(high)
        ci95[f"p{percent}"] = (float(f"{low:.5g}"), float(f"{high:.5g}")) if bounded else None
        if estimate is not None:
            sizes[f"p{percent}"] = round(estimate.size)
    return msgspec.structs.replace(known, ci95=ci95, effective=sizes)


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


def _pairs(sides: Sequence[Side]) -> list[Pair]:
    """Compare the first target with each other one, level by level where there are several."""
    pairs = []
    for side in sides:
        level = side.parts[0].target.level
        base = next(s for s in sides if s.parts[0].target.level == level)
        if base is not side:
            pairs.append((base, side))
    return compare_all(pairs)
