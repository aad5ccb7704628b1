"""What a comparison says: one sentence a pair, then every figure with its verdict; terminal and Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.answers.compare import BETTER, NO_VERDICT, NOT_BOUNDED, NOT_SHOWN, WORSE, Pair
from loadgen.answers.decision import ASPECTS, Decision, Winner
from loadgen.report.figures import NOTHING, clean
from loadgen.report.layout import plain_table
from loadgen.results.model import Comparison
from loadgen.units import format_number, format_usd

NAMES: Final = {
    "ttft_ms": "TTFT, ms",
    "tpot_ms": "TPOT, ms",
    "e2e_ms": "e2e, ms",
    "output_tokens_per_s": "tokens/s",
    "output_chars_per_s": "characters/s",
    "error_rate": "failed, %",
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
_HEADLINES: Final = ("ttft_ms", "e2e_ms")
_MORE: Final = (
    ("e2e_ms", "p50"),
    ("output_chars_per_s", "p50"),
    ("output_tokens_per_s", "p50"),
    ("usd_per_request", None),
    ("error_rate", None),
)
_SHARES: Final = ("error_rate",)
_LEAST_NAME: Final = 11  # columns of a side's name, and of all that stands beside the two
_BESIDE_NAMES: Final = 72


def print_pairs(pairs: Sequence[Pair], console: Console) -> None:
    """Print every pair: the answer in a sentence, what has to be known, the figures."""
    for pair in pairs:
        console.print()
        console.print(Text(answer(pair.rows), "bold"))
        for flag in pair.flags:
            console.print(Text(f"- {clean(flag)}", "yellow"))
        console.print()
        console.print(_table(pair, console.width), highlight=False)
    if pairs:
        console.print()
        console.print(Text(legend(_told(pairs)), "dim"))


def legend(told: Iterable[Comparison]) -> str:
    """Say what the verdicts rest on; told: all of them."""
    family = sum(row.p_value is not None for row in told)
    return (
        "Change in percent (failures: in points), in brackets its 95 % interval. A verdict is given where "
        f"it holds at 95 % for all {family} of them together (Holm): an interval that leaves out 0 may not "
        "be enough. Could have shown: the smallest change that four of five such comparisons would have "
        "shown. Not bounded: too few independent requests beyond that percentile (p99 takes 1,000). No "
        "verdict: different models count tokens differently."
    )


def answer(rows: Sequence[Comparison]) -> str:
    """Return the answer on one pair in a sentence: the first token (of whole answers their time), then more.

    rows: all of one pair, at least one.
    """
    base, other = clean(rows[0].base_target), clean(rows[0].other_target)
    of = {(row.metric, row.percentile): row for row in rows}
    first = next(
        (row for key in _HEADLINES if (row := of.get((key, "p50"))) and None not in (row.base, row.other)),
        rows[0],
    )
    what = NAMES.get(first.metric, first.metric).removesuffix(", ms")
    figures = f"{what} p50 {figure(first.other, first)} against {figure(first.base, first)} ms"
    if first.verdict == NOT_SHOWN:
        both = f"{what} p50 {figure(first.base, first)} and {figure(first.other, first)} ms"
        said = [f"no difference of {what} shown between {base} and {other}{able(first)}: {both}"]
    elif first.verdict in (BETTER, WORSE):
        word = "faster" if first.verdict == BETTER else "slower"
        said = [f"{other} is {word} than {base}: {figures}{_and(change(first))}"]
    else:
        said = [f"{other} against {base}: {figures}; too few requests to tell them apart"]
    for key in ((first.metric, "p99"), *_MORE):
        row = of.get(key)
        if row is not None and row is not first and row.verdict in (BETTER, WORSE):
            name = f"{what} p99" if key[1] == "p99" else NAMES[row.metric].partition(",")[0]
            said.append(f"{name} {row.verdict}{_and(change(row))}")
    return "; ".join(said) + "."


def _and(text: str) -> str:
    return f", {text}" if text else ""


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
    table = plain_table()
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
        return f"{winner.name} (alone)" if winner.next_best is None else "too few requests to tell"
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
        parts.append(f"**{_cell(answer(pair.rows))}**\n")
        parts += [f"> {_cell(flag)}\n" for flag in pair.flags]
        heads = ("", "", _cell(pair.base.name), _cell(pair.other.name), "change", "verdict")
        lines = [f"| {' | '.join(heads)} |", "|---|---|---:|---:|---:|---|"]
        lines += [f"| {' | '.join(map(_cell, row))} |" for row in cells(pair.rows)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join([*parts, *([legend(_told(pairs)), ""] if pairs else [])])


def _cell(text: str) -> str:
    return clean(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _table(pair: Pair, width: int) -> Table:
    wide = max(_LEAST_NAME, (width - _BESIDE_NAMES) // 2)
    table = plain_table()
    table.add_column("")
    table.add_column("")
    for name in (pair.base.name, pair.other.name):
        table.add_column(Text(clean(name), "bold"), justify="right", overflow="fold", max_width=wide)
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
    if row.metric in _SHARES:
        return f"{100 * value:.2f}"
    return format_usd(value) if row.metric == "usd_per_request" else format_number(value)


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
    if row.could_have_shown is None:
        return ""
    could = row.could_have_shown
    return f" (could have shown {could:.0%})" if could < 1 else " (could have shown no less than a doubling)"
