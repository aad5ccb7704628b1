"""What is compared: a side is a target of one run, or of several runs of the same thing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadgen.errors import ScenarioError
from loadgen.measure.statistics import Estimate, effective_sizes, mean, of_runs, quantiles, share
from loadgen.results.columns import Columns, read_columns
from loadgen.results.model import Report, TargetReport
from loadgen.results.read import SavedRun

RUNS_A_SIDE = 3
"""With so many runs the run is what is drawn: what differs between runs is in the interval then."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """One target of one saved run."""

    report: Report
    target: TargetReport
    columns: Columns

    def ok(self) -> NDArray[np.bool_]:
        """Which requests are the window's successful ones of this target."""
        return self.sent() & self.columns.where(outcome="ok")

    def sent(self) -> NDArray[np.bool_]:
        """Which requests are the window's of this target."""
        t = self.target
        return self.columns.where(target=t.target or t.name, level=t.level, phase="measure")

    def values(self, metric: str, rows: NDArray[np.bool_] | None = None) -> Floats:
        """Return a metric of the successful requests that have it, in the order they were intended.

        rows: which requests alone; shape (all requests of the run,).
        """
        found = self.columns.metric(metric)[self.ok() if rows is None else self.ok() & rows]
        return found[~np.isnan(found)]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison; several parts are repetitions. name: what tables call it."""

    name: str
    parts: tuple[Part, ...]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.parts[0].target.model

    @property
    def repeated(self) -> bool:
        """Whether there are runs enough that the run can be what is drawn."""
        return len(self.parts) >= RUNS_A_SIDE

    def percentiles(self, metric: str, percents: Sequence[float]) -> list[Estimate | None]:
        """Estimate percentiles over the successful requests; None where the samples can't bound one."""
        ps = [percent / 100 for percent in percents]
        if not self.repeated:
            return quantiles(np.concatenate([part.values(metric) for part in self.parts]), ps)
        values = [part.values(metric) for part in self.parts]
        if not all(map(len, values)):
            return [None for _ in ps]
        # what one run can't bound, several may: the run is what is drawn
        return [of_runs([_plain(one, p) for one in values]) for p in ps]

    def independent(self, metric: str, percent: float) -> tuple[int, int]:
        """Count the successful requests that have a metric, and as how many they count at a percentile."""
        values = np.concatenate([part.values(metric) for part in self.parts])
        return len(values), int(effective_sizes(values, (percent / 100,))[0])

    def failed(self) -> Estimate | None:
        """Estimate the share of requests that failed; what the run cut off is no failure."""
        requests = [part.target.requests for part in self.parts]
        counts = [(r.failed, r.ok + r.failed) for r in requests]
        pooled = share(sum(failed for failed, _ in counts), sum(n for _, n in counts))
        if not self.repeated or not all(n for _, n in counts) or not any(failed for failed, _ in counts):
            return pooled  # of runs without a failure the spread says nothing
        return of_runs([failed / n for failed, n in counts])

    def priced(self) -> bool:
        """Whether each successful request has a cost."""
        costs = [part.columns.cost_usd[part.ok()] for part in self.parts]
        return all(len(one) and not np.isnan(one).any() for one in costs)

    def usd_per_request(self) -> Estimate | None:
        """Estimate what a successful request costs; None where the price is not known, or of too few."""
        if not self.priced():
            return None
        costs = [part.columns.cost_usd[part.ok()] for part in self.parts]
        return of_runs([float(one.mean()) for one in costs]) if self.repeated else mean(np.concatenate(costs))


def _plain(values: Floats, p: float) -> float:
    return float(np.quantile(values, p, method="inverted_cdf"))


def sides_of_run(run: SavedRun) -> list[Side]:
    """Return the targets of one run as sides."""
    columns = read_columns(run.folder)
    return [Side(target.name, (Part(run.report, target, columns),)) for target in run.report.targets]


def sides_of_runs(runs: Sequence[SavedRun]) -> list[Side]:
    """Return the targets that repetitions of one run have in common as sides.

    Raises:
        OutputError: the samples can't be read. ScenarioError: they have no target in common.
    """
    found = [sides_of_run(run) for run in runs]
    names = [side.name for side in found[0] if all(side.name in {s.name for s in sides} for sides in found)]
    if not names:
        what = f"{' and '.join(run.report.run.id for run in runs)} have no target in common"
        raise ScenarioError("compare", what, "join with commas only runs of the same targets")
    return [
        Side(name, tuple(s.parts[0] for sides in found for s in sides if s.name == name)) for name in names
    ]
