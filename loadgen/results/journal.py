"""What is written while a run goes on: every sample at once, histograms in turn, the header now and then.

Everything is spread over the loop's ticks: one row of one histogram costs a fifth of a millisecond.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np

from loadgen.measure.metrics import ALL_METRICS
from loadgen.measure.recorder import Recorder
from loadgen.measure.sample import Sample
from loadgen.results.folder import RunFolder
from loadgen.results.hlog import HlogWriter
from loadgen.wire.timeline import Timeline

_ROW_EVERY_TICKS: Final = 3
_DROPS_EVERY_TICKS: Final = 10
_HEADER_EVERY_TICKS: Final = 50


class Journal:
    """Records samples and keeps the run folder up with them.

    header: makes the contents of run.json for now (it holds what can't be had from the samples).
    """

    def __init__(self, folder: RunFolder, recorder: Recorder, header: Callable[[], bytes]) -> None:
        self._folder = folder
        self._recorder = recorder
        self._header = header
        self._encode = msgspec.json.Encoder().encode
        self._hlog = HlogWriter()
        self._rows = [(name, row) for name in recorder.targets for row in range(len(ALL_METRICS))]
        # np.zeros takes memory only where it is written to
        self._written = {name: np.zeros(r.counts.shape, np.int64) for name, r in recorder.targets.items()}
        self._since_ns = [0] * len(self._rows)
        self._seen = [0] * len(self._rows)
        self._turn = self._dropped = 0
        folder.append_hlog(self._hlog.head())

    def record(self, sample: Sample, timeline: Timeline) -> None:
        """Take one request that has ended."""
        self._recorder.add(sample, timeline)
        self._folder.append(self._encode(sample) + b"\n")

    def tick(self, ticks: int, now_ns: int) -> None:
        """Do what is due at this tick of the loop; now_ns: offset from the epoch."""
        if ticks % _ROW_EVERY_TICKS == 0:
            self._write_next(now_ns)
        if ticks % _HEADER_EVERY_TICKS == 1 or (ticks % _DROPS_EVERY_TICKS == 0 and self._dropped_since()):
            self._folder.write_header(self._header())  # the first one at once: a killed run needs it
        self._folder.flush()  # little at a time: on a busy machine the thread that writes takes our core

    def finish(self, now_ns: int) -> None:
        """Write what is still missing."""
        for i in range(len(self._rows)):
            self._write_row(i, now_ns)
        self._folder.write_header(self._header())
        self._folder.flush()

    def _dropped_since(self) -> bool:
        """Whether a cap has dropped arrivals since it was last asked: no sample has them."""
        before, self._dropped = self._dropped, sum(r.dropped for r in self._recorder.targets.values())
        return self._dropped != before

    def _write_next(self, now_ns: int) -> None:
        """Write the next row of a target that had an answer since; levels that are over cost nothing."""
        for _ in self._rows:
            i, self._turn = self._turn, (self._turn + 1) % len(self._rows)
            ok = self._recorder.targets[self._rows[i][0]].outcomes["measure"]["ok"]
            if ok != self._seen[i]:
                self._seen[i] = ok
                self._write_row(i, now_ns)
                return

    def _write_row(self, i: int, now_ns: int) -> None:
        name, row = self._rows[i]
        counts, written = self._recorder.targets[name].counts[row], self._written[name][row]
        changed = np.flatnonzero(counts != written)
        if len(changed):
            # few of the 20,000 counters are in use; the rest is not to be moved about
            first, end = int(changed[0]), int(changed[-1]) + 1
            new = counts[first:end] - written[first:end]
            written[first:end] += new
            tag = (name, ALL_METRICS[row].key)
            self._folder.append_hlog(self._hlog.line(tag, self._since_ns[i], now_ns, new, first))
        self._since_ns[i] = now_ns
