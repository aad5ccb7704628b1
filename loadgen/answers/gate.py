"""Gates: what makes a comparison fail, such as "ttft.p99 worse by 5%"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.answers.compare import METRICS, NO_VERDICT, NOT_BOUNDED, Pair, key_of
from loadgen.errors import ScenarioError, nearest
from loadgen.results.model import Comparison

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_GATE: Final = re.compile(rf"\s*([a-z0-9_]+)(?:\.p{_NUMBER})?\s+worse\s+by\s+{_NUMBER}\s*%\s*")
_FORM: Final = 'write it like "ttft.p99 worse by 5%" or "error_rate worse by 1%" (of all requests)'
_ABSOLUTE: Final = ("error_rate",)


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on how much worse the other side may be. by: a share of the base's figure.

    Of the error rate, which may be 0, it is a share of all requests; of a time or a cost it may be above 1.
    """

    text: str
    metric: str
    percentile: str | None
    by: float


@dataclass(frozen=True, slots=True)
class GateResult:
    """failed: whether the other side is worse by more than the gate allows, at 95 %; words: why or why not.

    told: whether the samples could tell.
    """

    gate: Gate
    base: str
    other: str
    failed: bool
    told: bool
    words: str


def parse_gate(text: str) -> Gate:
    """Read one gate.

    Raises:
        ScenarioError: it is no gate, one that can never fail, or its metric or percentile is not compared;
            names the nearest.
    """
    found = _GATE.fullmatch(text)
    if found is None:
        raise ScenarioError("--fail-if", f'"{text}" is no gate', _FORM)
    metric, percent, share = found.groups()
    if metric not in METRICS:
        raise ScenarioError(
            "--fail-if", f'there is no metric "{metric}" to compare', nearest(metric, METRICS)
        )
    known = [f"p{p:g}" for p in METRICS[metric]]
    percentile = None if percent is None else f"p{float(percent):g}"
    if percentile not in known and (known or percentile is not None):
        what = (
            f'"{metric}" has no percentile here'
            if not known
            else f"{metric} is compared at {', '.join(known)}"
        )
        raise ScenarioError("--fail-if", what, _FORM)
    by = float(share) / 100
    if by >= 1 and (metric in _ABSOLUTE or _is_speed(metric)):
        what = f'"{text.strip()}" can never fail: nothing makes {metric} worse by more than 100%'
        raise ScenarioError("--fail-if", what, "write a smaller share")
    return Gate(text.strip(), metric, percentile, by)


def _is_speed(metric: str) -> bool:
    return metric.endswith("_per_s")


def judge_gates(gates: Sequence[Gate], pairs: Sequence[Pair]) -> list[GateResult]:
    """Hold every pair against every gate; one fails only where its 95 % interval lies beyond the bound."""
    return [_judge(gate, pair) for pair in pairs for gate in gates]


def _judge(gate: Gate, pair: Pair) -> GateResult:
    row = next(
        (r for r in pair.rows if (r.metric, r.percentile) == (key_of(gate.metric), gate.percentile)), None
    )
    failed, told, words = (False, False, "not measured") if row is None else _against(gate, pair, row)
    return GateResult(gate, pair.base.name, pair.other.name, failed, told, words)


def _too_few(percentile: str | None, pair: Pair, row: Comparison) -> str:
    """Say how many independent requests it takes (ten beyond the percentile), and how many there are."""
    if percentile is None:
        return "can't be told: too few requests"
    p = float(percentile[1:])
    words = f"can't be told: {percentile} takes {1000 / min(p, 100 - p):,.0f} independent requests a side"
    sizes = [
        part.target.metrics[row.metric].effective for side in (pair.base, pair.other) for part in side.parts
    ]
    # where too few lie beyond it, only of the median is known how many they count as
    counts = [size.get(percentile, size.get("p50")) for size in sizes]
    if len(counts) != 2 or None in counts:
        return words
    return f"{words}, these count as " + " and ".join(f"{n:,}" for n in counts)


def _against(gate: Gate, pair: Pair, row: Comparison) -> tuple[bool, bool, str]:
    """Return whether it failed, whether that can be told, and the words for it."""
    if row.verdict == NOT_BOUNDED:
        return False, False, _too_few(gate.percentile, pair, row)
    if row.verdict == NO_VERDICT:
        return False, False, "can't be told between different models"
    if gate.metric in _ABSOLUTE or row.ratio_ci95 is None or row.ratio is None:
        if row.ci95 is None or row.difference is None:
            return False, False, "can't be told"
        by, least = 100 * row.difference, 100 * row.ci95[0]
        words = f"changed by {by:+.2f} points, by {least:+.2f} or more at 95 %"
        return row.ci95[0] > gate.by, True, words
    low, high = row.ratio_ci95
    worse, least = (1 - row.ratio, 1 - high) if _is_speed(gate.metric) else (row.ratio - 1, low - 1)
    return least > gate.by, True, f"worse by {worse:.1%}, by {least:.1%} or more at 95 %"
