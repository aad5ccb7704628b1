"""The rows of a trace: when each request came, how long its prompt was and its answer."""

import csv
import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from loadgen.errors import DataError
from loadgen.scenario.words import Workload
from loadgen.units import NS_PER_S
from loadgen.workload.lines import Mistakes, numbered, opened, row_of
from loadgen.workload.prompt import Conversation, Int64s, Turn
from loadgen.workload.text import TextMaker

LONGEST_NS: Final = 10 * 366 * 86_400 * NS_PER_S  # no trace is longer; a slip of the unit is
NOT_SORTED: Final = "sort the file by time"
OTHER_CONTEXT: Final = "give the targets a `context` of their own in place of the catalogue's"
_MOST_TOKENS: Final = 100_000_000  # the text of a row has to fit into memory


def said_s(ns: int) -> str:
    """Print a time for a message: `3 s`, `0.25 s`."""
    return f"{ns / NS_PER_S:.9g} s"


def whole(text: str, name: str) -> int:
    """Read a count of tokens.

    Raises:
        ValueError: it is none; the text says what it is instead.
    """
    if text.isdigit() and text.isascii() and len(text) < 16:
        return int(text)
    if not text:
        raise ValueError(f"has no `{name}`")
    what = "is negative" if text[0] == "-" and text[1:].isdigit() else "is not a whole number"
    raise ValueError(f"`{name}` {text[:40]} {what}")


@dataclass(frozen=True, slots=True)
class Trace:
    """Rows in the file's order; every array has shape (rows,).

    arrivals_ns: since the file's first row, never falling. prompt_tokens, output_tokens: at least 1.
    number: of each row in the file, from 0 (rows that were left out are counted).
    set_aside: {"skipped": rows beyond the context, "clipped": rows made shorter, "failed": requests that
    failed when they were recorded}; only what is not 0.
    """

    arrivals_ns: Int64s
    prompt_tokens: Int64s
    output_tokens: Int64s
    number: Int64s
    set_aside: dict[str, int]


class Rows:
    """Takes the rows of a file one by one, checks them, and makes a `Trace` of them."""

    def __init__(self, path: str) -> None:
        self.mistakes = Mistakes(path)
        self._at_ns = array("q")
        self._prompt = array("q")
        self._output = array("q")
        self._line = array("q")
        self._number = array("q")
        self._rows = 0
        self._first_ns: int | None = None
        self._last_ns = 0
        self._last_line = 0
        self._gap = 0
        self._failed = 0

    def blank(self, number: int) -> None:
        """Note a line without anything on it: a gap, if a row follows."""
        self._gap = self._gap or number

    def add(self, line: int, at_ns: int, prompt_tokens: int, output_tokens: int) -> None:
        """Take the row on a line (from 1); at_ns from any origin.

        Raises:
            DataError: ten rows were wrong.
        """
        if self._gap:
            self.mistakes.add(
                self._gap, "is empty, in the middle of the trace", "take it out, or add its row"
            )
            self._gap = 0
        if self._first_ns is None:
            self._first_ns, self._last_line = at_ns, line
        since_ns = at_ns - self._first_ns
        number, self._rows = self._rows, self._rows + 1
        if since_ns < self._last_ns:
            self.mistakes.add(
                line, f"is {said_s(self._last_ns - since_ns)} before line {self._last_line}", NOT_SORTED
            )
            # the next row is held against this one: one row out of place is one mistake, or two
            self._last_ns, self._last_line = since_ns, line
        elif since_ns > LONGEST_NS:
            self.mistakes.add(line, "is more than ten years after the first row", "check its time")
        elif not 0 < prompt_tokens <= _MOST_TOKENS or not 0 < output_tokens <= _MOST_TOKENS:
            self.mistakes.add(line, *_wrong_length(prompt_tokens, output_tokens))
        else:
            self._last_ns, self._last_line = since_ns, line
            self._at_ns.append(max(0, since_ns))  # before the first, a mistake was told
            self._prompt.append(prompt_tokens)
            self._output.append(output_tokens)
            self._line.append(line)
            self._number.append(number)

    def fail(self, line: int, at_ns: int) -> None:
        """Take the row of a request that failed when it was recorded: it is counted, and not replayed."""
        if self._first_ns is None:
            self._first_ns, self._last_line = at_ns, line
        self._rows += 1
        self._failed += 1

    def trace(self, too_long: Literal["skip", "clip", "fail"], context: int | None) -> Trace:
        """End the file. A row is too long if prompt and answer together are beyond `context` tokens.

        Clipped, a prompt loses what is too much at its end; where the answer alone is beyond the context,
        the prompt keeps one token.

        Raises:
            DataError: a row was wrong; there is none; too_long = "fail" and a row is too long.
        """
        self.mistakes.settle()
        if not self._at_ns:
            raise DataError(self.mistakes.path, "holds no row", "name a file with at least one request")
        arrays = [
            np.array(a, dtype=np.int64) for a in (self._at_ns, self._prompt, self._output, self._number)
        ]
        set_aside = {"failed": self._failed} if self._failed else {}
        prompt, output = arrays[1], arrays[2]
        longer = prompt + output > context if context else np.zeros(len(prompt), dtype=np.bool_)
        found = int(longer.sum())
        if found and context:
            if too_long == "fail":
                self._name_too_long(longer, context)
            if too_long == "skip":
                arrays = [values[~longer] for values in arrays]
                if not len(arrays[0]):
                    what = f"holds only rows beyond the context of {context:,} tokens"
                    raise DataError(self.mistakes.path, what, 'write too_long = "clip"')
            else:
                prompt[longer] = np.maximum(1, context - output[longer])
                output[longer] = context - prompt[longer]
            set_aside["skipped" if too_long == "skip" else "clipped"] = found
        arrivals_ns, prompt, output, number = arrays
        return Trace(arrivals_ns, prompt, output, number, set_aside)

    def _name_too_long(self, longer: "np.ndarray[tuple[int], np.dtype[np.bool_]]", context: int) -> None:
        remedy = f'write too_long = "skip" or "clip", or {OTHER_CONTEXT}'
        more = f" (so are {count - 1:,} more rows)" if (count := int(longer.sum())) > 1 else ""
        for index in np.flatnonzero(longer)[:10].tolist():
            prompt, output = self._prompt[index], self._output[index]
            what = f"{prompt:,} + {output:,} tokens are beyond the context of {context:,}"
            self.mistakes.add(self._line[index], what + more, remedy)
            more = ""
        self.mistakes.settle()


