"""What `loadgen check` says: what a run of this scenario would do. Sends nothing, needs no endpoint."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import msgspec
import numpy as np

from loadgen.errors import Problem, ScenarioError
from loadgen.plan.plan import Plan
from loadgen.plan.routes import choose, prompt_tokens
from loadgen.report.chart import chart
from loadgen.results.routes import route_facts
from loadgen.run.forecast import UNKNOWN, Forecast, check_budget, first_sessions, forecasts, requests_before
from loadgen.run.limits import most_connections
from loadgen.run.most import CAPS
from loadgen.run.prices import priced
from loadgen.scenario.model import FromEnv, Scenario, Target
from loadgen.scenario.words import Workload
from loadgen.units import NS_PER_MS, NS_PER_S, format_duration, format_usd
from loadgen.wire.request import from_environment
from loadgen.workload.prompt import Prompts, Turn, joined


class _Said(NamedTuple):
    """What is told of a turn; the turns themselves may hold gigabytes of texts and images."""

    chars: int
    asked_prompt_tokens: int | None
    asked_output_tokens: int | None
    body: bool


def preview(scenario: Scenario, plan: Plan, prompts: Prompts) -> str:
    """Return the text, lines of at most about 100 characters.

    Raises:
        ScenarioError: the budget can't be kept, or a variable holds what a header can't carry.
    """
    _check_values(scenario)
    plan, per = _while_prompts_last(plan, prompts.count), " for each target" if plan.targets > 1 else ""
    numbers = first_sessions(plan, prompts)
    lines = [f"{scenario.name}: the scenario is right"]
    if scenario.description:
        lines.append(f"  {scenario.description}")
    lines.append("")
    for target in scenario.targets:
        lines += _beside("target", _target(target))
    lines += [
        "",
        *_load(scenario, plan, prompts, per),
        *_requests(scenario, plan, prompts, per),
        *chart(plan),
    ]
    lines += ["", *_words(scenario, plan, prompts, numbers)]
    if scenario.routes:
        lines += ["", *_routes(scenario, prompts, numbers)]
    lines += _beside("objectives", [objective.text for objective in scenario.slo.objectives])
    lines += ["", *_beside("cost", _cost(scenario, plan, prompts)), f"plan digest  {plan.digest[:16]}"]
    return "\n".join(lines)


def _while_prompts_last(plan: Plan, count: int | None) -> Plan:
    """Return the plan with no more arrivals than there are prompts; a trace's sessions come again."""
    if count is None or not plan.open_loop or plan.session is not None:
        return plan
    return replace(plan, when_ns=plan.when_ns[:count])


def _used_up(plan: Plan, prompts: Prompts) -> bool:
    """Whether the prompts are what ends an open loop, or may be."""
    return plan.open_loop and plan.session is None and len(plan.when_ns) == prompts.count


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


def _load(scenario: Scenario, plan: Plan, prompts: Prompts, per: str) -> Iterator[str]:
    load = scenario.load
    yield f"load         {_how(scenario, per)}"
    if len(plan.levels) > 1:
        yield f"levels       {', '.join(v.label for v in plan.levels)}, one after the other"
    if load.max_in_flight is not None and plan.open_loop:
        above = "is dropped" if load.over_cap == "drop" else "waits its turn"
        yield f"cap          {_number(load.max_in_flight, 'request')} under way{per}; the rest {above}"
    yield f"window       {_window(scenario, per, used_up=_used_up(plan, prompts))}"
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


def _length_ns(plan: Plan) -> int:
    """Return how long the first level is, up to its window's end; 0 where time does not end it."""
    end = plan.levels[0].window_ns[1]
    if end is None and plan.open_loop:
        end = int(plan.when_ns[-1])
    return end or 0


def _before(scenario: Scenario) -> Iterator[str]:
    probes, calibration = requests_before(scenario)
    told = [_number(probes, "probe")] if probes else []
    if calibration:
        first = (*scenario.alone, *scenario.routed)[0]
        told.append(f"{_number(calibration, 'prompt')} to {first.name} that calibrate lengths")
    if told:
        yield f"{' and '.join(told)} (none with --no-probe)"


