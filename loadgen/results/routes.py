"""What became of the requests of a routed mix, as the report says it."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from loadgen.measure.routes import Routing
from loadgen.results.model import RouteReport, RoutesReport
from loadgen.scenario.model import Route


class RouteFacts(msgspec.Struct, frozen=True):
    """One of a scenario's routes: to which target, and when, in words."""

    to: str
    when: str


def route_facts(routes: Sequence[Route]) -> tuple[RouteFacts, ...]:
    """Return the routes as a report says them."""
    return tuple(RouteFacts(route.to, _when(route)) for route in routes)


def _when(route: Route) -> str:
    lengths = [
        f"{word} {int(tokens):,}"
        for word, tokens in (("over", route.over), ("up to", route.up_to))
        if tokens is not None
    ]
    parts = [
        f"risk {' or '.join(route.risk)}" if route.risk else "",
        f"task {' or '.join(route.task)}" if route.task else "",
        f"{' and '.join(lengths)} prompt tokens" if lengths else "",
    ]
    return ", ".join(filter(None, parts)) or "all others"


def routes_report(facts: Sequence[RouteFacts], routing: Routing) -> RoutesReport | None:
    """Return the shares of a window; None without routes, or where none of its requests took one."""
    total = routing.requests.total()
    if not facts or not total:
        return None
    of_route: Counter[int] = Counter()
    of_target: Counter[str] = Counter({route.to: 0 for route in facts})
    for (number, _), n in routing.requests.items():
        of_route[number] += n
        of_target[facts[number].to] += n
    most = of_target.most_common(1)[0][0]
    risks: dict[str, Counter[bool]] = {}
    for (number, risk), n in routing.requests.items():
        if risk is not None:
            risks.setdefault(risk, Counter())[facts[number].to != most] += n
    return RoutesReport(
        routes=tuple(
            RouteReport(route.to, route.when, of_route[i], _share(of_route[i], total), routing.usd.get(i))
            for i, route in enumerate(facts)
        ),
        targets={name: _share(n, total) for name, n in of_target.items()},
        escalated=_share(total - of_target[most], total),
        escalated_of_risk={risk: _share(n[True], n.total()) for risk, n in sorted(risks.items())},
        moved=routing.moved,
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6)
