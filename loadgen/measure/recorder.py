"""Where every sample goes: counters, histograms and series of each target, at each level of the load.

The values of several requests are counted in one vectorised step. Percentiles are those of the measurement
window (phase `measure`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from loadgen.measure.groups import GROUP_ROWS, Group, Groups
from loadgen.measure.histogram import BUCKETS, Counts, Distribution, Histograms, indexes
from loadgen.measure.metrics import ALL_METRICS, METRICS
from loadgen.measure.objective import Bound, is_good
from loadgen.measure.routes import Routing
from loadgen.measure.sample import Sample
from loadgen.measure.series import Series
from loadgen.measure.spending import Spending
from loadgen.measure.sums import ErrorTexts, TokenSums
from loadgen.measure.tokens import tokens_between
from loadgen.wire.timeline import NO_EVENTS, Timeline

PHASES: Final = ("warmup", "measure", "drain")
FAILURE_METRICS: Final = tuple(m for m in METRICS if m.failures)


class LevelWindow(NamedTuple):
    """A level of the load: its label, and its measurement window as offsets from the epoch.

    end_ns: None when a count ends it, of a load with one level only. Windows of several don't overlap.
    """

    label: str
    start_ns: int
    end_ns: int | None


ONE_LEVEL: Final = (LevelWindow("", 0, None),)


class TargetRecorder:
    """What is known of one target so far, at one level of the load. Most of it is of the window.

    name: unique: the target's, and the level's label where there are several ("ours @ 20/s").
    dropped: arrivals that a cap on requests under way did away with. left: requests that left in the window.
    sessions_*: conversations begun in the window, ended in it with their last turn, ended by a failed turn.
    good: requests of the window within all `bounds`; window_good: those that ended in it, whenever begun.
    counts: shape (metrics, BUCKETS), successful requests of the window. reached, censored: shape
    (failure metrics, BUCKETS), requests that the run cut off: what they had reached, and how long they had
    waited. failed: requests of the window that failed.
    """

    def __init__(
        self,
        target: str,
        level: LevelWindow = ONE_LEVEL[0],
        name: str | None = None,
        bounds: Sequence[Bound] = (),
    ) -> None:
        self.target = target
        self.bounds = bounds
        self.level = level
        self.name = target if name is None else name
        self._histograms = Histograms(len(METRICS))
        self.reached: Counts = np.zeros((len(FAILURE_METRICS), BUCKETS), np.int64)
        self.censored: Counts = np.zeros((len(FAILURE_METRICS), BUCKETS), np.int64)
        self.outcomes: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
        self.errors = ErrorTexts()
        self.tokens = TokenSums()
        self.failures: Counter[str] = Counter()
        self.output_tokens = 0
        self.dropped = self.left = self.late = self.resent = 0
        self.sessions_begun = self.sessions_ended = self.sessions_failed = 0
        self.window_output_tokens = 0.0
        self.window_ok = self.window_good = self.good = 0
        self.last_done_ns = 0
        self.series = Series()
        self.spending = Spending()
        self.routing = Routing()
        self.by_task, self.by_turn, self.by_route = (Groups(self._totals) for _ in range(3))

    @property
    def counts(self) -> Counts:
        """The histograms of all metrics, up to the latest request."""
        return self._histograms.counts

    def add(self, sample: Sample, timeline: Timeline | None, epoch_ns: int) -> None:
        """Record one request; `timeline` is None when the run is read back from its file."""
        left = self._add_left(sample)
        self.window_output_tokens += sample.window_output_tokens
        good = is_good(sample, self.bounds)
        self.window_ok += sample.window_done and sample.outcome == "ok"
        self.window_good += sample.window_done and good
        self.series.add(sample, timeline, epoch_ns)
        self.spending.add(sample)
        self.resent += sample.attempts > 1
        self.output_tokens += sample.output_tokens or 0
        if sample.outcome not in ("ok", "cancelled"):
            self.failures[sample.outcome] += 1
            self.errors.add(sample.error or sample.outcome)
        if sample.rule is not None:
            self.routing.add(sample, sample.rule)
        if sample.phase == "measure":
            self.late += left is not None and left - sample.intended_ns > 10_000_000
            self.good += good
            self._add_to_window(sample, timeline)
        self.outcomes[sample.phase][sample.outcome] += 1

    def add_from_elsewhere(self, sample: Sample, timeline: Timeline | None, epoch_ns: int) -> None:
        """Add what a request of another level did in this one's window: it left, brought output, ended."""
        _, start, end = self.level
        if end is None or sample.done_ns < start or sample.intended_ns >= end:
            return
        self.window_ok += sample.outcome == "ok" and sample.done_ns < end
        self.window_good += sample.done_ns < end and is_good(sample, self.bounds)
        self._add_left(sample)
        first, last = sample.first_token_ns, sample.last_token_ns
        if sample.output_tokens and sample.outcome == "ok" and first is None:  # its answer was one body
            first = last = sample.done_ns
        if sample.output_tokens and first is not None and last is not None:
            self.window_output_tokens += tokens_between(
                sample.output_tokens, (first, last), (start, end), timeline, epoch_ns
            )

    def _add_left(self, sample: Sample) -> int | None:
        """Count a request that left in the window; return when it did."""
        _, start, end = self.level
        left = sample.connect_start_ns if sample.connect_start_ns is not None else sample.sent_ns
        self.left += left is not None and left >= start and (end is None or left < end)
        return left

    def _add_to_window(self, sample: Sample, timeline: Timeline | None) -> None:
        good = sample.outcome == "ok"
        values = [metric.value(sample) for metric in METRICS] if good else []
        self.by_task.add(sample.task, sample, values)
        self.by_turn.add("later" if sample.turn else "first", sample, values)
        if sample.route is not None:
            self.by_route.add(sample.route, sample, values)
        self.last_done_ns = max(self.last_done_ns, sample.done_ns)
        self.tokens.add(sample)
        if good:
            self._histograms.add(values, timeline.event_ns if timeline is not None else NO_EVENTS)
        elif sample.outcome == "cancelled":
            self._censor(sample)
        else:
            self.sessions_failed += 1
        self.sessions_begun += not sample.turn
        self.sessions_ended += good and sample.last_turn

    def _totals(self) -> Group:
        """Return what has been recorded of the window as a group of its own."""
        outcomes = self.outcomes["measure"]
        return Group(self.counts[list(GROUP_ROWS)], outcomes.total(), outcomes["ok"], self.failed)

    @property
    def failed(self) -> int:
        """Requests of the window that failed (those that the run cut off are not among them)."""
        return sum(n for o, n in self.outcomes["measure"].items() if o not in ("ok", "cancelled"))

    def distribution(self, name: str) -> Distribution:
        """Return one metric's distribution over the window's successful requests, in reported units."""
        row = next(i for i, m in enumerate(ALL_METRICS) if m.name == name)
        return Distribution(self.counts[row], ALL_METRICS[row].scale)

    def _censor(self, sample: Sample) -> None:
        """Enter what the run cut off: a value it had reached counts, what it still waited for is censored."""
        for row, metric in enumerate(FAILURE_METRICS):
            reached = None if metric.name.startswith("e2e") else metric.value(sample)
            start = sample.intended_ns if metric.name.endswith("from_plan") else sample.sent_ns
            if reached is not None:
                self.reached[row, indexes(np.array([reached]))[0]] += 1
            elif start is not None:
                self.censored[row, indexes(np.array([(sample.done_ns - start) // 1000]))[0]] += 1


class Recorder:
    """All targets of a run, each at every level of the load.

    levels: in order of time. targets: a `TargetRecorder` each by its name. bounds: what keeps a request good.
    """

    def __init__(
        self,
        targets: Sequence[str],
        epoch_ns: int,
        levels: Sequence[LevelWindow] = ONE_LEVEL,
        bounds: Sequence[Bound] = (),
    ) -> None:
        self.epoch_ns = epoch_ns
        several = len(levels) > 1
        self._of = {
            (target, level.label): TargetRecorder(
                target, level, f"{target} @ {level.label}" if several else None, bounds
            )
            for target in targets
            for level in levels
        }
        self.targets = {recorder.name: recorder for recorder in self._of.values()}
        self._levels = {target: self.at_levels(target) for target in targets} if several else {}

    def add(self, sample: Sample, timeline: Timeline | None = None) -> None:
        """Record one request of any target. Raises KeyError for a target or level that there is not."""
        own = self._of[sample.target, sample.level]
        own.add(sample, timeline, self.epoch_ns)
        if self._levels:
            for recorder in self._levels[sample.target]:
                if recorder is not own:
                    recorder.add_from_elsewhere(sample, timeline, self.epoch_ns)

    def drop(self, target: str, level: str = "", n: int = 1) -> None:
        """Count arrivals of the level's window that were dropped."""
        self._of[target, level].dropped += n

    def close(self, now_ns: int) -> None:
        """Have the windows end at this offset at the latest: the run was stopped early."""
        for recorder in self._of.values():
            label, start, end = recorder.level
            end = now_ns if end is None else min(end, now_ns)
            recorder.level = LevelWindow(label, start, max(start, end))

    def at_levels(self, target: str) -> list[TargetRecorder]:
        """Return a target's recorders in order of its levels."""
        return [recorder for recorder in self._of.values() if recorder.target == target]
