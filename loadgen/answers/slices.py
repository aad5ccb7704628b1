"""Any metric by any group of requests, and what makes the p99: which groups the slowest requests are of."""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadgen.answers.sides import Part
from loadgen.measure.statistics import LEVEL, Estimate, holm, quantiles
from loadgen.results.model import SlowGroup
from loadgen.units import NS_PER_S, parse_duration

SLOWEST: Final = 0.01
FEWEST_SLOW: Final = 10
_AT_LEAST: Final = 1.5  # how many times its share of all a group's share of the slowest is
_SLICES: Final = 10
_TURNS: Final = 9  # after the first; those behind them are one group
_PERCENTS: Final = (50, 90, 99)
_LENGTHS: Final = (0, 128, 512, 2_048, 8_192, 32_768, 131_072)

Bools = NDArray[np.bool_]


class Slice(NamedTuple):
    """One group: its name, its requests, and the percentiles 50, 90 and 99 of a metric; None: not bounded."""

    name: str
    requests: int
    percentiles: tuple[Estimate | None, ...]
    figures: tuple[float, ...]


_CAUSES: Final = ("task", "turn", "prompt_tokens", "connection", "route", "second")
GROUPINGS: Final = (*_CAUSES, "stage", "status", "outcome", "worker")


def slices(part: Part, by: str, metric: str) -> list[Slice]:
    """Return a metric group by group, in the groups' order; of all requests that have it, failed ones too.

    Raises:
        KeyError: there is no such metric or grouping.
    """
    values = part.columns.metric(metric)
    chosen = part.sent() & ~np.isnan(values)
    found = []
    for name, members in groups(part, by):
        some = values[chosen & members]
        if len(some):
            figures = np.quantile(some, [p / 100 for p in _PERCENTS], method="inverted_cdf")
            known = quantiles(some, [p / 100 for p in _PERCENTS])
            found.append(Slice(name, len(some), tuple(known), tuple(map(float, figures))))
    return found


def slowest(part: Part, metric: str) -> list[SlowGroup]:
    """Return the groups that are over-represented among the slowest 1 % by a metric, the most so first.

    A group's number among the slowest is held against the hypergeometric law; the groups of all groupings
    are one family (Holm). Nothing where fewer than 10 requests are the slowest 1 %.
    """
    values = part.columns.metric(metric)
    chosen = part.ok() & ~np.isnan(values)
    n = int(chosen.sum())
    count = round(SLOWEST * n)
    if count < FEWEST_SLOW:
        return []
    above = float(np.partition(values[chosen], n - count - 1)[n - count - 1])
    slow = chosen & (values > above)
    drawn = int(slow.sum())
    found: list[tuple[float, SlowGroup]] = []
    for by in _CAUSES:
        for name, members in groups(part, by):
            size, hits = int((chosen & members).sum()), int((slow & members).sum())
            if 0 < size < n and drawn:
                group = SlowGroup(
                    metric, by.replace("_", " "), name, drawn, _shown(above), hits / drawn, size / n
                )
                found.append((_at_least(hits, drawn, size, n), group))
    corrected = zip(found, holm([p for p, _ in found]), strict=True)
    told = [g for (_, g), p in corrected if p <= LEVEL and g.share >= _AT_LEAST * g.of_all]
    return sorted(told, key=lambda g: g.of_all / g.share)


def groups(part: Part, by: str) -> Iterator[tuple[str, Bools]]:
    """Yield every group of a grouping: its name, and which of all requests are in it."""
    columns = part.columns
    if by == "turn":
        most = min(int(columns.turn.max(initial=0)), _TURNS)
        yield "first", columns.turn == 0
        for turn in range(1, most):
            yield f"{turn + 1}", columns.turn == turn
        if most:
            yield f"{most + 1}{' and later' if most == _TURNS else ''}", columns.turn >= most
    elif by == "connection":
        new = ~np.isnan(columns.metric("connect"))
        yield "new", new
        yield "kept", ~new
    elif by == "prompt_tokens":
        yield from _by_length(columns.metric("prompt_tokens"))
    elif by == "second":
        yield from _by_time(part)
    elif by == "stage":
        yield from _by_stage(part)
    else:
        for number, name in enumerate(columns.names[by]):
            yield name or "none", columns.codes[by] == number


def _by_length(tokens: NDArray[np.float64]) -> Iterator[tuple[str, Bools]]:
    for low, high in zip(_LENGTHS, (*_LENGTHS[1:], math.inf), strict=True):
        name = f"{low:,} to {high - 1:,.0f}" if high < math.inf else f"{low:,} and more"
        yield name, (tokens >= low) & (tokens < high)


def _by_time(part: Part) -> Iterator[tuple[str, Bools]]:
    """Cut the window into ten slices by the time at which requests were intended."""
    intended = part.columns.intended_ns
    window = intended[part.sent()]
    if not len(window):
        return
    first, step = int(window.min()), (int(window.max()) - int(window.min())) / _SLICES + 1
    at = np.clip((intended - first) // step, -1, _SLICES)
    for i in range(_SLICES):
        begin, end = (i * step / NS_PER_S, (i + 1) * step / NS_PER_S)
        yield f"{begin:.3g} to {end:.3g} s", at == i


def _by_stage(part: Part) -> Iterator[tuple[str, Bools]]:
    """Cut the window at the load's stages by the time at which requests were intended.

    What was intended after the last of them (later turns) belongs to it; without stages all is one.
    """
    load, intended = part.report.run.load, part.columns.intended_ns
    begin, stages = parse_duration(load.get("warmup", "0s")), load.get("stages", ())
    if not stages:
        yield "no stages", part.sent()
    for number, stage in enumerate(stages, 1):
        last = number == len(stages)
        end = begin + parse_duration(stage["time"])
        to = f" to {stage['to']}" if stage.get("to") is not None else ""
        name = f"{number}: {stage['time']} of {stage['from']}{to}"
        yield name, (intended >= begin) & ((intended < end) | last)
        begin = end


def _at_least(hits: int, drawn: int, size: int, n: int) -> float:
    """Return the chance that of `drawn` of n requests at least `hits` are of a group of `size`."""
    most = min(drawn, size)
    if hits <= 0:
        return 1.0
    ks = np.arange(hits, most + 1)
    logs = [
        _log_choose(size, int(k)) + _log_choose(n - size, drawn - int(k)) - _log_choose(n, drawn) for k in ks
    ]
    return min(1.0, float(np.exp(logs).sum()))


def _log_choose(n: int, k: int) -> float:
    if k < 0 or k > n:
        return -math.inf
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _shown(value: float) -> float:
    return float(f"{value:.5g}")


_WORDS: Final = {
    "second": "were sent {} into the window",
    "connection": "had a {} connection",
    "prompt tokens": "had prompts of {} tokens",
    "task": "were of task {}",
    "route": "went to {}",
}


def words(slow: Sequence[SlowGroup]) -> str:
    """Say what the slowest requests have in common; "" without groups."""
    if not slow:
        return ""
    first = slow[0]
    told = "; ".join(
        f"{g.share:.0%} {_WORDS.get(g.by, 'have ' + g.by + ' {}').format(g.name)} ({g.of_all:.0%} of all)"
        for g in slow[:3]
    )
    metric = "TTFT" if first.metric == "ttft" else first.metric
    return f"of the {first.slow} slowest by {metric} (above {first.above:,.4g} ms) {told}"
