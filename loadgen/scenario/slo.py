"""`[slo]`: what the answers have to keep, and the objectives that come of it."""

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from loadgen.scenario.lengths import Duration
from loadgen.scenario.traffic import Share
from loadgen.units import NS_PER_MS, format_duration

Percentile = Literal["p1", "p5", "p10", "p50", "p75", "p90", "p95", "p99", "p99.9"]
Times = dict[Percentile, Duration]
Speeds = dict[Percentile, float]

SHARES: Final = ("error_rate", "goodput")


class Objective(msgspec.Struct, frozen=True):
    """One bound: of a percentile of a metric (`at`, in ms or 1/s), or of a share, 0 to 1 (`at` is None).

    at_least: the figure has to reach the bound; else it must not exceed it. text: how it reads.
    """

    metric: str
    at: Percentile | None
    bound: float
    at_least: bool
    text: str


class Slo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds by metric and percentile: a time must not exceed its own, a speed (1/s) not fall below.

    error_rate: the most of the requests that may fail. goodput: the least of them that have to keep, each for
    itself, the bounds of all metrics: of several percentiles the one that allows most.
    """

    ttft: Times = {}
    ttft_from_plan: Times = {}
    ttfa: Times = {}
    tpot: Times = {}
    e2e: Times = {}
    e2e_from_plan: Times = {}
    chunk_gap: Times = {}
    longest_gap: Times = {}
    output_tokens_per_s: Speeds = {}
    output_chars_per_s: Speeds = {}
    error_rate: Share | None = None
    goodput: Share | None = None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """All of them, in the order of the metrics above."""
        return tuple(self._objectives())

    def _objectives(self) -> Iterator[Objective]:
        for metric in self.__struct_fields__:
            bounds = getattr(self, metric)
            if metric in SHARES:
                if bounds is not None:
                    at_least = metric == "goodput"
                    text = f"{metric} {'>=' if at_least else '<='} {bounds * 100:.4g}%"
                    yield Objective(metric, None, float(bounds), at_least, text)
                continue
            for at, bound in bounds.items():
                if isinstance(bound, Duration):
                    text = f"{metric}.{at} <= {format_duration(bound)}"
                    yield Objective(metric, at, bound / NS_PER_MS, False, text)
                else:
                    yield Objective(metric, at, bound, True, f"{metric}.{at} >= {bound:g}")
