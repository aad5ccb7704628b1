"""How tables on the terminal look."""

from rich import box
from rich.table import Table


def plain_table() -> Table:
    """Make a table with no frame but a line under its head."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="")
