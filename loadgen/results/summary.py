"""A recorder's counts → the figures of report.json. The same for a run that ends and one read back."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from loadgen import __version__
from loadgen.catalog.price import Price
from loadgen.measure.groups import GROUP_METRICS, Groups
from loadgen.measure.histogram import Counts, Distribution, decode
from loadgen.measure.metrics import ALL_METRICS, MS, Metric
from loadgen.measure.recorder import PHASES, LevelWindow, Recorder, TargetRecorder
from loadgen.results.cost import MONTH_S, Work, cost
from loadgen.results.model import (
    FORMAT,
    Above,
    Cost,
    Dist,
    GroupReport,
    Instrument,
    Rates,
    Report,
    Requests,
    Run,
    Sessions,
    TargetReport,
    Tokens,
    Verdict,
    WithFailures,
)
from loadgen.results.objectives import evaluate, over_all
from loadgen.results.routes import RouteFacts, routes_report
from loadgen.scenario.slo import Objective
from loadgen.units import NS_PER_MS, NS_PER_S

_INTERVALS = (50, 90, 99)


class TargetFacts(msgspec.Struct, frozen=True):
    """What a report says of a target beside its measurements; written down when the run starts.

    price: what its requests cost, so that they cost the same whenever the report is made; price_source: who
    says so, None where nobody does. before: what probe and calibration have cost in USD, how many of them,
    and how many more whose cost nothing told.
    """

    name: str
    model: str
    base_url: str
    endpoint: str
    simulated: bool
    insecure: bool
    price: Price | None = None
    price_source: str | None = None
    before: tuple[float, int, int] = (0.0, 0, 0)


class Window(msgspec.Struct, frozen=True):
    """The measurement window: offsets from the epoch; `end_ns` None when the count of requests ends it."""

    start_ns: int
    end_ns: int | None


class Vitals(msgspec.Struct, frozen=True):
    """How the generator fared so far. loop_lag: an encoded histogram in µs (`histogram.encode`).

    instants: see `Instrument`; clock_set_ns: see `Health`.
    """

    loop_lag: str
    cpu_share: float | None = None
    cpu_share_max: float | None = None
    gc_pause_ns_max: int = 0
    gc_collections: int = 0
    connections_max: int | None = None
    rss_max: int | None = None
    core_waited_share: float | None = None
    instants: str = "loop"
    clock_set_ns: int = 0


class RunState(msgspec.Struct, frozen=True):
    """run.json: all that a report needs beside the samples. Written when the run starts and as it goes on.

    planned: requests that the plan has for the window, over all targets; None where only time ends it.
    ran_out: targets that had no more to send before the window's end. levels: where the load has several,
    each with its window; `window` is then the last one's. dropped: arrivals of the windows that a cap did
    away with, by the recorder's name. arrivals: of an open loop, what is known beside the samples: while it
    runs no more than {"delayed": n}, at the end `Arrivals.summary`. routes: of the routed mix. objectives: of
    `[slo]`.
    """

    run: Run
    targets: tuple[TargetFacts, ...]
    window: Window
    vitals: Vitals
    planned: int | None
    ran_out: tuple[str, ...] = ()
    levels: tuple[LevelWindow, ...] = ()
    dropped: dict[str, int] = {}
    arrivals: dict[str, Any] = {}
    routes: tuple[RouteFacts, ...] = ()
    objectives: tuple[Objective, ...] = ()

    def window_of(self, recorder: TargetRecorder) -> Window:
        """Return the window of one target; where it had no more to send, it ends with the last answer."""
        for label, start_ns, end_ns in self.levels:
            if label == recorder.level.label and len(self.levels) > 1:
                return Window(start_ns, end_ns)
        end_ns, last_ns = self.window.end_ns, recorder.last_done_ns
        if end_ns is None or (recorder.name in self.ran_out and last_ns < end_ns):
            end_ns = last_ns
        return Window(self.window.start_ns, end_ns)


def _round(value: float | None) -> float | None:
    """Four digits are one more than a histogram has."""
    return None if value is None else float(f"{value:.5g}")


def dist(counts: Counts, scale: float, extra: WithFailures | UnsetType = UNSET) -> Dist:
    """Read one row of counts. scale: histogram unit → reported unit."""
    d = Distribution(counts, scale)
    moments = d.moments()
    if moments is None:
        return Dist(count=0, with_failures=extra)
    ci95: dict[str, tuple[float, float] | None] = {}
    for p in _INTERVALS:
        bounds = d.interval(p)
        ci95[f"p{p}"] = None if bounds is None else (float(f"{bounds[0]:.5g}"), float(f"{bounds[1]:.5g}"))
    return Dist(
        count=d.count,
        mean=_round(moments[0]),
        stddev=_round(moments[1]),
        min=_round(d.at_rank(1)),
        max=_round(d.at_rank(d.count)),
        p1=_round(d.percentile(1)),
        p5=_round(d.percentile(5)),
        p10=_round(d.percentile(10)),
        p50=_round(d.percentile(50)),
        p75=_round(d.percentile(75)),
        p90=_round(d.percentile(90)),
        p95=_round(d.percentile(95)),
        p99=_round(d.percentile(99)),
        p999=_round(d.percentile(99.9)),
        ci95=ci95,
        with_failures=extra,
    )


def _all_requests(recorder: TargetRecorder, metric: Metric) -> WithFailures:
    """Percentiles in which failures and cut-offs have their place."""
    count, found = over_all(recorder, metric, _INTERVALS)
    if not count:
        return WithFailures(count=0)
    read = {
        f"p{p}": Above(float(f"{v[0]:.5g}")) if isinstance(v, tuple) else float(f"{v:.5g}")
        for p, v in found.items()
    }
    return WithFailures(count=count, **read)


def metrics(recorder: TargetRecorder) -> dict[str, Dist]:
    """Every metric of a target, by its key."""
    return {
        metric.key: dist(
            recorder.counts[row], metric.scale, _all_requests(recorder, metric) if metric.failures else UNSET
        )
        for row, metric in enumerate(ALL_METRICS)
    }


def _requests(recorder: TargetRecorder) -> Requests:
    outcomes = recorder.outcomes["measure"]
    return Requests(
        sent=outcomes.total(),
        ok=outcomes["ok"],
        failed=recorder.failed,
        cancelled=outcomes["cancelled"],
        outcomes={o: n for o, n in sorted(outcomes.items()) if n},
        dropped=recorder.dropped,
        late=recorder.late,
        resent=recorder.resent,
        phases={p: {o: n for o, n in sorted(recorder.outcomes[p].items()) if n} for p in PHASES},
    )


def _tokens(recorder: TargetRecorder) -> Tokens:
    sources = {source: n for source, n in sorted(recorder.tokens.sources.items()) if n}
    source = None if not sources else next(iter(sources)) if len(sources) == 1 else "mixed"
    sums = recorder.tokens.sums
    return Tokens(
        prompt=sums["prompt"],
        cached=sums["cached"],
        reasoning=sums["reasoning"],
        output=sums["output"],
        source=source,
        sources=sources,
        prompt_cache_told=recorder.tokens.prompt_told,
        requests_cache_told=recorder.tokens.requests_told,
    )


def _groups(by: str, groups: Groups) -> list[GroupReport]:
    return [
        GroupReport(
            by=by,
            name=name,
            requests=group.requests,
            ok=group.ok,
            failed=group.failed,
            metrics={
                m.key: dist(counts, m.scale) for m, counts in zip(GROUP_METRICS, group.counts, strict=True)
            },
        )
        for name, group in sorted(groups.table.items())
    ]


def _cost(facts: TargetFacts, recorder: TargetRecorder, window_s: float, per_s: float) -> Cost | None:
    """per_s: requests a second that a month is to be made of."""
    if facts.price_source is None:
        return None
    month = per_s * MONTH_S
    work = Work(recorder.window_ok, recorder.window_output_tokens, window_s, recorder.good, month)
    return cost(facts.price, facts.price_source, recorder.spending, facts.before, work)


def target_report(
    facts: TargetFacts,
    recorder: TargetRecorder,
    window: Window,
    routes: Sequence[RouteFacts] = (),
    *,
    objectives: Sequence[Objective] = (),
    month_per_s: float | None = None,
) -> TargetReport:
    """All figures of one target over its window; month_per_s: requests/s of a month, None: as offered."""
    window_s = _length_s(window)
    requests = _requests(recorder)

    def rate(n: float) -> float | None:
        return _round(n / window_s) if window_s else None

    by = {"task": recorder.by_task, "turn": recorder.by_turn, "route": recorder.by_route}
    offered, done = requests.sent + requests.dropped, recorder.window_ok
    offered_per_s = offered / window_s if window_s else 0.0
    return TargetReport(
        name=recorder.name,
        model=facts.model,
        base_url=facts.base_url,
        endpoint=facts.endpoint,
        simulated=facts.simulated,
        insecure=facts.insecure,
        target=recorder.target,
        level=recorder.level.label,
        window_s=window_s,
        requests=requests,
        tokens=_tokens(recorder),
        rates=Rates(
            offered_requests_per_s=rate(offered),
            requests_per_s=rate(done),
            output_tokens_per_s=rate(recorder.window_output_tokens),
            good_requests_per_s=rate(recorder.window_good),
            delivered_requests_per_s=rate(recorder.left),
        ),
        errors=dict(recorder.errors.counts.most_common(20)),
        metrics=metrics(recorder),
        series=recorder.series.table(),
        cost=_cost(facts, recorder, window_s, offered_per_s if month_per_s is None else month_per_s),
        groups=tuple(group for name, groups in by.items() for group in _groups(name, groups)),
        slo=evaluate(objectives, recorder),
        sessions=Sessions(recorder.sessions_begun, recorder.sessions_ended, recorder.sessions_failed),
        routes=routes_report(routes, recorder.routing),
    )


def _instrument(state: RunState, recorder: Recorder) -> Instrument:
    vitals = state.vitals
    send_lag = next(i for i, m in enumerate(ALL_METRICS) if m.name == "send_lag")
    lags = [r.counts[send_lag] for r in recorder.targets.values()]
    begun = sum(r.outcomes["measure"].total() for r in recorder.targets.values())
    return Instrument(
        loop_lag_ms=dist(decode(vitals.loop_lag), MS),
        send_lag_ms=dist(np.sum(lags, axis=0), MS),
        cpu_share=_round(vitals.cpu_share),
        cpu_share_max=_round(vitals.cpu_share_max),
        gc_pause_ms_max=_round(vitals.gc_pause_ns_max / NS_PER_MS),
        gc_collections=vitals.gc_collections,
        connections_max=vitals.connections_max,
        rss_mb_max=None if vitals.rss_max is None else round(vitals.rss_max / 1e6, 1),
        arrivals={"planned": state.planned, "begun": begun} | state.arrivals,
        core_waited_share=_round(vitals.core_waited_share),
        instants=vitals.instants,
        clock_set_ms=_round(vitals.clock_set_ns / NS_PER_MS),
    )


def _length_s(window: Window) -> float:
    return max(0, (window.end_ns or 0) - window.start_ns) / NS_PER_S


def _common_per_s(state: RunState, recorder: Recorder, of: TargetRecorder) -> float | None:
    """Return the rate that a month is made of in a closed loop, None in an open one.

    There the faster target does more work; so that the months are of one traffic, it is the slowest's.
    """
    if state.run.open_loop:
        return None
    same = [r for r in recorder.targets.values() if r.level.label == of.level.label]
    lengths = [(r.window_ok, _length_s(state.window_of(r))) for r in same]
    return min((done / length_s for done, length_s in lengths if done and length_s), default=0.0)


def build_report(state: RunState, recorder: Recorder) -> Report:
    """Make the report, still without its verdict."""
    for name, n in state.dropped.items():
        recorder.targets[name].dropped = n
    facts = {f.name: f for f in state.targets}
    targets = []
    for r in recorder.targets.values():
        of, window, per_s = facts[r.target], state.window_of(r), _common_per_s(state, recorder, r)
        targets.append(
            target_report(of, r, window, state.routes, objectives=state.objectives, month_per_s=per_s)
        )
        # what was sent before the first level is not in the others
        facts[r.target] = msgspec.structs.replace(of, before=(0.0, 0, 0))
    window_s = max((t.window_s for t in targets), default=0.0)
    return Report(
        format=FORMAT,
        loadgen=__version__,
        run=msgspec.structs.replace(state.run, window_s=window_s),
        verdict=Verdict("valid"),
        instrument=_instrument(state, recorder),
        targets=tuple(targets),
    )
