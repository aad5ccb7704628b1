"""What reports lay out as tables of text: objectives, levels, routes, groups, errors, the run itself."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from loadgen.report.figures import NOTHING, UNBOUNDED, clean, cost, marked, number, usd, whose
from loadgen.results.model import Dist, GroupReport, ObjectiveReport, Report, TargetReport
from loadgen.scenario.slo import SHARES
from loadgen.units import NS_PER_MS, parse_duration

MISSED: Final = "missed"
_NONE: Final = Dist(count=0)


class Grid(NamedTuple):
    """A table: its title, heads and rows; the first column is text, others are numbers where nothing is said.

    times: it has some. verdicts: of each row, of a comparison.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    times: bool = False
    verdicts: tuple[str, ...] = ()


def filled(grid: Grid) -> Grid:
    """Leave out the columns in which no row has anything, but the first."""
    kept = [
        i for i in range(len(grid.heads)) if not i or any(row[i] not in ("", NOTHING) for row in grid.rows)
    ]
    heads, rows = _chosen(grid.heads, kept), tuple(_chosen(row, kept) for row in grid.rows)
    return grid._replace(heads=heads, rows=rows)


def _chosen(cells: Sequence[str], places: Sequence[int]) -> tuple[str, ...]:
    return tuple(cells[i] for i in places)


def sections(report: Report) -> list[Grid]:
    """Return the tables that have a section of their own, in their order; those without rows are left out."""
    return [grid for make in (objectives, levels, routes, groups) if (grid := make(report)).rows]


def objectives(report: Report) -> Grid:
    """One row a target and objective."""
    rows = [
        (whose(report, t) + one.objective, _measured(one), "met" if one.met else MISSED)
        for t in report.targets
        for one in t.slo
    ]
    return Grid("Objectives", ("objective", "measured", ""), tuple(rows), times=True)


def _measured(one: ObjectiveReport) -> str:
    if not isinstance(one.measured, float | int):
        return number(one.measured)
    share = one.objective.startswith(SHARES)
    value, unit = (float(f"{100 * one.measured:.5g}"), " %") if share else (one.measured, "")
    write = _four_digits if share else number
    text, bound = write(value), _bound(one.objective)
    if not one.met and text == write(bound):
        at_least = ">=" in one.objective
        # what was measured is rounded to five digits, which may be the bound itself
        seen = value < bound if at_least else value > bound
        text = f"{value:,.5g}" if seen else f"{'<' if at_least else '>'} {text}"
    return f"{text}{unit} {UNBOUNDED}" if one.note else text + unit


def _four_digits(value: float) -> str:
    return f"{value:.4g}"


def _bound(objective: str) -> float:
    """Return the bound that an objective's text ends in: ms, a number, or percent."""
    text = objective.rpartition(" ")[2]
    if text.endswith("%"):
        return float(text[:-1])
    return float(text) if text[-1].isdigit() else parse_duration(text) / NS_PER_MS


def levels(report: Report) -> Grid:
    """One row a target and level, where the load has levels."""
    targets = report.targets if any(t.level for t in report.targets) else ()
    columns: dict[str, Callable[[TargetReport], str]] = {
        "offered req/s": lambda t: number(t.rates.offered_requests_per_s),
        "done req/s": lambda t: number(t.rates.requests_per_s),
        "tokens/s": lambda t: number(t.rates.output_tokens_per_s),
        "TTFT p50": lambda t: marked(t.metrics.get("ttft_ms", _NONE), "p50"),
        "p99": lambda t: marked(t.metrics.get("ttft_ms", _NONE), "p99"),
        "TPOT p50": lambda t: marked(t.metrics.get("tpot_ms", _NONE), "p50"),
        "failed": lambda t: f"{t.requests.failed:,}",
        "cut off": lambda t: f"{t.requests.cancelled:,}",
        "never sent": lambda t: f"{t.requests.dropped:,}",
        "cost USD": lambda t: str(cost(t, lambda c: c.usd)),
    }
    if not report.run.open_loop:
        del columns["offered req/s"]
    if not any(t.requests.cancelled for t in targets):
        del columns["cut off"]
    if not any(t.requests.dropped for t in targets):
        del columns["never sent"]
    if not any(t.rates.output_tokens_per_s for t in targets):
        del columns["tokens/s"]
    alone = len({t.target for t in targets}) == 1
    rows = [(clean(t.level if alone else t.name), *(cell(t) for cell in columns.values())) for t in targets]
    return filled(Grid("Levels", ("level", *columns), tuple(rows), times=True))


