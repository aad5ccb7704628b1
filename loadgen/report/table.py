"""The table on the terminal: the verdict first, what has to be known next, then targets side by side."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from loadgen.report import figures, grids, said
from loadgen.report.compare import pairs, sentence
from loadgen.report.figures import NOTHING, TIMES_IN, Cell, Line, clean, subtitle
from loadgen.report.grids import Grid
from loadgen.report.layout import plain_table, standard_output
from loadgen.report.spectrum import spectrum
from loadgen.results.model import Report, TargetReport

_STATES: Final = {"valid": "bold black on green", "suspect": "bold black on yellow"}
_WORST: Final = "bold white on red"
_ALERT: Final = "bold black on magenta"
_PERCENTILES: Final = {"p50": "p50", "p90": "p90", "p99": "p99"}
_EXTREMES: Final = {"mean": "mean", "p99.9": "p999", "max": "max"}
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


def render(report: Report, width: int) -> Iterator[RenderableType]:
    """Yield the parts of the report, from the top, for a terminal of so many columns."""
    yield ""
    yield from _head(report)
    for rows in pairs(report):
        yield _indented(Text(sentence(rows), "bold"))
        yield ""
    targets, open_loop = report.targets, report.run.open_loop
    single = _single(targets[0], width, open_loop=open_loop) if len(targets) == 1 else None
    if (by_level := grids.levels(report)).rows:
        yield from _grid(by_level)
    elif single is not None:
        yield from single
    else:
        for group in _groups(targets, width):
            yield _indented(_side_by_side(group, open_loop=open_loop))
            yield ""
    if blocks := list(spectrum(targets)):
        yield from (_indented(Text(line)) for line in blocks)
        yield ""
    yield from _grid(grids.objectives(report), _WIDE // 2)
    yield from _grid(grids.routes(report))
    by_group = grids.groups(report)
    if len(by_group.rows) <= _GROUPS_SHOWN:
        yield from _grid(by_group)
    else:
        yield _indented(Text(f"{len(by_group.rows)} tasks and turns: see report.md", "dim"))
    yield from _errors(report)
    for text in (*said.sentences(report), *said.of_money(report)):
        yield _indented(Text(text))
    for note in said.footnotes(report):
        yield _indented(Text(note, "yellow"))
    yield _indented(Text(figures.legend(report), "dim"))


def _head(report: Report) -> Iterator[RenderableType]:
    verdict, run = report.verdict, report.run
    state = Text(f" {verdict.state.upper()} ", _STATES.get(verdict.state, _WORST))
    yield _hanging(state, Text.assemble((clean(run.scenario), "bold"), ("  " + clean(run.id), "dim")))
    for reason in verdict.reasons:
        yield _hanging(Text("-"), Text(clean(reason)))
    for word, text in figures.alerts(report):
        yield _hanging(Text(f" {word} ", _ALERT), Text(text, "bold"))
    if load := figures.describe_load(run.load):
        yield _indented(Text(load, "dim"))
    yield ""


def _indented(part: RenderableType) -> Padding:
    return Padding(part, (0, 0, 0, 1), expand=False)


def _hanging(mark: Text, text: Text) -> Padding:
    """Put a mark before a text whose further lines begin below its first."""
    grid = Table.grid(Column(no_wrap=True), Column(overflow="fold"), padding=(0, 1, 0, 0))
    grid.add_row(mark, text)
    return _indented(grid)


# one target: percentiles side by side


def _single(target: TargetReport, width: int, *, open_loop: bool) -> list[RenderableType] | None:
    """Lay out one target with its percentiles side by side; None where they don't fit."""
    more = _EXTREMES if width >= _WIDE else {}
    blocks = figures.distributions([target], more.values())
    heads = _PERCENTILES | more
    columns = [[_under(at, block, i) for block in blocks] for i, at in enumerate(heads.values())]
    texts = [_column(column) for column in columns]
    label_width = max(_label(block[0]).cell_len for block in blocks)
    if 1 + label_width + sum(_GAP + _widest(column) for column in texts) > width:
        return None
    table = plain_table(
        Column(Text(TIMES_IN, "dim"), no_wrap=True),
        *(Column(Text(head, "bold"), no_wrap=True) for head in heads),
    )
    for i, block in enumerate(blocks):
        table.add_row(_label(block[0]), *(column[i] for column in texts))
    return [_indented(_counts_of(target, open_loop=open_loop)), "", _indented(table), ""]


