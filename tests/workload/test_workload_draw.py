"""Token counts and times: within bounds whatever the distribution, and distributed as the scenario says."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.scenario.lengths import (
    Constant,
    ConstantTime,
    Duration,
    Empirical,
    ExponentialTime,
    Lengths,
    Lognormal,
    LognormalTime,
    Normal,
    Times,
    Tokens,
    Uniform,
    UniformTime,
)
from loadgen.units import NS_PER_S as S
from loadgen.workload.draw import by_session, by_turn, draw, draw_times

tokens = st.integers(1, 2_000_000).map(Tokens)
bounds = st.tuples(tokens, tokens).map(sorted)


@st.composite
def any_lengths(data: st.DrawFn) -> tuple[Lengths, int, int | None]:
    """Return a distribution with the lowest and the highest count it may give."""
    low, high = data(bounds)
    top = data(st.sampled_from([None, high]))
    kind = data(st.sampled_from(["constant", "uniform", "normal", "lognormal", "empirical"]))
    match kind:
        case "constant":
            return Constant(low), low, low
        case "uniform":
            return Uniform(low, high), low, high
        case "normal":
            stddev = data(st.floats(0, 1e9))
            return Normal(mean=data(tokens), stddev=stddev, min=low, max=top), low, top
        case "lognormal":
            median, p95 = data(bounds)
            return Lognormal(median=median, p95=p95, min=low, max=top), low, top
        case _:
            values = tuple(data(st.lists(tokens, min_size=1, max_size=5)))
            weights = data(st.none() | st.just(tuple(float(n) for n in range(1, len(values) + 1))))
            return Empirical(values, weights), min(values), max(values)


@settings(max_examples=200)
@given(case=any_lengths(), seed=st.integers(0, 2**63 - 1), n=st.integers(0, 50))
def test_counts_stay_in_bounds(case: tuple[Lengths, int, int | None], seed: int, n: int) -> None:
    lengths, low, high = case
    drawn = draw(lengths, np.random.default_rng(seed), n)
    assert drawn.shape == (n,)
    assert drawn.dtype == np.int64
    assert all(low <= count and (high is None or count <= high) for count in drawn.tolist())
    assert np.array_equal(drawn, draw(lengths, np.random.default_rng(seed), n))


# Tolerances are 4 standard errors at n = 20,000 or more; the seed is fixed, so no run differs.
SHAPES: list[tuple[Lengths, float, dict[str, float]]] = [
    (Constant(Tokens(220)), 0.0, {"mean": 220, "p50": 220, "p95": 220}),
    (Uniform(Tokens(16), Tokens(96)), 0.02, {"mean": 56, "p50": 56, "p95": 92, "min": 16, "max": 96}),
    (Normal(mean=Tokens(500), stddev=50), 0.01, {"mean": 500, "p50": 500, "p95": 582}),
    (Normal(mean=Tokens(500), stddev=0), 0.0, {"mean": 500, "max": 500}),
    (Normal(mean=Tokens(10), stddev=50, max=Tokens(40)), 0.0, {"min": 1, "max": 40}),
    (Lognormal(median=Tokens(220), p95=Tokens(900)), 0.06, {"p50": 220, "p95": 900}),
    (
        Lognormal(median=Tokens(220), p95=Tokens(900), max=Tokens(4000)),
        0.06,
        {"p50": 220, "p95": 900, "max": 4000},
    ),
    (Lognormal(median=Tokens(64), p95=Tokens(64)), 0.0, {"mean": 64, "max": 64}),
    (
        Lognormal(median=Tokens(1), p95=Tokens(10**14)),
        0.0,
        {"p50": 1, "min": 1, "max": 10**15},
    ),
]


def described(drawn: npt.NDArray[np.int64]) -> dict[str, float]:
    return {
        "mean": float(drawn.mean()),
        "p50": float(np.median(drawn)),
        "p95": float(np.percentile(drawn, 95)),
        "min": int(drawn.min()),
        "max": int(drawn.max()),
    }


@pytest.mark.parametrize(("lengths", "tolerance", "expected"), SHAPES, ids=[repr(s[0]) for s in SHAPES])
def test_counts_are_distributed_as_asked(
    lengths: Lengths, tolerance: float, expected: dict[str, float]
) -> None:
    drawn = draw(lengths, np.random.default_rng(7), 20_000)
    found = described(drawn)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=tolerance), name


@pytest.mark.parametrize(
    ("weights", "shares"),
    [(None, (1 / 3, 1 / 3, 1 / 3)), ((1.0, 0.0, 3.0), (0.25, 0.0, 0.75)), ((0.0, 0.0, 9.0), (0.0, 0.0, 1.0))],
    ids=["equal", "weighted", "one"],
)
def test_empirical_weights(weights: tuple[float, ...] | None, shares: tuple[float, ...]) -> None:
    values = (Tokens(10), Tokens(20), Tokens(30))
    drawn = draw(Empirical(values, weights), np.random.default_rng(7), 20_000)
    for value, share in zip(values, shares, strict=True):
        assert float((drawn == value).mean()) == pytest.approx(share, abs=0.015)
        assert share > 0 or value not in drawn


def test_a_value_depends_on_seed_stream_and_session_alone() -> None:
    def column(seed: int, stream: int) -> list[float]:
        at = by_session(lambda rng, n: rng.random(n), seed, stream)
        sessions = range(3000)
        there = [at(session) for session in sessions]
        assert [at(session) for session in reversed(sessions)] == there[::-1]
        fresh = by_session(lambda rng, n: rng.random(n), seed, stream)
        assert [fresh(session) for session in (2999, 0, 1500)] == [there[2999], there[0], there[1500]]
        return there

    columns = [column(7, 1), column(7, 2), column(8, 1), column(7 + 2**32, 1), column(2**63 - 1, 1)]
    assert column(7, 1) == columns[0]
    assert len({value for values in columns for value in values}) == 5 * 3000  # nothing is drawn twice


def test_a_far_session_costs_no_more_than_its_block() -> None:
    drawn = []

    def fill(rng: np.random.Generator, n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        drawn.append(n)
        return rng.random(n)

    at = by_session(fill, 7, 1)
    at(10**9)
    assert len(drawn) == 1
    assert sum(drawn) <= 1024


# Tolerances are 4 standard errors at n = 20,000 or more; the seed is fixed, so no run differs.
TIMES: list[tuple[Times, float, dict[str, float]]] = [
    (ConstantTime(Duration(2 * S)), 0.0, {"mean": 2 * S, "max": 2 * S}),
    (UniformTime(Duration(S), Duration(3 * S)), 0.01, {"mean": 2 * S, "min": S, "max": 3 * S}),
    (ExponentialTime(Duration(4 * S)), 0.03, {"mean": 4 * S, "p50": 4 * S * 0.6931}),
    (ExponentialTime(Duration(4 * S), Duration(5 * S)), 0.03, {"p50": 4 * S * 0.6931, "max": 5 * S}),
    (LognormalTime(Duration(5 * S), Duration(30 * S)), 0.06, {"p50": 5 * S, "p95": 30 * S}),
    (LognormalTime(Duration(S), Duration(S)), 0.0, {"mean": S, "min": S, "max": S}),
    (ExponentialTime(Duration(0)), 0.0, {"max": 0}),
]


@pytest.mark.parametrize(("times", "tolerance", "expected"), TIMES, ids=[repr(t[0]) for t in TIMES])
def test_times_are_distributed_as_asked(times: Times, tolerance: float, expected: dict[str, float]) -> None:
    drawn = draw_times(times, np.random.default_rng(7), 20_000)
    assert drawn.dtype == np.int64
    found = described(drawn)
    assert found["min"] >= 0
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=tolerance), name


def test_a_turns_value_depends_on_seed_stream_session_and_turn_alone() -> None:
    def rows(seed: int, stream: int) -> list[list[float]]:
        at = by_turn(lambda rng, n: rng.random(n), seed, stream)
        there = [at(session, 5) for session in range(200)]
        assert [at(session, 2) for session in reversed(range(200))] == [row[:2] for row in there[::-1]]
        return there

    tables = [rows(7, 1), rows(7, 2), rows(8, 1)]
    assert rows(7, 1) == tables[0]
    assert len({value for table in tables for row in table for value in row}) == 3 * 200 * 5