def _wrong_length(prompt_tokens: int, output_tokens: int) -> tuple[str, str]:
    for name, tokens in (("prompt", prompt_tokens), ("answer", output_tokens)):
        if tokens > _MOST_TOKENS:
            return f"{name} of {tokens:,} tokens is beyond any model", "check the columns"
        if tokens < 0:
            return f"{name} of {tokens:,} tokens is negative", "check the row"
        if tokens == 0:
            return f"{name} of 0 tokens can't be asked for", "take the row out"
    raise AssertionError("both are in order")


def read_table(
    path: str, columns: Sequence[str], take: Callable[[Rows, int, list[str]], None]
) -> tuple[Rows, str]:
    """Read a CSV file with a heading; give `take` the rows, each line's number and its fields of `columns`.

    take: puts a row into the rows; its ValueErrors are mistakes of the line. Returns the rows and the hex
    SHA-256 of the file's bytes. CRLF, a byte order mark and a missing final newline do no harm.

    Raises:
        DataError: the file can't be read, lacks a column, or ten of its rows are wrong.
    """
    digest = hashlib.sha256()
    rows = Rows(path)
    places: list[int] = []
    with opened(path, "CSV file") as file:
        lines = numbered(file, digest)
        for number, fields in _fields(lines, rows):
            if not places:
                heading = [field.strip() for field in fields]
                missing = [name for name in columns if name not in heading]
                if missing:
                    what = f"has no column {' and no column '.join(f'`{name}`' for name in missing)}"
                    remedy = f"its first line has {', '.join(f'`{name[:40]}`' for name in heading[:8])}"
                    raise DataError(f"{path}:{number}", what, remedy)
                places = [heading.index(name) for name in columns]
                width = len(heading)
            elif len(fields) != width:
                rows.mistakes.add(
                    number, f"has {len(fields)} fields, not {width}", "complete it, or take it out"
                )
            else:
                try:
                    take(rows, number, [fields[place] for place in places])
                except ValueError as error:
                    rows.mistakes.add(number, str(error), "correct it, or take the row out")
    return rows, digest.hexdigest()


def _fields(lines: Iterator[tuple[int, int, bytes]], rows: Rows) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of every line that has some. No field of a trace spans lines."""
    for number, _, line in lines:
        if not line:
            rows.blank(number)
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            rows.mistakes.add(number, "is not UTF-8", "save the file as UTF-8")
            continue
        try:
            fields = next(csv.reader([text])) if '"' in text else text.split(",")
        except csv.Error as error:
            rows.mistakes.add(number, f"is no line of CSV ({error})", "correct it, or take the row out")
            continue
        yield number, fields


class TracePrompts:
    """A made text for each row of a trace, as long as the row says; no two share a beginning.

    Sessions are the rows that were kept, in order, and come again from the first one on (with new texts).
    on_end = "stop": they end with the last. arrivals_ns has shape (rows,).
    """

    def __init__(self, workload: Workload, trace: Trace, contents_digest: str, text: TextMaker) -> None:
        self._task = workload.task
        self._trace = trace
        self._text = text
        self._rows = len(trace.arrivals_ns)
        self.count: int | None = self._rows if workload.on_end == "stop" else None
        self.contents_digest = contents_digest
        self.arrivals_ns: Int64s | None = trace.arrivals_ns
        self.set_aside = trace.set_aside

    def conversation(self, session: int) -> Conversation:
        """Return a session of one turn.

        Raises:
            IndexError: it is past the end of a file that stops.
        """
        row = row_of(session, self._rows, self.count)
        prompt_tokens = int(self._trace.prompt_tokens[row])
        content = self._text.text(max(1.0, prompt_tokens - self._text.overhead_tokens), session)
        return request(self._task, content, prompt_tokens, int(self._trace.output_tokens[row]))


def request(task: str, content: str, prompt_tokens: int, output_tokens: int) -> Conversation:
    """Return the conversation of a row: one message of the user."""
    messages = [{"role": "user", "content": content}]
    turn = Turn(messages, asked_prompt_tokens=prompt_tokens, asked_output_tokens=output_tokens)
    return Conversation(task=task, turns=(turn,))
