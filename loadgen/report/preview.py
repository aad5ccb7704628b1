"""What `loadgen check` says: what a run of this scenario would do. Sends nothing, needs no endpoint."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Final

import msgspec

from loadgen.errors import Problem, ScenarioError
from loadgen.plan.plan import Plan
from loadgen.plan.routes import choose, prompt_tokens
from loadgen.report.chart import chart
from loadgen.report.preview_words import words
from loadgen.results.routes import route_facts
from loadgen.run.forecast import UNKNOWN, Forecast, check_budget, first_sessions, forecasts, requests_before
from loadgen.run.limits import most_connections
from loadgen.run.prices import priced
from loadgen.scenario.model import FromEnv, Scenario, Target
from loadgen.scenario.traffic import Load
from loadgen.units import NS_PER_MS, NS_PER_S, format_count, format_duration, format_usd
from loadgen.wire.request import from_environment
from loadgen.workload.prompt import Prompts

_MOST_STAGES: Final = 10


def preview(scenario: Scenario, plan: Plan, prompts: Prompts) -> str:
    """Return the text, lines of at most about 100 characters.

    Raises:
        ScenarioError: the budget can't be kept, or a variable holds what a header can't carry.
    """
    _check_values(scenario)
    per = " for each target" if plan.targets > 1 else ""
    arrivals, plan = len(plan.when_ns), plan.while_prompts_last(prompts.count)
    used_up = len(plan.when_ns) < arrivals
    numbers = first_sessions(plan, prompts)
    lines = [f"{scenario.name}: the scenario is right"]
    if scenario.description:
        lines.append(f"  {scenario.description}")
    lines.append("")
    for target in scenario.targets:
        lines += _beside("target", _target(target))
    lines += [
        "",
        *_load(scenario, plan, per, used_up=used_up),
        *_requests(scenario, plan, prompts, per, used_up=used_up),
        *chart(plan),
    ]
    lines += ["", *words(scenario, plan, prompts, numbers)]
    if scenario.routes:
        lines += ["", *_routes(scenario, prompts, numbers)]
    lines += _beside("objectives", [objective.text for objective in scenario.slo.objectives])
    lines += ["", *_beside("cost", _cost(scenario, plan, prompts)), f"plan digest  {plan.digest[:16]}"]
    return "\n".join(lines)


def _beside(head: str, texts: Iterable[str]) -> Iterator[str]:
    for i, text in enumerate(texts):
        yield f"{'' if i else head:<13}{text}"


def _target(target: Target) -> Iterator[str]:
    where = target.base_url or "built-in simulator (SIMULATED)"
    yield f"{target.name}: {target.model} at {where}{'' if target.alone else ', by routes only'}"
    if target.without_path:
        yield "note: base_url has no path, and most servers answer below /v1"
    if target.insecure:
        yield "INSECURE: certificates are not checked"
    for name in dict.fromkeys(_variables(target).values()):
        if not _is_set(name):
            yield f"the environment variable {name} is not set: a run would stop there; export {name}=..."


def _variables(target: Target) -> dict[str, str]:
    """Return the variables that a target names, by key."""
    named = {} if target.api_key_env is None else {"api_key_env": target.api_key_env}
    for table in ("headers", "query"):
        values: dict[str, str | FromEnv] = getattr(target, table)
        named |= {f"{table}.{key}": v.env for key, v in values.items() if isinstance(v, FromEnv)}
    return named


def _is_set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())  # as a run reads it


def _check_values(scenario: Scenario) -> None:
    problems: list[Problem] = []
    for i, target in enumerate(scenario.targets):
        for key, name in _variables(target).items():
            try:
                if _is_set(name):  # else it may be where the run will be
                    from_environment(f"targets[{i}].{key}", name, os.environ)
            except ScenarioError as error:
                problems += error.problems
    if problems:
        raise ScenarioError.of(problems)


def _load(scenario: Scenario, plan: Plan, per: str, *, used_up: bool) -> Iterator[str]:
    load = scenario.load
    yield f"load         {_how(scenario, per)}"
    yield from _beside("stages", _stages(load))
    if len(plan.levels) > 1:
        yield f"levels       {', '.join(v.label for v in plan.levels)}, one after the other"
    if load.max_in_flight is not None and plan.open_loop:
        above = "is dropped" if load.over_cap == "drop" else "waits its turn"
        yield f"cap          {format_count(load.max_in_flight, 'request')} under way{per}; the rest {above}"
    yield f"window       {_window(scenario, per, used_up=used_up)}"
    for until in load.until:
        closely = f"{100 * until.relative:.3g} %"
        yield f"             or once {until.metric} p{until.percentile:g} is known within {closely}"
    if load.stop_at_errors is not None:
        stop = load.stop_at_errors
        yield f"             or once {stop.share:.1%} of {format_duration(stop.over_ns)} failed"
    if (end := plan.levels[-1].window_ns[1]) is not None:
        yield f"grace        up to {format_duration(load.grace_ns)} for what still runs then"
        yield f"takes        at most {_rounded_up(end + load.grace_ns)} once the load has begun"
    yield from _beside("before", _before(scenario))
    if load.ramp_ns >= (length := _length_ns(plan)) > 0:
        what = "the rate is never reached" if plan.open_loop else "never do all sessions run at a time"
        over = f"{'a level' if load.levels else 'the run'} is {_rounded_up(length)}"
        yield f"note         {what}: the ramp is {format_duration(load.ramp_ns)}, {over}"
    elif not plan.open_loop and load.ramp_ns > load.warmup_ns > 0:
        yield "note         the window opens before all sessions have begun (ramp is longer than warmup)"
    most = most_connections(plan, (*scenario.alone, *scenario.routed), load.max_in_flight)
    bound = "as many as the answers need: nothing bounds them"
    yield f"connections  {bound if most is None else f'up to {most:,} at a time in all'}"


def _stages(load: Load) -> Iterator[str]:
    """Say what each of the first stages is."""
    for stage in load.stages[:_MOST_STAGES]:
        to = "" if stage.to_per_s in (None, stage.from_per_s) else f" to {stage.to_per_s:g}/s"
        law = "" if stage.arrivals in (None, load.arrivals) else f", {stage.arrivals} arrivals"
        yield f"{stage.from_per_s:g}/s{to} for {format_duration(stage.time_ns)}{law}"
    if (more := len(load.stages) - _MOST_STAGES) > 0:
        yield f"and {more:,} more"


def _length_ns(plan: Plan) -> int:
    """Return how long the first level is, up to its window's end; 0 where time does not end it."""
    end = plan.levels[0].window_ns[1]
    if end is None and plan.open_loop:
        end = int(plan.when_ns[-1])
    return end or 0


