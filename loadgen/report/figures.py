"""What every report for people says, as text: which figures, in which words and order.

The terminal's table and the Markdown lay out the same lines.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from loadgen.measure.metrics import CHUNK_GAP
from loadgen.results.model import Above, Dist, Report, TargetReport, WithFailures
from loadgen.units import format_number, format_usd

NOTHING: Final = "-"
UNBOUNDED: Final = "*"
WITH_FAILURES: Final = "with failures"
TIMES_IN: Final = "times in ms"
_BOUNDED: Final = ("p50", "p90", "p99")  # the percentiles that have intervals
_TO: Final = "\N{EN DASH}"


class Cell(NamedTuple):
    """A figure, and what stands behind it: its 95 % interval, or its share."""

    value: str
    more: str = ""

    def __str__(self) -> str:
        return f"{self.value} {self.more}" if self.more else self.value


class Line(NamedTuple):
    """One line of figures. at: the percentile, where it is one; indent: a part of the line above.

    bad: whether a figure other than 0 is bad news.
    """

    label: str
    at: str
    cells: tuple[Cell, ...]
    indent: bool = False
    bad: bool = False


class _Shown(NamedTuple):
    label: str
    key: str
    percentiles: tuple[str, ...]
    with_failures: bool = False


_DISTRIBUTIONS: Final = (
    _Shown("TTFT", "ttft_ms", ("p50", "p90", "p99"), with_failures=True),
    _Shown("TTFT from plan", "ttft_from_plan_ms", ("p50", "p90", "p99")),
    _Shown("TPOT", "tpot_ms", ("p50", "p90", "p99")),
    # of a speed the slow end is the bad one
    _Shown("decode tokens/s", "output_tokens_per_s", ("p50", "p10", "p1")),
    _Shown("end to end", "e2e_ms", ("p50", "p90", "p99"), with_failures=True),
    _Shown("chunk gap", "chunk_gap_ms", ("p50", "p90", "p99")),
)
SHORT: Final = {"TTFT from plan": ("p99",), "chunk gap": ("p99",)}
"""Percentiles shown where each takes a line of its own; all where nothing is said."""

_LEGEND: Final = (
    "In brackets: 95 % intervals. TTFT: time to first token; from plan: since its planned start. "
    "TPOT: time per output token."
)
_LEGEND_FAILURES: Final = " With failures: a failure ranks above every value."


def clean(text: str) -> str:
    """One line of printable characters: names and error texts come from outside."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def counts(targets: Sequence[TargetReport], *, open_loop: bool = False) -> list[Line]:
    """Requests by how they ended, and rates; kinds of failures only where there are any.

    open_loop: also the rates that were planned and delivered, not only the one that was achieved.
    """
    lines = [
        Line("requests ok", "", tuple(Cell(f"{t.requests.ok:,}") for t in targets)),
        Line("failed", "", tuple(_failed(t) for t in targets), bad=True),
    ]
    kinds = sorted({kind for t in targets for kind in t.requests.outcomes} - {"ok", "cancelled"})
    lines += [
        Line(kind, "", tuple(Cell(f"{t.requests.outcomes.get(kind, 0):,}") for t in targets), True, True)
        for kind in kinds
    ]
    for label, field in (
        ("cut off", "cancelled"),
        ("dropped", "dropped"),
        ("sent > 10 ms late", "late"),
        ("sent again", "resent"),
    ):
        numbers = [getattr(t.requests, field) for t in targets]
        if any(numbers):
            lines.append(Line(label, "", tuple(Cell(f"{n:,}") for n in numbers), bad=field != "resent"))
    lines += _sessions(targets)
    if open_loop:
        offered, delivered = "offered_requests_per_s", "delivered_requests_per_s"
        for label, field in (("offered requests/s", offered), ("delivered requests/s", delivered)):
            lines.append(Line(label, "", tuple(_number(getattr(t.rates, field)) for t in targets)))
    achieved = "achieved requests/s" if open_loop else "requests/s"
    lines.append(Line(achieved, "", tuple(_number(t.rates.requests_per_s) for t in targets)))
    if any(t.slo for t in targets):
        lines.append(
            Line("good requests/s", "", tuple(_number(t.rates.good_requests_per_s) for t in targets))
        )
    lines.append(Line("output tokens/s", "", tuple(_number(t.rates.output_tokens_per_s) for t in targets)))
    return lines


