"""What reports say below the figures, in sentences."""

from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.answers.slices import words
from loadgen.report.figures import (
    UNBOUNDED,
    clean,
    legend,
    month_usd,
    name_of,
    number,
    unbounded,
    whose,
    window_cut,
)
from loadgen.report.grids import percent
from loadgen.results.model import Cost, Dist, Report, RoutesReport, TargetReport
from loadgen.run.forecast import UNKNOWN
from loadgen.units import format_usd

_NONE: Final = Dist(count=0)
_SAME: Final = 0.02
_TELLING: Final = 0.005


def notes(report: Report) -> list[str]:
    """All of it, for a page."""
    return [*sentences(report), *of_money(report), *footnotes(report), legend(report)]


def sentences(report: Report) -> list[str]:
    """What was delivered of what was asked for; what a cache served; what the slowest have in common."""
    targets = report.targets
    said = [
        *_each(targets, [_got(t, "prompt") for t in targets]),
        *_each(targets, [_got(t, "output") for t in targets]),
        *_cached(report),
        *_each(targets, [words(t.slowest) for t in targets]),
    ]
    said += [clean(flag) for flag in report.comparison_flags]
    said += [f"{clean(t.name)}: {'; '.join(_routed(t.routes))}" for t in targets if t.routes is not None]
    return [*said, *_arrivals(report), *_prompts(report)]


def _each(targets: Sequence[TargetReport], texts: Sequence[str]) -> Iterator[str]:
    """Yield each sentence once, with the names of its targets unless it is true of all."""
    for text in dict.fromkeys(filter(None, texts)):
        of = [clean(t.name) for t, said in zip(targets, texts, strict=True) if said == text]
        yield text if len(of) == len(targets) else f"{', '.join(of)}: {text}"


def _got(target: TargetReport, what: str) -> str:
    asked, got, share = (
        target.metrics.get(key, _NONE)
        for key in (f"asked_{what}_tokens", f"{what}_tokens", f"{what}_tokens_of_asked")
    )
    if share.p50 is None or asked.p50 is None or got.p50 is None:
        return ""
    off = abs(share.p50 - 1) * 100
    more = "as asked" if off < 0.05 else f"{off:.1f} % {'more' if share.p50 > 1 else 'fewer'}"
    if not asked.count == got.count == share.count:
        return f"{what} tokens against those asked for: {more} (median)"
    if off < 0.05 and abs(got.p50 / asked.p50 - 1) > _SAME:  # not all that was sent had asked for a length
        return f"{what} tokens: of a request that asked for a length as asked (median), of all {got.p50:,.0f}"
    return f"{what} tokens: asked {asked.p50:,.0f}, got {got.p50:,.0f} (medians), {more}"


def _cached(report: Report) -> Iterator[str]:
    """One sentence a target, over all of its levels."""
    targets = report.targets
    names = dict.fromkeys(map(name_of, targets))
    for name in names:
        mine = [t for t in targets if name_of(t) == name]
        ok, told = sum(t.requests.ok for t in mine), sum(t.tokens.requests_cache_told for t in mine)
        of = f"{name}: " if len(names) > 1 else ""
        if ok and not told:
            before = "; a run with this salt before will have filled it" if report.run.repeats_prompts else ""
            yield f"{of}prompt cache: not known, the server does not tell what it had cached{before}"
        elif told:
            tokens = max(1, sum(t.tokens.prompt_cache_told for t in mine))
            share = percent(sum(t.tokens.cached for t in mine) / tokens)
            some = f" (told of {told:,} requests of {ok:,})" if told < ok else ""
            yield f"{of}prompt cache: {share} of the prompt tokens came from it{some}"


def _routed(routes: RoutesReport) -> Iterator[str]:
    """Say whom the mix went to, how much was escalated, how many turns changed their target."""
    to = sorted(routes.targets.items(), key=lambda item: -item[1])
    yield "of the requests " + ", ".join(f"{percent(share)} went to {clean(name)}" for name, share in to)
    if len(to) > 1:
        of = [f"{percent(share)} of risk {clean(risk)}" for risk, share in routes.escalated_of_risk.items()]
        yield f"{percent(routes.escalated)} were escalated" + (f" ({', '.join(of)})" if of else "")
    if routes.moved:
        yield f"{routes.moved:,} later turns went to another target than the turn before"


