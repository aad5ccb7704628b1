"""What every report for people says, as text: which figures, in which words and order.

The terminal's table and the Markdown lay out the same lines.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from loadgen.measure.metrics import CHUNK_GAP
from loadgen.results.model import Above, Cost, Dist, Report, Run, TargetReport, WithFailures
from loadgen.units import NS_PER_S, format_number, format_usd, parse_duration

NOTHING: Final = "-"
UNBOUNDED: Final = "*"
WITH_FAILURES: Final = "with failures"
TIMES_IN: Final = "times in ms"
_BOUNDED: Final = ("p50", "p90", "p99")  # the percentiles that have intervals
_NONE: Final = Dist(count=0)
_TO: Final = "\N{EN DASH}"


class Cell(NamedTuple):
    """A figure, and what stands behind it: its 95 % interval, or its share. bad: whether it is bad news."""

    value: str
    more: str = ""
    bad: bool = False

    def __str__(self) -> str:
        return f"{self.value} {self.more}" if self.more else self.value


class Line(NamedTuple):
    """One line of figures. at: the percentile, where it is one; indent: a part of the line above."""

    label: str
    cells: tuple[Cell, ...]
    at: str = ""
    indent: bool = False


class _Shown(NamedTuple):
    label: str
    key: str
    percentiles: tuple[str, ...]
    with_failures: bool = False


_DISTRIBUTIONS: Final = (
    _Shown("TTFT", "ttft_ms", ("p50", "p90", "p99"), with_failures=True),
    _Shown("TTFT from plan", "ttft_from_plan_ms", ("p50", "p90", "p99"), with_failures=True),
    _Shown("TPOT", "tpot_ms", ("p50", "p90", "p99")),
    # of a speed the slow end is the bad one
    _Shown("decode tokens/s", "output_tokens_per_s", ("p50", "p10", "p1")),
    _Shown("end to end", "e2e_ms", ("p50", "p90", "p99"), with_failures=True),
    _Shown("chunk gap", "chunk_gap_ms", ("p50", "p90", "p99")),
)
_SHORT: Final = {"TTFT from plan": ("p99",), "chunk gap": ("p99",)}
_REQUESTS: Final = {
    "cut off": "cancelled",
    "never sent": "dropped",
    "sent > 10 ms late": "late",
    "sent again": "resent",
}
_COSTS: Final[dict[str, Callable[[Cost], float | None]]] = {
    "cost, USD": lambda c: c.usd,
    "USD before the load": lambda c: c.before_usd or None,
    "USD per request": lambda c: c.usd_per_request,
    "USD per 1,000 good": lambda c: c.usd_per_thousand_good_requests,
    "USD per 1M output": lambda c: c.usd_per_million_output_tokens,
    "USD per image": lambda c: c.usd_per_image,
}
_LEGEND: Final = (
    "In brackets: 95 % intervals. TTFT: time to first token; from plan: since its planned start. "
    "TPOT: time per output token."
)
_LEGEND_FAILURES: Final = " With failures: a failure ranks above every value."


def clean(text: str) -> str:
    """One line of printable characters: names and error texts come from outside."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def name_of(target: TargetReport) -> str:
    """Return the name of a target without its level."""
    return clean(target.target or target.name)


def whose(report: Report, target: TargetReport) -> str:
    """Return what begins a text about one of several targets; nothing where there is only one."""
    return f"{clean(target.name)}: " if len(report.targets) > 1 else ""


def number(value: float | Above | None) -> str:
    """Write a number for people."""
    if isinstance(value, Above):
        return f"> {format_number(value.above)}" if value.above else NOTHING
    return NOTHING if value is None else format_number(value)


def amount(n: int | None) -> str:
    """Write how many for people."""
    return NOTHING if n is None else f"{n:,}"


def usd(value: float | None) -> str:
    """Write money for people."""
    return NOTHING if value is None else format_usd(value)


def cost(target: TargetReport, read: Callable[[Cost], float | None]) -> Cell:
    """Write what `read` takes of what a target costs."""
    if target.cost is None or (value := read(target.cost)) is None:
        return Cell(NOTHING)
    return Cell(format_usd(value), "at least" if target.cost.at_least else "")


def lines(targets: Sequence[TargetReport], *, open_loop: bool, short: bool = False) -> list[Line]:
    """All figures, each percentile a line; of each metric only the first line has its name.

    short: without percentiles that most can do without.
    """
    found = counts(targets, open_loop=open_loop)
    metric = ""
    for block in distributions(targets):
        metric = metric if block[0].indent else block[0].label
        first, *more = (n for n in block if not short or n.at in _SHORT.get(metric, (n.at,)))
        found += [first, *(line._replace(label="", indent=False) for line in more)]
    return found


