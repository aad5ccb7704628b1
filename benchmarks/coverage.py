"""The claim: intervals hold what they promise, equal things are not told apart, a real shift is found.

Made-up latencies with a known truth: log-normal, bimodal, and log-normal with AR(1) correlation (0.5, 0.8).
Intervals: the share of repetitions in which the 95 % interval of p50 and p99 holds the truth, with its mean
width, wherever 10 effective samples lie beyond the percentile. `until`: the same for a run that stops once
its interval is tight enough. A/A: two equal samples, a family of p50, p90 and p99 of two metrics, corrected
as `compare` does: how often any difference is claimed. Shift: a true one of 10 % in p50, how often it is
found.
"""

import itertools
import math
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from bars import Bars, options
from numpy.typing import NDArray

from loadgen.measure.histogram import BUCKETS, Distribution, indexes
from loadgen.measure.statistics import LEAST_BEYOND, LEVEL, NORMAL, contrast, effective_sizes, holm, quantile

Floats = NDArray[np.float64]

SEED: Final = 20_261_121
SIGMA: Final = 0.5
LAWS: Final = ("log-normal", "bimodal", "AR(1) 0.5", "AR(1) 0.8")
SIZES: Final = (500, 2_000, 20_000)
LEAST: Final = 0.93
_PEAK: Final = 0.1  # sigma of each of the two modes, at 1 (60 %) and 4 (40 %)
_LATEST: Final = 4_096  # as in loadgen.run.ends
_A_SECOND: Final = 100  # a run's requests between two looks at `until`


class Task(NamedTuple):
    """Some repetitions of one simulation; what it returns is added up over all."""

    simulate: Callable[["Task"], Floats]
    law: str
    n: int
    p: float
    seed: tuple[int, ...]
    repetitions: int


def draw(law: str, n: int, rng: np.random.Generator) -> Floats:
    """Draw latencies in order of time; shape (n,)."""
    normal = rng.standard_normal(n)
    if law == "bimodal":
        return np.where(rng.random(n) < 0.6, 1.0, 4.0) * np.exp(_PEAK * normal)
    if law.startswith("AR"):
        rho = float(law.split()[1])
        state, step = normal[0], math.sqrt(1 - rho * rho)
        steps = normal.tolist()
        for i in range(1, n):
            state = rho * state + step * steps[i]
            normal[i] = state
    return np.exp(SIGMA * normal)


def truth(law: str, p: float) -> float:
    """Return the quantile that the law has."""
    if law != "bimodal":
        return math.exp(SIGMA * NORMAL.inv_cdf(p))
    low, high = 0.1, 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2
        below = 0.6 * NORMAL.cdf(math.log(middle) / _PEAK) + 0.4 * NORMAL.cdf(math.log(middle / 4) / _PEAK)
        low, high = (middle, high) if below < p else (low, middle)
    return low


def intervals(task: Task) -> Floats:
    """Return (intervals given, that hold the truth, sum of their widths over the truth)."""
    rng, true = np.random.default_rng(task.seed), truth(task.law, task.p)
    sums = np.zeros(3)
    for _ in range(task.repetitions):
        known = quantile(draw(task.law, task.n, rng), task.p)
        if known is not None:
            low, high = known.interval
            sums += (1, low <= true <= high, (high - low) / true)
    return sums


def until(task: Task) -> Floats:
    """Return what `intervals` does, for runs that stop as `load.until` stops them, or at n.

    That rule looks at the interval once a second (within 5 % for p50, 10 % for p99), by the effective size
    that the latest requests tell.
    """
    rng, true = np.random.default_rng(task.seed), truth(task.law, task.p)
    sums, relative = np.zeros(3), 0.05 if task.p == 0.5 else 0.1
    for _ in range(task.repetitions):
        values = draw(task.law, task.n, rng)
        cells = indexes((values * 100_000).astype(np.int64))  # 1 is 100 ms
        for end in range(_A_SECOND, task.n + 1, _A_SECOND):
            seen = Distribution(np.bincount(cells[:end], minlength=BUCKETS), 1e-5)
            latest = values[max(0, end - _LATEST) : end]
            effective = effective_sizes(latest, [task.p])[0] / len(latest)
            middle, bounds = seen.percentile(100 * task.p) or 0.0, seen.interval(100 * task.p, effective)
            few = end * effective * min(task.p, 1 - task.p) < LEAST_BEYOND
            tight = (
                bounds is not None
                and not few
                and max(bounds[1] - middle, middle - bounds[0]) <= relative * middle
            )
            if tight or end == task.n:
                known = quantile(values[:end], task.p)
                if known is not None:
                    low, high = known.interval
                    sums += (1, low <= true <= high, (high - low) / true)
                break
    return sums


