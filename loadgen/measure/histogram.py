"""HDR histograms as rows of counts: recorded vectorised, read at bucket midpoints, with intervals.

Layout and index arithmetic are HdrHistogram's (Tene, hdrhistogram.org): 1 to 3.6e9 units (µs: one hour)
at 3 significant digits. The hdrh package encodes and decodes; only this module knows it.
"""

import functools
import math
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from hdrh.codec import HdrCookieException, HdrLengthException
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

Counts = NDArray[np.int64]

HIGHEST: Final = 3_600_000_000
DIGITS: Final = 3
_HALF_BITS: Final = 10  # 2 · 10^3 values need 2^11 sub-buckets, half of them new in each bucket
_HALF: Final = 1 << _HALF_BITS
_TOGETHER: Final = 400  # values; more at once keep the loop from its reads for longer
BUCKETS: Final = 23 * _HALF
"""Number of counters in a row: (bucket count 22, plus 1) half-buckets."""


def indexes(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counter of each value, shape as given; values are clamped to 0 .. HIGHEST."""
    clamped = np.minimum(np.maximum(values, 0), HIGHEST)
    # a float's exponent is the bit length, exactly, for whole numbers below 2^53 (IEEE 754: 52 bits below it)
    exponent = (clamped | (2 * _HALF - 1)).astype(np.float64).view(np.int64) >> 52
    bucket = exponent - (1022 + _HALF_BITS + 1)
    index: NDArray[np.int64] = (bucket << _HALF_BITS) + (clamped >> bucket)
    return index


def _midpoints() -> NDArray[np.float64]:
    index = np.arange(BUCKETS, dtype=np.int64)
    bucket = np.maximum((index >> _HALF_BITS) - 1, 0)
    lowest = (index - (bucket << _HALF_BITS)) << bucket
    highest = lowest + (np.int64(1) << bucket) - 1
    middle: NDArray[np.float64] = (lowest + highest) / 2
    return middle


MIDPOINTS: Final = _midpoints()
"""Shape (BUCKETS,): the value that stands for each counter; exact below 2,048 units, else within 0.05 %."""


def order_ranks(n: int, p: float) -> tuple[int, int] | None:
    """Return ranks (1-based, low ≤ high) of order statistics that bound quantile p with 95 % confidence.

    The distribution-free interval of e.g. David & Nagaraja, Order Statistics, 7.1: the number of values
    below the quantile is binomial(n, p); each side is left out with at most 2.5 %. None when n values
    can't bound it.
    """
    if n < 1 or not 0 < p < 1:
        return None
    mean, spread = n * p, math.sqrt(n * p * (1 - p))
    start, stop = max(0, math.floor(mean - 9 * spread - 12)), min(n, math.ceil(mean + 9 * spread + 12))
    k = np.arange(start, stop)
    steps = np.log((n - k) / (k + 1)) + math.log(p / (1 - p))
    log_pmf = np.concatenate([[0.0], np.cumsum(steps)])
    pmf = np.exp(log_pmf - log_pmf.max())
    cdf = np.cumsum(pmf) / pmf.sum()  # cdf[i] = P(X <= start + i)
    low = start + int(np.searchsorted(cdf, 0.025, side="right"))
    high = start + int(np.searchsorted(cdf, 0.975, side="left")) + 1
    return (low, high) if low >= 1 and high <= n else None


class Histograms:
    """A histogram for each metric, and in the last row one for the gaps between a request's events.

    The values of several requests are counted in one vectorised step, which costs nearly as much for one.
    """

    def __init__(self, metrics: int) -> None:
        self._counts: Counts = np.zeros((metrics + 1, BUCKETS), np.int64)
        self._flat = self._counts.reshape(-1)
        self._gaps_first = metrics * BUCKETS
        self._values: list[Sequence[int | None]] = []  # of the requests that are not counted yet
        self._gaps: list[NDArray[np.int64]] = []
        self._waiting = 0

    def add(self, values: Sequence[int | None], event_ns: NDArray[np.int64]) -> None:
        """Enter one request: a value for each metric (None: it does not apply), and its events' instants."""
        self._values.append(values)
        self._gaps.append(event_ns[1:] - event_ns[:-1])
        self._waiting += len(values) + len(event_ns)
        if self._waiting >= _TOGETHER:
            self._count()

    @property
    def counts(self) -> Counts:
        """Shape (rows, BUCKETS), up to the latest request."""
        if self._waiting:
            self._count()
        return self._counts

    def _count(self) -> None:
        table = np.array(self._values, np.float64)  # exact below 2^53; None becomes NaN
        known = np.isfinite(table)
        values = table[known].astype(np.int64)
        gaps = (np.concatenate(self._gaps) + 500) // 1000
        index = indexes(np.concatenate((values, gaps)))
        index[: len(values)] += known.nonzero()[1] * BUCKETS
        index[len(values) :] += self._gaps_first
        np.add.at(self._flat, index, 1)
        self._values, self._gaps, self._waiting = [], [], 0


class Distribution:
    """The counts of one metric, read: percentiles, mean and intervals in reported units.

    counts: shape (BUCKETS,). scale: histogram unit → reported unit.
    """

    def __init__(self, counts: Counts, scale: float) -> None:
        self._cumulative = np.cumsum(counts)
        self._counts = counts
        self._scale = scale
        self.count = int(self._cumulative[-1])

    def at_rank(self, rank: int) -> float:
        """Value of the rank-th smallest (1-based)."""
        return float(MIDPOINTS[int(np.searchsorted(self._cumulative, rank))]) * self._scale

    def percentile(self, percent: float) -> float | None:
        """Return the smallest value that `percent` of all do not exceed; None without values."""
        if not self.count:
            return None
        return self.at_rank(max(1, math.ceil(round(percent / 100 * self.count, 9))))

    def interval(self, percent: float, effective: float = 1.0) -> tuple[float, float] | None:
        """Return the 95 % interval of a percentile; None when the sample can't bound it.

        effective: the share of the values that count as independent; the ranks are then those of so few,
        spread over all.
        """
        size = max(1, round(self.count * effective))
        ranks = order_ranks(size, percent / 100) if self.count else None
        if ranks is None:
            return None
        low, high = ranks[0] * self.count // size, -(-ranks[1] * self.count // size)
        return self.at_rank(max(1, low)), self.at_rank(min(self.count, high))

    def moments(self) -> tuple[float, float] | None:
        """Return mean and standard deviation of the buckets' midpoints; None without values."""
        if not self.count:
            return None
        used = np.flatnonzero(self._counts)
        weights, values = self._counts[used], MIDPOINTS[used] * self._scale
        mean = float(np.average(values, weights=weights))
        return mean, math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))


