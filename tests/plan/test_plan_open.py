"""The plan of an open loop: bounds, shards, bursts, what only the plan can refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import ScenarioError
from loadgen.plan.arrivals import MOST
from loadgen.plan.plan import Plan, planned_counts
from loadgen.scenario.lengths import Count, Duration
from loadgen.scenario.traffic import Burst
from tests.plans import MS, S, plan_of, stage, trace

LAWS: tuple[dict[str, Any], ...] = (
    {"arrivals": "constant"},
    {"arrivals": "poisson"},
    {"arrivals": "gamma", "burstiness": 0.3},
)
laws = st.sampled_from(LAWS)
rates = st.floats(1, 2_000)


def burst(size: int, every_ns: int | None = None) -> Burst:
    return Burst(size=Count(size), every_ns=None if every_ns is None else Duration(every_ns))


def built(**load: Any) -> Plan | None:
    """A plan; None where chance lets nobody arrive."""
    try:
        return plan_of(**load)
    except ScenarioError as error:
        assert "no session" in str(error)  # noqa: PT017 - what else it may be is the test's failure
        return None


def in_window(plan: Plan) -> list[int]:
    """Arrivals in the window of each level."""
    phases = [plan.phase(when) for when in plan.when_ns.tolist()]
    return [phases.count((number, "measure")) for number in range(len(plan.levels))]


# bounds


@given(rates, laws, st.integers(1, 3000), st.integers(0, 1000), st.integers(0, 3000))
def test_arrivals_are_from_the_start_to_the_end(
    rate: float, law: dict[str, Any], duration: int, warmup: int, ramp: int
) -> None:
    times = {"duration_ns": duration * MS, "warmup_ns": warmup * MS, "ramp_ns": ramp * MS}
    plan = built(rate_per_s=rate, **times, **law)
    if plan is None:
        return
    assert plan.open_loop
    assert plan.levels[0].window_ns == (warmup * MS, (warmup + duration) * MS)
    assert plan.when_ns.dtype == np.int64
    assert (np.diff(plan.when_ns) >= 0).all()
    assert plan.when_ns[0] >= 0
    assert plan.when_ns[-1] < (warmup + duration) * MS
    assert None not in {plan.phase(when) for when in plan.when_ns.tolist()}
    assert not len(plan.place)
    assert not len(plan.target)
    assert not len(plan.until_ns)
    assert plan.session is None


@given(rates, laws, st.integers(1, 500), st.integers(0, 1000), st.integers(0, 1000))
def test_a_count_without_a_duration_is_exact(
    rate: float, law: dict[str, Any], requests: int, warmup: int, ramp: int
) -> None:
    times = {"warmup_ns": warmup * MS, "ramp_ns": ramp * MS}
    plan = plan_of(rate_per_s=rate, requests=requests, **times, **law)
    assert in_window(plan) == [requests]
    assert plan.levels[0].window_ns == (warmup * MS, None)
    assert plan.knots_ns[-1] == plan.when_ns[-1]


@given(rates, laws, st.integers(1, 500), st.integers(1, 2000), st.integers(0, 500))
def test_what_comes_first_ends_the_window(
    rate: float, law: dict[str, Any], requests: int, duration: int, warmup: int
) -> None:
    keys: dict[str, Any] = {"rate_per_s": rate, "duration_ns": duration * MS, "warmup_ns": warmup * MS} | law
    alone, both = built(**keys), built(**keys, requests=requests)
    if alone is None or both is None:
        assert alone is both
        return
    assert in_window(both) == [min(requests, in_window(alone)[0])]
    assert both.when_ns.tolist() == alone.when_ns[: len(both.when_ns)].tolist()


def test_more_sessions_than_one_block_of_numbers() -> None:
    """The same gaps, wherever a plan ends, and exact counts beyond the first block."""
    long = plan_of(rate_per_s=1000.0, requests=200_000)
    short = plan_of(rate_per_s=1000.0, requests=70_000)
    assert len(long.when_ns) == 200_000
    assert short.when_ns.tolist() == long.when_ns[:70_000].tolist()
    assert (np.diff(long.when_ns) >= 0).all()


@pytest.mark.parametrize("prompts", [0, 7, 100, 101, None])
@pytest.mark.parametrize("n", [1, 3])
def test_prompts_that_do_not_suffice_end_the_arrivals(prompts: int | None, n: int) -> None:
    plan = plan_of(arrivals="constant", rate_per_s=100, duration_ns=S)
    parts = [plan.shard(i, n).while_prompts_last(prompts) for i in range(n)]
    when_ns = sorted(when for part in parts for when in part.when_ns.tolist())
    assert when_ns == plan.when_ns.tolist()[:prompts]


def test_levels_hold_a_count_each() -> None:
    keys: dict[str, Any] = {
        "rate_per_s": 1.0,
        "levels": [100, 300, 5.5],
        "warmup_ns": S,
        "duration_ns": 4 * S,
    }
    alone, counted = plan_of(**keys), plan_of(**keys, requests=30)
    assert [level.label for level in alone.levels] == ["100/s", "300/s", "5.5/s"]
    assert [level.window_ns for level in alone.levels] == [
        (S, 5 * S),
        (6 * S, 10 * S),
        (11 * S, 15 * S),
    ]
    assert [level.start_ns for level in alone.levels] == [0, 5 * S, 10 * S]
    assert in_window(counted) == [min(30, n) for n in in_window(alone)]
    warm = [n for a, b in ((0, 1), (5, 6), (10, 11)) for n in planned_counts(alone, [a * S, b * S])]
    assert [n for a, b in ((0, 1), (5, 6), (10, 11)) for n in planned_counts(counted, [a * S, b * S])] == warm


def test_a_warm_up_comes_before_the_stages() -> None:
    plan = plan_of(stages=(stage(2 * S, 10, 20), stage(S, 5)), warmup_ns=S, arrivals="constant")
    assert plan.levels[0].window_ns == (S, 4 * S)
    assert planned_counts(plan, [0, S, 3 * S, 4 * S]).tolist() == [10, 30, 5]


def test_counts_of_bins() -> None:
    plan = plan_of(rate_per_s=10.0, duration_ns=S, arrivals="constant")
    assert planned_counts(plan, [0, 1, S // 2, S, 2 * S]).tolist() == [1, 4, 5, 0]
    places = plan_of(targets=2, concurrency=4, ramp_ns=4 * S, duration_ns=S)
    assert planned_counts(places, np.array([0, 2 * S, 4 * S])).tolist() == [4, 4]


# shards

LOADS: dict[str, dict[str, Any]] = {
    "rate": {"rate_per_s": 300.0, "duration_ns": S, "warmup_ns": S // 7},
    "count": {"rate_per_s": 300.0, "requests": 101, "warmup_ns": S // 7},
    "levels": {
        "rate_per_s": 1.0,
        "levels": [100, 300],
        "requests": 50,
        "duration_ns": S,
        "warmup_ns": S // 7,
    },
    "burst": {"burst": burst(7, S // 5), "duration_ns": S, "warmup_ns": S // 3, "requests": 24},
    "trace": {"trace": trace(2.0, 100, 900, 3), "rows_ns": list(range(0, 1300, 13)), "warmup_ns": 50},
}


@pytest.mark.parametrize("load", LOADS.values(), ids=list(LOADS))
@given(st.integers(1, 12))
def test_shards_are_the_whole(load: dict[str, Any], n: int) -> None:
    def sessions(of: Plan) -> list[tuple[int, int]]:
        numbers = range(of.first_session, 10**9, of.stride) if of.session is None else of.session.tolist()
        return [*zip(of.when_ns.tolist(), numbers, strict=False)]

    plan = plan_of(targets=2, **load)
    parts = [plan.shard(i, n) for i in range(n)]
    assert sorted(s for part in parts for s in sessions(part)) == sorted(sessions(plan))
    assert all(len(sessions(part)) == len(part.when_ns) for part in parts)
    assert {part.digest for part in parts} == {plan.digest}
    assert np.allclose(sum(part.knots_per_s for part in parts), plan.knots_per_s)
    nested = [part.shard(i, 2) for part in parts for i in range(2)]
    assert sorted(s for part in nested for s in sessions(part)) == sorted(sessions(plan))
    for part in (*parts, *nested):
        assert part.requests is None or max(in_window(part)) <= part.requests
    if plan.requests is not None and len(plan.levels) == 1:
        assert sum(part.requests or 0 for part in parts) == plan.requests
        assert sum(part.requests or 0 for part in nested) == plan.requests


# bursts


def test_one_burst_when_the_window_opens() -> None:
    for keys in ({}, {"duration_ns": 5 * S}, {"requests": 100}):
        plan = plan_of(burst=burst(3), warmup_ns=2 * S, **keys)
        assert plan.when_ns.tolist() == [2 * S] * 3
        assert plan.levels[0].window_ns == (2 * S, 7 * S if "duration_ns" in keys else None)
        assert plan.levels[0].value == 3
        assert not len(plan.knots_ns)


@pytest.mark.parametrize(
    ("keys", "bursts", "cut"),
    [
        ({"duration_ns": 3 * S}, 3, 0),
        ({"duration_ns": 3 * S + 1}, 4, 0),
        ({"duration_ns": S, "warmup_ns": S // 2}, 2, 0),
        ({"requests": 7}, 3, 2),
        ({"requests": 6}, 2, 0),
        ({"requests": 6, "warmup_ns": 1}, 3, 0),
        ({"requests": 6, "warmup_ns": S}, 3, 0),
        ({"requests": 4, "duration_ns": S}, 1, 0),
        ({"requests": 4, "duration_ns": 9 * S}, 2, 2),
    ],
    ids=str,
)
def test_bursts_until_the_window_ends(keys: dict[str, int], bursts: int, cut: int) -> None:
    plan = plan_of(burst=burst(3, S), **keys)
    whole = [k * S for k in range(bursts) for _ in range(3)]
    assert plan.when_ns.tolist() == whole[: len(whole) - cut]


# what only the plan can refuse


REFUSED: dict[str, tuple[Callable[[], Plan], str]] = {
    "no one by chance": (
        lambda: plan_of(rate_per_s=0.001, duration_ns=S),
        "load.rate: no session would arrive in the window; write a longer duration, a shorter warmup",
    ),
    "bursts miss the window": (
        lambda: plan_of(burst=burst(5, 10 * S), warmup_ns=S, duration_ns=S),
        "load.burst: no session would arrive in the window",
    ),
    "too many": (
        lambda: plan_of(rate_per_s=100_000.0, duration_ns=1000 * S),
        f"load.rate: arrivals would be 100,000,000, more than the {MOST:,} that a plan may have; write a",
    ),
    "too many by stages": (
        lambda: plan_of(stages=(stage(1000 * S, 0, 200_000),)),
        "load.stages: arrivals would be 100,000,000",
    ),
    "too many in levels": (
        lambda: plan_of(rate_per_s=1.0, levels=[1, 100_000], duration_ns=1000 * S),
        "load.levels: arrivals would be 100,001,000",
    ),
    "too many in bursts": (
        lambda: plan_of(burst=burst(1000, 1), duration_ns=S),
        "load.burst: arrivals would be 1,000,000,000,000",
    ),
    "too many by count": (lambda: plan_of(rate_per_s=5.0, requests=60_000_000), "60,000,000"),
    "without end": (lambda: plan_of(rate_per_s=5.0), "without end"),
    "bursts without end": (lambda: plan_of(burst=burst(5, S)), "without end"),
    "trace without timestamps": (
        lambda: plan_of(trace=trace()),
        "load.trace: the workload has no timestamps; name a file",
    ),
    "window beyond the trace": (
        lambda: plan_of(rows_ns=[0, S, 90 * S + 290_232], trace=trace(start_ns=91 * S)),
        "load.trace: no row of the file is in its window: the last row is at 1m30s; choose an earlier start",
    ),
    "window in a gap of the trace": (
        lambda: plan_of(rows_ns=[0, S, 90 * S], trace=trace(start_ns=2 * S, length_ns=S)),
        "load.trace: no row of the file is in its window",
    ),
    "trace without rows": (lambda: plan_of(rows_ns=[], trace=trace()), "the last row is at 0s"),
    "warm-up takes the whole trace": (
        lambda: plan_of(rows_ns=[0, S, 2 * S], trace=trace(length_ns=3 * S), warmup_ns=3 * S),
        "load.trace: lasts 3s, and the warm-up takes all of it",
    ),
    "rows in the warm-up only": (
        lambda: plan_of(rows_ns=[0, S], trace=trace(length_ns=9 * S), warmup_ns=2 * S),
        "load.trace: no session would arrive in the window",
    ),
    "too many repeats": (
        lambda: plan_of(rows_ns=range(100), trace=trace(repeat=1_000_000)),
        "load.trace: arrivals would be 100,000,000",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(make: Callable[[], Plan], message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
