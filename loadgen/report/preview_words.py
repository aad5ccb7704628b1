"""What `loadgen check` says of the words of a run: prompts, answers, think times, marks."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from loadgen.plan.plan import Plan
from loadgen.run.most import CAPS
from loadgen.scenario.lengths import ConstantTime, ExponentialTime, LognormalTime, Times, UniformTime
from loadgen.scenario.model import Scenario
from loadgen.scenario.words import Workload
from loadgen.units import format_count, format_duration
from loadgen.workload.prompt import Prompts, Turn, joined


class _Said(NamedTuple):
    """What is told of a turn; the turns themselves may hold gigabytes of texts and images."""

    chars: int
    asked_prompt_tokens: int | None
    asked_output_tokens: int | None
    body: bool


def words(scenario: Scenario, plan: Plan, prompts: Prompts, numbers: Sequence[int]) -> Iterator[str]:
    """Yield the lines on what is said; numbers: of the sessions to look at."""
    tasks: Counter[str] = Counter()
    looked_at: list[list[_Said]] = []
    for said in (prompts.conversation(number, 0) for number in numbers):
        tasks[said.task] += 1
        looked_at.append([_said(turn) for turn in said.turns])
    turns = [turn for session in looked_at for turn in session]
    caps = [turn.asked_output_tokens for turn in turns if turn.asked_output_tokens is not None]
    sources = dict.fromkeys(w.file or w.source for w in scenario.workloads)
    yield f"prompts      {', '.join(sources)}; of {format_count(len(looked_at), 'session')} looked at:"
    if len(tasks) > 1:
        shares = ", ".join(f"{task} {n / len(looked_at):.0%}" for task, n in tasks.most_common(8))
        yield f"  tasks            {shares}"
    if len(turns) > len(looked_at):
        yield f"  turns            {_spread([len(session) for session in looked_at])}"
    if any(w.think_time is not None for w in scenario.workloads):
        between = "between turns and conversations" if scenario.load.users else "between turns"
        for i, text in enumerate(_by_source(scenario, lambda w: _time(w.think_time, between))):
            yield f"  {'' if i else 'think time':<16} {text}"
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


def _planned(plan: Plan, prompts: int | None) -> int | None:
    """Return how many sessions there are going to be, of all targets; None where time alone tells."""
    known = [] if prompts is None else [prompts]
    if plan.open_loop:
        known.append(len(plan.when_ns))
    elif plan.requests is not None:
        known.append(plan.requests * len(plan.levels))
    return min(known) * plan.targets if known else None


def _by_source(scenario: Scenario, say: Callable[[Workload], str]) -> Iterator[str]:
    """Yield what is said of the workloads; a line for each where they differ."""
    sources: dict[str, list[str]] = {}
    for workload in scenario.workloads:
        sources.setdefault(say(workload), []).append(workload.source)
    for text, of in sources.items():
        yield text if len(sources) == 1 else f"{', '.join(dict.fromkeys(of))}: {text}"


def _time(times: Times | None, between: str) -> str:
    match times:
        case None:
            return "none"
        case ConstantTime():
            return f"{format_duration(times.value_ns)} {between}"
        case UniformTime():
            return f"{format_duration(times.min_ns)} to {format_duration(times.max_ns)} {between}"
        case ExponentialTime():
            text = f"exponential, mean {format_duration(times.mean_ns)}"
        case LognormalTime():
            text = f"median {format_duration(times.median_ns)}, p95 {format_duration(times.p95_ns)}"
    most = "" if times.max_ns is None else f", at most {format_duration(times.max_ns)}"
    return f"{text}{most}, {between}"


def _marks(scenario: Scenario, turns: Sequence[_Said]) -> Iterator[str]:
    """Say whose mark the prompts begin with, a line for each kind of it."""
    bodies = sum(turn.body for turn in turns)
    if bodies < len(turns):
        yield from _by_source(scenario, _mark)
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
