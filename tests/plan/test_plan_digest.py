"""The digest of a plan: what decides load or words changes it, nothing else; the same in any process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadgen.plan.plan import build
from loadgen.scenario.lengths import Constant, Count, Duration, FilePath, Tokens
from loadgen.scenario.model import ReportOptions, Scenario, SessionKey
from loadgen.scenario.traffic import ErrorStop, Level, Rate, Share
from tests import plans
from tests.plans import MS, S, Said, plan_of, stage


def scenario() -> Scenario:
    return plans.scenario(2, duration_ns=10**9)


def changed(base: Scenario, **keys: Any) -> Scenario:
    return msgspec.structs.replace(base, **keys)


def of_load(**keys: Any) -> Callable[[Scenario], Scenario]:
    return lambda s: changed(s, load=msgspec.structs.replace(s.load, **keys))


def of_workload(**keys: Any) -> Callable[[Scenario], Scenario]:
    return lambda s: changed(s, workloads=(msgspec.structs.replace(s.workloads[0], **keys),))


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
    "weight": of_workload(weight=2.5),
    "endpoint": of_target(endpoint="completions"),
    "not streamed": of_target(stream=False),
    "session": of_target(session=SessionKey(header="x-session")),
    "rate": of_load(rate_per_s=Rate(20.5)),
    "another rate": of_load(rate_per_s=Rate(20.25)),
    "law": of_load(rate_per_s=Rate(20.5), arrivals="constant"),
    "levels": of_load(levels=(Level(2),)),
    "stop": of_load(stop_at_errors=ErrorStop(share=Share(0.1))),
    "another stop": of_load(stop_at_errors=ErrorStop(share=Share(0.2))),
    "users": of_load(users=Count(3)),
    "one target less": lambda s: changed(s, targets=s.targets[:1]),
}
NOT_DECISIVE: dict[str, Callable[[Scenario], Scenario]] = {
    "name": lambda s: changed(s, name="other"),
    "description": lambda s: changed(s, description="other"),
    "labels": lambda s: changed(s, report=ReportOptions(labels={"build": "1"})),
    "formats": lambda s: changed(s, report=ReportOptions(formats=())),
    "which salt": of_workload(salt="0a1b2c3d"),
    "where the file lies": of_workload(file=FilePath("/elsewhere/prompts.jsonl")),
    "where the tokenizer lies": of_workload(tokenizer=FilePath("/elsewhere/tokenizer.json")),
    "calibration": of_workload(chars_per_token=3.5, overhead_tokens=9.0),
    "target's name": of_target(name="other"),
    "target's address": of_target(base_url="https://other/v1"),
    "key": of_target(api_key_env="OTHER_KEY"),
    "headers": of_target(headers={"x-team": "search"}),
    "context that no prompt exceeds": of_target(context_tokens=Count(8000)),
    "another model, of another context": of_target(model="gpt-5.5"),
}


@pytest.mark.parametrize("change", DECISIVE.values(), ids=list(DECISIVE))
def test_what_decides_load_or_words_changes_the_digest(
    change: Callable[[Scenario], Scenario],
) -> None:
    assert build(change(scenario()), Said("x")).digest != build(scenario(), Said("x")).digest


@pytest.mark.parametrize("change", NOT_DECISIVE.values(), ids=list(NOT_DECISIVE))
def test_names_and_places_do_not(change: Callable[[Scenario], Scenario]) -> None:
    assert build(change(scenario()), Said("x")).digest == build(scenario(), Said("x")).digest


def test_contents_of_the_prompts_change_the_digest() -> None:
    digests = {build(scenario(), Said(contents)).digest for contents in ("x", "y", "")}
    assert len(digests) == 3
    assert all(len(bytes.fromhex(d)) == 32 for d in digests)


def test_bodies_written_in_another_order_are_the_same() -> None:
    one = of_target(extra_body={"a": 1, "b": {"c": 2, "d": 3}})(scenario())
    two = of_target(extra_body={"b": {"d": 3, "c": 2}, "a": 1})(scenario())
    assert build(one, Said("x")).digest == build(two, Said("x")).digest


def test_any_two_decisive_changes_differ() -> None:
    digests = [build(change(scenario()), Said("x")).digest for change in DECISIVE.values()]
    assert len(set(digests)) == len(digests)


def test_the_times_of_a_trace_change_the_digest() -> None:
    keys: dict[str, Any] = {"trace": plans.trace(), "requests": 3}
    digests = {plan_of(rows_ns=[0, 5, at], **keys).digest for at in (6, 7, 8)}
    assert len(digests) == 3


LOADS: dict[str, dict[str, Any]] = {
    "places": {"concurrency": 7, "ramp_ns": 5 * MS, "duration_ns": S},
    "poisson": {"rate_per_s": 50, "duration_ns": S},
    "gamma": {"rate_per_s": 50, "duration_ns": S, "arrivals": "gamma", "burstiness": 0.4},
    "stages": {"stages": (stage(S, 0, 40), stage(S, 50, 3, "gamma")), "burstiness": 0.7},
}


@pytest.mark.parametrize("keys", LOADS.values(), ids=list(LOADS))
def test_the_same_plan_in_another_process(keys: dict[str, Any]) -> None:
    """To the byte, whatever the seed of that process's hashes."""
    program = (
        "import sys\nfrom tests.plans import *\nfrom test_plan_digest import LOADS\n"
        "p = plan_of(**LOADS[sys.argv[1]])\n"
        "print(p.digest, '-'.join(a.tobytes().hex() for a in (p.when_ns, p.target, p.place, p.knots_ns)))"
    )
    plan = plan_of(**keys)
    arrays = (plan.when_ns, plan.target, plan.place, plan.knots_ns)
    here = [plan.digest, "-".join(a.tobytes().hex() for a in arrays)]
    name = next(name for name, load in LOADS.items() if load is keys)
    root = Path(__file__).parents[2]
    paths = os.pathsep.join((str(root), str(Path(__file__).parent)))
    env = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", program, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == here
