"""What reports say of `[[routes]]`: what each took, and whom the routed mix went to."""

from collections import Counter
from collections.abc import Iterator

from loadgen.plan.routes import choose, prompt_tokens
from loadgen.report.figures import NOTHING, clean
from loadgen.results.model import Dist, Report, RoutesReport, TargetReport
from loadgen.results.routes import route_facts
from loadgen.scenario.model import Scenario
from loadgen.units import format_usd
from loadgen.workload.prompt import Prompts

HEADS = ("route", "to", "requests", "share", "cost USD")


def rows(report: Report) -> list[tuple[str, ...]]:
    """One row a route, for each level: columns as in `HEADS`."""
    return [
        (
            f"{target.level + ': ' if target.level else ''}{i}. {clean(route.when)}",
            clean(route.to),
            f"{route.requests:,}",
            percent(route.share),
            NOTHING if route.usd is None else format_usd(route.usd),
        )
        for target in report.targets
        if target.routes is not None
        for i, route in enumerate(target.routes.routes, 1)
    ]


def sentences(report: Report) -> Iterator[str]:
    """Whom the mix went to, how much of it was escalated, how many turns changed their target."""
    for target in report.targets:
        if target.routes is not None:
            yield f"{clean(target.name)}: {'; '.join(_parts(target.routes))}"


def _parts(routes: RoutesReport) -> Iterator[str]:
    to = sorted(routes.targets.items(), key=lambda item: -item[1])
    yield "of the requests " + ", ".join(f"{percent(share)} went to {clean(name)}" for name, share in to)
    if len(to) > 1:
        of = [f"{percent(share)} of risk {clean(risk)}" for risk, share in routes.escalated_of_risk.items()]
        yield f"{percent(routes.escalated)} were escalated" + (f" ({', '.join(of)})" if of else "")
    if routes.moved:
        yield f"{routes.moved:,} later turns went to another target than the turn before"


def shares(target: TargetReport) -> dict[str, Dist]:
    """For tables of metrics: the shares of the mix as means, of requests that are 1 or 0."""
    if target.routes is None:
        return {}
    to = {f"share_to_{name}": share for name, share in target.routes.targets.items()}
    return {
        key: Dist(count=target.requests.sent, mean=share)
        for key, share in (to | {"share_escalated": target.routes.escalated}).items()
    }


def percent(share: float) -> str:
    """Write a share for people."""
    return f"{100 * share:.1f} %"


def preview(scenario: Scenario, prompts: Prompts, numbers: list[int]) -> Iterator[str]:
    """Say what each route takes of the first turns of these sessions."""
    if not scenario.routes:
        return
    taken: Counter[int] = Counter()
    for number in numbers:
        said = prompts.conversation(number, len(scenario.alone))
        taken[choose(scenario.routes, said, prompt_tokens(said.turns[0], said.chars_per_token))] += 1
    yield ""
    yield f"routes       of the mix, by the first turns of {len(numbers):,} sessions:"
    for i, route in enumerate(route_facts(scenario.routes)):
        yield f"  {taken[i] / len(numbers):>5.0%} to {route.to}: {route.when}"
