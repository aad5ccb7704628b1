"""The laws of arrivals, on plans as they are carried out: mean, dispersion, distribution.

Bounds follow from the size of the sample, for one false alarm in a million; seeds are fixed.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.laws import Profile
from loadgen.plan.plan import Plan, planned_counts
from tests.plans import ONE_IN_A_MILLION, S, plan_of, stage

RATE = 100.0
LAWS: dict[str, tuple[dict[str, Any], float]] = {  # keys, variance of a gap of mean 1
    "constant": ({"arrivals": "constant"}, 0.0),
    "poisson": ({"arrivals": "poisson"}, 1.0),
    "gamma 0.25": ({"arrivals": "gamma", "burstiness": 0.25}, 4.0),
    "gamma 0.5": ({"arrivals": "gamma", "burstiness": 0.5}, 2.0),
    "gamma 1": ({"arrivals": "gamma", "burstiness": 1.0}, 1.0),
    "gamma 4": ({"arrivals": "gamma", "burstiness": 4.0}, 0.25),
}
each_law = pytest.mark.parametrize(("keys", "variance"), LAWS.values(), ids=list(LAWS))


def erlang(k: int) -> Callable[[float], float]:
    """P(gap <= x) of Gamma with a whole shape k and mean 1."""
    return lambda x: 1 - math.exp(-k * x) * sum((k * x) ** j / math.factorial(j) for j in range(k))


DISTRIBUTIONS: dict[str, tuple[dict[str, Any], Callable[[float], float]]] = {
    "poisson": ({"arrivals": "poisson"}, lambda x: -math.expm1(-x)),
    "gamma 0.5": ({"arrivals": "gamma", "burstiness": 0.5}, lambda x: math.erf(math.sqrt(x / 2))),
    "gamma 1": ({"arrivals": "gamma", "burstiness": 1.0}, erlang(1)),
    "gamma 4": ({"arrivals": "gamma", "burstiness": 4.0}, erlang(4)),
}
each_distribution = pytest.mark.parametrize(
    ("keys", "cumulative"), DISTRIBUTIONS.values(), ids=list(DISTRIBUTIONS)
)


def distance(gaps: list[float], cumulative: Callable[[float], float]) -> float:
    """Kolmogorov's distance of a sample from its distribution, times the root of its size."""
    n, worst = len(gaps), 0.0
    for i, gap in enumerate(sorted(gaps)):
        p = cumulative(gap)
        worst = max(worst, p - i / n, (i + 1) / n - p)
    return worst * math.sqrt(n)


KOLMOGOROV = math.sqrt(math.log(2 / 1e-6) / 2)  # P(distance > d) < 2 exp(-2 d^2)


@each_law
def test_gaps_have_the_mean_and_the_variation_of_their_law(keys: dict[str, Any], variance: float) -> None:
    gaps = np.diff(plan_of(rate_per_s=RATE, requests=100_000, **keys).when_ns) * (RATE / S)
    n = len(gaps)
    assert abs(gaps.mean() - 1) <= ONE_IN_A_MILLION * math.sqrt(variance / n) + 1e-9
    # variance of a sample's variance: sigma^4 (2 + excess kurtosis) / n, for Gamma(k): 6 / k
    spread = variance * math.sqrt((2 + 6 * variance) / n)
    assert abs(gaps.var() - variance) <= ONE_IN_A_MILLION * spread + 1e-9


@each_law
def test_counts_are_as_dispersed_as_their_law(keys: dict[str, Any], variance: float) -> None:
    """Index of dispersion of the counts in bins of 40 expected arrivals."""
    bins, mean = 4_000, 40
    width = mean * S / RATE
    plan = plan_of(rate_per_s=RATE, duration_ns=int(bins * width), **keys)
    counts = planned_counts(plan, (np.arange(bins + 1) * width).astype(np.int64))
    assert counts.sum() == len(plan.when_ns)
    # an equilibrium renewal process with gaps Gamma(k), v = 1/k: Cox 1962, Renewal Theory, section 4.5
    expected = (mean * variance + (1 - variance * variance) / 6) / mean if variance else 0.0
    index = counts.var() / mean
    assert abs(index - expected) <= ONE_IN_A_MILLION * expected * math.sqrt(2 / bins) * 1.2
    assert abs(counts.sum() - bins * mean) <= ONE_IN_A_MILLION * math.sqrt(variance * bins * mean)


