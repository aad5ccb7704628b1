"""What `loadgen check` says: what a run of this scenario would do. Sends nothing, needs no endpoint."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from loadgen.plan.plan import Plan
from loadgen.report import money, routes
from loadgen.report.chart import chart
from loadgen.run.forecast import first_sessions
from loadgen.run.limits import most_connections
from loadgen.scenario.model import FromEnv, Scenario, Target
from loadgen.units import format_duration
from loadgen.workload.prompt import Prompts, Turn, joined


class _Said(NamedTuple):
    """What is told of a turn; the turns themselves may hold gigabytes of texts and images."""

    chars: int
    asked_prompt_tokens: int | None
    asked_output_tokens: int | None
    body: bool


def preview(scenario: Scenario, plan: Plan, prompts: Prompts) -> str:
    """Return the text, lines of at most about 100 characters."""
    lines = [f"{scenario.name}: the scenario is right", *_about(scenario), ""]
    for target in scenario.targets:
        lines += _target(target)
    lines += [
        "",
        *_load(scenario, plan, prompts),
        "",
        *_words(scenario, plan, prompts),
        *routes.preview(scenario, prompts, first_sessions(plan, prompts)),
        *_objectives(scenario),
        "",
        *money.preview(scenario, plan, prompts),
        f"plan digest  {plan.digest[:16]}",
    ]
    return "\n".join(lines)


def _about(scenario: Scenario) -> list[str]:
    return [f"  {scenario.description}"] if scenario.description else []


def _objectives(scenario: Scenario) -> Iterator[str]:
    for i, objective in enumerate(scenario.slo.objectives):
        yield f"{'' if i else 'objectives':<13}{objective.text}"


def _target(target: Target) -> Iterator[str]:
    where = target.base_url or "built-in simulator (SIMULATED)"
    yield f"target       {target.name}: {target.model} at {where}{'' if target.alone else ', by routes only'}"
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
    yield f"load         {_how(scenario, per)}"
    if len(plan.levels) > 1:
        yield f"levels       {', '.join(v.label for v in plan.levels)}, one after the other"
    if load.max_in_flight is not None and plan.open_loop:
        above = "is dropped" if load.over_cap == "drop" else "waits its turn"
        yield f"cap          {int(load.max_in_flight):,} requests under way{per}; the rest {above}"
    yield f"window       {_window(scenario, per)}"
    for until in load.until:
        closely = f"{100 * until.relative:.3g} %"
        yield f"             or once {until.metric} p{until.percentile:g} is known within {closely}"
    if load.stop_at_errors is not None:
        stop = load.stop_at_errors
        yield f"             or once {stop.share:.1%} of {format_duration(stop.over_ns)} failed"
    if (end := plan.levels[-1].window_ns[1]) is not None:
        yield f"grace        up to {format_duration(load.grace_ns)} for what still runs then"
        yield f"takes        at most {format_duration(end + load.grace_ns)}"
    if not plan.open_loop and load.ramp_ns > load.warmup_ns > 0:
        yield "note         the window opens before all sessions have begun (ramp is longer than warmup)"
    most = most_connections(plan, (*scenario.alone, *scenario.routed), load.max_in_flight)
    bound = (
        "as many as the answers need: nothing bounds them"
        if most is None
        else f"up to {most:,} at a time in all"
    )
    yield f"connections  {bound}"
    yield from _requests(scenario, plan, prompts)
    yield from chart(plan)


def _how(scenario: Scenario, per: str) -> str:
    load = scenario.load
    ramp = f", begun over {format_duration(load.ramp_ns)}" if load.ramp_ns else ", all begun at once"
    law = f"open loop, {load.arrivals} arrivals"
    if load.arrivals == "gamma":
        law += f" of burstiness {load.burstiness:g}"
    rising = f", rising over {format_duration(load.ramp_ns)}" if load.ramp_ns else ""
    values = load.levels or (load.rate_per_s or load.users or load.concurrency or 1,)
    some = "to".join(f" {v:g} " for v in dict.fromkeys((min(values), max(values)))).strip()
    match load.mode:
        case "rate":
            return f"{some} sessions a second{per} ({law}){rising}"
        case "stages":
            return f"{len(load.stages)} stages of rates{per} ({law})"
        case "burst":
            assert load.burst is not None  # noqa: S101  # what the mode says
            every = load.burst.every_ns
            again = "" if every is None else f", again every {format_duration(every)}"
            return f"{int(load.burst.size):,} sessions at once{per}{again} (open loop)"
        case "trace":
            assert load.trace is not None  # noqa: S101  # what the mode says
            return f"the arrivals of the workload's file{per}, {load.trace.speed:g} x as fast (open loop)"
        case "users":
            return f"{some} users{per}, each one conversation after the other (closed loop){ramp}"
        case "one_at_a_time":
            return "one request at a time, the targets in turn (closed loop)"
        case _:
            return f"{some} sessions at any time{per} (closed loop){ramp}"


def _window(scenario: Scenario, per: str) -> str:
    load = scenario.load
    opens = (
        f"opens after {format_duration(load.warmup_ns)} of warm-up, " if load.warmup_ns else "opens at once, "
    )
    ends = []
    if load.duration_ns is not None:
        ends.append(format_duration(load.duration_ns))
    if load.requests is not None:
        ends.append(f"{int(load.requests):,} sessions{per}")
    if not ends:
        ends.append("the last " + {"stages": "stage", "trace": "arrival"}.get(load.mode, "burst"))
    first = ", whichever is first" if len(ends) > 1 else ""
    each = "of each level: " if load.levels else ""
    return f"{each}{opens}ends {'then ' if load.warmup_ns else ''}after {' or '.join(ends)}{first}"


def _requests(scenario: Scenario, plan: Plan, prompts: Prompts) -> Iterator[str]:
    load = scenario.load
    if plan.open_loop:
        windows = [plan.arrivals_in(level) for level in plan.levels]
        counted, before = sum(windows), len(plan.when_ns) - sum(windows)
        warm = f", {before:,} before" if before else ""
        per = " for each target" if plan.targets > 1 else ""
        yield f"sessions     {counted:,} planned for the window{warm}{per}"
    elif load.requests is not None:
        most = int(load.requests) * plan.targets * len(plan.levels)
        yield f"sessions     at most {most:,} in the window, warm-up not counted"
    if prompts.count is not None:
        yield f"sessions     at most {prompts.count * plan.targets:,} in all: then the prompts are used up"
    elif load.requests is None and not plan.open_loop:
        yield "requests     as many as the endpoints answer in that time"


def _planned(plan: Plan, prompts: int | None) -> int | None:
    """Return how many sessions there are going to be, of all targets; None where time alone tells."""
    known = [] if prompts is None else [prompts]
    if plan.open_loop:
        known.append(len(plan.when_ns))
    elif plan.requests is not None:
        known.append(plan.requests * len(plan.levels))
    return min(known) * plan.targets if known else None


def _words(scenario: Scenario, plan: Plan, prompts: Prompts) -> Iterator[str]:
    numbers = first_sessions(plan, prompts)
    tasks: Counter[str] = Counter()
    looked_at: list[list[_Said]] = []
    for said in (prompts.conversation(number, 0) for number in numbers):
        tasks[said.task] += 1
        looked_at.append([_said(turn) for turn in said.turns])
    turns = [turn for session in looked_at for turn in session]
    sources = dict.fromkeys(w.file or w.source for w in scenario.workloads)
    yield f"prompts      {', '.join(sources)}; of {len(looked_at):,} sessions looked at:"
    if len(tasks) > 1:
        shares = ", ".join(f"{task} {n / len(looked_at):.0%}" for task, n in tasks.most_common(8))
        yield f"  tasks            {shares}"
    if len(turns) > len(looked_at):
        yield f"  turns            {_spread([len(session) for session in looked_at])}"
    chars = [turn.chars for turn in turns if not turn.body]
    if chars:
        yield f"  characters       {_spread(chars)}"
    asked = [turn.asked_prompt_tokens for turn in turns if turn.asked_prompt_tokens is not None]
    if asked:
        yield f"  prompt tokens    {_spread(asked)} asked for"
    caps = [turn.asked_output_tokens for turn in turns if turn.asked_output_tokens is not None]
    if caps:
        yield f"  answer at most   {_spread(caps)} tokens"
    elif any(t.endpoint not in ("images", "embeddings") for t in scenario.targets):
        yield "  answer           as long as the model likes"
    if looked_at and (planned := _planned(plan, prompts.count)):
        told = list(_sums(looked_at, planned / len(looked_at)))
        if told:
            yield f"  in all about     {', '.join(told)}"
    if any(prompts.set_aside.values()):
        yield f"  set aside        {', '.join(f'{n:,} {what}' for what, n in prompts.set_aside.items() if n)}"
    unsalted = [w for w in scenario.workloads if not w.salt]
    salted = "none: a cache may serve" if unsalted else "every prompt begins with a mark of its own"
    yield f"  salt             {salted}"


def _sums(looked_at: list[list[_Said]], scale: float) -> Iterator[str]:
    """Yield what all sessions come to: requests, tokens of prompts and of answers."""
    turns = [turn for session in looked_at for turn in session]
    known = [(turn.asked_prompt_tokens, turn.chars) for turn in turns if turn.asked_prompt_tokens]
    if len(turns) > len(looked_at):
        yield f"{len(turns) * scale:,.0f} requests (later turns repeat the earlier)"
    if known:
        tokens_per_char = sum(asked for asked, _ in known) / max(1, sum(chars for _, chars in known))
        total = 0.0
        for session in looked_at:
            history = 0.0
            for turn in session:
                prompt = turn.asked_prompt_tokens or history + turn.chars * tokens_per_char
                total += prompt
                history = prompt + (turn.asked_output_tokens or 0)
        yield f"{total * scale:,.0f} prompt tokens asked for"
    caps = [turn.asked_output_tokens for turn in turns if turn.asked_output_tokens is not None]
    if caps:
        yield f"{sum(caps) * scale:,.0f} of answers at most"


def _said(turn: Turn) -> _Said:
    chars = sum(map(len, turn.inputs)) or len(joined(turn.messages)) + len(turn.fill[1] if turn.fill else "")
    return _Said(chars, turn.asked_prompt_tokens, turn.asked_output_tokens, turn.body is not None)


def _spread(values: list[int]) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"{low:,.0f} to {high:,.0f}, median {middle:,.0f}"