def _sessions(targets: Sequence[TargetReport]) -> list[Line]:
    """Conversations, where there are any of more than one turn."""
    if not any(group.by == "turn" for t in targets for group in t.groups):
        return []
    lines = []
    for field in ("begun", "ended", "failed"):
        numbers = [getattr(t.sessions, field, 0) for t in targets]
        cells = tuple(Cell(f"{n:,}") for n in numbers)
        lines.append(Line(f"conversations {field}", "", cells, bad=field == "failed"))
    return lines


def distributions(targets: Sequence[TargetReport]) -> list[list[Line]]:
    """One list of lines a metric: every percentile shown of it, for each target."""
    blocks = []
    dropped = any(t.requests.dropped for t in targets)
    for shown in _DISTRIBUTIONS:
        dists = [t.metrics.get(shown.key, Dist(count=0)) for t in targets]
        if not any(d.count for d in dists) and shown.key != "ttft_ms":
            continue
        blocks.append(
            [
                Line(shown.label, p, tuple(_percentile(d, p, mark=shown.key != CHUNK_GAP.key) for d in dists))
                for p in shown.percentiles
            ]
        )
        # a dropped arrival has no time of its own but the planned one: only there it can be seen
        told = shown.with_failures or (shown.key.endswith("from_plan_ms") and dropped)
        if told and any(_failures_matter(d) for d in dists):
            blocks.append(
                [Line(WITH_FAILURES, p, tuple(_with_failures(d, p) for d in dists), True) for p in _BOUNDED]
            )
    return blocks


def extremes(target: TargetReport) -> dict[str, tuple[Cell, ...]]:
    """For wide tables: mean, p99.9 and maximum of each distribution, by its label."""
    dists = {s.label: target.metrics.get(s.key, Dist(count=0)) for s in _DISTRIBUTIONS}
    return {label: (_number(d.mean), _number(d.p999), _number(d.max)) for label, d in dists.items()}


def alerts(report: Report) -> list[tuple[str, str]]:
    """What has to be said loudly before any figure: (word, sentence)."""
    found = []
    simulated = [t.target or t.name for t in report.targets if t.simulated]
    if report.run.simulated:
        who = "" if len(simulated) == len(report.targets) else f"{_names(simulated)}: "
        found.append(("SIMULATED", f"{who}the built-in simulator answered, not a model"))
    insecure = [t.target or t.name for t in report.targets if t.insecure]
    if insecure:
        found.append(("INSECURE", f"{_names(insecure)}: the server's certificate was not checked"))
    if not report.run.complete:
        found.append(("INCOMPLETE", "the run was killed; these are the figures up to then"))
    elif report.run.stopped_by == "errors":
        found.append(("STOPPED", "too many requests failed; these are the figures up to then"))
    elif report.run.stopped_by == "budget":
        bound = format_usd(report.run.max_usd or 0.0)
        found.append(
            ("BUDGET", f"stopped before it could cost more than USD {bound}; the figures up to then")
        )
    elif report.run.interrupted:
        found.append(("INTERRUPTED", "the run was stopped early; these are the figures up to then"))
    return found


def footnotes(report: Report) -> list[str]:
    """What a reader must know to read the figures right."""
    notes = []
    keys = [s.key for s in _DISTRIBUTIONS if s.key != CHUNK_GAP.key]
    shown = [t.metrics[key] for t in report.targets for key in keys if key in t.metrics]
    unbounded = [d for d in shown if d.count and any(d.ci95.get(p) is None for p in _BOUNDED)]
    if unbounded:
        note = f"{UNBOUNDED} too few requests for a 95 % interval"
        fewest = min(d.count for d in unbounded)
        counts = min((min(d.effective.values()) for d in unbounded if d.effective), default=fewest)
        if fewest < 100:
            note += f": p99 of {fewest:,} is the maximum"
        elif counts < fewest / 2:
            note += f": {fewest:,} that share what slows them count as {counts:,} independent ones"
        notes.append(note)
    counted = [t for t in report.targets if t.tokens.source not in (None, "usage")]
    # where levels say the same it is said once
    return notes + list(dict.fromkeys(f"{clean(t.target or t.name)}: {_token_source(t)}" for t in counted))


