"""The plan of a closed loop: reproducible, fair between targets, shards make up the whole."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.plan import FOREVER, Level, Plan, build
from loadgen.scenario.model import Scenario
from tests import plans
from tests.plans import MS, Said


def scenario(targets: int = 2, **load_keys: Any) -> Scenario:
    return plans.scenario(targets, **{"duration_ns": 10**9} | load_keys)


def rows(plan: Plan) -> list[tuple[int, int, int]]:
    """(when, target, place) of every start."""
    return list(zip(plan.when_ns.tolist(), plan.target.tolist(), plan.place.tolist(), strict=True))


def test_starts_are_spread_over_the_ramp_and_targets_take_turns() -> None:
    plan = build(scenario(3, concurrency=4, ramp_ns=100 * MS), Said())
    assert rows(plan) == [
        *[(0, 0, 0), (0, 1, 0), (0, 2, 0)],
        *[(25 * MS, 1, 1), (25 * MS, 2, 1), (25 * MS, 0, 1)],
        *[(50 * MS, 2, 2), (50 * MS, 0, 2), (50 * MS, 1, 2)],
        *[(75 * MS, 0, 3), (75 * MS, 1, 3), (75 * MS, 2, 3)],
    ]
    assert (plan.places, plan.first_session, plan.stride) == (12, 0, 1)
    assert all(a.dtype == np.int64 for a in (plan.when_ns, plan.target, plan.place))


@given(st.integers(1, 5), st.integers(1, 60), st.integers(0, 10**10))
def test_every_target_gets_the_same_places_at_the_same_times(
    targets: int, concurrency: int, ramp_ns: int
) -> None:
    plan = build(scenario(targets, concurrency=concurrency, ramp_ns=ramp_ns), Said())
    assert (np.diff(plan.when_ns) >= 0).all()
    of = [[(when, place) for when, t, place in rows(plan) if t == target] for target in range(targets)]
    assert all(one == of[0] for one in of)
    assert [place for _, place in of[0]] == list(range(concurrency))
    assert [when for when, _ in of[0]] == [ramp_ns * k // concurrency for k in range(concurrency)]
    # each goes first as often as the others, to within one
    first = np.bincount(plan.target[::targets], minlength=targets)
    assert first.max() - first.min() <= 1


@pytest.mark.parametrize(
    ("keys", "places"),
    [
        ({"concurrency": 8, "requests": 3}, 3),
        ({"concurrency": 8, "requests": 8}, 8),
        ({"concurrency": 8, "requests": 100}, 8),
        ({"concurrency": 8, "requests": 3, "warmup_ns": MS}, 8),  # the warm-up has need of all
        ({"concurrency": 8}, 8),
        ({}, 1),
    ],
    ids=str,
)
def test_no_more_places_than_requests(keys: dict[str, int], places: int) -> None:
    plan = build(scenario(2, **keys), Said())
    assert plan.places == 2 * places
    assert plan.requests == keys.get("requests")


def test_times_of_the_plan() -> None:
    keys = {"duration_ns": 5 * MS, "warmup_ns": 2 * MS, "ramp_ns": MS, "grace_ns": 7 * MS}
    plan = build(scenario(**keys), Said())
    assert plan.levels == (Level("", 1.0, 0, (2 * MS, 7 * MS)),)
    assert (plan.ramp_ns, plan.grace_ns) == (MS, 7 * MS)
    assert plan.until_ns.tolist() == [FOREVER, FOREVER]
    assert not plan.open_loop
    endless = build(plans.scenario(requests=5), Said())
    assert endless.levels[0].window_ns == (0, None)


def test_one_at_a_time_has_one_place_a_target() -> None:
    plan = build(scenario(3, one_at_a_time=True), Said())
    assert rows(plan) == [(0, 0, 0), (0, 1, 0), (0, 2, 0)]
    assert plan.places == 3


@given(st.integers(1, 3), st.integers(1, 40), st.none() | st.integers(1, 200), st.integers(1, 9))
def test_shards_are_the_whole(targets: int, concurrency: int, requests: int | None, n: int) -> None:
    keys = {"concurrency": concurrency, "ramp_ns": 997 * MS, "warmup_ns": MS}
    plan = build(scenario(targets, **keys | ({} if requests is None else {"requests": requests})), Said("x"))
    parts = [plan.shard(i, n) for i in range(n)]
    starts = [(when, target) for part in parts for when, target, _ in rows(part)]
    assert sorted(starts) == sorted((when, target) for when, target, _ in rows(plan))
    if requests is not None:
        assert sum(part.requests or 0 for part in parts) == requests
    working = [part for part in parts if part.places]
    numbers = [part.first_session + k * part.stride for part in working for k in range(20)]
    assert sorted(numbers) == list(range(20 * len(working)))
    for part in parts:
        assert (np.diff(part.when_ns) >= 0).all()
        assert part.digest == plan.digest
        assert set(part.place.tolist()) == set(range(part.places // targets))
        counted = range(part.first_session, requests or 0, part.stride) if part.places else ()
        assert requests is None or part.requests == len(counted)


def test_one_shard_is_the_plan_and_shards_have_shards() -> None:
    plan = build(scenario(2, concurrency=12, ramp_ns=MS, requests=50), Said("x"))
    assert rows(plan.shard(0, 1)) == rows(plan)
    nested = [plan.shard(i, 2).shard(j, 3) for i in range(2) for j in range(3)]
    assert sorted((w, t) for part in nested for w, t, _ in rows(part)) == sorted(
        (w, t) for w, t, _ in rows(plan)
    )
    assert sorted(part.first_session for part in nested) == list(range(6))
    assert {part.stride for part in nested} == {6}
    assert sum(part.requests or 0 for part in nested) == 50


# levels


LADDER = [8, 16, 4, 4, 12]


def active(plan: Plan, at_ns: int, target: int = 0) -> list[int]:
    """Places of a target that may begin a session at an instant."""
    there = (plan.when_ns <= at_ns) & (at_ns < plan.until_ns) & (plan.target == target)
    return sorted(plan.place[there].tolist())


def test_levels_follow_each_other_each_with_its_warm_up_and_window() -> None:
    plan = build(scenario(levels=LADDER, concurrency=1, warmup_ns=2 * MS, duration_ns=5 * MS), Said())
    assert [level.label for level in plan.levels] == ["8", "16", "4", "4 (2)", "12"]
    assert [level.value for level in plan.levels] == LADDER
    assert [level.start_ns for level in plan.levels] == [0, 7 * MS, 14 * MS, 21 * MS, 28 * MS]
    assert [level.window_ns for level in plan.levels] == [
        (s * MS + 2 * MS, s * MS + 7 * MS) for s in (0, 7, 14, 21, 28)
    ]
    assert plan.places == 2 * 16


def test_a_level_adds_and_ends_places() -> None:
    plan = build(scenario(1, levels=[2, 4, 1, 3], users=1, duration_ns=100, ramp_ns=10), Said())
    assert [*zip(*(a.tolist() for a in (plan.when_ns, plan.until_ns, plan.place)), strict=True)] == [
        (0, FOREVER, 0),
        (5, 200, 1),
        (100, 200, 2),
        (105, 200, 3),
        (300, FOREVER, 1),
        (305, FOREVER, 2),
    ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 3000), st.integers(1, 3))
def test_levels_never_overshoot(levels: list[int], ramp_ns: int, targets: int) -> None:
    plan = build(scenario(targets, levels=levels, concurrency=1, duration_ns=1000, ramp_ns=ramp_ns), Said())
    for at in sorted({*plan.when_ns.tolist(), *range(0, 1000 * len(levels), 500), 1000 * len(levels) - 1}):
        if at >= 1000 * len(levels):
            break  # a place whose ramp is longer than the run
        level = levels[at // 1000]
        for target in range(targets):
            there = active(plan, at, target)
            assert len(there) == len(set(there))
            assert set(there) <= set(range(level))
            if at % 1000 >= ramp_ns:
                assert there == list(range(level))
    assert (plan.when_ns < plan.until_ns).all()
    assert plan.places <= targets * max(levels)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 9), st.integers(0, 400))
def test_shards_of_levels_are_the_whole(levels: list[int], n: int, ramp_ns: int) -> None:
    plan = build(scenario(2, levels=levels, users=1, duration_ns=1000, ramp_ns=ramp_ns), Said())

    def intervals(of: Plan) -> list[tuple[int, int, int]]:
        return [*zip(*(a.tolist() for a in (of.when_ns, of.until_ns, of.target)), strict=True)]

    parts = [plan.shard(i, n) for i in range(n)]
    assert sorted(i for part in parts for i in intervals(part)) == sorted(intervals(plan))
    for part in parts:
        assert set(active(part, 1500)) == set(range(len(active(part, 1500))))


# phases


def test_phases() -> None:
    plan = build(scenario(levels=[1, 2], concurrency=1, warmup_ns=10, duration_ns=100), Said())
    table = {
        0: (0, "warmup"),
        9: (0, "warmup"),
        10: (0, "measure"),
        109: (0, "measure"),
        110: (1, "warmup"),
        119: (1, "warmup"),
        120: (1, "measure"),
        219: (1, "measure"),
        220: None,
        10**15: None,
    }
    assert {at: plan.phase(at) for at in table} == table
    endless = build(plans.scenario(requests=5, warmup_ns=10), Said())
    assert [endless.phase(at) for at in (9, 10, 10**15)] == [(0, "warmup"), (0, "measure"), (0, "measure")]
