"""The answers, as text: which is faster, by how much, how sure that is, and who wins where."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loadgen.answers.compare import BETTER, NOT_SHOWN, WORSE, lacking
from loadgen.answers.decision import ASPECTS, Decision, Winner
from loadgen.answers.gate import GateResult
from loadgen.report.figures import NOTHING, clean, describe_load, headline, name_of, number, usd
from loadgen.report.grids import Grid, filled
from loadgen.results.model import Comparison, Dist, Report
from loadgen.units import format_number

_NAMES: Final = {
    "ttft_ms": "TTFT, ms",
    "tpot_ms": "TPOT, ms",
    "e2e_ms": "e2e, ms",
    "output_tokens_per_s": "tokens/s",
    "output_chars_per_s": "characters/s",
    "error_rate": "failed, %",
    "usd_per_request": "USD/request",
}
DECIDED_BY: Final = (
    "The best of each against the next best; a difference that was not shown decides nothing. "
    "The quality of the answers was not measured."
)
_HEADLINES: Final = ("ttft_ms", "e2e_ms")
_MORE: Final = (
    ("e2e_ms", "p50"),
    ("output_chars_per_s", "p50"),
    ("output_tokens_per_s", "p50"),
    ("usd_per_request", None),
    ("error_rate", None),
)
_SHARE: Final = "error_rate"
_NONE: Final = Dist(count=0)
_TIMES: Final = {"ttft_ms": "Time to first token", "e2e_ms": "Time to the whole answer"}
_SIDE_BY_SIDE: Final = 4  # of more targets than these the fastest and the slowest are told


def legend(told: Iterable[Comparison]) -> str:
    """Say what the verdicts rest on; told: all of them."""
    family = sum(row.p_value is not None for row in told)
    together = (
        f" for all {family} of them together (Holm): an interval that leaves out 0 may not be enough"
        if family > 1
        else ""
    )
    return (
        "Change in percent (failures: in points), in brackets its 95 % interval. A verdict is given where "
        f"it holds at 95 %{together}. Could have shown: the smallest change that four of five such "
        "comparisons would have shown. Not bounded: too few independent requests beyond that percentile "
        "(p99 takes 1,000). No verdict: different models count tokens differently."
    )


def sentence(rows: Sequence[Comparison]) -> str:
    """Return the answer on one pair in a sentence: the first token (of whole answers their time), then more.

    rows: all of one pair, at least one.
    """
    base, other = clean(rows[0].base_target), clean(rows[0].other_target)
    of = {(row.metric, row.percentile): row for row in rows}
    first = next(
        (row for key in _HEADLINES if (row := of.get((key, "p50"))) and None not in (row.base, row.other)),
        rows[0],
    )
    what = _NAMES.get(first.metric, first.metric).removesuffix(", ms")
    figures = f"{what} p50 {_figure(first.other, first)} against {_figure(first.base, first)} ms"
    if None in (first.base, first.other):
        said = [_missing(first, what)]
    elif first.verdict == NOT_SHOWN:
        both = f"{what} p50 {_figure(first.base, first)} and {_figure(first.other, first)} ms"
        said = [f"no difference of {what} shown between {base} and {other}{_able(first)}: {both}"]
    elif first.verdict in (BETTER, WORSE):
        word = "faster" if first.verdict == BETTER else "slower"
        said = [f"{other} is {word} than {base}: {figures}{_and(_change(first))}"]
    else:
        said = [f"{other} against {base}: {figures}, without a verdict, as {clean(lacking(first))}"]
    for key in ((first.metric, "p99"), *_MORE):
        row = of.get(key)
        if row is not None and row is not first and row.verdict in (BETTER, WORSE):
            name = f"{what} p99" if key[1] == "p99" else _NAMES[row.metric].partition(",")[0]
            said.append(f"{name} {row.verdict}{_and(_change(row))}")
    return "; ".join(said) + "."


def _missing(row: Comparison, what: str) -> str:
    """Say which side has no figure: none of its requests succeeded, or none has this one."""
    sides = ((clean(row.base_target), row.base), (clean(row.other_target), row.other))
    lacks = [name for name, value in sides if value is None]
    known = [f"{name} has p50 {_figure(value, row)} ms" for name, value in sides if value is not None]
    return f"nothing to compare: {' and '.join(lacks)} without {what}{''.join(f', {one}' for one in known)}"


def _and(text: str) -> str:
    return f", {text}" if text else ""


def table_of(rows: Sequence[Comparison]) -> Grid:
    """Return the figures that a side has, with their verdicts; rows: all of one pair, at least one."""
    base, other = clean(rows[0].base_target), clean(rows[0].other_target)
    heads = ("", "", base, other, "change", "verdict")
    known = [row for row in rows if (row.base, row.other) != (None, None)]
    verdicts = tuple(row.verdict for row in known)
    return Grid(f"{other} against {base}", heads, tuple(_cells(known)), verdicts=verdicts)


def _cells(rows: Iterable[Comparison]) -> Iterator[tuple[str, ...]]:
    before = ""
    for row in rows:
        label = _NAMES.get(row.metric, row.metric)
        verdict = row.verdict + (_able(row) if row.verdict == NOT_SHOWN else "")
        figures = (_figure(row.base, row), _figure(row.other, row), _change(row))
        yield ("" if label == before else label, row.percentile or "", *figures, verdict)
        before = label


def decisions(told: Sequence[Decision]) -> Grid:
    """Return who wins on what, scenario by scenario, with the figures as the reason."""
    heads = ("scenario", "latency (TTFT p50, ms)", "speed (characters/s p50)", "cost (USD/request)")
    rows = [(clean(d.scenario), *(clean(_winner(d.winners[aspect])) for aspect in ASPECTS)) for d in told]
    return filled(Grid("Decisions", heads, tuple(rows)))


def _winner(winner: Winner) -> str:
    if winner.name is None:
        return NOTHING
    if winner.row is None:
        return (
            f"{winner.name} (alone)"
            if winner.next_best is None
            else "can't be told: too few independent requests"
        )
    row = winner.row
    figures = f"{_figure(row.other, row)} against {_figure(row.base, row)}"
    if winner.shown:
        return f"{winner.name}: {figures} ({winner.next_best})"
    return f"no difference shown: {winner.name} {figures} ({winner.next_best})"


def gate_state(gate: GateResult) -> str:
    """Say in a word what became of a gate."""
    return "failed" if gate.failed else "passed" if gate.told else "not told"


def _figure(value: float | None, row: Comparison) -> str:
    """Write one side's figure, without its unit."""
    if value is not None and row.metric == _SHARE:
        return f"{100 * value:.2f}"
    return usd(value) if row.metric == "usd_per_request" else number(value)