def _rounded_up(ns: int) -> str:
    """Print a bound: whole seconds, below one whole milliseconds."""
    step = NS_PER_S if ns > NS_PER_S else NS_PER_MS
    return format_duration(-(-ns // step) * step)


def _number(n: float, noun: str, to: float | None = None) -> str:
    """Print how many: `1 session`, `8 sessions`, with `to` also `1 to 8 sessions`."""
    few, many = (f"{value:,.0f}" if value >= 1_000 else f"{value:g}" for value in (n, to or n))
    return f"{few if few == many else f'{few} to {many}'} {noun}{'' if few == many == '1' else 's'}"


def _how(scenario: Scenario, per: str) -> str:
    load = scenario.load
    over = f"over {format_duration(load.ramp_ns)}" if load.ramp_ns else ""
    begun = f", begun {over}" if over else ", all begun at once"
    law = f"open loop, {load.arrivals} arrivals"
    if load.arrivals == "gamma":
        law += f" of burstiness {load.burstiness:g}"
    values = load.levels or (load.rate_per_s or load.users or load.concurrency or 1,)
    some = _number(min(values), "user" if load.mode == "users" else "session", max(values))
    match load.mode:
        case "rate":
            return f"{some} a second{per} ({law}){f', rising {over}' if over else ''}"
        case "stages":
            return f"{_number(len(load.stages), 'stage')} of rates{per} ({law})"
        case "burst":
            assert load.burst is not None  # noqa: S101  # what the mode says
            every = load.burst.every_ns
            again = "" if every is None else f", again every {format_duration(every)}"
            return f"{_number(load.burst.size, 'session')} at once{per}{again} (open loop)"
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
        ends.append(f"{_number(load.requests, 'session')}{per}")
    if not ends:
        ends.append("the last " + {"stages": "stage", "trace": "arrival"}.get(load.mode, "burst"))
    if used_up:
        ends.append("the last prompt")
    first = ", whichever is first" if len(ends) > 1 else ""
    return f"{'of each level: ' if load.levels else ''}{opens} after {' or '.join(ends)}{first}"


def _requests(scenario: Scenario, plan: Plan, prompts: Prompts, per: str) -> Iterator[str]:
    load = scenario.load
    if plan.open_loop:
        counted = sum(map(plan.arrivals_in, plan.levels))
        before = len(plan.when_ns) - counted
        warm = f", {before:,} before" if before else ""
        end = ": then the prompts are used up" if _used_up(plan, prompts) else ""
        yield f"sessions     {counted:,} planned for the window{warm}{per}{end}"
        return
    most = None if load.requests is None else int(load.requests) * len(plan.levels)
    if most is not None and (prompts.count is None or most < prompts.count):
        yield f"sessions     at most {most * plan.targets:,} in the window, warm-up not counted"
    if prompts.count is not None:
        yield f"sessions     at most {prompts.count * plan.targets:,} in all: then the prompts are used up"
    elif most is None:
        yield "requests     as many as the endpoints answer in that time"


def _planned(plan: Plan, prompts: int | None) -> int | None:
    """Return how many sessions there are going to be, of all targets; None where time alone tells."""
    known = [] if prompts is None else [prompts]
    if plan.open_loop:
        known.append(len(plan.when_ns))
    elif plan.requests is not None:
        known.append(plan.requests * len(plan.levels))
    return min(known) * plan.targets if known else None


def _words(scenario: Scenario, plan: Plan, prompts: Prompts, numbers: Sequence[int]) -> Iterator[str]:
    tasks: Counter[str] = Counter()
    looked_at: list[list[_Said]] = []
    for said in (prompts.conversation(number, 0) for number in numbers):
        tasks[said.task] += 1
        looked_at.append([_said(turn) for turn in said.turns])
    turns = [turn for session in looked_at for turn in session]
    caps = [turn.asked_output_tokens for turn in turns if turn.asked_output_tokens is not None]
    sources = dict.fromkeys(w.file or w.source for w in scenario.workloads)
    yield f"prompts      {', '.join(sources)}; of {_number(len(looked_at), 'session')} looked at:"
    if len(tasks) > 1:
        shares = ", ".join(f"{task} {n / len(looked_at):.0%}" for task, n in tasks.most_common(8))
        yield f"  tasks            {shares}"
    if len(turns) > len(looked_at):
        yield f"  turns            {_spread([len(session) for session in looked_at])}"
    if chars := [turn.chars for turn in turns if not turn.body]:
        yield f"  characters       {_spread(chars)}"
    if asked := [turn.asked_prompt_tokens for turn in turns if turn.asked_prompt_tokens is not None]:
        yield f"  prompt tokens    {_spread(asked)} asked for"
    if caps:
        without = len(turns) - len(caps)
        capped = not without or all(t.extra_body.keys() & CAPS for t in scenario.targets)
        others = "" if capped else f"; {without:,} of {len(turns):,} have no cap"
        yield f"  answer at most   {_spread(caps)} tokens{others}"
    elif any(t.endpoint not in ("images", "embeddings") for t in scenario.targets):
        yield "  answer           as long as the model likes"
    if looked_at and (planned := _planned(plan, prompts.count)):
        told = list(_sums(looked_at, planned / len(looked_at)))
        if told:
            yield f"  in all about     {', '.join(told)}"
    if any(prompts.set_aside.values()):
        yield f"  set aside        {', '.join(f'{n:,} {what}' for what, n in prompts.set_aside.items() if n)}"
    for i, text in enumerate(_marks(scenario, turns)):
        yield f"  {'' if i else 'salt':<16} {text}"


def _marks(scenario: Scenario, turns: Sequence[_Said]) -> Iterator[str]:
    """Say whose mark the prompts begin with, a line for each kind of it."""
    sources: dict[str, list[str]] = {}
    for workload in scenario.workloads:
        sources.setdefault(_mark(workload), []).append(workload.source)
    bodies = sum(turn.body for turn in turns)
    for mark, of in sources.items() if bodies < len(turns) else ():
        yield mark if len(sources) == 1 else f"{', '.join(dict.fromkeys(of))}: {mark}"
    if bodies:
        yield f"{bodies:,} of {len(turns):,} are a whole `body`, sent as it is: a cache may serve"


def _mark(workload: Workload) -> str:
    """Say whose mark a workload's prompts begin with: as `Opening` puts it."""
    if not workload.salt:
        return "none: a cache may serve"
    given = " (the salt is given: a cache may know it)" if isinstance(workload.salt, str) else ""
    if workload.shared_prefix is not None:
        return f"a mark for each shared text: a cache may serve it after its first time{given}"
    if workload.source == "mooncake":
        return f"a mark for each time through the file: a cache may serve what its rows share{given}"
    return f"every prompt begins with a mark of its own{given}"


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
    if len(caps) == len(turns):
        yield f"{sum(caps) * scale:,.0f} of answers at most"


def _said(turn: Turn) -> _Said:
    chars = sum(map(len, turn.inputs)) or len(joined(turn.messages)) + len(turn.fill[1] if turn.fill else "")
    return _Said(chars, turn.asked_prompt_tokens, turn.asked_output_tokens, turn.body is not None)


def _spread(values: list[int]) -> str:
    low, middle, high = np.percentile(values, [0, 50, 100])
    return f"{low:,.0f} to {high:,.0f}, median {middle:,.0f}"


def _routes(scenario: Scenario, prompts: Prompts, numbers: Sequence[int]) -> Iterator[str]:
    """Say what each route takes of the first turns of these sessions."""
    taken: Counter[int] = Counter()
    for number in numbers:
        said = prompts.conversation(number, len(scenario.alone))
        taken[choose(scenario.routes, said, prompt_tokens(said.turns[0], said.chars_per_token))] += 1
    yield f"routes       of the mix, by the first turns of {_number(len(numbers), 'session')}:"
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