def same(task: Task) -> Floats:
    """Return (families, those with any difference claimed, 0)."""
    rng, sums = np.random.default_rng(task.seed), np.zeros(3)
    for _ in range(task.repetitions):
        p_values = []
        for _metric in range(2):
            pair = [draw(task.law, task.n, rng) for _ in range(2)]
            for p in (0.5, 0.9, 0.99):
                base, other = (quantile(values, p) for values in pair)
                if base is not None and other is not None:
                    p_values.append(contrast(base, other).p_value)
        if p_values:
            sums += (1, min(holm(p_values)) <= LEVEL, 0)
    return sums


def shift(task: Task) -> Floats:
    """Return (families, those in which the shift of p50 by 10 % is found, 0); the other five are equal."""
    rng, sums = np.random.default_rng(task.seed), np.zeros(3)
    for _ in range(task.repetitions):
        found = []
        for metric in range(2):
            pair = [draw(task.law, task.n, rng) * (1.1 if side and not metric else 1) for side in range(2)]
            for p in (0.5, 0.9, 0.99):
                base, other = (quantile(values, p) for values in pair)
                if base is not None and other is not None:
                    found.append(contrast(base, other))
        told = found[0].difference > 0 and holm([c.p_value for c in found])[0] <= LEVEL
        sums += (1, told, 0)
    return sums


def _run(task: Task) -> Floats:
    return task.simulate(task)


def _add_up(pool: "multiprocessing.pool.Pool", task: Task, repetitions: int) -> Floats:
    parts = 8
    tasks = [task._replace(seed=(*task.seed, i), repetitions=repetitions // parts) for i in range(parts)]
    total: Floats = np.sum(pool.map(_run, tasks, chunksize=1), axis=0)
    return total


def measure(bars: Bars, repetitions: int) -> None:
    """Simulate everything and print it."""
    with multiprocessing.Pool(os.cpu_count()) as pool:
        numbers = itertools.count()

        def simulate(kind: Callable[[Task], Floats], law: str, n: int, p: float, repetitions: int) -> Floats:
            return _add_up(pool, Task(kind, law, n, p, (SEED, next(numbers)), 0), repetitions)

        for title, kind, sizes in (("intervals", intervals, SIZES), ("until", until, (20_000,))):
            print(f"{title}, {repetitions:,} repetitions")
            print("  law            n  percentile  given  hold the truth  mean width")
            for law, n, p in itertools.product(LAWS, sizes, (0.5, 0.99)):
                given, held, width = simulate(kind, law, n, p, repetitions)
                row = f"  {law:10} {n:6,}  p{p * 100:<9g} {given / repetitions:6.1%}"
                # where few samples are effective, only some of the repetitions give one at all
                if given < repetitions / 2:
                    print(f"{row}  not bounded")
                    continue
                print(f"{row} {held / given:14.1%} {width / given:11.1%}")
                if held / given < LEAST:
                    what = f"{law}, n = {n:,}, p{p * 100:g}: misses the truth"
                    bars.at_most(what, 1 - held / given, 1 - LEAST)
            print()
        print(f"A/A and a shift of 10 % in p50, {repetitions:,} repetitions")
        for law, n in itertools.product(LAWS, (500, 2_000)):
            families, claimed, _ = simulate(same, law, n, 0.5, repetitions)
            bars.at_most(f"A/A, {law}, n = {n:,}: any difference claimed", claimed / families, LEVEL)
        families, found, _ = simulate(shift, "log-normal", 2_000, 0.5, repetitions)
        bars.at_most("shift of 10 %, log-normal, n = 2,000: not found", 1 - found / families, 0.1)


def main() -> None:
    """Run the script."""
    args = options(__doc__ or "").parse_args()
    repetitions = 400 if args.quick else 4_000
    bars, begin = Bars(), time.perf_counter()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, seed {SEED}\n")
    measure(bars, repetitions)
    print(
        f"\n{bars.missed} missed" if bars.missed else "\nall bars met",
        f"({time.perf_counter() - begin:.0f} s)",
    )
    sys.exit(1 if bars.missed else 0)


if __name__ == "__main__":
    main()
