"""What `loadgen check` says: what a run of this scenario would do. Sends nothing, needs no endpoint."""

import os
from collections.abc import Iterator
from typing import Final

import numpy as np

from loadgen.plan.plan import Plan
from loadgen.run.limits import most_connections
from loadgen.scenario.model import FromEnv, Scenario, Target
from loadgen.units import format_duration
from loadgen.workload.prompt import Prompts

_LOOKED_AT: Final = 1_000


def preview(scenario: Scenario, plan: Plan, prompts: Prompts) -> str:
    """Return the text, lines of at most about 100 characters."""
    lines = [f"{scenario.name}: the scenario is right", *_about(scenario), ""]
    for target in scenario.targets:
        lines += _target(target)
    lines += [
        "",
        *_load(scenario, plan, prompts),
        "",
        *_words(scenario, prompts),
        "",
        f"plan digest  {plan.digest[:16]}",
    ]
    return "\n".join(lines)


def _about(scenario: Scenario) -> list[str]:
    return [f"  {scenario.description}"] if scenario.description else []


def _target(target: Target) -> Iterator[str]:
    where = target.base_url or "built-in simulator (SIMULATED)"
    yield f"target       {target.name}: {target.model} at {where}"
    if target.insecure:
        yield "             INSECURE: certificates are not checked"
    given = [target.api_key_env, *(v.env for v in _from_environment(target))]
    for name in dict.fromkeys(n for n in given if n):
        if not os.environ.get(name):
            yield f"             the environment variable {name} is not set: a run would stop there"


def _from_environment(target: Target) -> list[FromEnv]:
    values = [*target.headers.values(), *target.query.values()]
    return [v for v in values if isinstance(v, FromEnv)]


def _load(scenario: Scenario, plan: Plan, prompts: Prompts) -> Iterator[str]:
    load = scenario.load
    per = " for each target" if plan.targets > 1 else ""
    ramp = f", begun over {format_duration(load.ramp_ns)}" if load.ramp_ns else ", all begun at once"
    yield f"load         {int(load.concurrency or 1)} sessions at any time{per} (closed loop){ramp}"
    warmup = (
        f"opens after {format_duration(load.warmup_ns)} of warm-up, " if load.warmup_ns else "opens at once, "
    )
    ends = []
    if load.duration_ns is not None:
        ends.append(format_duration(load.duration_ns))
    if load.requests is not None:
        ends.append(f"{int(load.requests):,} sessions{per}")
    first = ", whichever is first" if len(ends) > 1 else ""
    yield f"window       {warmup}ends after {' or '.join(ends)}{first}"
    if load.duration_ns is not None:
        yield f"grace        up to {format_duration(load.grace_ns)} for what still runs then"
        longest = load.warmup_ns + load.duration_ns + load.grace_ns
        yield f"takes        at most {format_duration(longest)}"
    if load.ramp_ns > load.warmup_ns > 0:
        yield "note         the window opens before all sessions have begun (ramp is longer than warmup)"
    yield f"connections  up to {most_connections(plan, scenario.targets):,} at a time in all"
    if load.requests is not None:
        yield f"requests     at most {int(load.requests) * plan.targets:,} in the window, warm-up not counted"
    if prompts.count is not None:
        yield f"requests     at most {prompts.count * plan.targets:,} in all: then the prompts are used up"
    if load.requests is None and prompts.count is None:
        yield "requests     as many as the endpoints answer in that time"


def _words(scenario: Scenario, prompts: Prompts) -> Iterator[str]:
    count = _LOOKED_AT if prompts.count is None else min(_LOOKED_AT, prompts.count)
    looked_at = [prompts.conversation(session, 0).turns[0] for session in range(count)]
    chars = [sum(len(str(m.get("content") or "")) for m in p.messages) for p in looked_at]
    source = scenario.workloads[0].file or scenario.workloads[0].source
    yield f"prompts      {source}; of the first {count:,}:"
    yield f"  characters       {_spread(chars)}"
    asked = [p.asked_prompt_tokens for p in looked_at if p.asked_prompt_tokens is not None]
    if asked:
        yield f"  prompt tokens    {_spread(asked)} asked for"
    caps = [p.asked_output_tokens for p in looked_at if p.asked_output_tokens is not None]
    yield (
        f"  answer at most   {_spread(caps)} tokens"
        if caps
        else "  answer           as long as the model likes"
    )
    salted = (
        "every prompt begins with a mark of its own"
        if scenario.workloads[0].salt
        else "none: a cache may serve"
    )
    yield f"  salt             {salted}"


def _spread(values: list[int]) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"{low:,.0f} to {high:,.0f}, median {middle:,.0f}"
