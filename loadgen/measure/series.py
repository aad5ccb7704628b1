"""The run over time: per interval what was sent, what ended, tokens that arrived, and TTFT.

Intervals begin at one second; when a run outgrows the table its rows are merged in pairs, so that memory
stays the same however long it runs.
"""

import math
from typing import Any, Final

import numpy as np

from loadgen.measure.sample import Sample
from loadgen.units import NS_PER_S
from loadgen.wire.timeline import Timeline

ROWS: Final = 600
_COLUMNS: Final = ("sent", "ok", "failed")
_TTFT_BINS: Final = 1_200
_TTFT_STEP: Final = 0.02  # a bin is 2 % wide, from 1 µs up


class Series:
    """One target's table of intervals, all phases."""

    def __init__(self) -> None:
        self.interval_ns = NS_PER_S
        self._counts = np.zeros((ROWS, len(_COLUMNS)), np.int64)
        self._tokens = np.zeros(ROWS)
        self._ttft = np.zeros((ROWS, _TTFT_BINS), np.uint32)

    def add(self, sample: Sample, timeline: Timeline | None, epoch_ns: int) -> None:
        """Enter one request; without its timeline (a run read back) its tokens are spread evenly."""
        while sample.done_ns >= self.interval_ns * ROWS:
            self._merge()
        done = max(0, sample.done_ns // self.interval_ns)
        if sample.outcome == "ok":
            self._counts[done, 1] += 1
        elif sample.outcome != "cancelled":
            self._counts[done, 2] += 1
        if sample.sent_ns is None:
            return
        sent = max(0, sample.sent_ns // self.interval_ns)
        self._counts[sent, 0] += 1
        if sample.first_token_ns is None or sample.last_token_ns is None or not sample.output_tokens:
            if sample.outcome == "ok":  # its answer was one body
                self._tokens[done] += sample.output_tokens or 0
            return
        if sample.outcome == "ok":
            ttft_us = max(1.0, (sample.first_token_ns - sample.sent_ns) / 1000)
            self._ttft[sent, min(int(math.log(ttft_us) / _TTFT_STEP), _TTFT_BINS - 1)] += 1
        self._add_tokens(sample, timeline, epoch_ns)

    def _add_tokens(self, sample: Sample, timeline: Timeline | None, epoch_ns: int) -> None:
        first, last = sample.first_token_ns or 0, sample.last_token_ns or 0
        tokens = sample.output_tokens or 0
        low, high = first // self.interval_ns, last // self.interval_ns
        if low == high:
            self._tokens[low] += tokens
        elif timeline is not None:
            edges = np.arange(low + 1, high + 1) * self.interval_ns + epoch_ns
            chars = timeline.event_chars.cumsum()
            # the first event lies before the first edge, so there is one before each
            places = [*timeline.event_ns.searchsorted(edges).tolist(), len(chars)]
            each, before = tokens / max(1, int(chars[-1])), 0
            for at, place in enumerate(places, low):
                upto = int(chars[place - 1])
                self._tokens[at] += (upto - before) * each
                before = upto
        else:
            edges = np.clip(np.arange(low, high + 2) * self.interval_ns, first, last)
            self._tokens[low : high + 1] += np.diff(edges) * (tokens / (last - first))

    def _merge(self) -> None:
        half = ROWS // 2
        for table in (self._counts, self._tokens, self._ttft):
            table[:half] = table[0::2] + table[1::2]
            table[half:] = 0
        self.interval_ns *= 2

    def table(self) -> dict[str, Any]:
        """Return the series up to its last interval: lists by column, TTFT in ms (None where none came)."""
        used = np.flatnonzero(self._counts.any(axis=1) | (self._tokens > 0))
        rows = int(used[-1]) + 1 if len(used) else 0
        columns: dict[str, Any] = {"interval_s": self.interval_ns / NS_PER_S}
        for i, name in enumerate(_COLUMNS):
            columns[name] = self._counts[:rows, i].tolist()
        columns["output_tokens"] = [round(x, 1) for x in self._tokens[:rows].tolist()]
        for name, p in (("ttft_p50_ms", 0.5), ("ttft_p99_ms", 0.99)):
            columns[name] = [_percentile(row, p) for row in self._ttft[:rows]]
        return columns


def _percentile(bins: Any, p: float) -> float | None:
    total = int(bins.sum())
    if not total:
        return None
    at = int(np.searchsorted(np.cumsum(bins), max(1.0, np.ceil(p * total - 1e-9))))
    return round(float(np.exp((at + 0.5) * _TTFT_STEP)) / 1000, 3)