def _change(row: Comparison) -> str:
    """Write the relative change with its interval; of a share, or where there is no ratio, the absolute."""
    if row.difference is None or row.ci95 is None:
        return ""
    if row.metric == _SHARE:
        change, low, high = (f"{100 * value:+.2f}" for value in (row.difference, *row.ci95))
    elif row.ratio is not None and row.ratio_ci95 is not None:
        percent, low, high = (_points(ratio) for ratio in (row.ratio, *row.ratio_ci95))
        change = f"{percent} %"
    else:
        change, low, high = (f"{value:+.4g}" for value in (row.difference, *row.ci95))
        change += " USD" if row.metric == "usd_per_request" else ""
    return f"{change} [{low}, {high}]"


def _points(ratio: float) -> str:
    percent = 100 * (ratio - 1)
    return f"{percent:+,.0f}" if abs(percent) >= 9.95 else f"{percent:+.1f}"


def _able(row: Comparison) -> str:
    """Say what change would have been shown; nothing where that is not known."""
    if row.could_have_shown is None:
        return ""
    could = row.could_have_shown
    return f" (could have shown {could:.0%})" if could < 1 else " (could have shown no less than a doubling)"


def measured(report: Report) -> str:
    """Say in one sentence what was measured: how many requests, of how many targets, under which load."""
    targets = list(dict.fromkeys(map(name_of, report.targets)))
    ok = sum(t.requests.ok for t in report.targets)
    whom = (
        targets[0] if len(targets) == 1 else f"{len(targets)} targets, all asked the same at the same times"
    )
    load = describe_load(report.run.load)
    return f"{ok:,} successful requests to {whom}{f' ({load})' if load else ''}."


def answer(report: Report) -> list[str]:
    """Say which target is faster where a comparison was made; else the figures, the fastest first."""
    if report.comparison:
        return [sentence(rows) for rows in pairs(report)]
    key = headline(report.targets)
    known = sorted(
        (d.p50, d.p99, clean(t.name))
        for t in report.targets
        if (d := t.metrics.get(key, _NONE)).p50 is not None and d.p99 is not None
    )
    if not known:
        return ["No request of the window succeeded: there are no figures."]
    few = len(known) <= _SIDE_BY_SIDE
    shown = known if few else [known[0], known[-1]]
    figures = [f"{who} {format_number(p50)} / {format_number(p99)} ms" for p50, p99, who in shown]
    said = [f"{_TIMES[key]}, p50 / p99: {('; ' if few else ' to ').join(figures)}."]
    if len(set(map(name_of, report.targets))) > 1:
        said.append("Whether they differ was not tested; the table has 95 % intervals.")
    return said


def pairs(report: Report) -> list[Sequence[Comparison]]:
    """Return what was compared, pair by pair."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for row in report.comparison:
        found.setdefault((row.base_target, row.other_target), []).append(row)
    return list(found.values())
