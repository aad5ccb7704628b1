"""The objectives of `[slo]` against what was measured: for each target, at each level."""

import math
from collections.abc import Sequence

from loadgen.measure.histogram import order_ranks, with_failures
from loadgen.measure.metrics import ALL_METRICS, Metric
from loadgen.measure.recorder import FAILURE_METRICS, TargetRecorder
from loadgen.results.model import Above, ObjectiveReport
from loadgen.scenario.slo import Objective

_NONE = "no request has it"
_ENOUGH = 3.0  # events to be expected at the bound: without any seen, it is then kept with 95 % (e^-3 < 5 %)


def evaluate(objectives: Sequence[Objective], recorder: TargetRecorder) -> tuple[ObjectiveReport, ...]:
    """Say of each objective what was measured, and whether that meets it."""
    return tuple(_share(o, recorder) if o.at is None else _percentile(o, o.at, recorder) for o in objectives)


def over_all(
    recorder: TargetRecorder, metric: Metric, percents: Sequence[float]
) -> tuple[int, dict[float, float | tuple[float]]]:
    """Return percentiles of a latency over all requests (see `with_failures`), and over how many: 0 for none.

    What a cap dropped has failed as well, but only from plan: it has no other time.
    """
    row = FAILURE_METRICS.index(metric)
    failed = recorder.failed + (recorder.dropped if metric.name.endswith("from_plan") else 0)
    done = recorder.counts[ALL_METRICS.index(metric)] + recorder.reached[row]
    censored = recorder.censored[row]
    count = int(done.sum() + censored.sum()) + failed
    # answers that come as one body have no first token, and then a failure is no late one either
    if not count or (recorder.outcomes["measure"]["ok"] and not done.any()):
        return 0, {}
    return count, with_failures(done, censored, failed, metric.scale, percents)


def _percentile(objective: Objective, at: str, recorder: TargetRecorder) -> ObjectiveReport:
    percent = float(at[1:])
    metric = next(m for m in ALL_METRICS if m.name == objective.metric)
    measured: float | tuple[float] | None
    if metric.failures:
        count, found = over_all(recorder, metric, [percent])
        measured = found.get(percent)
    else:
        of = recorder.distribution(metric.name)
        count, measured = of.count, of.percentile(percent)
    few = count and order_ranks(count, percent / 100) is None
    note = f"{count:,} values can't bound {at}" if few else "" if count else _NONE
    if isinstance(measured, tuple):
        return ObjectiveReport(objective.text, Above(float(f"{measured[0]:.5g}")), met=False, note=note)
    return _figure(objective, measured, note)


def _share(objective: Objective, recorder: TargetRecorder) -> ObjectiveReport:
    ok, failed = recorder.outcomes["measure"]["ok"], recorder.failed
    part, of = failed, ok + failed
    rare = objective.bound
    if objective.metric == "goodput":
        part, of = recorder.good, ok + failed + recorder.dropped
        rare = round(1 - objective.bound, 9)
    if not of:
        return _figure(objective, None, _NONE)
    few = 0 < of * rare < _ENOUGH
    note = f"{of:,} requests can't tell: {math.ceil(_ENOUGH / rare):,} could" if few else ""
    return _figure(objective, part / of, note)


def _figure(objective: Objective, measured: float | None, note: str) -> ObjectiveReport:
    """One with a figure, or with none: what nothing shows to be met is missed."""
    if measured is None:
        return ObjectiveReport(objective.text, None, met=False, note=note)
    met = measured >= objective.bound if objective.at_least else measured <= objective.bound
    return ObjectiveReport(objective.text, float(f"{measured:.5g}"), met=met, note=note)
