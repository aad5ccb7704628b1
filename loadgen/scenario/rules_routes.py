"""What `[[routes]]` must be: each is for some request, every request has one, and fits where it is sent.

Requests are told apart by workload and by prompt tokens: a route takes a stretch of lengths, what is left is
for those after it.
"""

from collections.abc import Sequence
from math import inf
from typing import Any, Final, NamedTuple

from loadgen.errors import nearest
from loadgen.scenario.keys import Key
from loadgen.scenario.lengths import DEFAULT_PROMPT_TOKENS, bounds
from loadgen.scenario.model import ROUTED, Route, Target
from loadgen.scenario.reading import Reading
from loadgen.scenario.rules_words import MADE, TASKS_IN_FILE
from loadgen.scenario.words import Workload

_LAST: Final = "add a last route without conditions"

Spans = list[tuple[float, float]]
"""Prompt tokens from .. to, both inside, rising."""


class _Requests(NamedTuple):
    """The requests of a workload. task: None where its file may name others; lengths: None: not known."""

    number: int
    workload: Workload
    task: str | None
    lengths: tuple[int, int] | None


def check_routes(v: dict[str, Any], at: Key, r: Reading) -> None:
    """Find routes that lead nowhere or take nothing, requests without one, and those that do not fit."""
    routes: tuple[Route, ...] | None = v.get("routes")
    targets: tuple[Target, ...] | None = v.get("targets")
    if routes is None or targets is None:
        return
    names = [target.name for target in targets]
    led_to = {route.to for route in routes}
    for i, target in enumerate(targets):
        if routes and target.name == ROUTED:
            what = "is what reports call the mix that [[routes]] make"
            r.wrong_value((*at, "targets", i, "name"), ROUTED, what, "give the target another name")
        if not target.alone and target.name not in led_to:
            what = "is false, and no route leads there: the target would be asked nothing"
            r.wrong((*at, "targets", i, "alone"), what, "leave it out, or add a route to it")
    for i, route in enumerate(routes):
        if route.to not in names:
            what = "is the name of no target"
            r.wrong_value((*at, "routes", i, "to"), route.to, what, nearest(route.to, names))
    workloads: tuple[Workload, ...] | None = v.get("workloads")
    if routes and workloads is not None:
        _check_requests(routes, {t.name: t for t in targets}, _requests(workloads), at, r)


def _requests(workloads: Sequence[Workload]) -> list[_Requests]:
    return [
        _Requests(i, w, None if w.source in TASKS_IN_FILE else w.task, prompt_lengths(w))
        for i, w in enumerate(workloads)
        if w.weight > 0
    ]


def prompt_lengths(w: Workload) -> tuple[int, int] | None:
    """Return the shortest and longest prompt in tokens, grown history included; None where only a file tells.

    Without a `max` the longest is that of one in a million. What functions return is not counted.
    """
    if w.source not in MADE:
        return None
    low, high = bounds(w.prompt_tokens or DEFAULT_PROMPT_TOKENS)
    turns = bounds(w.turns)[1] if w.turns is not None else 1
    if turns > 1 and w.output_tokens is None:
        return None  # answers of any length become part of the next prompt
    shared = 0 if w.shared_prefix is None else int(w.shared_prefix.tokens)
    return low + shared, shared + turns * high + (turns - 1) * _answer(w)


def _answer(w: Workload) -> int:
    return 0 if w.output_tokens is None else bounds(w.output_tokens)[1]


def _check_requests(
    routes: Sequence[Route], targets: dict[str, Target], requests: Sequence[_Requests], at: Key, r: Reading
) -> None:
    taken = [False] * len(routes)
    for these in requests:
        left: Spans = [(1, inf)]
        for i, route in enumerate(routes):
            if not _meant(route, these):
                continue
            inside, outside = _divide(left, route)
            possible = _within(inside, these.lengths)
            taken[i] |= bool(possible)
            if possible and these.lengths is not None and (target := targets.get(route.to)):
                _check_window(int(possible[-1][1]), these, target, (*at, "routes", i), r)
            if these.task is not None or not route.task:
                left = outside
        if left:
            whose = f'task = "{these.workload.task}"' if these.task else "tasks that its file names"
            whose += f', risk = "{these.workload.risk}"' if these.workload.risk else ""
            some = "" if left == [(1, inf)] else f" with {_written(left[0])} prompt tokens"
            what = f"take no requests of workload[{these.number}] ({whose}){some}"
            r.wrong((*at, "routes"), what, _LAST)
    for i in (i for i, there in enumerate(taken) if not there):
        what, remedy = _why(routes[i], requests)
        r.wrong((*at, "routes", i), f"takes no request: {what}", remedy)


def _meant(route: Route, these: _Requests) -> bool:
    """Whether a route takes requests of a workload, of some length."""
    wanted = not route.task or these.task is None or these.task in route.task
    return wanted and (not route.risk or these.workload.risk in route.risk)


def _divide(spans: Spans, route: Route) -> tuple[Spans, Spans]:
    """Divide lengths into those that a route takes and the others."""
    low, high = float(route.over or 0) + 1, float(route.up_to or inf)
    inside = [(max(a, low), min(b, high)) for a, b in spans]
    outside = [part for a, b in spans for part in ((a, min(b, low - 1)), (max(a, high + 1), b))]
    return [s for s in inside if s[0] <= s[1]], [s for s in outside if s[0] <= s[1] and s[0] < inf]


def _within(spans: Spans, lengths: tuple[int, int] | None) -> Spans:
    if lengths is None:
        return spans
    low, high = lengths
    return [(max(a, low), min(b, high)) for a, b in spans if a <= high and b >= low]


def _written(span: tuple[float, float]) -> str:
    low, high = span
    if high == inf:
        return f"more than {low - 1:,.0f}"
    return f"up to {high:,.0f}" if low <= 1 else f"{low:,.0f} to {high:,.0f}"


def _check_window(longest: int, these: _Requests, target: Target, at: Key, r: Reading) -> None:
    """See that the longest prompt that a route can send, with its answer, fits the target's context."""
    window = target.window_tokens
    answer = _answer(these.workload)
    if window is None or longest + answer <= window:
        return
    prompt = f"a prompt of {longest:,} tokens" + (f" and its answer of {answer:,}" if answer else "")
    what = f'can send "{target.name}" {prompt} (workload[{these.number}]), beyond its context of {window:,}'
    remedy = "send prompts of that length to a target with a larger one, by a route before this"
    r.wrong(at, what, remedy)


def _why(route: Route, requests: Sequence[_Requests]) -> tuple[str, str]:
    """Say why a route takes nothing: its own conditions, or the routes before it."""
    if route.over is not None and route.up_to is not None and route.over >= route.up_to:
        return "no length is over the one and up to the other", "swap the two"
    for key, said in (("task", route.task), ("risk", route.risk)):
        there = {getattr(these.workload, key) for these in requests} - {None}
        if said and not there & set(said) and not (key == "task" and None in {x.task for x in requests}):
            return f"no workload has {key} {' or '.join(said)}", nearest(said[0], sorted(there))
    meant = [these for these in requests if _meant(route, these)]
    if not meant:
        return "no workload has both its task and its risk", "leave one of the two conditions out"
    if not any(_within(_divide([(1, inf)], route)[0], these.lengths) for these in meant):
        known = [these.lengths for these in meant if these.lengths is not None]
        low, high = min(low for low, _ in known), max(high for _, high in known)
        return f"its prompts have {low:,} to {high:,} tokens", "change the bound, or leave it out"
    return "the routes before it take them all", "put it before those, or leave it out"
