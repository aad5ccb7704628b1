"""The decision table: of several scenarios, each with several targets, who wins on what."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from loadgen.answers.compare import BETTER, compare_one, key_of
from loadgen.answers.sides import Side
from loadgen.results.model import Comparison

ASPECTS: Final[dict[str, tuple[str, float | None]]] = {
    "latency": ("ttft", 50),
    "speed": ("output_chars_per_s", 50),
    "cost": ("usd_per_request", None),
}
"""What decides each: a metric and percentile that different models can be compared by."""


class Winner(NamedTuple):
    """Who is best by one figure.

    name: None where nothing was measured. shown: whether the next one is worse for sure; row: the comparison
    of the best with the next (the base).
    """

    name: str | None
    next_best: str | None = None
    row: Comparison | None = None
    shown: bool = False


class Decision(NamedTuple):
    """One scenario's winners, by aspect."""

    scenario: str
    winners: dict[str, Winner]


def decide(runs: Sequence[Sequence[Side]]) -> list[Decision]:
    """Return the winners of each run; the verdicts of all of them are one family for the correction."""
    wanted: list[tuple[int, str, Side, Side]] = []
    alone: dict[tuple[int, str], Winner] = {}
    for number, sides in enumerate(runs):
        for aspect, (metric, percent) in ASPECTS.items():
            ranked, measured = _ranked(sides, metric, percent)
            if len(ranked) > 1:
                wanted.append((number, aspect, ranked[1][1], ranked[0][1]))
            elif ranked or measured:
                # the one whose figure is bounded is not the best for that
                best, *others = measured
                alone[number, aspect] = Winner(best, next_best=others[0] if others else None)
            else:
                alone[number, aspect] = Winner(None)
    pairs = compare_one([(base, other, *ASPECTS[aspect]) for _, aspect, base, other in wanted])
    for (number, aspect, _, _), pair in zip(wanted, pairs, strict=True):
        (row,) = pair.rows
        shown = row.verdict == BETTER
        alone[number, aspect] = Winner(pair.other.name, pair.base.name, row, shown)
    return [
        Decision(sides[0].parts[0].report.run.scenario, {a: alone[number, a] for a in ASPECTS})
        for number, sides in enumerate(runs)
    ]


def _ranked(
    sides: Sequence[Side], metric: str, percent: float | None
) -> tuple[list[tuple[float, Side]], list[str]]:
    """Sort the sides by a figure, the best first; return the names of all that have it, bounded or not."""
    found, measured = [], []
    for side in sides:
        known = side.usd_per_request() if percent is None else side.percentiles(metric, (percent,))[0]
        there = percent is not None and side.parts[0].target.metrics[key_of(metric)].count
        if known is not None or there:
            measured.append(side.name)
        if known is not None:
            found.append((known.value, side))
    if len(found) < len(measured):  # who can't be placed may be the best
        found = found[:1]
    return sorted(found, key=lambda f: f[0], reverse=metric.endswith("_per_s")), measured
