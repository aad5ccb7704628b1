import math

import numpy as np
import pytest
from numpy.typing import NDArray

from loadgen.measure.statistics import (
    NORMAL,
    contrast,
    detectable,
    drift,
    effective_sizes,
    holm,
    mean,
    of_runs,
    quantile,
    share,
    unsettled,
)

Floats = NDArray[np.float64]
REPETITIONS = 200
# of 200 repetitions at 95 % at least 179 hold the truth, but for one time in some thousands
FEWEST = 179


def correlated(n: int, rho: float, rng: np.random.Generator) -> Floats:
    normal = rng.standard_normal(n)
    state = normal[0]
    for i in range(1, n):
        state = rho * state + math.sqrt(1 - rho * rho) * normal[i]
        normal[i] = state
    return np.exp(0.5 * normal)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("p", [0.5, 0.9])
def test_an_interval_holds_the_truth(rho: float, p: float) -> None:
    rng, true = np.random.default_rng(7), math.exp(0.5 * NORMAL.inv_cdf(p))
    held = 0
    for _ in range(REPETITIONS):
        known = quantile(correlated(2_000, rho, rng), p)
        assert known is not None
        low, high = known.interval
        held += low <= true <= high
    assert held >= FEWEST


@pytest.mark.parametrize(
    ("rho", "least", "most"),
    [
        pytest.param(0.0, 0.85, 1.0, id="independent"),
        pytest.param(0.5, 0.3, 0.55, id="AR(1) 0.5"),  # of the mean 1/3; of "above the median" 0.43
        pytest.param(0.8, 0.11, 0.22, id="AR(1) 0.8"),  # of the mean 1/9; of "above the median" 0.15
    ],
)
def test_the_effective_size_is_that_of_the_correlation(rho: float, least: float, most: float) -> None:
    values = correlated(20_000, rho, np.random.default_rng(3))
    assert least <= effective_sizes(values, [0.5])[0] / len(values) <= most


def test_a_tail_that_comes_in_clusters_counts_as_few_samples() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(100, 5, 20_000)
    for start in range(0, 20_000, 2_000):  # ten times thirty slow requests in a row: all that p99 rests on
        values[start : start + 30] += 500
    assert effective_sizes(values, [0.99])[0] < 0.2 * len(values)
    assert effective_sizes(values, [0.5])[0] > 2 * effective_sizes(values, [0.99])[0]


@pytest.mark.parametrize(
    ("n", "p", "bounded"),
    [
        (80, 0.99, False),
        (999, 0.99, False),
        (1_400, 0.99, True),
        (100, 0.9, True),
        (15, 0.5, False),
        (60, 0.5, True),
    ],
)
def test_ten_samples_beyond_it_bound_a_percentile(n: int, p: float, bounded: bool) -> None:
    values = np.random.default_rng(1).lognormal(size=n)
    assert (quantile(values, p) is not None) is bounded


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.zeros(0), id="none"),
        pytest.param(np.ones(1), id="one"),
        pytest.param(np.full(500, 3.0), id="all the same"),
        pytest.param(np.repeat([1.0, 2.0], 250), id="two values"),
    ],
)
def test_odd_samples_raise_nothing(values: Floats) -> None:
    for p in (0.5, 0.99):
        known = quantile(values, p)
        if known is not None:
            low, high = known.interval
            assert low <= known.value <= high
    assert drift(values) is None or len(values) > 1
    assert unsettled(values) >= 0


def test_a_share_has_wilsons_interval() -> None:
    known = share(1, 10)  # Wilson 1927, as in Brown, Cai & DasGupta 2001
    assert known is not None
    assert known.interval == pytest.approx((0.0179, 0.4042), abs=1e-4)
    assert share(0, 0) is None


@pytest.mark.parametrize(("runs", "t"), [(3, 4.303), (5, 2.776), (10, 2.262)])
def test_runs_have_students_interval(runs: int, t: float) -> None:
    values = [float(i) for i in range(runs)]
    known = of_runs(values)
    assert known is not None
    low, high = known.interval
    error = float(np.std(values, ddof=1)) / math.sqrt(runs)
    # the function it is taken from is too wide for few runs, never too narrow
    assert t * 0.999 <= (high - low) / 2 / error <= t * 1.05


def test_a_mean_has_the_normal_interval() -> None:
    values = np.random.default_rng(2).normal(10, 2, 10_000)
    known = mean(values)
    assert known is not None
    low, high = known.interval
    assert (high - low) / 2 == pytest.approx(1.96 * 2 / 100, rel=0.1)


def test_a_contrast_is_turned_round_by_turning_the_sides_round() -> None:
    rng = np.random.default_rng(4)
    a, b = quantile(rng.lognormal(5, 0.3, 2_000), 0.5), quantile(rng.lognormal(5.2, 0.3, 2_000), 0.5)
    assert a is not None
    assert b is not None
    there, back = contrast(a, b), contrast(b, a)
    assert there.difference == -back.difference
    assert there.p_value == back.p_value < 1e-6
    assert there.ratio is not None
    assert back.ratio is not None
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.ratio_interval is not None
    assert there.ratio_interval[0] <= there.ratio <= there.ratio_interval[1]


def test_a_shift_of_ten_percent_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(6)
    found = claimed = 0
    for _ in range(REPETITIONS // 2):
        a, b, c = (quantile(rng.lognormal(0, 0.5, 2_000) * by, 0.5) for by in (1, 1.1, 1))
        assert a is not None
        assert b is not None
        assert c is not None
        found += contrast(a, b).p_value < 0.05
        claimed += contrast(a, c).p_value < 0.05
    assert found >= 97
    assert claimed <= 12


def test_what_could_have_been_shown_grows_with_the_family_and_shrinks_with_the_samples() -> None:
    rng = np.random.default_rng(8)

    def able(n: int, family: int) -> float:
        a, b = (quantile(rng.lognormal(0, 0.5, n), 0.5) for _ in range(2))
        assert a is not None
        assert b is not None
        return detectable(contrast(a, b), family) or math.nan

    assert able(20_000, 1) < able(2_000, 1) < able(2_000, 20) < able(500, 20)
    # 2.8 standard errors of a difference of two medians: 1.2533 * 0.5 * sqrt(2 / n)
    assert able(20_000, 1) == pytest.approx(math.expm1(2.8 * 1.2533 * 0.5 * math.sqrt(2 / 20_000)), rel=0.15)


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        pytest.param([], [], id="none"),
        pytest.param([0.04], [0.04], id="one"),
        pytest.param([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], id="Holm's steps"),
        pytest.param([0.9, 0.8], [1.0, 1.0], id="never above 1"),
    ],
)
def test_holm(given: list[float], corrected: list[float]) -> None:
    assert holm(given) == pytest.approx(corrected)


def test_drift_and_an_unsettled_beginning_are_seen() -> None:
    rng = np.random.default_rng(9)
    flat = rng.lognormal(5, 0.2, 4_000)
    found = drift(flat * np.linspace(1, 1.3, 4_000))
    assert found is not None
    assert found.p_value < 1e-6
    steady = drift(flat)
    assert steady is not None
    assert steady.p_value > 0.01
    slow = flat.copy()
    slow[:200] *= 3
    assert 150 <= unsettled(slow) <= 300
    assert unsettled(flat) <= 400  # a tenth: of a steady run little is ever to be cut
