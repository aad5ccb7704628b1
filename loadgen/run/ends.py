"""What ends a window early: enough is known, or too much fails. Asked once a second, not per request."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from loadgen.measure.metrics import METRICS
from loadgen.measure.recorder import TargetRecorder
from loadgen.measure.sample import Sample
from loadgen.measure.statistics import ENOUGH_BEYOND, effective_sizes
from loadgen.scenario.traffic import ErrorStop, Until
from loadgen.wire.timeline import Timeline

_FEWEST: Final = 20
_LATEST: Final = 4_096  # enough to estimate from, and a millisecond's work


class Enough:
    """Whether the 95 % intervals of the chosen percentiles are within their shares of them, everywhere.

    Requests are correlated: the intervals are those of the effective number of samples, as it is estimated
    from the latest of them.
    """

    def __init__(self, rules: Sequence[Until]) -> None:
        self._rules = [(rule, next(m for m in METRICS if m.name == rule.metric)) for rule in rules]
        self._latest: dict[tuple[str, str, str], deque[int]] = {}

    def noting(self, record: Callable[[Sample, Timeline], None]) -> Callable[[Sample, Timeline], None]:
        """Return a `record` that takes note of each request, too."""

        def noted(sample: Sample, timeline: Timeline) -> None:
            self._note(sample)
            record(sample, timeline)

        return noted

    def _note(self, sample: Sample) -> None:
        if sample.outcome != "ok" or sample.phase != "measure":
            return
        for _, metric in self._rules:
            if (value := metric.value(sample)) is not None:
                key = (sample.target, sample.level, metric.name)
                self._latest.setdefault(key, deque(maxlen=_LATEST)).append(value)

    def known(self, recorders: Sequence[TargetRecorder]) -> bool:
        """Whether enough is known of every target."""
        return all(self._tight(rule, recorder) for rule, _ in self._rules for recorder in recorders)

    def _tight(self, rule: Until, recorder: TargetRecorder) -> bool:
        latest = self._latest.get((recorder.target, recorder.level.label, rule.metric))
        if not latest:
            return False
        found = recorder.distribution(rule.metric)
        values = np.array(latest, np.float64)
        p = rule.percentile / 100
        effective = effective_sizes(values, [p])[0] / len(values)
        if found.count * effective * min(p, 1 - p) < ENOUGH_BEYOND:  # the report would not bound it
            return False
        middle, interval = found.percentile(rule.percentile), found.interval(rule.percentile, effective)
        if middle is None or interval is None:
            return False
        low, high = interval
        return max(high - middle, middle - low) <= rule.relative * middle


class ErrorShare:
    """The share of failures among what ended within a sliding window of time, of all targets together."""

    def __init__(self, rule: ErrorStop) -> None:
        self._rule = rule
        self._seen: deque[tuple[int, int, int]] = deque()  # (instant, ended, failed), sums from the beginning

    def exceeded(self, now_ns: int, recorders: Sequence[TargetRecorder]) -> bool:
        """Take note of the counts as of now; whether the share over the window is above the rule's."""
        ended = failed = 0
        for recorder in recorders:
            counts = [c for outcomes in recorder.outcomes.values() for c in outcomes.items()]
            ended += sum(n for outcome, n in counts if outcome != "cancelled")
            failed += sum(n for outcome, n in counts if outcome not in ("ok", "cancelled"))
        self._seen.append((now_ns, ended, failed))
        while len(self._seen) > 1 and self._seen[1][0] <= now_ns - self._rule.over_ns:
            self._seen.popleft()
        since = self._seen[0]
        if now_ns - since[0] < self._rule.over_ns:
            since = (0, 0, 0)  # the run is younger than the window
        ended, failed = ended - since[1], failed - since[2]
        return ended >= _FEWEST and failed > self._rule.share * ended
