"""What a run can cost at most, in USD, known before it: for `check`, a budget, and to ask before."""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final, NamedTuple

import msgspec

from loadgen.errors import Problem, ScenarioError
from loadgen.measure.spending import offers_tools
from loadgen.plan.plan import Plan
from loadgen.plan.routes import choose, prompt_tokens
from loadgen.run.most import most_output, most_prompt_tokens, most_usd, tokens_of, usd_at_most
from loadgen.run.prices import asks_money, priced
from loadgen.run.probe import PROBE
from loadgen.run.session import MOST_TOOL_ROUNDS
from loadgen.scenario.model import ROUTED, Scenario, Target
from loadgen.units import format_usd
from loadgen.workload.calibrate import CalibrationPrompt, calibration_prompts
from loadgen.workload.prompt import Conversation, Prompt, Prompts
from loadgen.workload.source import decide_salt

ASK_ABOVE_USD: Final = 1.0
_LOOKED_AT: Final = 1_000
UNKNOWN: Final = "unknown price"
_AT_LEAST: Final = "only a lower bound of its price is known"
_NO_CAP: Final = "answers have no cap"
_REMEDIES: Final = {
    UNKNOWN: "write targets.price",
    _AT_LEAST: "write targets.price",
    _NO_CAP: "write workload.output_tokens",
}


class Forecast(NamedTuple):
    """What a target, or the routed mix, can cost.

    usd: at most, in all its requests; request_usd: each of those looked at. Infinite where nothing bounds it:
    `why` says what is missing. hourly_usd: of a machine that is paid by the hour, which is in neither.
    before_usd: probe and calibration, in usd. about: the sessions that were looked at stand for more.
    """

    name: str
    usd: float
    request_usd: float
    why: str = ""
    hourly_usd: float = 0.0
    about: bool = False
    before_usd: float = 0.0


def forecasts(scenario: Scenario, plan: Plan, prompts: Prompts, *, probed: bool = True) -> list[Forecast]:
    """Return what each of the scenario's series can cost; its targets have their prices.

    More sessions than the first thousand are taken to be like these. probed: with probe and calibration.
    """
    numbers, planned = first_sessions(plan, prompts), most_sessions(plan, prompts.count)
    found = []
    for i, name in enumerate(scenario.series):
        targets = scenario.alone[i : i + 1] or scenario.routed
        hourly = sum(t.price.gpu_hour * t.price.gpus for t in targets if t.price and t.price.gpu_hour)
        if missing := next(filter(None, map(_missing, targets)), ""):
            found.append(Forecast(name, inf, inf, missing, hourly))
            continue
        costs = [usd for n in numbers for usd in _requests(prompts.conversation(n, i), scenario, targets)]
        dearest = max(costs, default=0.0)
        why = "" if planned is not None or not dearest else "as many requests as it answers"
        why = _NO_CAP if dearest == inf else why
        total = inf if why else sum(costs) / max(1, len(numbers)) * (planned or 0)
        about = planned is not None and planned > len(numbers)
        before = _before(scenario, i) if probed else 0.0
        found.append(Forecast(name, total + before, dearest, why, hourly, about, before))
    return found


def first_sessions(plan: Plan, prompts: Prompts) -> list[int]:
    """Return numbers of sessions to look at: the first thousand."""
    if plan.session is not None:
        return list(dict.fromkeys(plan.session[:_LOOKED_AT].tolist()))
    count = _LOOKED_AT if prompts.count is None else min(_LOOKED_AT, prompts.count)
    return list(range(count))


def most_sessions(plan: Plan, prompts: int | None) -> int | None:
    """Return how many sessions of each series there can be, warm-up too; None where time alone tells."""
    known = [] if prompts is None else [prompts]
    if plan.open_loop:
        known.append(len(plan.when_ns))
    elif plan.requests is not None and not plan.levels[0].window_ns[0]:
        known.append(plan.requests * len(plan.levels))
    return min(known, default=None)


def _missing(target: Target) -> str:
    if usd_at_most(target, 1, 0 if target.endpoint == "embeddings" else 1, agentic=False) == inf:
        return UNKNOWN
    assert target.price is not None  # noqa: S101  # what it would cost is known
    # nobody is asked to pay what the simulator makes
    return _AT_LEAST if target.price.at_least and target.base_url else ""


