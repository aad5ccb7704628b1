"""Gates: what makes a comparison fail, such as "ttft.p99 worse by 5%"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.answers.compare import METRICS, NO_VERDICT, NOT_BOUNDED, Pair, compare_one, key_of, lacking
from loadgen.errors import ScenarioError, nearest
from loadgen.measure.statistics import LEAST_BEYOND
from loadgen.results.model import Comparison

_NUMBER: Final = r"(\d+(?:\.\d+)?)"
_GATE: Final = re.compile(rf"\s*([a-z0-9_]+)(?:\.p{_NUMBER})?\s+worse\s+by\s+{_NUMBER}\s*%\s*")
_FORM: Final = 'write it like "ttft.p99 worse by 5%" or "error_rate worse by 1%" (of all requests)'
_ABSOLUTE: Final = ("error_rate",)
_OTHER_MODELS: Final = "can't be told between different models"


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
    if row is None:  # a table leaves out what the others say too
        percent = None if gate.percentile is None else float(gate.percentile[1:])
        [alone] = compare_one([(pair.base, pair.other, gate.metric, percent)])
        row = next(iter(alone.rows), None)
    failed, told, words = (False, False, _missing(gate, pair)) if row is None else _against(gate, row)
    return GateResult(gate, pair.base.name, pair.other.name, failed, told, words)


def _missing(gate: Gate, pair: Pair) -> str:
    """Say why the two are not compared by this at all."""
    if gate.metric != "usd_per_request":
        return _OTHER_MODELS
    if unpriced := [side.name for side in (pair.base, pair.other) if not side.priced()]:
        whom = " and ".join(unpriced)
        return f"can't be told: it is not known what each request of {whom} costs (no price, or no usage)"
    return f"can't be told: {2 * LEAST_BEYOND} requests a side have to have a cost"


def _against(gate: Gate, row: Comparison) -> tuple[bool, bool, str]:
    """Return whether it failed, whether that can be told, and the words for it."""
    if row.verdict == NOT_BOUNDED:
        return False, False, f"can't be told: {lacking(row)}"
    if row.verdict == NO_VERDICT:
        return False, False, _OTHER_MODELS
    if row.ci95 is None or row.difference is None:
        return False, False, "can't be told"
    if gate.metric in _ABSOLUTE:
        by, least, most = (100 * value for value in (row.difference, *row.ci95))
        words = f"changed by {by:+.2f} points, 95 % interval [{least:+.2f}, {most:+.2f}]"
        return row.ci95[0] > gate.by, True, words
    if row.ratio_ci95 is None or row.ratio is None:
        return _from_or_to_nothing(row.base or 0.0, row.other or 0.0, row.ci95[0])
    low, high = row.ratio_ci95
    changes = (row.ratio - 1, low - 1, high - 1)
    worse, least, most = (-changes[0], -changes[2], -changes[1]) if _is_speed(gate.metric) else changes
    return least > gate.by, True, f"worse by {worse:.1%}, 95 % interval [{least:.1%}, {most:.1%}]"


def _from_or_to_nothing(base: float, other: float, least: float) -> tuple[bool, bool, str]:
    """Judge a cost where one side's is 0, of which there is no share; least: of the difference, at 95 %."""
    if not base and not other:
        return False, True, "no change: both cost nothing"
    if not other:
        return False, True, f"better: it costs nothing, the base {base:.4g}"
    if base or least <= 0:
        return False, False, f"can't be told: {base:.4g} and {other:.4g} have no ratio"
    return True, True, f"worse by any share: the base costs nothing, this {other:.4g}"
