"""How things look on the terminal."""

import io
import sys

import msgspec
from rich import box
from rich.console import Console
from rich.table import Column, Table


def standard_output() -> Console:
    """Make a console on standard output that replaces what its encoding can't say."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console()


def plain_table(*columns: Column) -> Table:
    """Make a table with no frame but a line under its head."""
    return Table(
        *columns,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
        header_style="",
    )


def listing(*columns: str | Column) -> Table:
    """Make the table of a command that lists things: wider apart, nothing broken over lines."""
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.no_wrap = True
    return table


def numbers(head: str) -> Column:
    """Return a column of numbers."""
    return Column(head, justify="right", no_wrap=True)


def print_json(value: object) -> None:
    """Print a value as JSON for scripts."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    standard_output().out(text, highlight=False)