def _requests(said: Conversation, scenario: Scenario, targets: Sequence[Target]) -> Iterator[float]:
    """Yield the most that each request of a session can cost: every function called as often as can be."""
    history = 0
    for turn in said.turns:
        prompt = Prompt(
            turn.messages,
            said.task,
            asked_prompt_tokens=turn.asked_prompt_tokens,
            asked_output_tokens=turn.asked_output_tokens,
            tools=said.tools,
            body=turn.body,
            fill=turn.fill,
            inputs=turn.inputs,
            image=turn.image,
        )
        target = targets[0]
        if target.name not in scenario.series or len(targets) > 1:
            length = history + prompt_tokens(prompt, said.chars_per_token)
            to = scenario.routes[choose(scenario.routes, said, length)].to
            target = next(t for t in targets if t.name == to)
        output = most_output(target, prompt)
        history += most_prompt_tokens(prompt)
        for _ in range(1 + (MOST_TOOL_ROUNDS if said.results else 0)):
            yield usd_at_most(target, history, output, agentic=offers_tools(target, prompt))
            history += tokens_of(turn.answer) if turn.answer is not None else output or 0
            history += tokens_of(said.results)


def _before(scenario: Scenario, i: int) -> float:
    """Return the most that probes cost, and the calibration that goes to the first target."""
    asked = (*scenario.alone, *scenario.routed)
    probed = scenario.alone[i : i + 1] or [t for t in scenario.routed if not t.alone]
    usd = sum(most_usd(target, PROBE) for target in probed if target.base_url)
    if i == 0:
        usd += sum(most_usd(asked[0], one.prompt) for one in _calibration(scenario))
    return usd


def requests_before(scenario: Scenario) -> tuple[int, int]:
    """Return how many requests a run sends before its load: probes, and calibration prompts."""
    asked = {t.name for t in (*scenario.alone, *scenario.routed) if t.base_url}
    return len(asked), len(_calibration(scenario))


def _calibration(scenario: Scenario) -> list[CalibrationPrompt]:
    first = (*scenario.alone, *scenario.routed)[0]
    return calibration_prompts(
        [decide_salt(w) for w in scenario.workloads],
        scenario.seed,
        context=scenario.context_tokens,
        endpoint=first.endpoint,
    )


def check_money(
    scenario: Scenario,
    plan: Plan,
    prompts: Prompts,
    confirm: Callable[[str], None] | None,
    *,
    probed: bool,
) -> None:
    """See that the budget can be kept, and ask before the run costs more than little.

    scenario: as it is written. confirm: gets the question, and raises what is to end the run.

    Raises:
        ScenarioError: the budget can't be kept.
    """
    ask = confirm is not None and any(map(asks_money, scenario.targets))
    if scenario.budget.max_usd is None and not ask:
        return
    with_prices = msgspec.structs.replace(scenario, targets=priced(scenario.targets))
    found = forecasts(with_prices, plan, prompts, probed=probed)
    check_budget(scenario, found)
    if confirm is not None and (asked := _question(scenario, found)):
        confirm(asked)


def check_budget(scenario: Scenario, found: Sequence[Forecast]) -> None:
    """See that a budget can be kept.

    Raises:
        ScenarioError: a price is not known, or answers have no cap.
    """
    if scenario.budget.max_usd is None:
        return
    problems = [
        Problem("budget.max_usd", f'can\'t be kept for "{one.name}": {one.why}', _REMEDIES[one.why])
        for one in found
        if one.why in _REMEDIES
    ]
    before_usd = sum(one.before_usd for one in found)
    first_usd = max((one.request_usd for one in found if one.request_usd < inf), default=0.0)
    if not problems and scenario.budget.max_usd < before_usd + first_usd:
        need = format_usd(before_usd + first_usd)
        what = f"does not reach for probe, calibration and a first request, which may take USD {need}"
        problems = [Problem("budget.max_usd", what, "write more, or calibrate by chars_per_token")]
    if problems:
        raise ScenarioError.of(problems)


def _question(scenario: Scenario, found: Sequence[Forecast]) -> str | None:
    """Return what is to be asked before such a run; None: it costs nothing, or little."""
    paid = {t.name for t in scenario.targets if asks_money(t)}
    routed = {ROUTED} if paid & {t.name for t in scenario.routed} else set()
    usd = sum(one.usd for one in found if one.name in paid | routed)
    most = min(usd, scenario.budget.max_usd or inf)
    if most <= ASK_ABOVE_USD:
        return None
    names = ", ".join(sorted(paid))
    if most == inf:
        return f"Nothing bounds what this run can cost ({names})"
    return f"This run can cost up to USD {format_usd(most)} ({names})"