def legend(report: Report) -> str:
    """Explain the words of the figures that are shown."""
    failures = any(line.label == WITH_FAILURES for block in distributions(report.targets) for line in block)
    return _LEGEND + _LEGEND_FAILURES if failures else _LEGEND


def describe_load(load: dict[str, Any]) -> str:
    """Write the scenario's load in one line: "concurrency 32, ramp 2s, duration 20s"."""
    parts = []
    for key, value in load.items():
        if value in (None, 0, "", [], {}):
            continue
        name, unit = (key[:-2], " s") if key.endswith("_s") else (key, "")
        parts.append(f"{name.replace('_', ' ')} {_plainly(value)}{unit}".removesuffix(" true"))
    return ", ".join(parts)


def _plainly(value: Any) -> str:
    """Write a value of a scenario for people: lists by slashes, tables in brackets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:,.12g}"
    if isinstance(value, list | tuple):
        return " / ".join(map(_plainly, value))
    if isinstance(value, dict):
        return f"({', '.join(f'{clean(k)} {_plainly(v)}' for k, v in value.items())})"
    return clean(str(value))


def subtitle(target: TargetReport) -> str:
    """What stands below a target's name: its model where it has another name, and SIMULATED."""
    parts = [clean(target.model)] if target.model != target.name else []
    parts += ["SIMULATED"] if target.simulated else []
    return " ".join(parts)


def _token_source(target: TargetReport) -> str:
    if target.tokens.source == "events":
        return "the server reports no usage; every piece of an answer counts as one token"
    if target.tokens.source == "mixed":
        by = ", ".join(f"{n:,} requests by {source}" for source, n in target.tokens.sources.items())
        return f"tokens were counted in different ways: {by}"
    return f"tokens were counted by {target.tokens.source}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(clean(name) for name in dict.fromkeys(names))


def _failed(target: TargetReport) -> Cell:
    failed, ended = target.requests.failed, target.requests.failed + target.requests.ok
    if not failed:
        return Cell("0")
    share = 100 * failed / ended
    text = "< 0.1" if share < 0.1 else "> 99.9" if 99.9 < share < 100 else f"{share:.1f}"
    return Cell(f"{failed:,}", f"({text} %)")


def _number(value: float | None) -> Cell:
    return Cell(NOTHING if value is None else format_number(value))


def _percentile(dist: Dist, name: str, *, mark: bool = True) -> Cell:
    """mark: whether a percentile without an interval is one of too few requests."""
    value = getattr(dist, name)
    if value is None:
        return Cell(NOTHING)
    if name not in _BOUNDED:
        return Cell(format_number(value))
    interval = dist.ci95.get(name)
    if interval is None:
        return Cell(format_number(value), UNBOUNDED if mark else "")
    return Cell(format_number(value), f"({format_number(interval[0])}{_TO}{format_number(interval[1])})")


def _with_failures(dist: Dist, name: str) -> Cell:
    if not isinstance(dist.with_failures, WithFailures):
        return Cell(NOTHING)
    value: float | Above | None = getattr(dist.with_failures, name)
    if isinstance(value, Above):
        return Cell(f"> {format_number(value.above)}" if value.above else NOTHING)
    return _number(value)


def _failures_matter(dist: Dist) -> bool:
    """Whether a percentile over all requests reads differently from that of the successful ones."""
    if not dist.count or not isinstance(dist.with_failures, WithFailures):
        return False
    return any(_with_failures(dist, p).value != _percentile(dist, p).value for p in _BOUNDED)
