"""report.csv: one row a target and metric, for spreadsheets and data frames."""

import csv
import io
from collections.abc import Iterator
from typing import Any, Final

from loadgen.report.figures import clean
from loadgen.results.model import Above, Dist, Report, TargetReport, WithFailures
from loadgen.run.forecast import UNKNOWN

_BOUNDED: Final = ("p50", "p90", "p99")
_VALUES: Final = {
    **{name: name for name in ("count", "mean", "stddev", "min", "max")},
    **{name: name for name in ("p1", "p5", "p10", "p50", "p75", "p90", "p95", "p99")},
    "p99.9": "p999",
}
_COSTS: Final = (
    *("usd", "usd_per_request", "usd_per_million_output_tokens", "usd_per_month"),
    *("at_least", "price_source"),
)
HEADER: Final = (
    *("scenario", "run", "started_at", "verdict", "simulated", "target", "model", "metric"),
    *_VALUES,
    *(f"{p}_{bound}" for p in _BOUNDED for bound in ("low", "high")),
    "with_failures_count",
    *(f"with_failures_{p}" for p in _BOUNDED),
    *(f"cost_{name}" for name in _COSTS),
)
"""The columns, in this order for good; new ones come at the end. `_low`, `_high`: the 95 % interval.

A metric is named by its key in report.json, which has its unit. A percentile that is not reached is written
as `>` and the bound it lies above; what does not apply is empty.
"""


def to_csv(report: Report) -> str:
    """Write a report as CSV (RFC 4180)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADER)
    writer.writerows(_rows(report))
    return out.getvalue()


def _rows(report: Report) -> Iterator[list[Any]]:
    run, state = report.run, report.verdict.state
    for target in report.targets:
        texts = (run.scenario, run.id, run.started_at, state)
        simulated = "true" if target.simulated else "false"
        for key, dist in (target.metrics | _shares(target)).items():
            start = [*map(_text, texts), simulated, _text(target.name), _text(target.model), _text(key)]
            values = [getattr(dist, field) for field in _VALUES.values()]
            yield start + values + _bounds(dist) + _failures(dist) + _cost(target)


def _shares(target: TargetReport) -> dict[str, Dist]:
    """The shares of the routed mix as means, of requests that are 1 or 0."""
    if target.routes is None:
        return {}
    to = {f"share_to_{name}": share for name, share in target.routes.targets.items()}
    shares = to | {"share_escalated": target.routes.escalated}
    return {key: Dist(count=target.requests.sent, mean=share) for key, share in shares.items()}


def _bounds(dist: Dist) -> list[float | None]:
    intervals = [dist.ci95.get(p) or (None, None) for p in _BOUNDED]
    return [bound for interval in intervals for bound in interval]


def _failures(dist: Dist) -> list[Any]:
    found = dist.with_failures
    if not isinstance(found, WithFailures):
        return [None] * (1 + len(_BOUNDED))
    values = [getattr(found, p) for p in _BOUNDED]
    return [found.count, *(f">{v.above}" if isinstance(v, Above) else v for v in values)]


def _cost(target: TargetReport) -> list[Any]:
    """The target's, in each of its rows."""
    if target.cost is None:
        return [*[None] * (len(_COSTS) - 1), UNKNOWN]
    *values, at_least, source = (getattr(target.cost, name) for name in _COSTS)
    return [*values, "true" if at_least else "false", _text(source)]


def _text(text: str) -> str:
    """A text cell; a spreadsheet would run one that begins like a formula."""
    plain = clean(text)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain
