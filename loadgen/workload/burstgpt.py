"""BurstGPT: months of requests to a university's ChatGPT and GPT-4, and their lengths.

Source: https://github.com/HPMLL/BurstGPT, CC-BY 4.0. Its releases with and without the columns
`Session ID` and `Elapsed time` are read alike: every row is a session of its own.
"""

from typing import Final

from loadgen.scenario.words import Workload
from loadgen.units import NS_PER_S
from loadgen.workload.instant import number_ns
from loadgen.workload.lines import file_of
from loadgen.workload.rows import Rows, TracePrompts, read_table, whole
from loadgen.workload.text import TextMaker

_COLUMNS: Final = ("Timestamp", "Request tokens", "Response tokens")


def open_burstgpt(workload: Workload, _seed: int, context: int | None, text: TextMaker) -> TracePrompts:
    """Open a trace; context: the tokens that prompt and answer may have together (see `too_long`).

    Raises:
        DataError: it can't be read, or rows are broken, out of order or too long; names up to 10.
        ScenarioError: no file is named.
    """
    rows, digest = read_table(file_of(workload), _COLUMNS, _take)
    return TracePrompts(workload, rows.trace(workload.too_long, context), digest, text)


def _take(rows: Rows, line: int, fields: list[str]) -> None:
    time, prompt, output = fields
    at_ns = _seconds_ns(time)
    prompt_tokens, output_tokens = whole(prompt, "Request tokens"), whole(output, "Response tokens")
    if output_tokens == 0:  # the dataset's own mark of a request that failed
        rows.fail(line, at_ns)
    else:
        rows.add(line, at_ns, prompt_tokens, output_tokens)


def _seconds_ns(text: str) -> int:
    try:
        return number_ns(float(text), NS_PER_S)
    except ValueError:
        raise ValueError(
            f"`Timestamp` {text[:40]} is not a number of seconds" if text else "has no `Timestamp`"
        ) from None
