"""What a comparison says: one sentence a pair, then every figure with its verdict; terminal and Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.answers.compare import BETTER, NO_VERDICT, NOT_BOUNDED, NOT_SHOWN, WORSE, Pair
from loadgen.answers.decision import ASPECTS, Decision, Winner
from loadgen.report.figures import NOTHING, clean
from loadgen.results.model import Comparison
from loadgen.units import format_number

NAMES: Final = {
    "ttft_ms": "TTFT, ms",
    "tpot_ms": "TPOT, ms",
    "e2e_ms": "e2e, ms",
    "output_tokens_per_s": "tokens/s",
    "output_chars_per_s": "characters/s",
    "error_rate": "failed",
    "usd_per_request": "USD/request",
}
_DECISION_HEADS: Final = (
    "scenario",
    "latency (TTFT p50, ms)",
    "speed (characters/s p50)",
    "cost (USD/request)",
)
DECIDED_BY: Final = (
    "The best of each against the next best; a difference that was not shown decides nothing. "
    "The quality of the answers was not measured."
)
_STYLES: Final = {BETTER: "green", WORSE: "red", NOT_SHOWN: "", NOT_BOUNDED: "dim", NO_VERDICT: "dim"}
_HEADLINES: Final = ("ttft_ms", "output_chars_per_s", "output_tokens_per_s", "usd_per_request", "error_rate")
_SHARES: Final = ("error_rate",)


def print_pairs(pairs: Sequence[Pair], console: Console) -> None:
    """Print every pair: the answer in a sentence, what has to be known, the figures."""
    for pair in pairs:
        console.print()
        console.print(Text(clean(answer(pair)), "bold"))
        for flag in pair.flags:
            console.print(Text(f"- {clean(flag)}", "yellow"))
        console.print()
        console.print(_table(pair), highlight=False)
    if pairs:
        console.print()
        console.print(Text(legend(_told(pairs)), "dim"))


def legend(told: Iterable[Comparison]) -> str:
    """Say what the verdicts rest on; told: all of them."""
    family = sum(row.p_value is not None for row in told)
    return (
        "Change in percent (failures: in points), in brackets its 95 % interval. A verdict is given where "
        f"it holds at 95 % for all {family} of them together (Holm). Could have shown: the smallest change "
        "that four of five such comparisons would have shown."
    )


def answer(pair: Pair) -> str:
    """Return the answer in one sentence: TTFT, then speed, cost and errors where there is a verdict."""
    base, other = pair.base.name, pair.other.name
    found = {(row.metric, row.percentile): row for row in pair.rows}
    ttft = found.get(("ttft_ms", "p50"))
    if ttft is None or ttft.verdict in (NOT_BOUNDED, NO_VERDICT):
        return f"{other} against {base}: too few samples for a verdict on TTFT"
    if ttft.verdict == NOT_SHOWN:
        first = f"no difference of TTFT shown between {base} and {other}{able(ttft)}"
    else:
        word = "faster" if ttft.verdict == BETTER else "slower"
        first = (
            f"{other} is {word} than {base}: TTFT p50 {figure(ttft.other, ttft)} against "
            f"{figure(ttft.base, ttft)} ms, {change(ttft)}"
        )
    rest = [
        f"{NAMES[row.metric]} {change(row)} ({row.verdict})"
        for row in pair.rows
        if row.metric in _HEADLINES[1:] and row.percentile in (None, "p50") and row.verdict in (BETTER, WORSE)
    ]
    return "; ".join([first, *rest]) + "."


def cells(rows: Iterable[Comparison]) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yield the cells of every figure of a pair: label, percentile, base, other, change, verdict."""
    before = ""
    for row in rows:
        label = NAMES.get(row.metric, row.metric)
        verdict = row.verdict + (able(row) if row.verdict == NOT_SHOWN else "")
        yield (
            "" if label == before else label,
            row.percentile or "",
            figure(row.base, row),
            figure(row.other, row),
            change(row) if row.difference is not None else "",
            verdict,
        )
        before = label


