"""Where every sample goes: counters, histograms and series of each target.

One vectorised step a request. Percentiles are those of the measurement window (phase `measure`).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from loadgen.measure.histogram import BUCKETS, Counts, Distribution, indexes
from loadgen.measure.metrics import ALL_METRICS, CHUNK_GAP, METRICS
from loadgen.measure.sample import Sample
from loadgen.measure.series import Series
from loadgen.wire.timeline import NO_EVENTS, Int64s, Timeline

PHASES: Final = ("warmup", "measure", "drain")
FAILURE_METRICS: Final = tuple(m for m in METRICS if m.failures)
_GAP_ROW: Final = ALL_METRICS.index(CHUNK_GAP)
_FIRST_BUCKETS: Final = tuple(row * BUCKETS for row in range(len(METRICS)))


class TargetRecorder:
    """What is known of one target so far.

    counts: shape (metrics, BUCKETS), successful requests of the window. reached, censored: shape
    (failure metrics, BUCKETS), requests that the run cut off: what they had reached, and how long they had
    waited. failed: requests of the window that failed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counts = np.zeros((len(ALL_METRICS), BUCKETS), np.int64)
        self.reached: Counts = np.zeros((len(FAILURE_METRICS), BUCKETS), np.int64)
        self.censored: Counts = np.zeros((len(FAILURE_METRICS), BUCKETS), np.int64)
        self.outcomes: dict[str, Counter[str]] = {phase: Counter() for phase in PHASES}
        self.errors: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.token_sources: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.output_tokens = 0
        self.late = 0
        self.resent = 0
        self.window_output_tokens = 0.0
        self.window_ok = 0
        self.last_done_ns = 0
        self.series = Series()
        self._flat = self.counts.reshape(-1)

    def add(self, sample: Sample, timeline: Timeline | None, epoch_ns: int) -> None:
        """Record one request; `timeline` is None when the run is read back from its file."""
        self.outcomes[sample.phase][sample.outcome] += 1
        self.window_output_tokens += sample.window_output_tokens
        self.window_ok += sample.window_done and sample.outcome == "ok"
        self.series.add(sample, timeline, epoch_ns)
        self.resent += sample.attempts > 1
        self.output_tokens += sample.output_tokens or 0
        if sample.outcome not in ("ok", "cancelled"):
            self.failures[sample.outcome] += 1
            self._count_error(sample.error or sample.outcome)
        if sample.phase != "measure":
            return
        self.last_done_ns = max(self.last_done_ns, sample.done_ns)
        self._add_tokens(sample)
        if sample.outcome == "ok":
            self._record(sample, timeline.event_ns if timeline is not None else NO_EVENTS)
        elif sample.outcome == "cancelled":
            self._censor(sample)
        left = sample.connect_start_ns if sample.connect_start_ns is not None else sample.sent_ns
        self.late += left is not None and left - sample.intended_ns > 10_000_000

    @property
    def failed(self) -> int:
        """Requests of the window that failed (those that the run cut off are not among them)."""
        return sum(n for o, n in self.outcomes["measure"].items() if o not in ("ok", "cancelled"))

    def distribution(self, name: str) -> Distribution:
        """Return one metric's distribution over the window's successful requests, in reported units."""
        row = next(i for i, m in enumerate(ALL_METRICS) if m.name == name)
        return Distribution(self.counts[row], ALL_METRICS[row].scale)

    def _record(self, sample: Sample, event_ns: Int64s) -> None:
        values = [metric.value(sample) for metric in METRICS]
        rows = np.array([i for i, v in zip(_FIRST_BUCKETS, values, strict=True) if v is not None])
        gaps = (event_ns[1:] - event_ns[:-1] + 500) // 1000
        index = indexes(np.concatenate((np.array([v for v in values if v is not None]), gaps)))
        index[: len(rows)] += rows
        index[len(rows) :] += _GAP_ROW * BUCKETS
        np.add.at(self._flat, index, 1)

    def _censor(self, sample: Sample) -> None:
        """Enter what the run cut off: a value it had reached counts, what it still waited for is censored."""
        for row, metric in enumerate(FAILURE_METRICS):
            reached = None if metric.name.startswith("e2e") else metric.value(sample)
            start = sample.intended_ns if metric.name.endswith("from_plan") else sample.sent_ns
            if reached is not None:
                self.reached[row, indexes(np.array([reached]))[0]] += 1
            elif start is not None:
                self.censored[row, indexes(np.array([(sample.done_ns - start) // 1000]))[0]] += 1

    def _add_tokens(self, sample: Sample) -> None:
        self.tokens["prompt"] += sample.prompt_tokens or 0
        self.tokens["cached"] += sample.cached_tokens or 0
        self.tokens["reasoning"] += sample.reasoning_tokens or 0
        self.tokens["output"] += sample.output_tokens or 0
        if sample.token_source is not None and sample.outcome == "ok":
            self.token_sources[sample.token_source] += 1

    def _count_error(self, text: str) -> None:
        # texts may hold request ids and times: a server that varies them must not fill the memory
        if text in self.errors or len(self.errors) < 100:
            self.errors[text] += 1
        else:
            self.errors["(other errors)"] += 1


class Recorder:
    """All targets of a run."""

    def __init__(self, targets: Sequence[str], epoch_ns: int) -> None:
        self.epoch_ns = epoch_ns
        self.targets = {name: TargetRecorder(name) for name in targets}

    def add(self, sample: Sample, timeline: Timeline | None = None) -> None:
        """Record one request of any target."""
        self.targets[sample.target].add(sample, timeline, self.epoch_ns)