@each_distribution
def test_gaps_have_the_distribution_of_their_law(
    keys: dict[str, Any], cumulative: Callable[[float], float]
) -> None:
    gaps = np.diff(plan_of(rate_per_s=RATE, requests=20_000, **keys).when_ns) * (RATE / S)
    assert distance(gaps.tolist(), cumulative) <= KOLMOGOROV


def test_the_distance_tells_laws_apart() -> None:
    gaps = np.diff(plan_of(rate_per_s=RATE, requests=2_000).when_ns) * (RATE / S)
    wrong = DISTRIBUTIONS["gamma 0.5"][1]
    assert distance(gaps.tolist(), wrong) > KOLMOGOROV


def area(plan: Plan, until_s: float) -> float:
    """Sessions expected up to a time, summed by hand from the knots of the plan."""
    total = 0.0
    knots = zip((plan.knots_ns / S).tolist(), plan.knots_per_s.tolist(), strict=True)
    for (t0, r0), (t1, r1) in pairwise(knots):
        if until_s <= t0 or t1 == t0:
            continue
        x = min(until_s, t1) - t0
        total += x * (r0 + (r0 + (r1 - r0) * x / (t1 - t0))) / 2
    return total


DAY = (stage(20 * S, 10, 300), stage(10 * S, 300), stage(5 * S, 0), stage(15 * S, 500, 20))


@each_distribution
def test_gaps_in_rescaled_time_have_the_distribution_of_the_law(
    keys: dict[str, Any], cumulative: Callable[[float], float]
) -> None:
    plan = plan_of(stages=DAY, **keys)
    rescaled = [area(plan, when / S) for when in plan.when_ns.tolist()]
    assert distance(np.diff(rescaled).tolist(), cumulative) <= KOLMOGOROV


@each_law
@pytest.mark.parametrize(
    "load",
    [
        {"stages": DAY},
        {"stages": DAY, "warmup_ns": 3 * S},
        {"rate_per_s": 200.0, "ramp_ns": 10 * S, "duration_ns": 30 * S},
        {"rate_per_s": 200.0, "ramp_ns": 40 * S, "duration_ns": 30 * S},
        {"rate_per_s": 1.0, "levels": [50, 200, 20], "ramp_ns": 4 * S, "duration_ns": 8 * S},
    ],
    ids=["stages", "stages after a warm-up", "ramp", "ramp longer than the run", "levels with ramps"],
)
def test_each_part_has_as_many_as_its_rate_says(
    load: dict[str, Any], keys: dict[str, Any], variance: float
) -> None:
    plan = plan_of(**load, **keys)
    end_s = plan.knots_ns[-1] / S
    edges = np.linspace(0, end_s, 13)
    counts = planned_counts(plan, np.rint(edges * S).astype(np.int64))
    for (begin, end), count in zip(pairwise(edges.tolist()), counts.tolist(), strict=True):
        expected = area(plan, end) - area(plan, begin)
        # of the count of a renewal process; + 1 for what the edges cut
        spread = math.sqrt(variance * expected + abs(1 - variance * variance) / 6)
        assert abs(count - expected) <= ONE_IN_A_MILLION * (spread if variance else 0) + 1.001
    assert plan.levels[-1].window_ns[1] == plan.knots_ns[-1]


def test_knots_of_a_ramp_and_of_levels() -> None:
    ramp = plan_of(rate_per_s=20.0, ramp_ns=2 * S, duration_ns=5 * S, warmup_ns=S)
    assert (ramp.knots_ns.tolist(), ramp.knots_per_s.tolist()) == ([0, 2 * S, 6 * S], [0, 20, 20])
    levels = plan_of(rate_per_s=1.0, levels=[10, 30], duration_ns=5 * S)
    assert levels.knots_ns.tolist() == [0, 5 * S, 5 * S, 10 * S]
    assert levels.knots_per_s.tolist() == [10, 10, 30, 30]
    # a ramp longer than its level is done with it: the next begins where it says
    steep = plan_of(rate_per_s=1.0, levels=[10, 30], duration_ns=S, ramp_ns=2 * S)
    assert steep.knots_ns.tolist() == [0, S, S, 2 * S]
    assert steep.knots_per_s.tolist() == [0, 10, 10, 20]
    day = plan_of(stages=(stage(S, 0, 10), stage(S, 5)), warmup_ns=S)
    assert day.knots_ns.tolist() == [0, S, 2 * S, 2 * S, 3 * S]
    assert day.knots_per_s.tolist() == [0, 0, 10, 5, 5]