def routes(report: Report) -> Grid:
    """One row a route, for each level."""
    rows = [
        (
            f"{target.level + ': ' if target.level else ''}{i}. {clean(route.when)}",
            clean(route.to),
            f"{route.requests:,}",
            percent(route.share),
            usd(route.usd),
        )
        for target in report.targets
        if target.routes is not None
        for i, route in enumerate(target.routes.routes, 1)
    ]
    return filled(Grid("Routes", ("route", "to", "requests", "share", "cost USD"), tuple(rows)))


def percent(share: float) -> str:
    """Write a share for people."""
    return f"{100 * share:.1f} %"


def groups(report: Report) -> Grid:
    """One row a task, and for first and later turns, where there is something to tell apart."""
    heads = ("task or turn", "requests", "failed", "TTFT p50", "p99", "TPOT p50", "e2e p50", "p99")
    rows = [_group(group, whose(report, target)) for target in report.targets for group in target.groups]
    return filled(Grid("Tasks and turns", heads, tuple(rows), times=True))


def _group(group: GroupReport, of: str) -> tuple[str, ...]:
    ttft, tpot, e2e = (group.metrics.get(key, _NONE) for key in ("ttft_ms", "tpot_ms", "e2e_ms"))
    name = {"turn": f"{group.name} turns", "route": f"to {group.name}"}.get(group.by, group.name)
    values = (ttft.p50, ttft.p99, tpot.p50, e2e.p50, e2e.p99)
    return (of + clean(name), f"{group.requests:,}", f"{group.failed:,}", *map(number, values))


def errors(targets: Sequence[TargetReport]) -> Grid:
    """One row a target and error, in the server's words."""
    rows = [(clean(t.name), f"{n:,}", text) for t in targets for text, n in t.errors.items()]
    return Grid("Errors", ("target", "requests", "error"), tuple(rows))


def environment(report: Report) -> Grid:
    """Facts about the run and the machine, and the labels of the scenario."""
    run = report.run
    facts = {
        "loadgen": report.loadgen,
        "digest of the plan": run.digest,
        "wall time": _in(run.wall_s, "s"),
        "workers": run.workers,
        **run.host,
        **run.labels,
    }
    return Grid("Run", ("", ""), tuple((name, str(value)) for name, value in facts.items()))


def instrument(report: Report) -> Grid:
    """How late and how busy the generator was."""
    fared = report.instrument
    rows = (
        ("instants of reads", "the kernel's" if fared.instants == "kernel" else "the event loop's"),
        ("event loop late", _lag(fared.loop_lag_ms)),
        ("requests sent late", _lag(fared.send_lag_ms)),
        ("CPU", _share(fared.cpu_share)),
        ("CPU, worst second", _share(fared.cpu_share_max)),
        ("waited for its core", _part(fared.core_waited_share)),
        ("garbage collections", str(fared.gc_collections)),
        ("longest pause", _in(fared.gc_pause_ms_max, "ms")),
        ("connections at once", NOTHING if fared.connections_max is None else str(fared.connections_max)),
        ("memory", _in(fared.rss_mb_max, "MB")),
    )
    return Grid("Instrument", ("", ""), rows)


def _lag(dist: Dist) -> str:
    p50, p99, top = (_in(value, "ms") for value in (dist.p50, dist.p99, dist.max))
    return f"p50 {p50}, p99 {p99}, at most {top}" if dist.count else NOTHING


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%} of a core"


def _part(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%} of the time"


def _in(value: float | None, unit: str) -> str:
    return NOTHING if value is None else f"{number(value)} {unit}"
