"""The plan of a closed loop: reproducible, fair between targets, shards make up the whole."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.plan.plan import Plan, build
from loadgen.scenario.lengths import Constant, Tokens
from loadgen.scenario.load import load
from loadgen.scenario.model import (
    Count,
    Duration,
    FilePath,
    Load,
    ReportOptions,
    Scenario,
    Target,
)

MS = 1_000_000
SCENARIO = Path(__file__).parents[2] / "scenarios" / "code_completion.toml"


def scenario(targets: int = 2, **load_keys: Any) -> Scenario:
    kinds: dict[str, Callable[[int], int]] = {"concurrency": Count, "requests": Count}
    keys = {key: kinds.get(key, Duration)(value) for key, value in load_keys.items()}
    return Scenario(
        name="s",
        seed=3,
        targets=tuple(Target(name=f"t{i}", model="m", base_url=f"http://h{i}/v1") for i in range(targets)),
        load=Load(**{"duration_ns": Duration(10**9)} | keys),  # type: ignore[arg-type]
    )


def rows(plan: Plan) -> list[tuple[int, int, int]]:
    """(when, target, place) of every start."""
    return list(zip(plan.when_ns.tolist(), plan.target.tolist(), plan.place.tolist(), strict=True))


def test_starts_are_spread_over_the_ramp_and_targets_take_turns() -> None:
    plan = build(scenario(3, concurrency=4, ramp_ns=100 * MS), "")
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
    plan = build(scenario(targets, concurrency=concurrency, ramp_ns=ramp_ns), "")
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
    plan = build(scenario(2, **keys), "")
    assert plan.places == 2 * places
    assert plan.requests == keys.get("requests")


def test_times_of_the_plan() -> None:
    keys = {"duration_ns": 5 * MS, "warmup_ns": 2 * MS, "ramp_ns": MS, "grace_ns": 7 * MS}
    plan = build(scenario(**keys), "")
    assert (plan.window_ns, plan.warmup_ns, plan.ramp_ns, plan.grace_ns) == (5 * MS, 2 * MS, MS, 7 * MS)
    endless = msgspec.structs.replace(scenario().load, duration_ns=None, requests=Count(5))
    assert build(msgspec.structs.replace(scenario(), load=endless), "").window_ns is None


@given(st.integers(1, 3), st.integers(1, 40), st.none() | st.integers(1, 200), st.integers(1, 9))
def test_shards_are_the_whole(targets: int, concurrency: int, requests: int | None, n: int) -> None:
    keys = {"concurrency": concurrency, "ramp_ns": 997 * MS, "warmup_ns": MS}
    plan = build(scenario(targets, **keys | ({} if requests is None else {"requests": requests})), "x")
    parts = [plan.shard(i, n) for i in range(n)]
    starts = [(when, target) for part in parts for when, target, _ in rows(part)]
    assert sorted(starts) == sorted((when, target) for when, target, _ in rows(plan))
    if requests is not None:
        assert sum(part.requests or 0 for part in parts) == requests
    numbers = [part.first_session + k * part.stride for part in parts for k in range(20)]
    assert sorted(numbers) == list(range(20 * n))
    for part in parts:
        assert (np.diff(part.when_ns) >= 0).all()
        assert part.digest == plan.digest
        assert set(part.place.tolist()) == set(range(part.places // targets))
        counted = range(part.first_session, requests or 0, part.stride)
        assert requests is None or part.requests == len(counted)


def test_one_shard_is_the_plan_and_shards_have_shards() -> None:
    plan = build(scenario(2, concurrency=12, ramp_ns=MS, requests=50), "x")
    assert rows(plan.shard(0, 1)) == rows(plan)
    nested = [plan.shard(i, 2).shard(j, 3) for i in range(2) for j in range(3)]
    assert sorted((w, t) for part in nested for w, t, _ in rows(part)) == sorted(
        (w, t) for w, t, _ in rows(plan)
    )
    assert sorted(part.first_session for part in nested) == list(range(6))
    assert {part.stride for part in nested} == {6}
    assert sum(part.requests or 0 for part in nested) == 50


# the digest


def changed(base: Scenario, **keys: Any) -> Scenario:
    return msgspec.structs.replace(base, **keys)


def of_load(**keys: Any) -> Callable[[Scenario], Scenario]:
    return lambda s: changed(s, load=msgspec.structs.replace(s.load, **keys))


def of_workload(**keys: Any) -> Callable[[Scenario], Scenario]:
    return lambda s: changed(s, workload=msgspec.structs.replace(s.workload, **keys))


def of_target(**keys: Any) -> Callable[[Scenario], Scenario]:
    return lambda s: changed(s, targets=(msgspec.structs.replace(s.targets[0], **keys), *s.targets[1:]))


DECISIVE: dict[str, Callable[[Scenario], Scenario]] = {
    "seed": lambda s: changed(s, seed=4),
    "concurrency": of_load(concurrency=Count(2)),
    "requests": of_load(requests=Count(2)),
    "duration": of_load(duration_ns=Duration(5)),
    "warm-up": of_load(warmup_ns=Duration(5)),
    "ramp": of_load(ramp_ns=Duration(5)),
    "grace": of_load(grace_ns=Duration(5)),
    "source": of_workload(source="jsonl"),
    "task": of_workload(task="other"),
    "prompt lengths": of_workload(prompt_tokens=Constant(Tokens(5))),
    "answer lengths": of_workload(output_tokens=Constant(Tokens(5))),
    "no salt at all": of_workload(salt=False),
    "on_end": of_workload(on_end="stop"),
    "body": of_target(extra_body={"temperature": 0}),
    "one target less": lambda s: changed(s, targets=s.targets[:1]),
}
NOT_DECISIVE: dict[str, Callable[[Scenario], Scenario]] = {
    "name": lambda s: changed(s, name="other"),
    "description": lambda s: changed(s, description="other"),
    "labels": lambda s: changed(s, report=ReportOptions(labels={"build": "1"})),
    "formats": lambda s: changed(s, report=ReportOptions(formats=())),
    "which salt": of_workload(salt="0a1b2c3d"),
    "where the file lies": of_workload(file=FilePath("/elsewhere/prompts.jsonl")),
    "target's name": of_target(name="other"),
    "target's address": of_target(base_url="https://other/v1"),
    "key": of_target(api_key_env="OTHER_KEY"),
    "headers": of_target(headers={"x-team": "search"}),
}


@pytest.mark.parametrize("change", DECISIVE.values(), ids=list(DECISIVE))
def test_what_decides_load_or_words_changes_the_digest(
    change: Callable[[Scenario], Scenario],
) -> None:
    assert build(change(scenario()), "x").digest != build(scenario(), "x").digest


@pytest.mark.parametrize("change", NOT_DECISIVE.values(), ids=list(NOT_DECISIVE))
def test_names_and_places_do_not(change: Callable[[Scenario], Scenario]) -> None:
    assert build(change(scenario()), "x").digest == build(scenario(), "x").digest


def test_contents_of_the_prompts_change_the_digest() -> None:
    digests = {build(scenario(), contents).digest for contents in ("x", "y", "")}
    assert len(digests) == 3
    assert all(len(bytes.fromhex(d)) == 32 for d in digests)


def test_bodies_written_in_another_order_are_the_same() -> None:
    one = of_target(extra_body={"a": 1, "b": {"c": 2, "d": 3}})(scenario())
    two = of_target(extra_body={"b": {"d": 3, "c": 2}, "a": 1})(scenario())
    assert build(one, "x").digest == build(two, "x").digest


def test_the_same_plan_in_another_process() -> None:
    """To the byte, whatever the seed of that process's hashes."""
    program = (
        "import sys\nfrom loadgen.plan.plan import build\nfrom loadgen.scenario.load import load\n"
        "p = build(load(sys.argv[1]), 'x')\n"
        "print(p.digest, p.when_ns.tobytes().hex(), p.target.tobytes().hex(), p.place.tobytes().hex())"
    )
    plan = build(load(SCENARIO), "x")
    here = [plan.digest, *(a.tobytes().hex() for a in (plan.when_ns, plan.target, plan.place))]
    for hash_seed in ("0", "1"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", program, str(SCENARIO)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
        assert done.stdout.split() == here
