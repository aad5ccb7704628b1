"""What reports say beside the figures of targets: levels and groups as tables, facts as sentences."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from loadgen.answers.slices import words
from loadgen.report import money
from loadgen.report import routes as of_routes
from loadgen.report.figures import NOTHING, clean
from loadgen.results.model import Dist, GroupReport, Report, TargetReport
from loadgen.units import format_number

_NONE: Final = Dist(count=0)
_SAME: Final = 0.02


class Grid(NamedTuple):
    """A table of text: heads and rows; the first column is text, others are numbers. times: it has some."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    times: bool = True


def _percentile(key: str, name: str) -> Callable[[TargetReport], str]:
    return lambda target: _number(getattr(target.metrics.get(key, _NONE), name))


_LEVEL_COLUMNS: Final[tuple[tuple[str, Callable[[TargetReport], str]], ...]] = (
    ("done req/s", lambda t: _number(t.rates.requests_per_s)),
    ("tokens/s", lambda t: _number(t.rates.output_tokens_per_s)),
    ("TTFT p50", _percentile("ttft_ms", "p50")),
    ("p99", _percentile("ttft_ms", "p99")),
    ("TPOT p50", _percentile("tpot_ms", "p50")),
    ("failed", lambda t: f"{t.requests.failed:,}"),
)


def levels(report: Report) -> Grid | None:
    """One row a target and level; None where the load has one level."""
    if not any(t.level for t in report.targets):
        return None
    alone = len({t.target for t in report.targets}) == 1
    dropped = any(t.requests.dropped for t in report.targets)
    columns = [
        *(
            (("offered req/s", lambda t: _number(t.rates.offered_requests_per_s)),)
            if report.run.open_loop
            else ()
        ),
        *_LEVEL_COLUMNS,
        *((("dropped", lambda t: f"{t.requests.dropped:,}"),) if dropped else ()),
        *((("cost USD", money.total),) if any(t.cost for t in report.targets) else ()),
    ]
    rows = [(clean(t.level if alone else t.name), *(cell(t) for _, cell in columns)) for t in report.targets]
    return Grid(("level", *(head for head, _ in columns)), tuple(rows))


def routes(report: Report) -> Grid | None:
    """One row a route; None without any."""
    rows = of_routes.rows(report)
    return Grid(of_routes.HEADS, tuple(rows), times=False) if rows else None


def groups(report: Report) -> Grid | None:
    """One row a task, and for first and later turns; None where there is nothing to tell apart."""
    rows = []
    for target in report.targets:
        whose = f"{clean(target.name)}: " if len(report.targets) > 1 else ""
        rows += [_group(group, whose) for group in target.groups]
    heads = ("task or turn", "requests", "failed", "TTFT p50", "p99", "TPOT p50", "e2e p50", "p99")
    return Grid(heads, tuple(rows)) if rows else None


def _group(group: GroupReport, whose: str) -> tuple[str, ...]:
    ttft, tpot, e2e = (group.metrics.get(key, _NONE) for key in ("ttft_ms", "tpot_ms", "e2e_ms"))
    name = {"turn": f"{group.name} turns", "route": f"to {group.name}"}.get(group.by, group.name)
    values = (ttft.p50, ttft.p99, tpot.p50, e2e.p50, e2e.p99)
    return (whose + clean(name), f"{group.requests:,}", f"{group.failed:,}", *map(_number, values))


def sentences(report: Report) -> list[str]:
    """What was delivered of what was asked for; what a cache served; what the slowest have in common."""
    said = [
        *_each(report.targets, [_got(t, "prompt") for t in report.targets]),
        *_each(report.targets, [_got(t, "output") for t in report.targets]),
        *_cached(report.targets),
    ]
    said += _each(report.targets, [words(t.slowest) for t in report.targets])
    said += [clean(flag) for flag in report.comparison_flags]
    return [*said, *of_routes.sentences(report), *_arrivals(report), *_prompts(report)]


def _each(targets: Sequence[TargetReport], texts: Sequence[str]) -> Iterator[str]:
    """Yield each sentence once, with the names of its targets unless it is true of all."""
    for text in dict.fromkeys(filter(None, texts)):
        whose = [clean(t.name) for t, said in zip(targets, texts, strict=True) if said == text]
        yield text if len(whose) == len(targets) else f"{', '.join(whose)}: {text}"


def _got(target: TargetReport, what: str) -> str:
    asked, got, share = (
        target.metrics.get(key, _NONE)
        for key in (f"asked_{what}_tokens", f"{what}_tokens", f"{what}_tokens_of_asked")
    )
    if share.p50 is None or asked.p50 is None or got.p50 is None:
        return ""
    percent = abs(share.p50 - 1) * 100
    more = "as asked" if percent < 0.05 else f"{percent:.1f} % {'more' if share.p50 > 1 else 'fewer'}"
    if not asked.count == got.count == share.count:
        return f"{what} tokens against those asked for: {more} (median)"
    if (
        percent < 0.05 and abs(got.p50 / asked.p50 - 1) > _SAME
    ):  # not all that was sent had asked for a length
        return f"{what} tokens: of a request that asked for a length as asked (median), of all {got.p50:,.0f}"
    return f"{what} tokens: asked {asked.p50:,.0f}, got {got.p50:,.0f} (medians), {more}"


def _cached(targets: Sequence[TargetReport]) -> Iterator[str]:
    """One sentence a target, over all of its levels."""
    names = dict.fromkeys(t.target or t.name for t in targets)
    for name in names:
        mine = [t for t in targets if name in (t.target, t.name)]
        ok, told = sum(t.requests.ok for t in mine), sum(t.tokens.requests_cache_told for t in mine)
        whose = f"{clean(name)}: " if len(names) > 1 else ""
        if ok and not told:
            yield f"{whose}prompt cache: not known, the server does not tell what it had cached"
        elif told:
            tokens = max(1, sum(t.tokens.prompt_cache_told for t in mine))
            share = 100 * sum(t.tokens.cached for t in mine) / tokens
            some = f" (told of {told:,} requests of {ok:,})" if told < ok else ""
            yield f"{whose}prompt cache: {share:.1f} % of the prompt tokens came from it{some}"


def _arrivals(report: Report) -> Iterator[str]:
    known = report.instrument.arrivals
    if not report.run.open_loop or "sent" not in known:
        return
    text = f"arrivals: {known['planned'] or 0:,} planned, {known['sent']:,} delivered"
    for what in ("dropped", "delayed"):
        if known.get(what):
            text += f", {known[what]:,} {what} by max_in_flight"
    rates = known.get("rate_planned_per_s"), known.get("rate_delivered_per_s")
    if None not in rates:
        text += f"; {_number(rates[0])}/s planned, {_number(rates[1])}/s delivered"
    gaps = known.get("planned_gap_cv"), known.get("delivered_gap_cv")
    if None not in gaps:
        text += f"; variation of gaps {gaps[0]:.2f} planned, {gaps[1]:.2f} delivered"
    yield text


def _prompts(report: Report) -> Iterator[str]:
    aside = [f"{n:,} {clean(what)}" for what, n in report.run.set_aside.items() if n]
    if aside:
        why = " (too long for the context)" if {"skipped", "clipped"} & report.run.set_aside.keys() else ""
        yield f"prompts set aside: {', '.join(aside)}{why}"
    if report.run.stopped_by == "prompts":
        yield "the prompts were used up before the window's end"
    if report.run.stopped_by == "until":
        yield "the window ended when the chosen percentiles were known as closely as asked for"


def _number(value: float | None) -> str:
    return NOTHING if value is None else format_number(value)
