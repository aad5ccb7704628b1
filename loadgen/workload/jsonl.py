"""Prompts from the user's own file: JSON Lines, one `prompt` or `messages` a line.

The file is read through once, to check every line; after that only the asked line is read, so a file
may be larger than memory.
"""

import difflib
import hashlib
import mmap
import stat
from array import array
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from loadgen.errors import DataError, Problem
from loadgen.workload.prompt import Conversation, Turn

_MOST_PROBLEMS: Final = 10
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"
_KINDS: Final = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


class JsonlPrompts:
    """The prompts of a file, in its order: line k for session k, then from the first line again.

    on_end: "cycle" never ends (count is None); "stop" ends with the last line (count is the number
    of prompts). task: of lines that name none. contents_digest is of the file's bytes.

    Raises:
        DataError: the file can't be read, is empty, or has broken lines; names up to 10 of them.
    """

    def __init__(self, path: str, on_end: Literal["cycle", "stop"], task: str) -> None:
        self._path = path
        self._task = task
        try:
            mode = Path(path).stat().st_mode
            if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
                what = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
                raise DataError(path, what, "name a JSON Lines file")
            with Path(path).open("rb") as file:
                self._starts, self.contents_digest = _index(path, file)
                self._bytes = mmap.mmap(file.fileno(), self._starts[-1], access=mmap.ACCESS_READ)
        except OSError as error:
            raise DataError(path, f"can't be read ({error.strerror})") from error
        self._lines = len(self._starts) - 1
        self.arrivals_ns = None
        self.set_aside: dict[str, int] = {}
        self.count: int | None = self._lines if on_end == "stop" else None

    def conversation(self, session: int) -> Conversation:
        """Return the prompt of a session.

        Raises:
            IndexError: the session is past the end of a file that stops.
            DataError: the file changed since it was opened.
        """
        if self.count is not None and session >= self.count:
            raise IndexError(f"session {session} of {self.count} prompts")
        line = session % self._lines
        start, end = self._starts[line], self._starts[line + 1]
        if self._bytes.size() < end:  # reading past the end of a cut file would kill the process
            raise DataError(self._path, "became shorter during the run", "leave the file as it is")
        record = _record(self._bytes[start:end], self._path)
        messages = record.get("messages") or [{"role": "user", "content": record["prompt"]}]
        turn = Turn(messages, asked_output_tokens=record.get("max_tokens"))
        return Conversation(task=record.get("task") or self._task, turns=(turn,))


def _index(path: str, file: Any) -> tuple["array[int]", str]:
    """Check every line; return where each prompt begins, then where the file ends, and its SHA-256."""
    digest = hashlib.sha256()
    starts = array("q")
    problems: list[Problem] = []
    position = 0
    for number, raw in enumerate(file, 1):
        digest.update(raw)
        skip = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
        line = raw[skip:].rstrip(_BLANK)
        if line:
            starts.append(position + skip)
            try:
                _record(line, f"{path}:{number}")
            except DataError as error:
                problems += error.problems
                if len(problems) == _MOST_PROBLEMS:
                    break
        position += len(raw)
    if problems:
        first, *more = problems
        raise DataError(first.place, first.what, first.remedy, more=more)
    if not starts:
        raise DataError(path, "holds no prompt", 'write one object a line, such as {"prompt": "..."}')
    starts.append(position)
    return starts, digest.hexdigest()


def _record(line: bytes, place: str) -> dict[str, Any]:
    """Decode a line and check it; keys it has beyond ours are left alone.

    Raises:
        DataError: with `place`, the first thing wrong with the line, and what to do.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(place, *_not_json(line, error)) from None
    wrong = _wrong_with(record)
    if wrong:
        raise DataError(place, *wrong)
    checked: dict[str, Any] = record
    return checked


def _not_json(line: bytes, error: orjson.JSONDecodeError) -> tuple[str, str]:
    try:
        line.decode()
    except UnicodeDecodeError as bad:
        return f"is not UTF-8 (byte {bad.start + 1} of the line)", "save the file as UTF-8"
    return f"is not JSON ({error.msg}, column {error.colno})", "write one object a line"


def _wrong_with(record: Any) -> tuple[str, str] | None:
    """Return what is wrong with a line and what to do, or None. A null counts as not given."""
    if not isinstance(record, dict):
        return f"is {_KINDS[type(record)]}, not an object", 'write {"prompt": "..."}'
    prompt, messages = record.get("prompt"), record.get("messages")
    if prompt is None and messages is None:
        return "has neither `prompt` nor `messages`", _nearest(record)
    if prompt is not None and messages is not None:
        return "has both `prompt` and `messages`", "leave one of them out"
    if prompt is not None and not (isinstance(prompt, str) and prompt):
        return "`prompt` must be a string that is not empty", ""
    if messages is not None:
        wrong = _wrong_with_messages(messages)
        if wrong:
            return wrong, ""
    cap = record.get("max_tokens")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        return "`max_tokens` must be a whole number of at least 1", ""
    task = record.get("task")
    if task is not None and not (isinstance(task, str) and task):
        return "`task` must be a string that is not empty", ""
    return None


def _nearest(record: dict[str, Any]) -> str:
    for known in ("prompt", "messages"):
        near = difflib.get_close_matches(known, record, n=1)
        if near:
            return f"did you mean `{known}` by `{near[0]}`?"
    keys = ", ".join(f"`{key}`" for key in list(record)[:5])
    return f"it has {keys}" if keys else 'write {"prompt": "..."}'


def _wrong_with_messages(messages: Any) -> str:
    """Check OpenAI chat messages; return what is wrong, or an empty string."""
    if not isinstance(messages, list) or not messages:
        return "`messages` must be a list that is not empty"
    for number, message in enumerate(messages):
        at = f"`messages[{number}]`"
        if not isinstance(message, dict):
            return f"{at} is {_KINDS[type(message)]}, not an object"
        if not (isinstance(message.get("role"), str) and message["role"]):
            return f"{at} has no `role`"
        # an assistant's message may consist of its tool calls alone
        if "content" not in message and not message.get("tool_calls"):
            return f"{at} has no `content`"
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            return f"{at}.content is {_KINDS[type(content)]}, not a string, a list of parts or null"
        for place, part in enumerate(content):
            if not (isinstance(part, dict) and isinstance(part.get("type"), str)):
                return f"{at}.content[{place}] is not an object with a `type`"
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                return f"{at}.content[{place}] has no `text`"
    return ""
