"""Statistics the slow and plain way, on raw values and exact fractions, to check ours against."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from math import ceil, comb
from typing import Literal

Reached = tuple[Literal["at", "above"], float]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed."""
    rank = max(1, ceil(Fraction(str(percent)) / 100 * len(values)))
    return sorted(values)[rank - 1]


def kaplan_meier(done: Sequence[float], censored: Sequence[float], failed: int, percent: float) -> Reached:
    """The first time at which the estimated share still waiting is down to 1 - percent.

    Failures wait for ever. Values tie before cut-offs. Where it is not reached: above the last time of all.
    """
    at_risk = len(done) + len(censored) + failed
    waiting = Fraction(1)
    for time, kind in sorted([(t, 0) for t in done] + [(t, 1) for t in censored]):
        if kind == 0:
            waiting *= 1 - Fraction(1, at_risk)
            if waiting <= 1 - Fraction(str(percent)) / 100:
                return "at", time
        at_risk -= 1
    return "above", max([*done, *censored], default=0.0)


def interval_ranks(n: int, percent: int) -> tuple[int, int] | None:
    """Ranks (1-based) that leave out at most 2.5 % on each side, by exact sums of the binomial."""
    weights = [comb(n, i) * percent**i * (100 - percent) ** (n - i) for i in range(n + 1)]
    below = [0, *accumulate(weights)]  # below[k] of 100^n: fewer than k values are under the quantile
    low = max(k for k in range(n + 1) if below[k] * 40 <= 100**n)
    high = min((k for k in range(1, n + 1) if (100**n - below[k]) * 40 <= 100**n), default=n + 1)
    return (low, high) if low >= 1 and high <= n else None