def _before(scenario: Scenario) -> Iterator[str]:
    probes, calibration = requests_before(scenario)
    told = [format_count(probes, "probe")] if probes else []
    if calibration:
        first = (*scenario.alone, *scenario.routed)[0]
        told.append(f"{format_count(calibration, 'prompt')} to {first.name} that calibrate lengths")
    if told:
        yield f"{' and '.join(told)} (none with --no-probe)"


def _rounded_up(ns: int) -> str:
    """Print a bound: whole seconds, below one whole milliseconds."""
    step = NS_PER_S if ns > NS_PER_S else NS_PER_MS
    return format_duration(-(-ns // step) * step)


def _how(scenario: Scenario, per: str) -> str:
    load = scenario.load
    over = f"over {format_duration(load.ramp_ns)}" if load.ramp_ns else ""
    begun = f", begun {over}" if over else ", all begun at once"
    law = f"open loop, {load.arrivals} arrivals"
    if load.arrivals == "gamma":
        law += f" of burstiness {load.burstiness:g}"
    values = load.levels or (load.rate_per_s or load.users or load.concurrency or 1,)
    some = format_count(min(values), "user" if load.mode == "users" else "session", max(values))
    match load.mode:
        case "rate":
            return f"{some} a second{per} ({law}){f', rising {over}' if over else ''}"
        case "stages":
            return f"{format_count(len(load.stages), 'stage')} of rates{per} ({law})"
        case "burst":
            assert load.burst is not None  # noqa: S101  # what the mode says
            every = load.burst.every_ns
            again = "" if every is None else f", again every {format_duration(every)}"
            return f"{format_count(load.burst.size, 'session')} at once{per}{again} (open loop)"
        case "trace":
            assert load.trace is not None  # noqa: S101  # what the mode says
            return f"the arrivals of the workload's file{per}, {load.trace.speed:g} x as fast (open loop)"
        case "users":
            return f"{some}{per}, each one conversation after the other (closed loop){begun}"
        case "one_at_a_time":
            return "one request at a time, the targets in turn (closed loop)"
        case _:
            return f"{some} at any time{per} (closed loop){begun}"


def _window(scenario: Scenario, per: str, *, used_up: bool) -> str:
    load = scenario.load
    warmup = format_duration(load.warmup_ns)
    opens = f"opens after {warmup} of warm-up, ends then" if load.warmup_ns else "opens at once, ends"
    ends = [] if load.duration_ns is None else [format_duration(load.duration_ns)]
    if load.requests is not None:
        ends.append(f"{format_count(load.requests, 'session')}{per}")
    if not ends:
        ends.append("the last " + {"stages": "stage", "trace": "arrival"}.get(load.mode, "burst"))
    if used_up:
        ends.append("the last prompt")
    first = ", whichever is first" if len(ends) > 1 else ""
    return f"{'of each level: ' if load.levels else ''}{opens} after {' or '.join(ends)}{first}"


def _requests(scenario: Scenario, plan: Plan, prompts: Prompts, per: str, *, used_up: bool) -> Iterator[str]:
    load = scenario.load
    if plan.open_loop:
        counted = sum(map(plan.arrivals_in, plan.levels))
        before = len(plan.when_ns) - counted
        warm = f", {before:,} before" if before else ""
        end = ": then the prompts are used up" if used_up else ""
        yield f"sessions     {counted:,} planned for the window{warm}{per}{end}"
        return
    most = None if load.requests is None else int(load.requests) * len(plan.levels)
    if most is not None and (prompts.count is None or most < prompts.count):
        yield f"sessions     at most {most * plan.targets:,} in the window, warm-up not counted"
    if prompts.count is not None:
        yield f"sessions     at most {prompts.count * plan.targets:,} in all: then the prompts are used up"
    elif most is None:
        yield "requests     as many as the endpoints answer in that time"


def _routes(scenario: Scenario, prompts: Prompts, numbers: Sequence[int]) -> Iterator[str]:
    """Say what each route takes of the first turns of these sessions."""
    taken: Counter[int] = Counter()
    for number in numbers:
        said = prompts.conversation(number, len(scenario.alone))
        taken[choose(scenario.routes, said, prompt_tokens(said.turns[0], said.chars_per_token))] += 1
    yield f"routes       of the mix, by the first turns of {format_count(len(numbers), 'session')}:"
    for i, route in enumerate(route_facts(scenario.routes)):
        yield f"  {taken[i] / len(numbers):>5.0%} to {route.to}: {route.when}"


def _cost(scenario: Scenario, plan: Plan, prompts: Prompts) -> Iterator[str]:
    found = forecasts(msgspec.structs.replace(scenario, targets=priced(scenario.targets)), plan, prompts)
    check_budget(scenario, found)
    simulated = {t.name for t in scenario.targets if t.base_url is None}
    for one in found:
        yield f"{one.name}{' SIMULATED' if one.name in simulated else ''}: {_most(one)}"
    bound, most = scenario.budget.max_usd, sum(one.usd for one in found)
    if bound is not None and bound < most:
        yield f"in all at most USD {format_usd(bound)}, the budget: then the run ends"
    elif any(one.why == UNKNOWN for one in found):
        return
    elif most == inf:
        yield "in all: no bound; budget.max_usd, or --max-cost, sets one"
    elif len(found) > 1:
        yield f"in all at most USD {format_usd(most)}"


def _most(one: Forecast) -> str:
    if one.hourly_usd:
        return f"USD {format_usd(one.hourly_usd)} an hour, whatever is sent"
    if one.usd < inf:
        before = f", USD {format_usd(one.before_usd)} of it before the load" if one.before_usd else ""
        return f"at most {'about ' if one.about else ''}USD {format_usd(one.usd)}{before}"
    if one.why == UNKNOWN:
        return one.why
    each = f", each for at most USD {format_usd(one.request_usd)}" if one.request_usd < inf else ""
    return f"no bound: {one.why}{each}"
