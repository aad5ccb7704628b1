"""Figures by group: by task in a mixture of workloads, by turn (first, later) in conversations, by route.

A run of one task and one turn makes no tables: they are split off the totals when a second kind comes up.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from loadgen.measure.histogram import BUCKETS, Counts, indexes
from loadgen.measure.metrics import METRICS, Metric
from loadgen.measure.sample import Sample

GROUP_ROWS: Final = tuple(i for i, m in enumerate(METRICS) if m.name in ("ttft", "tpot", "e2e"))
GROUP_METRICS: Final[tuple[Metric, ...]] = tuple(METRICS[i] for i in GROUP_ROWS)
MOST_NAMES: Final = 100
OTHER: Final = "(other tasks)"


class Group:
    """The window's requests of one task, or of the first or the later turns.

    counts: shape (group metrics, BUCKETS), of the successful ones. requests = ok + failed + what was cut off.
    """

    def __init__(self, counts: Counts | None = None, requests: int = 0, ok: int = 0, failed: int = 0) -> None:
        # np.zeros takes memory only where it is written to
        self.counts = np.zeros((len(GROUP_ROWS), BUCKETS), np.int64) if counts is None else counts
        self.requests = requests
        self.ok = ok
        self.failed = failed

    def add(self, sample: Sample, values: Sequence[int | None]) -> None:
        """Enter one request; values: of METRICS, empty unless it succeeded."""
        self.requests += 1
        if sample.outcome == "ok":
            self.ok += 1
        elif sample.outcome != "cancelled":
            self.failed += 1
        known = [(i, values[row]) for i, row in enumerate(GROUP_ROWS)] if values else []
        rows = [(i, value) for i, value in known if value is not None]
        if rows:
            at = indexes(np.array([value for _, value in rows], np.int64))
            self.counts[[i for i, _ in rows], at] += 1


class Groups:
    """The tables of one way to group; only the first name is known until a second one comes up.

    totals: of all requests so far, which are those of the first name when the second one comes.
    """

    def __init__(self, totals: Callable[[], Group]) -> None:
        self.table: dict[str, Group] = {}
        self._only: str | None = None
        self._totals = totals

    def add(self, name: str, sample: Sample, values: Sequence[int | None]) -> None:
        """Enter one request; it must not be in the totals yet."""
        table = self.table
        if not table:
            if self._only is None:
                self._only = name
            if name == self._only:
                return
            table[self._only] = self._totals()
        if name not in table:
            # task names may come from a file: one that varies them must not fill the memory
            name = name if len(table) < MOST_NAMES else OTHER
            table.setdefault(name, Group())
        table[name].add(sample, values)
