"""What one request has to keep to be good: the bounds of `[slo]` that it can keep for itself."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from loadgen.measure.metrics import METRICS
from loadgen.measure.sample import Sample
from loadgen.scenario.slo import Objective


class Bound(NamedTuple):
    """A bound of a metric, in the unit of its histogram. at_least: not to fall below it; else not above."""

    value: Callable[[Sample], int | None]
    bound: float
    at_least: bool


def bounds(objectives: Sequence[Objective]) -> tuple[Bound, ...]:
    """Return one bound a metric: of several percentiles' the one that allows most."""
    found = []
    for metric in METRICS:
        of = [o for o in objectives if o.metric == metric.name]
        if of:
            least = of[0].at_least
            bound = min(o.bound for o in of) if least else max(o.bound for o in of)
            found.append(Bound(metric.value, bound / metric.scale, least))
    return tuple(found)


def is_good(sample: Sample, within: Sequence[Bound]) -> bool:
    """Whether a request succeeded within all bounds; a metric that does not apply keeps its own."""
    if sample.outcome != "ok":
        return False
    for value, bound, at_least in within:
        measured = value(sample)
        if measured is not None and (measured < bound if at_least else measured > bound):
            return False
    return True
