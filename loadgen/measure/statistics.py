"""How sure a figure is: intervals of percentiles and shares, of their differences and ratios, drift.

Requests of one run are correlated in time (they share a queue), so every interval rests on the effective
number of samples, not on their number. benchmarks/coverage.py measures what the intervals hold.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bounds = Callable[[Floats], tuple[Floats, Floats]]

NORMAL: Final = NormalDist()
Z95: Final = NORMAL.inv_cdf(0.975)
LEVEL: Final = 0.05
LEAST_BEYOND: Final = 10  # effective samples beyond a percentile; with fewer it is not bounded
ENOUGH_BEYOND: Final = LEAST_BEYOND - 1e-9  # 100 x (1 - 0.9) is a little less than 10
_POWER_Z: Final = NORMAL.inv_cdf(0.8)
_SEGMENT: Final = 1 << 16
_MOST_LAGS: Final = 2_000
_FEWEST: Final = 8
_MOST: Final = 1 << 17
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_GRID: Final = np.linspace(0.0, 8.0, 1601)  # two-sided p-values down to 1e-15


class Estimate(NamedTuple):
    """A figure and how far off it may be.

    size: effective number of samples (of runs, where several make one figure). bounds: standard normal
    quantiles z, shape (n,) → lower and upper bounds of the two-sided intervals at these levels.
    """

    value: float
    size: float
    bounds: Bounds

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        low, high = self.bounds(np.array([Z95]))
        return float(low[0]), float(high[0])


class Contrast(NamedTuple):
    """Other against base. Intervals are of 95 %; ratio and its interval: None where a figure is not above 0.

    p_value: of no difference, two-sided, before any correction for how many are told.
    standard_error: of the logarithm of the ratio, None without one.
    """

    difference: float
    interval: tuple[float, float]
    ratio: float | None
    ratio_interval: tuple[float, float] | None
    p_value: float
    standard_error: float | None


def effective_sizes(values: Floats, ps: Sequence[float]) -> list[float]:
    """Return how many independent samples bound each quantile p as well as these do.

    values: shape (n,), in order of time. n / tau, where tau = 1 + 2 * the sum of the autocorrelations of
    "above the quantile". These are estimated twice, and the larger tau is taken: directly, and from the
    autocorrelation of the ranks' normal scores as a Gaussian copula maps it to level p, which is less noisy
    for a tail that few samples are in. Window and bias: Sokal 1997, "Monte Carlo Methods in Statistical
    Mechanics", section 3; Wolff 2004, "Monte Carlo errors with less errors", equation 49. Of a long series
    tau is that of four stretches of it.
    """
    n = len(values)
    if n < _FEWEST:
        return [float(n)] * len(ps)
    part = values if n <= _MOST else np.concatenate(np.array_split(values, 4 * n // _MOST)[:: n // _MOST])
    ordered, m = np.sort(part), len(part)
    # equal values share a rank: in order of time they would look like a trend
    ranks = (np.searchsorted(ordered, part, "left") + np.searchsorted(ordered, part, "right")) / 2
    scores = _autocorrelation(_normal_quantiles(ranks / m))
    sizes = []
    for p in ps:
        above = (part > ordered[min(m - 1, int(p * m))]).astype(np.float64)
        sizes.append(n / max(1.0, _tau(scores, m, p), _tau(_autocorrelation(above), m, None)))
    return sizes


def sizes_at(values: Floats, ps: Sequence[float]) -> dict[float, float]:
    """Return `effective_sizes` of those quantiles beyond which there are values enough to ask."""
    possible = [p for p in ps if len(values) * min(p, 1 - p) >= ENOUGH_BEYOND]
    return dict(zip(possible, effective_sizes(values, possible), strict=True))


def quantiles(
    values: Floats, ps: Sequence[float], sizes: Mapping[float, float] | None = None
) -> list[Estimate | None]:
    """Estimate quantiles by order statistics; None when fewer than 10 effective samples lie beyond one.

    values: shape (n,), in order of time. The bounds are the order statistics whose ranks are the binomial's
    quantiles (David & Nagaraja, Order Statistics, 7.1) by the Cornish-Fisher expansion, for a sample of the
    effective size spread over the sorted values. sizes: `sizes_at` of them, where known.
    """
    sizes = sizes_at(values, ps) if sizes is None else sizes
    ordered = np.sort(values) if sizes else values
    return [
        _quantile(ordered, p, sizes[p]) if sizes.get(p, 0.0) * min(p, 1 - p) >= ENOUGH_BEYOND else None
        for p in ps
    ]


def quantile(values: Floats, p: float) -> Estimate | None:
    """Estimate one quantile; see `quantiles`."""
    return quantiles(values, (p,))[0]


def _quantile(ordered: Floats, p: float, size: float) -> Estimate:
    n = len(ordered)
    places = np.arange(n) + 0.5
    spread = _GRID * math.sqrt(size * p * (1 - p))
    middle = size * p + (_GRID * _GRID - 1) * (1 - 2 * p) / 6
    low, high = (middle - spread) * n / size, (middle + spread) * n / size
    # beyond the extremes nothing is known: no bound
    lows = np.where(low < 0.5, -np.inf, np.interp(low, places, ordered))
    highs = np.where(high > n - 0.5, np.inf, np.interp(high, places, ordered))

    def bounds(z: Floats) -> tuple[Floats, Floats]:
        # the samples themselves, which may be a million, are not kept
        at = np.minimum(np.ceil(z / _GRID[1]).astype(np.int64), len(_GRID) - 1)
        return lows[at], highs[at]

    return Estimate(float(np.interp(p * n, places, ordered)), size, bounds)


def mean(values: Floats) -> Estimate | None:
    """Estimate a mean by the normal law of large samples; values: shape (n,), in order of time."""
    n = len(values)
    if n < 2 * LEAST_BEYOND:
        return None
    size = n / max(1.0, _tau(_autocorrelation(values), n, None))
    middle, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(size)
    return Estimate(middle, size, lambda z: (middle - z * error, middle + z * error))


def share(hits: float, n: float) -> Estimate | None:
    """Estimate a share, such as the errors', by Wilson's score interval (1927); None without samples."""
    if n <= 0:
        return None
    value = hits / n

    def bounds(z: Floats) -> tuple[Floats, Floats]:
        middle = (value + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * np.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
        return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)

    return Estimate(value, n, bounds)


def of_runs(values: Sequence[float]) -> Estimate | None:
    """Estimate a figure from one value a run by Student's t: drift between runs is in it; None for one run.

    Student's quantile is Wallace's (1959) function of the normal one, inverted.
    """
    k = len(values)
    if k < 2:
        return None
    mean, error, df = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(k), k - 1

    def bounds(z: Floats) -> tuple[Floats, Floats]:
        with np.errstate(over="ignore"):
            t = np.sqrt(df * np.expm1((z * (8 * df + 3) / (8 * df + 1)) ** 2 / df))
        return mean - t * error, mean + t * error

    return Estimate(mean, float(k), bounds)


def contrast(base: Estimate, other: Estimate) -> Contrast:
    """Set two independent estimates side by side.

    The interval of the difference comes from the two of its parts, which need not be symmetric (MOVER: Zou
    & Donner 2008, "Construction of confidence limits about effect measures"); that of the ratio likewise,
    of the logarithms. The p-value is the level at which the interval of the difference begins to hold 0.
    """
    low, high = _mover(base, other, logs=False, z=_GRID)
    excludes = (low > 0) | (high < 0)
    holds = np.flatnonzero(~excludes)
    z = float(_GRID[holds[holds > 0][0]]) if len(holds[holds > 0]) else float(_GRID[-1])
    same = base.value == other.value
    low, high = _mover(base, other, logs=False, z=np.array([Z95]))
    ratio = interval = error = None
    if base.value > 0 and other.value > 0:
        ratio = other.value / base.value
        log_low, log_high = _mover(base, other, logs=True, z=np.array([Z95]))
        interval = (math.exp(float(log_low[0])), math.exp(min(float(log_high[0]), 700.0)))
        error = float(log_high[0] - log_low[0]) / (2 * Z95)
    return Contrast(
        difference=other.value - base.value,
        interval=(float(low[0]), float(high[0])),
        ratio=ratio,
        ratio_interval=interval,
        p_value=1.0 if same else 2 * (1 - NORMAL.cdf(z)),
        standard_error=error if error is not None and math.isfinite(error) else None,
    )


def detectable(found: Contrast, family: int = 1) -> float | None:
    """Return the smallest change (0.1: 10 %) that would have been shown in four of five such comparisons.

    family: how many verdicts are corrected for. None where there is no ratio.
    """
    if found.standard_error is None:
        return None
    z = NORMAL.inv_cdf(1 - LEVEL / (2 * max(1, family)))
    return math.expm1(min((z + _POWER_Z) * found.standard_error, 50.0))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of a family, in the order given (Holm 1979): shown where still at most 0.05."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - rank)))
        corrected[i] = highest
    return corrected


def drift(values: Floats, p: float = 0.5) -> Contrast | None:
    """Set the second half of a run against its first; None when either half is too short."""
    half = len(values) // 2
    first, second = quantile(values[:half], p), quantile(values[half:], p)
    return None if first is None or second is None else contrast(first, second)


def unsettled(values: Floats) -> int:
    """Return how many values at the beginning are not of the steady state, 0 when all are.

    MSER-5 (White 1997, "An effective truncation heuristic for bias reduction in simulation output"): the cut
    after which the mean is best known, looked for in the first half.
    """
    means = values[: len(values) // 5 * 5].reshape(-1, 5).mean(axis=1)
    n = len(means)
    if n < 10:
        return 0
    left = n - np.arange(n)
    sums, squares = np.cumsum(means[::-1])[::-1], np.cumsum(means[::-1] ** 2)[::-1]
    score = (squares - sums**2 / left)[: n // 2] / left[: n // 2].astype(np.float64) ** 2
    return int(np.argmin(score)) * 5


def _mover(base: Estimate, other: Estimate, *, logs: bool, z: Floats) -> tuple[Floats, Floats]:
    """Bound other - base (or the difference of their logarithms) from the bounds of both."""
    (base_low, base_high), (other_low, other_high) = base.bounds(z), other.bounds(z)
    a, b = base.value, other.value
    if logs:
        with np.errstate(divide="ignore", invalid="ignore"):
            base_low, base_high = np.log(np.maximum(base_low, 0)), np.log(np.maximum(base_high, 0))
            other_low, other_high = np.log(np.maximum(other_low, 0)), np.log(np.maximum(other_high, 0))
        a, b = math.log(a), math.log(b)
    return (
        b - a - np.hypot(b - other_low, base_high - a),
        b - a + np.hypot(other_high - b, a - base_low),
    )


def _autocorrelation(values: Floats) -> Floats:
    """Return r(0), r(1), ...; a long series is cut into segments, whose products are added up."""
    n = len(values)
    lags = max(1, min(n // 4, _MOST_LAGS))
    centred = values - values.mean()
    total = np.zeros(lags + 1)
    for start in range(0, n, _SEGMENT):
        segment = centred[start : start + _SEGMENT]
        padded = 1 << (len(segment) + lags).bit_length()
        spectrum = np.fft.rfft(segment, padded)
        total += np.fft.irfft(spectrum * spectrum.conj(), padded)[: lags + 1]
    r: Floats = total / total[0] if total[0] > 1e-12 * n else np.zeros(lags + 1)
    return r


def _tau(r: Floats, n: int, p: float | None) -> float:
    """Sum the autocorrelations up to Sokal's window; p: those of scores, to be mapped to that level."""
    taus = 1 + 2 * np.cumsum(r[1:])
    enough = np.flatnonzero(np.arange(1, len(r)) >= 5 * taus)
    window = int(enough[0]) + 1 if len(enough) else len(taus)
    mapped = r[1 : window + 1] if p is None else _copula(np.clip(r[1 : window + 1], -0.999, 0.999), p)
    return float(1 + 2 * mapped.sum()) * (1 + (2 * window + 1) / n)


def _copula(r: Floats, p: float) -> Floats:
    """Correlation of "above quantile p" of two standard normals with correlation r, shape as given.

    P(both below h) - p^2 is the integral from 0 to r of exp(-h^2 / (1 + t)) / (2 pi sqrt(1 - t^2)) dt
    (Drezner & Wesolowsky 1990, for equal thresholds).
    """
    h = NORMAL.inv_cdf(p)
    t = r[:, None] * (_NODES + 1) / 2
    integrand = np.exp(-h * h / (1 + t)) / np.sqrt(1 - t * t)
    mapped: Floats = (integrand @ _WEIGHTS) * r / 2 / (2 * math.pi) / (p * (1 - p))
    return mapped


def _normal_quantiles(probabilities: Floats) -> Floats:
    """Standard normal quantiles, by interpolation: good to 1e-3, for scores."""
    at, values = _quantile_table()
    return np.interp(probabilities, at, values)


@cache
def _quantile_table() -> tuple[Floats, Floats]:
    values = np.linspace(-5.5, 5.5, 1101)
    return np.array([NORMAL.cdf(v) for v in values]), values