def _arrivals(report: Report) -> Iterator[str]:
    known = report.instrument.arrivals
    if not report.run.open_loop or "sent" not in known:
        return
    text = f"arrivals of the whole run: {known['planned'] or 0:,} planned, {known['sent']:,} delivered"
    if delayed := known.get("delayed"):
        text += f" ({delayed:,} of them late, held back by max_in_flight)"
    if dropped := known.get("dropped"):
        drops = report.run.load.get("over_cap") == "drop"
        text += f", {dropped:,} " + (
            "dropped by max_in_flight" if drops else "never sent: still held back at the end"
        )
    if len({t.level for t in report.targets}) > 1:  # their rates have no common one
        yield text
        return
    rates = known.get("rate_planned_per_s"), known.get("rate_delivered_per_s")
    if None not in rates:
        each = " for each target" if len({name_of(t) for t in report.targets}) > 1 else ""
        rate, law = report.run.load.get("rate"), report.run.load.get("arrivals", "poisson")
        drawn = "drawn at random for " if law != "constant" else ""
        ramped = ", which the ramp comes to only at its end" if report.run.load.get("ramp") else ""
        drawn = f" ({drawn}{clean(str(rate))}{ramped})" if rate is not None and drawn + ramped else ""
        text += f"; {number(rates[0])}/s planned{drawn}, {number(rates[1])}/s delivered{each}"
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
        yield f"the prompts were used up before the window's end{window_cut(report.run)}"
    if report.run.stopped_by == "until":
        why = "the window ended when the chosen percentiles were known as closely as asked for"
        yield why + window_cut(report.run)


def of_money(report: Report) -> Iterator[str]:
    """Say whose prices these are, what is not in the sums, and what a month is."""
    costs = {name_of(t): t.cost for t in report.targets if t.cost is not None}
    names = dict.fromkeys(map(name_of, report.targets))
    if unknown := [name for name in names if name not in costs]:
        yield f"{UNKNOWN}, so no cost: {', '.join(unknown)}"
    if not costs:
        return
    yield "prices: " + "; ".join(f"{name}: {clean(cost.price_source)}" for name, cost in costs.items())
    if any(t.simulated for t in report.targets):
        yield "simulated targets cost what the real ones would have: nothing was paid"
    for target in report.targets:
        if target.cost is not None and (n := target.cost.requests_without_cost):
            of = whose(report, target)
            yield f"{of}requests without a cost, as they told no usage: {n:,} (in none of these sums)"
    open_loop = report.run.open_loop
    if months := {name: cost for name, cost in costs.items() if month_usd(cost, open_loop=open_loop)}:
        at = " at the rate that was offered" if open_loop else ""
        yield f"a month: 730 h{at}{''.join(_beside(name, cost) for name, cost in months.items())}"
    if any(cost.before_usd for cost in costs.values()):
        yield "before the load: the probe, and what measures how much text a token is (the first target)"


def _beside(name: str, cost: Cost) -> str:
    """Say what is not in the month's figure."""
    said = ""
    if cost.price is not None and cost.price.free_tokens:
        said = f"; {name}: {cost.price.free_tokens:,} tokens are free"
    if cost.support_usd_per_month:
        said += f"; {name}: support is USD {format_usd(cost.support_usd_per_month)} more"
    return said


def footnotes(report: Report) -> list[str]:
    """What a reader must know to read the figures right."""
    notes = []
    if loose := unbounded(report):
        fewest = min(d.count for d in loose)
        note = f"{UNBOUNDED} too few requests for a 95 % interval"
        if fewest < 100:
            note += f": p99 of {fewest:,} is the maximum"
        else:
            note += ": it takes 20 independent ones for p50, 100 for p90, 1,000 for p99"
            sizes = [(d.effective[p], d.count) for d in loose for p in d.effective if d.ci95.get(p) is None]
            independent, of = min(sizes, default=(fewest, fewest))
            if independent < 0.9 * of:
                note += f"; {of:,} that share what slows them count as {independent:,} where they are fewest"
        notes.append(note)
    notes += _each(report.targets, [_of_failed(t) for t in report.targets])
    counted = [t for t in report.targets if t.tokens.source not in (None, "usage")]
    # where levels say the same it is said once
    notes += dict.fromkeys(f"{name_of(t)}: {_token_source(t)}" for t in counted)
    if any(one.note and one.measured is not None for t in report.targets for one in t.slo):
        notes.append(f"{UNBOUNDED} of an objective: too few requests to tell; report.json says how few")
    return notes


def _of_failed(target: TargetReport) -> str:
    """Say how much of the output is of requests that did not succeed, which the rate of tokens counts too."""
    ok, output = target.metrics.get("output_tokens", _NONE), target.tokens.output
    other = output - ok.count * (ok.mean or 0.0)
    if target.requests.sent == target.requests.ok or other <= _TELLING * output:
        return ""
    share = percent(other / output)
    return f"output tokens/s counts all that arrived: {share} are of requests that failed or were cut off"


def _token_source(target: TargetReport) -> str:
    if target.tokens.source == "events":
        return "the server reports no usage; every piece of an answer counts as one token"
    if target.tokens.source == "mixed":
        by = ", ".join(f"{n:,} requests by {source}" for source, n in target.tokens.sources.items())
        return f"tokens were counted in different ways: {by}"
    return f"tokens were counted by {target.tokens.source}"