def with_failures(
    done: Counts, censored: Counts, failed: int, scale: float, percents: Sequence[float]
) -> dict[float, float | tuple[float]]:
    """Percentiles of a latency over all requests: completed, failed and cut off.

    A failure ranks above every value; what the run cut off is right-censored at the time it had waited
    (Kaplan & Meier 1958, on the histogram's buckets). A percentile in the part that is not reached is
    given as a 1-tuple of the bound it lies above.

    done, censored: shape (BUCKETS,). failed: how many failed. scale: histogram unit → reported unit.
    """
    used = np.flatnonzero(done + censored)
    if not len(used) or not done.sum():
        top = float(MIDPOINTS[used[-1]]) * scale if len(used) else 0.0
        return dict.fromkeys(percents, (top,))
    deaths, leaves = done[used].astype(np.float64), censored[used].astype(np.float64)
    gone = np.cumsum(deaths + leaves)
    at_risk = gone[-1] + failed - np.concatenate([[0.0], gone[:-1]])
    # within a bucket completions are taken to come before the cut-offs, as Kaplan and Meier do for ties
    survival = np.cumprod(1.0 - deaths / at_risk)
    values: dict[float, float | tuple[float]] = {}
    for p in percents:
        reached = np.flatnonzero(survival <= 1 - p / 100 + 1e-12)
        if len(reached):
            values[p] = float(MIDPOINTS[used[reached[0]]]) * scale
        else:
            values[p] = (float(MIDPOINTS[used[-1]]) * scale,)
    return values


def encode(counts: Counts, first: int = 0) -> str:
    """Encode a row as HdrHistogram V2, compressed, base64: the payload of an interval log.

    counts: shape (n,), the counters from number `first` on; all others are 0.
    """
    histogram, view = _scratch()
    part = view[first : first + len(counts)]
    part[:] = counts
    used = np.flatnonzero(counts)
    histogram.total_count = int(counts.sum())
    histogram.max_value = int(histogram.get_value_from_index(first + int(used[-1]))) if len(used) else 0
    try:
        return bytes(histogram.encode()).decode("ascii")
    finally:
        part[:] = 0


def decode(payload: str) -> Counts:
    """Decode what `encode` (or another HdrHistogram of the same range) wrote; shape (BUCKETS,).

    Raises:
        ValueError: it is no such payload.
    """
    try:
        counts = np.array(_view(HdrHistogram.decode(payload)), np.int64)
    except (HdrCookieException, HdrLengthException, IndexError, zlib.error) as error:
        raise ValueError(f"no HdrHistogram payload: {error}") from None
    if counts.shape != (BUCKETS,):
        raise ValueError("a histogram of another range")
    return counts


@functools.cache
def _scratch() -> tuple[Any, Counts]:
    """Return the one histogram for all encoding, and its counts.

    Each new one would be 400 KB in a reference cycle, and during a run the collector is off.
    """
    histogram = HdrHistogram(1, HIGHEST, DIGITS)
    return histogram, _view(histogram)


def _view(histogram: Any) -> Counts:
    view: Counts = np.ctypeslib.as_array(histogram.counts)
    return view