def test_a_short_bursty_load_has_its_mean_too() -> None:
    """A process that begins with a whole gap has (v - 1) / 2 = 4.5 arrivals too many."""
    keys: dict[str, Any] = {"rate_per_s": 20.0, "arrivals": "gamma", "burstiness": 0.1, "duration_ns": 20 * S}
    counts = [planned_counts(plan_of(seed=seed, **keys), [0, S])[0] for seed in range(400)]
    assert abs(np.mean(counts) - 20) <= ONE_IN_A_MILLION * math.sqrt((20 * 10 - 99 / 6) / 400)


@pytest.mark.parametrize(("rate", "seconds"), [(20.0, 10), (3.0, 7), (0.7, 10), (1 / 3, 9), (1000.0, 2)])
def test_constant_means_constant(rate: float, seconds: int) -> None:
    plan = plan_of(rate_per_s=rate, duration_ns=seconds * S, arrivals="constant")
    expected = math.ceil(round(rate * seconds, 6))
    assert plan.when_ns.tolist() == [round(k / rate * S) for k in range(expected)]


def test_constant_goes_on_over_steps_of_the_rate() -> None:
    plan = plan_of(stages=(stage(S, 4), stage(S, 0), stage(S, 2)), arrivals="constant")
    assert plan.when_ns.tolist() == [0, S // 4, S // 2, 3 * S // 4, 2 * S, 5 * S // 2]
    half = plan_of(stages=(stage(S // 8, 4), stage(S, 1)), arrivals="constant")
    assert half.when_ns.tolist() == [0, S // 8 + S // 2]  # half a gap was over


def test_each_stage_has_its_law() -> None:
    stages = (stage(100 * S, 100, law="constant"), stage(200 * S, 100), stage(100 * S, 100, law="constant"))
    plan = plan_of(stages=stages, arrivals="gamma", burstiness=0.25)
    gaps = [
        np.diff(plan.when_ns[(plan.when_ns >= a * S) & (plan.when_ns < b * S)]) * (RATE / S)
        for a, b in ((0, 100), (100, 300), (300, 400))
    ]
    assert np.abs(gaps[0] - 1).max() <= 1e-6
    assert abs(gaps[1].var() - 4) <= ONE_IN_A_MILLION * 4 * math.sqrt((2 + 24) / len(gaps[1]))
    assert np.abs(gaps[2] - 1).max() <= 1e-6


def test_a_stage_leaves_those_before_it_alone_and_repeats_none() -> None:
    one = plan_of(stages=(stage(10 * S, 100), stage(10 * S, 100)))
    two = plan_of(stages=(stage(10 * S, 100), stage(10 * S, 700, law="constant")))
    assert one.when_ns[one.when_ns < 10 * S].tolist() == two.when_ns[two.when_ns < 10 * S].tolist()
    gaps = np.diff(one.when_ns).tolist()
    assert len(set(gaps)) > 0.99 * len(gaps)


@given(
    st.lists(
        st.tuples(st.integers(1, 10**11), st.floats(0, 5000), st.floats(0, 5000)), min_size=1, max_size=8
    ),
    st.lists(st.floats(0, 1), min_size=1, max_size=50),
)
def test_the_inverse_is_the_inverse(parts: list[tuple[int, float, float]], shares: list[float]) -> None:
    knots, at = [], 0
    for time_ns, start, end in parts:
        knots += [(at, start), (at + time_ns, end)]
        at += time_ns
    profile = Profile.of(knots)
    total = float(profile.expected[-1])
    u = np.sort(np.array(shares)) * total
    when = profile.times_ns(u)
    assert (np.diff(when) >= 0).all()
    for unit, t in zip(u.tolist(), when.tolist(), strict=True):
        if t < at:
            # a nanosecond either side holds it
            low, high = profile.expected_at(max(0, t - 1)), profile.expected_at(min(at, t + 1))
            assert low - 1e-9 * total - 1e-9 <= unit <= high + 1e-9 * total + 1e-9


def test_nobody_comes_after_a_rate_has_gone_to_zero() -> None:
    profile = Profile.of([(0, 10.0), (S, 0.0)])
    assert profile.times_ns(np.array([0.0, 4.9999, 5.5, 100.0]))[2:].min() >= 2**61


def test_the_same_seed_the_same_arrivals_another_seed_others() -> None:
    one, same, other = (plan_of(seed=seed, rate_per_s=RATE, requests=1000) for seed in (1, 1, 2))
    assert one.when_ns.tobytes() == same.when_ns.tobytes()
    assert len(set(one.when_ns.tolist()) & set(other.when_ns.tolist())) < 10
