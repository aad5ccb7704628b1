"""What reports say beside the figures of targets: levels and groups as tables, facts as sentences."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from loadgen.report.figures import NOTHING, clean
from loadgen.results.model import Dist, GroupReport, Report, TargetReport
from loadgen.units import format_number

_NONE: Final = Dist(count=0)


class Grid(NamedTuple):
    """A table of text: heads and rows; the first column is text, the others are numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def levels(report: Report) -> Grid | None:
    """One row a target and level; None where the load has one level."""
    if not any(t.level for t in report.targets):
        return None
    heads = ("level", "requests/s", "tokens/s", "TTFT p50", "p99", "TPOT p50", "p99", "failed")
    alone = len({t.target for t in report.targets}) == 1
    return Grid(heads, tuple(_level(t, t.level if alone else t.name) for t in report.targets))


def _level(target: TargetReport, name: str) -> tuple[str, ...]:
    ttft, tpot = (target.metrics.get(key, _NONE) for key in ("ttft_ms", "tpot_ms"))
    rates = target.rates.requests_per_s, target.rates.output_tokens_per_s
    values = (*rates, ttft.p50, ttft.p99, tpot.p50, tpot.p99)
    return (clean(name), *map(_number, values), f"{target.requests.failed:,}")


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
    name = f"{group.name} turns" if group.by == "turn" else clean(group.name)
    values = (ttft.p50, ttft.p99, tpot.p50, e2e.p50, e2e.p99)
    return (whose + name, f"{group.requests:,}", f"{group.failed:,}", *map(_number, values))


def sentences(report: Report) -> list[str]:
    """What was delivered of what was asked for: lengths, arrivals, prompts; and what a cache served."""
    said = [
        *_each(report.targets, [_got(t, "prompt") for t in report.targets]),
        *_each(report.targets, [_got(t, "output") for t in report.targets]),
        *_each(report.targets, [_cached(t) for t in report.targets]),
    ]
    return [*said, *_arrivals(report), *_prompts(report)]


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
        return f"{what} tokens against those asked for: {more} at the median of {share.count:,} requests"
    return f"{what} tokens: asked {asked.p50:,.0f}, got {got.p50:,.0f} (medians), {more}"


def _cached(target: TargetReport) -> str:
    tokens = target.tokens
    if not target.requests.ok:
        return ""
    if not tokens.prompt_cache_told:
        return "prompt cache: not known, the server does not tell how much of a prompt it had cached"
    share = 100 * tokens.cached / tokens.prompt_cache_told
    text = f"prompt cache: {share:.1f} % of the prompt tokens came from the server's cache"
    if tokens.requests_cache_told < target.requests.ok:
        text += f" (told of {tokens.requests_cache_told:,} requests of {target.requests.ok:,})"
    return text


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
        yield f"prompts too long for the context: {', '.join(aside)}"
    if report.run.stopped_by == "prompts":
        yield "the prompts were used up before the window's end"
    if report.run.stopped_by == "until":
        yield "the window ended when the chosen percentiles were known as closely as asked for"


def _number(value: float | None) -> str:
    return NOTHING if value is None else format_number(value)
