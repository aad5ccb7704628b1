"""The table on the terminal: the verdict first, what has to be known next, then targets side by side."""

import io
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from loadgen.report import money, objectives, said
from loadgen.report.answer import answer
from loadgen.report.figures import (
    NOTHING,
    SHORT,
    TIMES_IN,
    Cell,
    Line,
    alerts,
    clean,
    counts,
    describe_load,
    distributions,
    extremes,
    footnotes,
    legend,
    subtitle,
)
from loadgen.report.layout import plain_table
from loadgen.report.spectrum import spectrum
from loadgen.results.model import Report, TargetReport

_STATES: Final = {"valid": "bold black on green", "suspect": "bold black on yellow"}
_WORST: Final = "bold white on red"
_ALERT: Final = "bold black on magenta"
_PERCENTILES: Final = ("p50", "p90", "p99")
_EXTREMES: Final = ("mean", "p99.9", "max")
_NO_EXTREMES: Final = (Cell(""),) * len(_EXTREMES)
_WIDE: Final = 110
_GAP: Final = 2
_NAME_WIDTH: Final = 24
_ERRORS_SHOWN: Final = 3
_GROUPS_SHOWN: Final = 24


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a report; console: where (None: standard output)."""
    console = console or standard_output()
    for part in render(report, console.width):
        console.print(part, highlight=False)


def standard_output() -> Console:
    """Make a console on standard output that replaces what its encoding can't say."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console()


def render(report: Report, width: int) -> Iterator[RenderableType]:
    """Yield the parts of the report, from the top, for a terminal of so many columns."""
    yield ""
    yield from _head(report)
    for sentence in answer(report) if report.comparison else ():
        yield _indented(Text(sentence, "bold"))
        yield ""
    targets, open_loop = report.targets, report.run.open_loop
    single = _single(targets[0], width, open_loop=open_loop) if len(targets) == 1 else None
    if by_level := said.levels(report):
        yield from _grid(by_level)
    elif single is not None:
        yield from single
    else:
        for group in _groups(targets, width):
            yield _indented(_side_by_side(group, open_loop=open_loop))
            yield ""
    if lines := list(spectrum(targets)):
        yield from (_indented(Text(line)) for line in lines)
        yield ""
    if asked := objectives.grid(report):
        yield from _grid(asked, _WIDE // 2)
    if by_route := said.routes(report):
        yield from _grid(by_route)
    by_group = said.groups(report)
    if by_group is not None and len(by_group.rows) <= _GROUPS_SHOWN:
        yield from _grid(by_group)
    elif by_group is not None:
        yield _indented(Text(f"{len(by_group.rows)} tasks and turns: see report.md", "dim"))
    yield from _errors(targets)
    for sentence in (*said.sentences(report), *money.sentences(report)):
        yield _indented(Text(sentence))
    for note in (*footnotes(report), *objectives.notes(report)):
        yield _indented(Text(note, "yellow"))
    yield _indented(Text(legend(report), "dim"))


def _head(report: Report) -> Iterator[RenderableType]:
    verdict, run = report.verdict, report.run
    state = _badge(verdict.state, _STATES.get(verdict.state, _WORST))
    yield _hanging(state, Text.assemble((clean(run.scenario), "bold"), ("  " + clean(run.id), "dim")))
    for reason in verdict.reasons:
        yield _hanging(Text("-"), Text(clean(reason)))
    for word, sentence in alerts(report):
        yield _hanging(_badge(word, _ALERT), Text(sentence, "bold"))
    if load := describe_load(run.load):
        yield _indented(Text(load, "dim"))
    yield ""


def _badge(word: str, style: str) -> Text:
    return Text(f" {word.upper()} ", style)


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 1), expand=False)


def _hanging(mark: Text, text: Text) -> Padding:
    """Put a mark before a text whose further lines begin below its first."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(mark, text)
    return _indented(grid)


# one target: percentiles side by side


def _single(target: TargetReport, width: int, *, open_loop: bool) -> list[RenderableType] | None:
    """Lay out one target with its percentiles side by side; None where they don't fit."""
    blocks = distributions([target])
    heads = list(_PERCENTILES)
    columns = [[_under(head, block[i]) for block in blocks] for i, head in enumerate(heads)]
    if width >= _WIDE:
        more = extremes(target)
        heads += _EXTREMES
        columns += [[more.get(b[0].label, _NO_EXTREMES)[i] for b in blocks] for i in range(len(_EXTREMES))]
    texts = [_column(column) for column in columns]
    label_width = max(_label(block[0]).cell_len for block in blocks)
    if 1 + label_width + sum(_GAP + _widest(column) for column in texts) > width:
        return None
    table = plain_table()
    table.add_column(Text(TIMES_IN, "dim"), no_wrap=True)
    for head in heads:
        table.add_column(Text(head, "bold"), no_wrap=True)
    for i, block in enumerate(blocks):
        table.add_row(_label(block[0]), *(column[i] for column in texts))
    return [_indented(_counts_of(target, open_loop=open_loop)), "", _indented(table), ""]


def _under(head: str, line: Line) -> Cell:
    """Return the cell of a line; it says its percentile where its column is of another one."""
    cell = line.cells[0]
    return cell if line.at == head or cell.value == NOTHING else Cell(cell.value, line.at)


