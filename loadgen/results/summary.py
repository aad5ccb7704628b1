"""A recorder's counts → the figures of report.json. The same for a run that ends and one read back."""

from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from loadgen import __version__
from loadgen.measure.groups import GROUP_METRICS, Groups
from loadgen.measure.histogram import Counts, Distribution, decode, with_failures
from loadgen.measure.metrics import ALL_METRICS, MS, Metric
from loadgen.measure.recorder import FAILURE_METRICS, PHASES, LevelWindow, Recorder, TargetRecorder
from loadgen.results.model import (
    FORMAT,
    Above,
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
from loadgen.units import NS_PER_MS, NS_PER_S

_INTERVALS = (50, 90, 99)


class TargetFacts(msgspec.Struct, frozen=True):
    """What a report says of a target beside its measurements; written down when the run starts."""

    name: str
    model: str
    base_url: str
    endpoint: str
    simulated: bool
    insecure: bool


class Window(msgspec.Struct, frozen=True):
    """The measurement window: offsets from the epoch; `end_ns` None when the count of requests ends it."""

    start_ns: int
    end_ns: int | None


class Vitals(msgspec.Struct, frozen=True):
    """How the generator fared so far. loop_lag: an encoded histogram in µs (`histogram.encode`)."""

    loop_lag: str
    cpu_share: float | None = None
    cpu_share_max: float | None = None
    gc_pause_ns_max: int = 0
    gc_collections: int = 0
    connections_max: int | None = None
    rss_max: int | None = None


class RunState(msgspec.Struct, frozen=True):
    """run.json: all that a report needs beside the samples. Written when the run starts and as it goes on.

    planned: requests that the plan has for the window, over all targets; None where only time ends it.
    ran_out: targets that had no more to send before the window's end. levels: where the load has several,
    each with its window; `window` is then the last one's. dropped: arrivals of the windows that a cap did
    away with, by the recorder's name. arrivals: of an open loop, what is known beside the samples: while it
    runs no more than {"delayed": n}, at the end `Arrivals.summary`.
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
    """Percentiles in which failures and cut-offs have their place; dropped: only from_plan."""
    failed = recorder.failed + (recorder.dropped if metric.name.endswith("from_plan") else 0)
    row = FAILURE_METRICS.index(metric)
    done = recorder.counts[ALL_METRICS.index(metric)] + recorder.reached[row]
    censored = recorder.censored[row]
    count = int(done.sum() + censored.sum()) + failed
    if not count:
        return WithFailures(count=0)
    found = with_failures(done, censored, failed, metric.scale, _INTERVALS)
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
    sources = {source: n for source, n in sorted(recorder.token_sources.items()) if n}
    source = None if not sources else next(iter(sources)) if len(sources) == 1 else "mixed"
    sums = recorder.tokens
    return Tokens(
        prompt=sums["prompt"],
        cached=sums["cached"],
        reasoning=sums["reasoning"],
        output=sums["output"],
        source=source,
        sources=sources,
        prompt_cache_told=recorder.prompt_tokens_told,
        requests_cache_told=recorder.requests_told,
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


def target_report(facts: TargetFacts, recorder: TargetRecorder, window: Window) -> TargetReport:
    """All figures of one target over its window."""
    window_s = max(0, (window.end_ns or 0) - window.start_ns) / NS_PER_S
    requests = _requests(recorder)

    def rate(n: float) -> float | None:
        return _round(n / window_s) if window_s else None

    return TargetReport(
        **msgspec.structs.asdict(facts) | {"name": recorder.name},
        target=recorder.target,
        level=recorder.level.label,
        window_s=window_s,
        requests=requests,
        tokens=_tokens(recorder),
        rates=Rates(
            offered_requests_per_s=rate(requests.sent + requests.dropped),
            requests_per_s=rate(recorder.window_ok),
            output_tokens_per_s=rate(recorder.window_output_tokens),
            good_requests_per_s=rate(recorder.window_ok),
            delivered_requests_per_s=rate(recorder.left),
        ),
        errors=dict(recorder.errors.most_common(20)),
        metrics=metrics(recorder),
        series=recorder.series.table(),
        groups=(*_groups("task", recorder.by_task), *_groups("turn", recorder.by_turn)),
        sessions=Sessions(recorder.sessions_begun, recorder.sessions_ended, recorder.sessions_failed),
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
    )


def build_report(state: RunState, recorder: Recorder) -> Report:
    """Make the report, still without its verdict."""
    for name, n in state.dropped.items():
        recorder.targets[name].dropped = n
    facts = {f.name: f for f in state.targets}
    targets = tuple(target_report(facts[r.target], r, state.window_of(r)) for r in recorder.targets.values())
    window_s = max((t.window_s for t in targets), default=0.0)
    return Report(
        format=FORMAT,
        loadgen=__version__,
        run=msgspec.structs.replace(state.run, window_s=window_s),
        verdict=Verdict("valid"),
        instrument=_instrument(state, recorder),
        targets=targets,
    )
