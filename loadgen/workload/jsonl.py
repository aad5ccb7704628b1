"""Prompts from the user's own file: JSON Lines, one `prompt`, `messages` or `body` a line.

The file is read through once, to check every line; after that only the asked lines are read, so a file
may be larger than memory.
"""

from array import array
from typing import Any, Final

import msgspec
import numpy as np

from loadgen.errors import DataError
from loadgen.scenario.words import Workload
from loadgen.workload.lines import KeptLines, Mistakes, file_of, read_json, row_of
from loadgen.workload.prompt import Conversation, Int64s, Turn
from loadgen.workload.record import has_answer, timestamp_ns, turns_of, without_answer, wrong_with
from loadgen.workload.rows import LONGEST_NS, NOT_SORTED, said_s
from loadgen.workload.text import TextMaker

_EMPTY: Final = ("holds no prompt", 'write one object a line, such as {"prompt": "..."}')


class JsonlPrompts:
    """The prompts of a file, in its order; lines of one `session_id` are the turns of one session.

    Sessions are numbered by the first line of each, and come again from the first one on. on_end = "stop":
    they end with the last (count is their number). contents_digest is of the file's bytes.

    Raises:
        DataError: the file can't be read, is empty, or has broken lines; names up to 10 of them.
        ScenarioError: no file is named.
    """

    def __init__(
        self, workload: Workload, _seed: int, _context: int | None = None, _text: TextMaker | None = None
    ) -> None:
        path = file_of(workload)
        self._path = path
        self._task = workload.task
        self._recorded = workload.history == "recorded"
        index = _Index(path, recorded=self._recorded)
        self._lines = KeptLines(path, "JSON Lines file", index.look)
        index.mistakes.settle()
        if not self._lines:
            raise DataError(path, *_EMPTY)
        self.contents_digest = self._lines.contents_digest
        self.set_aside: dict[str, int] = {}
        self._sessions = index.sessions
        self.count: int | None = self._sessions if workload.on_end == "stop" else None
        self._mistimed = index.mistimed
        self._arrivals_ns = np.array(index.arrivals_ns, dtype=np.int64) if index.arrivals_ns else None
        # without ids a session is its line
        self._by_session = index.lines_by_session() if index.ids else None

    @property
    def arrivals_ns(self) -> Int64s | None:
        """When each session began, in ns from the first, shape (sessions,); None: no line has a `timestamp`.

        Raises:
            DataError: timestamps are out of order, or only some sessions have one; names up to 10 lines.
        """
        self._mistimed.settle()
        return self._arrivals_ns

    def conversation(self, session: int) -> Conversation:
        """Return a session.

        Raises:
            IndexError: it is past the end of a file that stops.
            DataError: the file changed since it was opened.
        """
        number = row_of(session, self._sessions, self.count)
        if self._by_session is None:
            records = [self._record(number)]
        else:
            lines, bounds = self._by_session
            start, end = bounds[number : number + 2].tolist()
            records = [self._record(line) for line in lines[start:end].tolist()]
        turns: list[Turn] = []
        for record in records:
            turns += turns_of(record, recorded=self._recorded)
        if not self._recorded and records[0].get("session_id") is not None:
            # the file's answer is not for the model to see: it is to give its own
            turns = [msgspec.structs.replace(turn, messages=without_answer(turn)) for turn in turns]
        return Conversation(task=records[0].get("task") or self._task, turns=tuple(turns))

    def _record(self, line: int) -> dict[str, Any]:
        try:
            record = read_json(self._lines[line])
            wrong = wrong_with(record)
        except DataError as error:
            problem = error.problems[0]
            raise DataError(problem.place or self._path, problem.what, problem.remedy) from None
        if wrong:
            raise DataError(self._path, *wrong)
        checked: dict[str, Any] = record
        return checked


class _Index:
    """What is known of a file's lines once they were read: whose they are, and when they came."""

    def __init__(self, path: str, *, recorded: bool) -> None:
        self.mistakes = Mistakes(path)
        self.mistimed = Mistakes(path)  # of no harm where nobody asks for the times
        self.sessions = 0
        self.ids: dict[str | int, int] = {}
        self.arrivals_ns = array("q")
        self._session_of_line = array("q")
        self._recorded = recorded
        self._unanswered: dict[int, int] = {}  # session -> the number of its last line, which has no answer
        self._first_ns: int | None = None
        self._last_ns = self._last_line = 0

    def look(self, number: int, line: bytes) -> None:
        """Check a line; number: of the line, from 1."""
        try:
            record = read_json(line)
        except DataError as error:
            self.mistakes.add(number, error.problems[0].what, error.problems[0].remedy)
            return
        wrong = wrong_with(record)
        if wrong:
            self.mistakes.add(number, *wrong)
            return
        identity = record.get("session_id")
        session = self.sessions if identity is None else self.ids.setdefault(identity, self.sessions)
        self._session_of_line.append(session)
        if session == self.sessions:
            self.sessions += 1
            self._arrive(number, timestamp_ns(record))
        if self._recorded and identity is not None:
            before = self._unanswered.pop(session, None)
            if before is not None:
                what = "has no recorded answer, which the next line of its session quotes"
                self.mistakes.add(before, what, 'add an `answer`, or write history = "answers"')
            if not has_answer(record):
                self._unanswered[session] = number

    def _arrive(self, number: int, at_ns: int | None) -> None:
        """Note when a session began: all of them say it, or none; none before the one above."""
        if at_ns is None:
            if self.arrivals_ns:
                self.mistimed.hold(
                    number, "has no `timestamp`, but lines above have one", "add it, or none at all"
                )
            return
        if not self.arrivals_ns and self.sessions > 1:
            self.mistimed.hold(
                number, "has a `timestamp`, but lines above have none", "add theirs, or none at all"
            )
            return
        if self._first_ns is None:
            self._first_ns = at_ns
        since_ns = at_ns - self._first_ns
        if since_ns > LONGEST_NS:
            self.mistimed.hold(number, "is more than ten years after the first line", "check its `timestamp`")
            return
        if since_ns < self._last_ns:
            what = f"begins {said_s(self._last_ns - since_ns)} before the session of line {self._last_line}"
            self.mistimed.hold(number, what, NOT_SORTED)
        else:
            self.arrivals_ns.append(max(0, since_ns))  # before the first, a mistake was told
        # the next one is held against this one: one out of place is one mistake, or two
        self._last_ns, self._last_line = since_ns, number

    def lines_by_session(self) -> tuple[Int64s, Int64s]:
        """Return the lines, those of a session together, and where each session begins."""
        owner = np.array(self._session_of_line, dtype=np.int64)
        counts = np.bincount(owner, minlength=self.sessions)
        bounds = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        return np.argsort(owner, kind="stable").astype(np.int64), bounds
