"""report.csv: one row a target and metric, for spreadsheets and data frames."""

import csv
import io
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
    writer = csv.DictWriter(out, HEADER)
    writer.writeheader()
    for target in report.targets:
        of = _target(report, target)
        for key, dist in (target.metrics | _shares(target)).items():
            writer.writerow(of | {"metric": _text(key)} | _figures(dist))
    return out.getvalue()


def _target(report: Report, target: TargetReport) -> dict[str, Any]:
    """What is the same in each of a target's rows."""
    run = report.run
    texts = {"scenario": run.scenario, "run": run.id, "started_at": run.started_at}
    texts |= {"verdict": report.verdict.state, "target": target.name, "model": target.model}
    found = {name: _text(text) for name, text in texts.items()} | {"simulated": _bool(target.simulated)}
    if target.cost is None:
        return found | {"cost_price_source": UNKNOWN}
    costs = {name: getattr(target.cost, name) for name in _COSTS}
    costs |= {"at_least": _bool(target.cost.at_least), "price_source": _text(target.cost.price_source)}
    return found | {f"cost_{name}": value for name, value in costs.items()}


def _shares(target: TargetReport) -> dict[str, Dist]:
    """The shares of the routed mix as means, of requests that are 1 or 0."""
    if target.routes is None:
        return {}
    to = {f"share_to_{name}": share for name, share in target.routes.targets.items()}
    shares = to | {"share_escalated": target.routes.escalated}
    return {key: Dist(count=target.requests.sent, mean=share) for key, share in shares.items()}


def _figures(dist: Dist) -> dict[str, Any]:
    found = {column: getattr(dist, field) for column, field in _VALUES.items()}
    for p in _BOUNDED:
        found[f"{p}_low"], found[f"{p}_high"] = dist.ci95.get(p) or (None, None)
    if isinstance(dist.with_failures, WithFailures):
        for name in ("count", *_BOUNDED):
            value = getattr(dist.with_failures, name)
            found[f"with_failures_{name}"] = f">{value.above}" if isinstance(value, Above) else value
    return found


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _text(text: str) -> str:
    """A text cell; a spreadsheet would run one that begins like a formula."""
    plain = clean(text)
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@")) else plain
