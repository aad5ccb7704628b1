"""What reports say of money, as text: lines of figures, and what a reader must know of them."""

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Final

import msgspec

from loadgen.plan.plan import Plan
from loadgen.report.figures import NOTHING, Cell, Line, clean
from loadgen.results.model import Cost, Report, TargetReport
from loadgen.run.forecast import UNKNOWN, Forecast, check_budget, forecasts
from loadgen.run.prices import priced
from loadgen.scenario.model import Scenario
from loadgen.units import format_usd
from loadgen.workload.prompt import Prompts

_LINES: Final[tuple[tuple[str, Callable[[Cost], float | None]], ...]] = (
    ("cost, USD", lambda c: c.usd),
    ("USD before the load", lambda c: c.before_usd or None),
    ("USD per request", lambda c: c.usd_per_request),
    ("USD per 1,000 good", lambda c: c.usd_per_thousand_good_requests),
    ("USD per 1M output", lambda c: c.usd_per_million_output_tokens),
    ("USD per image", lambda c: c.usd_per_image),
    ("USD a month", lambda c: c.usd_per_month),
)


def lines(targets: Sequence[TargetReport]) -> list[Line]:
    """What the run cost, and what that comes to; what no target has is left out."""
    found: list[Line] = []
    for label, read in _LINES:
        values = [None if t.cost is None else read(t.cost) for t in targets]
        if any(value is not None for value in values):
            found.append(Line(label, "", tuple(map(_figure, targets, values)), indent=bool(found)))
    return found


def sentences(report: Report) -> Iterator[str]:
    """Say whose prices these are, what is not in the sums, and what a month is."""
    costs = {clean(t.target or t.name): t.cost for t in report.targets if t.cost is not None}
    names = dict.fromkeys(clean(t.target or t.name) for t in report.targets)
    if unknown := [name for name in names if name not in costs]:
        yield f"{UNKNOWN}, so no cost: {', '.join(unknown)}"
    if not costs:
        return
    yield "prices: " + "; ".join(f"{name}: {clean(cost.price_source)}" for name, cost in costs.items())
    if any(t.simulated for t in report.targets):
        yield "simulated targets cost what the real ones would have: nothing was paid"
    for target in report.targets:
        if target.cost is not None and (n := target.cost.requests_without_cost):
            whose = f"{clean(target.name)}: " if len(report.targets) > 1 else ""
            yield f"{whose}requests without a cost, as they told no usage: {n:,} (in none of these sums)"
    if any(cost.usd_per_month for cost in costs.values()):
        traffic = "the rate that was offered"
        if not report.run.open_loop:
            traffic = "the rate that was achieved"
            if len(report.targets) > 1:
                traffic += ", by the slowest target: the same number of requests for all"
        yield f"a month: 730 h at {traffic}{''.join(_fees(name, cost) for name, cost in costs.items())}"
    if any(cost.before_usd for cost in costs.values()):
        yield "before the load: the probe, and what measures how much text a token is (the first target)"


def _fees(name: str, cost: Cost) -> str:
    """Say what is not in the month's figure."""
    said = ""
    if cost.price is not None and cost.price.free_tokens:
        said = f"; {name}: {cost.price.free_tokens:,} tokens are free"
    if cost.support_usd_per_month:
        said += f"; {name}: support is USD {format_usd(cost.support_usd_per_month)} more"
    return said


def total(target: TargetReport) -> str:
    """Write what a target cost."""
    return str(_figure(target, None if target.cost is None else target.cost.usd))


def _figure(target: TargetReport, usd: float | None) -> Cell:
    if usd is None:
        return Cell(NOTHING)
    return Cell(format_usd(usd), "at least" if target.cost is not None and target.cost.at_least else "")


def preview(scenario: Scenario, plan: Plan, prompts: Prompts) -> Iterator[str]:
    """Say the most that a run can cost, of each target and in all.

    Raises:
        ScenarioError: the budget can't be kept.
    """
    found = forecasts(msgspec.structs.replace(scenario, targets=priced(scenario.targets)), plan, prompts)
    check_budget(scenario, found)
    simulated = {t.name for t in scenario.targets if t.base_url is None}
    for i, one in enumerate(found):
        mark = " SIMULATED" if one.name in simulated else ""
        yield f"{'cost' if i == 0 else '':<13}{one.name}{mark}: {_most(one)}"
    bound, most = scenario.budget.max_usd, sum(one.usd for one in found)
    if bound is not None and bound < most:
        yield f"{'':<13}in all at most USD {format_usd(bound)}, the budget: then the run ends"
    elif any(one.why == UNKNOWN for one in found):
        return
    elif most == inf:
        yield f"{'':<13}in all: no bound; budget.max_usd, or --max-cost, sets one"
    elif len(found) > 1:
        yield f"{'':<13}in all at most USD {format_usd(most)}"


def _most(one: Forecast) -> str:
    if one.hourly_usd:
        return f"USD {format_usd(one.hourly_usd)} an hour, whatever is sent"
    if one.usd < inf:
        about = "about " if one.about else ""
        before = f", USD {format_usd(one.before_usd)} of it before the load" if one.before_usd else ""
        return f"at most {about}USD {format_usd(one.usd)}{before}"
    if one.request_usd < inf:
        return f"no bound: {one.why}, each for at most USD {format_usd(one.request_usd)}"
    return one.why if one.why == UNKNOWN else f"no bound: {one.why}"