def print_decisions(decisions: Sequence[Decision], console: Console) -> None:
    """Print who wins on what, scenario by scenario."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    for head in _DECISION_HEADS:
        table.add_column(Text(head, "bold"), overflow="fold")
    for cells in decision_rows(decisions):
        table.add_row(*map(clean, cells))
    console.print()
    console.print(table, highlight=False)
    console.print(Text(f"\n{DECIDED_BY}", "dim"))


def decision_rows(decisions: Sequence[Decision]) -> Iterator[tuple[str, ...]]:
    """Yield a row a scenario: who wins on what, with the figures as the reason."""
    for decision in decisions:
        yield (decision.scenario, *(_winner(decision.winners[aspect]) for aspect in ASPECTS))


def _winner(winner: Winner) -> str:
    if winner.name is None:
        return NOTHING
    if winner.row is None:
        return f"{winner.name} (alone)"
    row = winner.row
    figures = f"{figure(row.other, row)} against {figure(row.base, row)}"
    if winner.shown:
        return f"{winner.name}: {figures} ({winner.next_best})"
    return f"no difference shown: {winner.name} {figures} ({winner.next_best})"


def markdown(pairs: Sequence[Pair], decisions: Sequence[Decision] = ()) -> str:
    """Write the comparison as GitHub-flavoured Markdown."""
    parts = []
    if decisions:
        lines = [f"| {' | '.join(_DECISION_HEADS)} |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in decision_rows(decisions)]
        parts.append("\n".join([*lines, "", DECIDED_BY, ""]))
    for pair in pairs:
        parts.append(f"**{_cell(answer(pair))}**\n")
        parts += [f"> {_cell(flag)}\n" for flag in pair.flags]
        heads = ("", "", _cell(pair.base.name), _cell(pair.other.name), "change", "verdict")
        lines = [f"| {' | '.join(heads)} |", "|---|---|---:|---:|---:|---|"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in cells(pair.rows)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, *([legend(_told(pairs)), ""] if pairs else [])])


def _cell(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _table(pair: Pair) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
    table.add_column("")
    table.add_column("")
    for name in (pair.base.name, pair.other.name):
        table.add_column(Text(clean(name), "bold"), justify="right", overflow="fold", max_width=11)
    table.add_column("change", justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row, texts_of in zip(pair.rows, cells(pair.rows), strict=True):
        *texts, verdict = map(clean, texts_of)
        table.add_row(*texts, Text(verdict, _STYLES.get(row.verdict, "")))
    return table


def _told(pairs: Sequence[Pair]) -> Iterator[Comparison]:
    return (row for pair in pairs for row in pair.rows)


def figure(value: float | None, row: Comparison) -> str:
    """Write one side's figure, without its unit."""
    if value is None:
        return NOTHING
    return f"{value:.2%}" if row.metric in _SHARES else format_number(value)


def change(row: Comparison) -> str:
    """Write the relative change with its interval; of a share, or where there is no ratio, the absolute."""
    if row.ratio is not None and row.ratio_ci95 is not None and row.metric not in _SHARES:
        low, high = row.ratio_ci95
        return f"{_points(row.ratio)} % [{_points(low)}, {_points(high)}]"
    if row.difference is None or row.ci95 is None:
        return ""
    if row.metric in _SHARES:
        return f"{100 * row.difference:+.2f} [{100 * row.ci95[0]:+.2f}, {100 * row.ci95[1]:+.2f}]"
    return f"{row.difference:+.4g} [{row.ci95[0]:+.4g}, {row.ci95[1]:+.4g}]"


def _points(ratio: float) -> str:
    """Write a ratio as a change in percent."""
    percent = 100 * (ratio - 1)
    return f"{percent:+,.0f}" if abs(percent) >= 9.95 else f"{percent:+.1f}"


def able(row: Comparison) -> str:
    """Say what change would have been shown; nothing where that is not known."""
    return "" if row.could_have_shown is None else f" (could have shown {row.could_have_shown:.0%})"