def _under(at: str, block: Sequence[Line], i: int) -> Cell:
    """Return the cell of line i; it says its percentile where its column is of another one."""
    if i >= len(block):
        return Cell("")
    cell = block[i].cells[0]
    return cell if block[i].at == at or cell.value == NOTHING else Cell(cell.value, block[i].at)


def _counts_of(target: TargetReport, *, open_loop: bool) -> Table:
    name = Text(clean(target.name), "bold").append(f"  {subtitle(target)}", "not bold dim")
    table = plain_table(Column(no_wrap=True), Column(name, overflow="fold"))
    shown = figures.counts([target], open_loop=open_loop)
    for line, text in zip(shown, _column([line.cells[0] for line in shown]), strict=True):
        table.add_row(_label(line), text)
    return table


# several targets: each a column, each percentile a line


def _groups(targets: Sequence[TargetReport], width: int) -> list[Sequence[TargetReport]]:
    """Share the targets among as few tables as fit, evenly."""
    shown = figures.lines(targets, open_loop=True, short=True)
    head = 1 + max(_label(line).cell_len for line in shown) + _GAP + len("p50")
    room = max(1, (width - head) // (_GAP + max(_cells_width(shown), *map(_name_width, targets))))
    size = -(-len(targets) // -(-len(targets) // room))
    return [targets[i : i + size] for i in range(0, len(targets), size)]


def _side_by_side(targets: Sequence[TargetReport], *, open_loop: bool) -> Table:
    shown = figures.lines(targets, open_loop=open_loop, short=True)
    columns = [_column(cells) for cells in zip(*(line.cells for line in shown), strict=True)]
    names = (Text(clean(t.name), "bold").append(f"\n{subtitle(t)}", "not bold dim") for t in targets)
    wide = max(_NAME_WIDTH, _cells_width(shown))
    table = plain_table(
        Column(Text(f"\n{TIMES_IN}", "dim"), no_wrap=True),
        Column(no_wrap=True),
        *(Column(name, overflow="fold", max_width=wide) for name in names),
    )
    before = ""
    for line, *texts in zip(shown, *columns, strict=True):
        if line.at and not before:
            table.add_section()
        table.add_row(_label(line), Text(line.at, "dim"), *texts)
        before = line.at
    return table


def _cells_width(shown: Sequence[Line]) -> int:
    return max(_widest(_column(cells)) for cells in zip(*(line.cells for line in shown), strict=True))


def _name_width(target: TargetReport) -> int:
    return min(_NAME_WIDTH, max(cell_len(clean(target.name)), cell_len(subtitle(target))))


# levels and groups: each a row


def _grid(grid: Grid, name_width: int = _NAME_WIDTH) -> Iterator[RenderableType]:
    if not grid.rows:
        return
    below = TIMES_IN if grid.times else ""
    table = plain_table(
        Column(Text(f"{grid.heads[0]}\n{below}", "dim"), overflow="fold", max_width=name_width)
    )
    for head in grid.heads[1:]:
        first, _, second = head.partition(" ")
        table.add_column(Text(f"{first}\n{second}" if second else f"\n{first}", "bold"), justify="right")
    for row in grid.rows:
        table.add_row(*(Text(cell, "red" if cell == grids.MISSED else "") for cell in row))
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
        if cell.bad:
            text.stylize("red")
        texts.append(text)
    return texts


def _widest(texts: Sequence[Text]) -> int:
    return max((text.cell_len for text in texts), default=0)


def _label(line: Line) -> Text:
    return Text(f"  {line.label}", "dim") if line.indent else Text(line.label)


def _errors(report: Report) -> Iterator[RenderableType]:
    """The most frequent errors of each target, in the server's words."""
    for target in report.targets:
        of = figures.whose(report, target)
        shown = list(target.errors.items())[:_ERRORS_SHOWN]
        if (n := sum(target.errors.values())) > target.requests.failed:
            window = f"of the window {target.requests.failed:,}"
            yield _indented(Text(f"{of}{n:,} failed in the whole run, warm-up included; {window}", "red"))
        for text, n in shown:
            yield _hanging(Text(f"{of}{n:,} x", "red"), Text(clean(text), "red"))
        if rest := sum(target.errors.values()) - sum(n for _, n in shown):
            yield _indented(Text(f"{of}{rest:,} for other reasons, see report.md", "red"))