def counts(targets: Sequence[TargetReport], *, open_loop: bool) -> list[Line]:
    """Requests by how they ended, rates and costs; kinds of failures only where there are any.

    open_loop: also the rates that were planned and delivered, not only the one that was achieved.
    """
    found = [
        _counted("requests ok", [t.requests.ok for t in targets]),
        Line("failed", tuple(map(_failed, targets))),
    ]
    for kind in sorted({kind for t in targets for kind in t.requests.outcomes} - {"ok", "cancelled"}):
        numbers = [t.requests.outcomes.get(kind, 0) for t in targets]
        found.append(_counted(kind, numbers, indent=True, bad=True))
    for label, field in _REQUESTS.items():
        numbers = [getattr(t.requests, field) for t in targets]
        if any(numbers):
            found.append(_counted(label, numbers, bad=field != "resent"))
    if any(group.by == "turn" for t in targets for group in t.groups):
        for field in ("begun", "ended", "failed"):
            numbers = [getattr(t.sessions, field, 0) for t in targets]
            found.append(_counted(f"conversations {field}", numbers, bad=field == "failed"))
    rates = {"requests/s": "requests_per_s"}
    if open_loop:
        rates = {f"{what} requests/s": f"{what}_requests_per_s" for what in ("offered", "delivered")}
        rates["achieved requests/s"] = "requests_per_s"
    if any(t.slo for t in targets):
        rates["good requests/s"] = "good_requests_per_s"
    if any(t.rates.output_tokens_per_s for t in targets):
        rates["output tokens/s"] = "output_tokens_per_s"
    for label, field in rates.items():
        found.append(Line(label, tuple(Cell(number(getattr(t.rates, field))) for t in targets)))
    return found + _costs(targets, open_loop=open_loop)


def _counted(label: str, numbers: Sequence[int], *, indent: bool = False, bad: bool = False) -> Line:
    return Line(label, tuple(Cell(f"{n:,}", bad=bad and n > 0) for n in numbers), indent=indent)


def month_usd(cost: Cost, *, open_loop: bool) -> float | None:
    """Return what a month costs where it is one of something: of a schedule's rate, or of a machine.

    As fast as it goes, which is what a closed loop measures, is nobody's traffic.
    """
    by_the_hour = cost.price is not None and cost.price.gpu_hour is not None
    return cost.usd_per_month if open_loop or by_the_hour else None


def _costs(targets: Sequence[TargetReport], *, open_loop: bool) -> list[Line]:
    """What the run cost, and what that comes to; what no target has is left out."""
    found: list[Line] = []
    months = {"USD a month": lambda c: month_usd(c, open_loop=open_loop)}
    for label, read in (_COSTS | months).items():
        cells = tuple(cost(t, read) for t in targets)
        if any(cell.value != NOTHING for cell in cells):
            found.append(Line(label, cells, indent=bool(found)))
    return found


def distributions(targets: Sequence[TargetReport], more: Iterable[str] = ()) -> list[list[Line]]:
    """One list of lines a metric: every percentile shown of it, for each target. more: fields of `Dist`."""
    blocks = []
    answered = any(t.metrics.get("e2e_ms", _NONE).count for t in targets)
    for shown in _DISTRIBUTIONS:
        dists = [t.metrics.get(shown.key, _NONE) for t in targets]
        if not any(d.count for d in dists) and (shown.key != "ttft_ms" or answered):
            continue
        mark = shown.key != CHUNK_GAP.key
        cells = {p: tuple(_percentile(d, p, mark=mark) for d in dists) for p in (*shown.percentiles, *more)}
        blocks.append([Line(shown.label, of, p) for p, of in cells.items()])
        if shown.with_failures and any(map(_has_failures, dists)):
            cells = {p: tuple(_with_failures(d, p) for d in dists) for p in _BOUNDED}
            blocks.append([Line(WITH_FAILURES, of, p, indent=True) for p, of in cells.items()])
    return blocks


def headline(targets: Sequence[TargetReport]) -> str:
    """Return the key of what an answer is about: the first token, or where answers come whole, the answer."""
    return "ttft_ms" if any(t.metrics.get("ttft_ms", _NONE).count for t in targets) else "e2e_ms"


def alerts(report: Report) -> list[tuple[str, str]]:
    """What has to be said loudly before any figure: (word, sentence)."""
    found = []
    if report.run.simulated:
        simulated = [name_of(t) for t in report.targets if t.simulated]
        who = "" if len(simulated) == len(report.targets) else f"{', '.join(dict.fromkeys(simulated))}: "
        found.append(("SIMULATED", f"{who}the built-in simulator answered, not a model"))
    if insecure := dict.fromkeys(name_of(t) for t in report.targets if t.insecure):
        found.append(("INSECURE", f"{', '.join(insecure)}: the server's certificate was not checked"))
    if stopped := _stopped(report):
        word, why = stopped
        found.append((word, f"{why}; these are the figures up to then{window_cut(report.run)}"))
    return found


