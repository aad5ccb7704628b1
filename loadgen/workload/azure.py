"""Azure's LLM inference traces of 2023: when requests came to two services, and their lengths.

Source: https://github.com/Azure/AzurePublicDataset (Splitwise, ISCA'24), CC-BY 4.0.
"""

from typing import Final

from loadgen.scenario.words import Workload
from loadgen.workload.instant import iso_ns
from loadgen.workload.lines import file_of
from loadgen.workload.rows import Rows, TracePrompts, read_table, whole
from loadgen.workload.text import TextMaker

_COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def open_azure(workload: Workload, _seed: int, context: int | None, text: TextMaker) -> TracePrompts:
    """Open a trace; context: the tokens that prompt and answer may have together (see `too_long`).

    Raises:
        DataError: it can't be read, or rows are broken, out of order or too long; names up to 10.
        ScenarioError: no file is named.
    """
    rows, digest = read_table(file_of(workload), _COLUMNS, _take)
    return TracePrompts(workload, rows.trace(workload.too_long, context), digest, text)


def _take(rows: Rows, line: int, fields: list[str]) -> None:
    time, prompt, output = fields
    try:
        at_ns = iso_ns(time)
    except ValueError as error:
        raise ValueError(f"`TIMESTAMP` {error}" if time else "has no `TIMESTAMP`") from None
    rows.add(line, at_ns, whole(prompt, "ContextTokens"), whole(output, "GeneratedTokens"))
