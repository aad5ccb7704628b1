"""Mooncake's traces: arrivals and lengths of a chat service, and which parts of the prompts were the same.

A prompt is a row of blocks of 512 tokens, each with a hash that stands for itself and all before it. Equal
hashes become equal texts, so that a prefix cache finds what it would have found then.
Source: https://github.com/kvcache-ai/Mooncake, Apache-2.0.
"""

import functools
import math
from typing import Any, Final

from loadgen.errors import DataError
from loadgen.scenario.words import Workload
from loadgen.units import NS_PER_MS
from loadgen.workload.instant import number_ns
from loadgen.workload.lines import KINDS, KeptLines, file_of, read_json, row_of
from loadgen.workload.prompt import Conversation, Int64s
from loadgen.workload.rows import Rows, request
from loadgen.workload.text import TextMaker

BLOCK_TOKENS: Final = 512
_KEPT_BLOCKS: Final = 8192  # about 25 MB of text

_KEYS: Final = ("timestamp", "input_length", "output_length", "hash_ids")


class MooncakePrompts:
    """A made text for each row of a trace, put together from its blocks.

    Sessions are the rows that were kept, in order, and come again from the first one on. on_end = "stop":
    they end with the last. arrivals_ns has shape (rows,). The rows' hashes stay on the disk.

    Raises:
        DataError: the file can't be read, or rows are broken, out of order or too long; names up to 10.
        ScenarioError: no file is named.
    """

    def __init__(self, workload: Workload, _seed: int, context: int | None, text: TextMaker) -> None:
        path = file_of(workload)
        rows = Rows(path)
        self._lines = KeptLines(
            path, "JSON Lines file", lambda number, line: _take(rows, number, line), rows.blank
        )
        self._trace = rows.trace(workload.too_long, context)
        self._task = workload.task
        self._rows = len(self._trace.arrivals_ns)
        self._overhead_tokens = text.overhead_tokens
        self._block = functools.lru_cache(maxsize=_KEPT_BLOCKS)(text.text)
        self._part = text.text  # the beginning of the block's text: it is made from the same key
        self.count: int | None = self._rows if workload.on_end == "stop" else None
        self.contents_digest = self._lines.contents_digest
        self.arrivals_ns: Int64s | None = self._trace.arrivals_ns
        self.set_aside = self._trace.set_aside

    def conversation(self, session: int) -> Conversation:
        """Return a session of one turn.

        Raises:
            IndexError: it is past the end of a file that stops.
            DataError: the file changed since it was opened.
        """
        row = row_of(session, self._rows, self.count)
        prompt_tokens = int(self._trace.prompt_tokens[row])
        left = max(1.0, prompt_tokens - self._overhead_tokens)
        parts = []
        for hash_id in read_json(self._lines[int(self._trace.number[row])])["hash_ids"]:
            if left >= BLOCK_TOKENS:
                parts.append(self._block(BLOCK_TOKENS, hash_id))
            elif left > 0:
                parts.append(self._part(left, hash_id))
            left -= BLOCK_TOKENS
        # a space between blocks: a text begins with a word, and may end in the middle of one
        content = " ".join(parts)
        return request(self._task, content, prompt_tokens, int(self._trace.output_tokens[row]))


def _take(rows: Rows, number: int, line: bytes) -> None:
    try:
        row = read_json(line)
    except DataError as error:
        rows.mistakes.add(number, error.problems[0].what, error.problems[0].remedy)
        return
    wrong = _wrong_with(row)
    if wrong:
        rows.mistakes.add(number, wrong, "correct it, or take the row out")
    else:
        rows.add(number, number_ns(row["timestamp"], NS_PER_MS), row["input_length"], row["output_length"])


def _wrong_with(row: Any) -> str:
    """Return what is wrong with the types and the number of blocks, or an empty string."""
    if not isinstance(row, dict):
        return f"is {KINDS[type(row)]}, not an object"
    for key in _KEYS:
        if row.get(key) is None:
            return f"has no `{key}`"
    for key in _KEYS[1:3]:
        if type(row[key]) is not int:
            return f"`{key}` is {_shown(row[key])}, not a whole number"
    if type(row["timestamp"]) not in {int, float}:
        return f"`timestamp` is {_shown(row['timestamp'])}, not a number of milliseconds"
    try:
        number_ns(row["timestamp"], NS_PER_MS)
    except ValueError as error:
        return f"`timestamp` {error}"
    ids = row["hash_ids"]
    if not isinstance(ids, list) or not all(type(hash_id) is int for hash_id in ids):
        return "`hash_ids` is not a list of whole numbers"
    blocks = math.ceil(row["input_length"] / BLOCK_TOKENS)
    if row["input_length"] > 0 and len(ids) != blocks:
        return f"has {len(ids)} `hash_ids`, not one for each of {blocks} blocks of {BLOCK_TOKENS} tokens"
    return ""


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else KINDS[type(value)]