def _counts_of(target: TargetReport, *, open_loop: bool) -> Table:
    table = plain_table()
    name = Text(clean(target.name), "bold")
    table.add_column("", no_wrap=True)
    table.add_column(name.append(f"  {subtitle(target)}", "not bold dim"), overflow="fold")
    lines = [*counts([target], open_loop=open_loop), *money.lines([target])]
    for line, text in zip(lines, _column([line.cells[0] for line in lines]), strict=True):
        table.add_row(_label(line), _coloured(line, line.cells[0], text))
    return table


# several targets: each a column, each percentile a line


def _groups(targets: Sequence[TargetReport], width: int) -> list[Sequence[TargetReport]]:
    """Share the targets among as few tables as fit, evenly."""
    lines = [line for block in _blocks(targets) for line in block]
    head = 1 + max(_label(line).cell_len for line in lines) + _GAP + len("p50")
    room = max(1, (width - head) // (_GAP + max(_cells_width(lines), *map(_name_width, targets))))
    size = -(-len(targets) // -(-len(targets) // room))
    return [targets[i : i + size] for i in range(0, len(targets), size)]


def _side_by_side(targets: Sequence[TargetReport], *, open_loop: bool) -> Table:
    first, *rest = _blocks(targets, open_loop=open_loop)
    lines = [*first, *(line for block in rest for line in block)]
    heads = {len(first) + sum(map(len, rest[:i])) for i in range(len(rest))}
    columns = [_column([line.cells[i] for line in lines]) for i in range(len(targets))]
    table = plain_table()
    table.add_column(Text(f"\n{TIMES_IN}", "dim"), no_wrap=True)
    table.add_column("", no_wrap=True)
    for target in targets:
        name = Text(clean(target.name), "bold")
        name.append(f"\n{subtitle(target)}", "not bold dim")
        table.add_column(name, overflow="fold", max_width=max(_NAME_WIDTH, _cells_width(lines)))
    for row, line in enumerate(lines):
        if row == len(first):
            table.add_section()
        label = _label(line) if row < len(first) or row in heads else Text("")
        cells = (_coloured(line, cell, column[row]) for cell, column in zip(line.cells, columns, strict=True))
        table.add_row(label, Text(line.at, "dim"), *cells)
    return table


def _blocks(targets: Sequence[TargetReport], *, open_loop: bool = True) -> list[list[Line]]:
    """All lines of the figures, the counts first; each percentile that is shown is a line."""
    found = distributions(targets)
    return [[*counts(targets, open_loop=open_loop), *money.lines(targets)]] + [
        [n for n in b if n.at in SHORT.get(n.label, (n.at,))] for b in found
    ]


def _cells_width(lines: Sequence[Line]) -> int:
    """Width of the widest column."""
    return max(_widest(_column(cells)) for cells in zip(*(line.cells for line in lines), strict=True))


def _name_width(target: TargetReport) -> int:
    return min(_NAME_WIDTH, max(cell_len(clean(target.name)), cell_len(subtitle(target))))


# levels and groups: each a row


def _grid(grid: said.Grid, name_width: int = _NAME_WIDTH) -> Iterator[RenderableType]:
    table = plain_table()
    below = TIMES_IN if grid.times else ""
    table.add_column(Text(f"{grid.heads[0]}\n{below}", "dim"), overflow="fold", max_width=name_width)
    for head in grid.heads[1:]:
        first, _, second = head.partition(" ")
        table.add_column(Text(f"{first}\n{second}" if second else f"\n{first}", "bold"), justify="right")
    for row in grid.rows:
        table.add_row(*(Text(cell, "red" if cell == objectives.MISSED else "") for cell in row))
    yield _indented(table)
    yield ""


# cells


def _column(cells: Sequence[Cell]) -> list[Text]:
    """Make the texts of a column: values end at one place, what stands behind them begins at one."""
    width = max((len(c.value) for c in cells), default=0)
    texts = []
    for cell in cells:
        text = Text(f"{cell.value:>{width}}" if cell.value else "")
        if cell.more:
            text.append(f" {cell.more}", "dim")
        texts.append(text)
    return texts


def _widest(texts: Sequence[Text]) -> int:
    return max((text.cell_len for text in texts), default=0)


def _label(line: Line) -> Text:
    return Text(f"  {line.label}", "dim") if line.indent else Text(line.label)


def _coloured(line: Line, cell: Cell, text: Text) -> Text:
    if line.bad and cell.value != "0":
        text.stylize("red")
    return text


def _errors(targets: Sequence[TargetReport]) -> Iterator[RenderableType]:
    """The most frequent errors of each target, in the server's words."""
    for target in targets:
        whose = f"{clean(target.name)}: " if len(targets) > 1 else ""
        shown = list(target.errors.items())[:_ERRORS_SHOWN]
        for text, n in shown:
            yield _hanging(Text(f"{whose}{n:,} x", "red"), Text(clean(text), "red"))
        if rest := sum(target.errors.values()) - sum(n for _, n in shown):
            yield _indented(Text(f"{whose}{rest:,} for other reasons, see report.md", "red"))
