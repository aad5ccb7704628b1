"""Is one faster than the other, by how much, how sure? Every figure of two sides with a verdict."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from loadgen.answers.sides import RUNS_A_SIDE, Side
from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.statistics import LEAST_BEYOND, LEVEL, Contrast, Estimate, contrast, detectable, holm
from loadgen.results.model import Comparison

BETTER: Final = "better"
WORSE: Final = "worse"
NOT_SHOWN: Final = "no difference shown"
NOT_BOUNDED: Final = "not bounded"
NO_VERDICT: Final = "no verdict"

_TAIL: Final = (50, 90, 99)
_SLOW_TAIL: Final = (50, 10, 1)  # of a speed the low percentiles are the bad ones
METRICS: Final[dict[str, tuple[float, ...]]] = {
    "ttft": _TAIL,
    "tpot": _TAIL,
    "e2e": _TAIL,
    "output_tokens_per_s": _SLOW_TAIL,
    "output_chars_per_s": _SLOW_TAIL,
    "error_rate": (),
    "usd_per_request": (),
}
"""What is compared, and at which percentiles (none: a share or a mean)."""

_TOKENS: Final = ("tpot", "output_tokens_per_s")  # mean nothing between tokenizers
_KEYS: Final = {metric.name: metric.key for metric in ALL_METRICS}
LENGTHS_DIFFER: Final = 0.05
FAILED_SHARE: Final = 0.01
_TELLING: Final = 100


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides and what is told of them. flags: what a reader has to know before any verdict."""

    base: Side
    other: Side
    rows: tuple[Comparison, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    metric: str
    percent: float | None
    base: Estimate | None
    other: Estimate | None
    found: Contrast | None
    judged: bool
    higher_is_better: bool


def compare_all(pairs: Sequence[tuple[Side, Side]]) -> list[Pair]:
    """Compare each pair (base, other); the verdicts of all of them are one family for the correction."""
    known = _Known()
    return _judged([(base, other, list(_rows(base, other, known))) for base, other in pairs])


def compare_one(items: Sequence[tuple[Side, Side, str, float | None]]) -> list[Pair]:
    """Compare each pair (base, other) by one metric and percentile only; these are the family."""
    known = _Known()
    return _judged(
        [
            (base, other, [row for row in _rows(base, other, known, only=metric) if row.percent == percent])
            for base, other, metric, percent in items
        ]
    )


def _judged(rows: Sequence[tuple[Side, Side, list["_Row"]]]) -> list[Pair]:
    family = [row for _, _, found in rows for row in found if row.judged and row.found is not None]
    corrected = dict(zip(map(id, family), holm([_p_value(row) for row in family]), strict=True))
    return [
        Pair(
            base,
            other,
            tuple(_told(row, base, other, corrected.get(id(row)), len(family)) for row in found),
            tuple(_flags(base, other)),
        )
        for base, other, found in rows
    ]


def key_of(metric: str) -> str:
    """Return a metric's name in report.json."""
    return _KEYS.get(metric, metric)


def _p_value(row: _Row) -> float:
    return 1.0 if row.found is None else row.found.p_value


class _Known:
    """What has been estimated already: a base is in many pairs."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str, tuple[float, ...]], list[Estimate | None]] = {}

    def percentiles(self, side: Side, metric: str, percents: tuple[float, ...]) -> list[Estimate | None]:
        key = (id(side), metric, percents)
        if key not in self._found:
            self._found[key] = side.percentiles(metric, percents)
        return self._found[key]


def _rows(base: Side, other: Side, known: _Known, only: str | None = None) -> Iterator[_Row]:
    same_model = base.model == other.model
    for metric, percents in METRICS.items():
        if not percents or only not in {None, metric}:  # a share, a mean: below
            continue
        judged = same_model or metric not in _TOKENS
        if metric == "output_chars_per_s" and same_model and only is None:
            continue
        shown = percents if judged else percents[:1]
        both = (known.percentiles(side, metric, shown) for side in (base, other))
        for percent, a, b in zip(shown, *both, strict=True):
            yield _row(metric, percent, a, b, judged=judged, higher=percents == _SLOW_TAIL)
    if only in {None, "error_rate"}:
        yield _row("error_rate", None, base.failed(), other.failed(), judged=True, higher=False)
    if only in {None, "usd_per_request"}:
        costs = (base.usd_per_request(), other.usd_per_request())
        if None not in costs:
            yield _row("usd_per_request", None, *costs, judged=True, higher=False)


def _row(
    metric: str,
    percent: float | None,
    base: Estimate | None,
    other: Estimate | None,
    *,
    judged: bool,
    higher: bool,
) -> _Row:
    found = None if base is None or other is None else contrast(base, other)
    return _Row(metric, percent, base, other, found, judged, higher)


def _told(row: _Row, base: Side, other: Side, p_value: float | None, family: int) -> Comparison:
    found = row.found
    told = Comparison(
        metric=key_of(row.metric),
        percentile=None if row.percent is None else f"p{row.percent:g}",
        base_target=base.name,
        other_target=other.name,
        base=_value(base, row, row.base),
        other=_value(other, row, row.other),
        verdict=NOT_BOUNDED,
    )
    if found is None:
        return _counted(told, row, base, other)
    able = detectable(found, family)
    return msgspec.structs.replace(
        told,
        difference=_shown(found.difference),
        ci95=_both(found.interval),
        verdict=_verdict(row, p_value),
        ratio=None if found.ratio is None else _shown(found.ratio),
        ratio_ci95=None if found.ratio_interval is None else _both(found.ratio_interval),
        p_value=p_value,
        could_have_shown=None if able is None else float(f"{able:.3g}"),
    )


def _counted(told: Comparison, row: _Row, base: Side, other: Side) -> Comparison:
    """Add what a percentile that is not bounded rests on; where runs are what is drawn no requests count."""
    if row.percent is None or base.repeated or other.repeated:
        return told
    a, b = (side.independent(row.metric, row.percent) for side in (base, other))
    return msgspec.structs.replace(told, requests=(a[0], b[0]), independent=(a[1], b[1]))


def lacking(row: Comparison) -> str:
    """Say what keeps a figure from being bounded: what it takes, what there is, what to do."""
    if row.percentile is None:
        return "too few requests"
    p = float(row.percentile[1:])
    takes = 100 * LEAST_BEYOND / min(p, 100 - p)
    words = f"{row.percentile} takes {takes:,.0f} independent requests a side"
    if row.requests is None or row.independent is None:
        return words
    sides = zip((row.base_target, row.other_target), row.requests, row.independent, strict=True)
    # of a handful too few by themselves how they are correlated is a guess
    counted = [(name, n, size if n >= min(takes, _TELLING) else n) for name, n, size in sides]
    short = [(name, n, size) for name, n, size in counted if size < takes]
    told = " and ".join(f"{name} has {_count_as(n, size)}" for name, n, size in short)
    fewest = min((size for _, _, size in short if size), default=0)
    times = f"{math.ceil(takes / fewest):,} times" if fewest else ""
    if any(size < n / 2 for _, n, size in short):
        return f"{words}; {told}: run {times} as long, or at a lower load"
    return f"{words}; {told}" + (f": send {times} as many" if times else "")


def _count_as(n: int, size: int) -> str:
    if size == n:
        return f"{n:,}" if n else "none"
    return f"{n:,} that {'share what slows them and ' if size < n / 2 else ''}count as {size:,}"


def _verdict(row: _Row, p_value: float | None) -> str:
    if p_value is None or row.found is None:
        return NO_VERDICT
    if p_value > LEVEL:
        return NOT_SHOWN
    return BETTER if (row.found.difference > 0) == row.higher_is_better else WORSE


def _value(side: Side, row: _Row, known: Estimate | None) -> float | None:
    """Return the figure: of a single run the one that its report has."""
    found = side.parts[0].target.metrics.get(key_of(row.metric))
    if row.percent is None or found is None or len(side.parts) > 1:
        return None if known is None else _shown(known.value)
    value: float | None = getattr(found, f"p{row.percent:g}", None)
    return value


def _both(interval: tuple[float, float]) -> tuple[float, float]:
    return _shown(interval[0]), _shown(interval[1])


def _shown(value: float) -> float:
    return float(f"{value:.5g}")


def _flags(base: Side, other: Side) -> Iterator[str]:
    """Say what stands between these two and a plain comparison."""
    reports = [part.report for part in (*base.parts, *other.parts)]
    for report in {r.run.id: r for r in reports}.values():
        if report.verdict.state != "valid":
            reasons = report.verdict.reasons
            yield f"{report.run.id} is {report.verdict.state.upper()}: {'; '.join(reasons[:1])}".rstrip(": ")
    if len({r.run.digest for r in reports}) > 1:
        a, b = (side.parts[0].report.run.load for side in (base, other))
        changed = sorted(key for key in a.keys() | b.keys() if a.get(key) != b.get(key))
        what = f"another load ({', '.join(changed)})" if changed else "other words, or other settings"
        yield f"{what}: the digests of the plans differ"
    in_one_run = base.parts[0].report is other.parts[0].report
    if not in_one_run and not (base.repeated and other.repeated):
        yield (
            "one run each: what else changed between the runs is in no interval; measure both in one run, or "
            f"each in {RUNS_A_SIDE} runs"
        )
    if len({r.run.simulated for r in reports}) > 1:
        yield "one side is SIMULATED, the other is not"
    if base.model != other.model:
        yield (
            "models count tokens differently: tokens/s and time per token get no verdict, characters/s does; "
            "the quality of the answers was not measured"
        )
    yield from _flags_of_answers(base, other)


def _flags_of_answers(base: Side, other: Side) -> Iterator[str]:
    a, b = (side.percentiles("output_chars", (50,))[0] for side in (base, other))
    if a is not None and b is not None and a.value > 0 and abs(b.value / a.value - 1) > LENGTHS_DIFFER:
        yield (
            f"the answers differ in length ({a.value:,.0f} and {b.value:,.0f} characters at p50): end-to-end "
            "times compare other work"
        )
    for side in (base, other):
        failed = side.failed()
        if failed is not None and failed.value > FAILED_SHARE:
            yield (
                f"{failed.value:.1%} of the requests of {side.name} failed: its latencies are those of "
                "the requests that succeeded"
            )