def _stopped(report: Report) -> tuple[str, str] | None:
    """Return what ended the run before its time: a word, and in words."""
    run = report.run
    if not run.complete:
        return "INCOMPLETE", "the run was killed"
    if run.stopped_by == "errors":
        return "STOPPED", _too_many_failed(report)
    if run.stopped_by == "budget":
        return "BUDGET", f"stopped before it could cost more than USD {format_usd(run.max_usd or 0.0)}"
    return ("INTERRUPTED", "the run was stopped early") if run.interrupted else None


def _too_many_failed(report: Report) -> str:
    """Say the bound of `load.stop_at_errors`, and what came of the window's requests, warm-up left out."""
    rule = report.run.load.get("stop_at_errors")
    if not rule:
        return "too many requests failed"
    failed = sum(t.requests.failed for t in report.targets)
    ended = failed + sum(t.requests.ok for t in report.targets)
    of = f", of the whole window {failed:,} of {ended:,} ({100 * failed / ended:.1f} %)" if ended else ""
    return f"more than {100 * rule['share']:.4g} % of what ended within {rule['over']} failed{of}"


def window_cut(run: Run) -> str:
    """Say how long a window was that ended before its time; nothing of a whole one, and of levels'."""
    planned = run.load.get("duration")
    was = format_number(run.window_s)
    if run.load.get("levels") or (planned and was == format_number(parse_duration(planned) / NS_PER_S)):
        return ""
    return f": a window of {was} s" + (f" instead of {planned}" if planned else "")


def legend(report: Report) -> str:
    """Explain the words of the figures that are shown."""
    failures = any(line.label == WITH_FAILURES for block in distributions(report.targets) for line in block)
    return _LEGEND + _LEGEND_FAILURES if failures else _LEGEND


def unbounded(report: Report) -> list[Dist]:
    """Return the distributions that are shown with a percentile that is not bounded."""
    keys = [s.key for s in _DISTRIBUTIONS if s.key != CHUNK_GAP.key]
    shown = [t.metrics[key] for t in report.targets for key in keys if key in t.metrics]
    return [d for d in shown if d.count and any(d.ci95.get(p) is None for p in _BOUNDED)]


def describe_load(load: dict[str, Any]) -> str:
    """Write the scenario's load in one line: "concurrency 32, ramp 2s, duration 20s"."""
    parts = []
    for key, value in load.items():
        if value in (None, 0, "", [], {}):
            continue
        name, unit = (key[:-2], " s") if key.endswith("_s") else (key, "")
        parts.append(f"{name.replace('_', ' ')} {_plainly(value)}{unit}".removesuffix(" true"))
        if key == "max_in_flight" and "over_cap" not in load:
            parts.append("over cap delay")  # the default, but what the cap does has to be known
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


def _failed(target: TargetReport) -> Cell:
    failed, ended = target.requests.failed, target.requests.failed + target.requests.ok
    if not failed:
        return Cell("0")
    share = 100 * failed / ended
    text = "< 0.1" if share < 0.1 else "> 99.9" if 99.9 < share < 100 else f"{share:.1f}"
    return Cell(f"{failed:,}", f"({text} %)", bad=True)


def _percentile(dist: Dist, name: str, *, mark: bool = True) -> Cell:
    """mark: whether a percentile without an interval is one of too few requests."""
    value = getattr(dist, name)
    if value is None or name not in _BOUNDED:
        return Cell(number(value))
    if (interval := dist.ci95.get(name)) is None:
        return Cell(format_number(value), UNBOUNDED if mark else "")
    return Cell(format_number(value), f"({format_number(interval[0])}{_TO}{format_number(interval[1])})")


def marked(dist: Dist, name: str) -> str:
    """Write a percentile without its interval, and the mark of one that has none."""
    cell = _percentile(dist, name)
    return str(cell) if cell.more == UNBOUNDED else cell.value


def _with_failures(dist: Dist, name: str) -> Cell:
    found = dist.with_failures
    return Cell(number(getattr(found, name)) if isinstance(found, WithFailures) else NOTHING)


def _has_failures(dist: Dist) -> bool:
    """Whether there are successful requests, and others beside them: failed, cut off, dropped."""
    return isinstance(dist.with_failures, WithFailures) and 0 < dist.count < dist.with_failures.count
