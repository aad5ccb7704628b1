"""Conversations from a ShareGPT file: one JSON list of `{"conversations": [{"from": .., "value": ..}]}`.

The list may be larger than memory: it is read through once, and then each conversation when it is asked for.
"""

import hashlib
import json
import mmap
import re
from array import array
from collections.abc import Iterator
from typing import Final

import orjson

from loadgen.errors import DataError
from loadgen.scenario.words import Workload
from loadgen.workload.lines import KINDS, KeptFile, Mistakes, file_of, opened, row_of
from loadgen.workload.prompt import Conversation, Int64s, Message, Turn
from loadgen.workload.text import TextMaker

_ROLES: Final = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "system": "system",
}
_WINDOW_BYTES: Final = 4 << 20
_SURELY_BROKEN: Final = 10  # characters before the window's end; nearer, the rest of a word may be behind it
_OPENING: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*")
_COMMA: Final = re.compile(rb"[ \t\r\n]*,[ \t\r\n]*")
_CLOSING: Final = re.compile(rb"[ \t\r\n]*\][ \t\r\n]*")
_CUT: Final = "ends before its list does"
_FORM: Final = 'it should be one list of {"conversations": [{"from": "human", "value": "..."}, ...]}'


class ShareGptPrompts:
    """The conversations of a file, in its order, and again from the first one on.

    What the human says are the turns; what the model said is quoted where history = "recorded". Left out, and
    counted in set_aside as "unusable": what has not both sides (as vLLM's benchmark does), or does not take
    turns, or says nothing somewhere. An answer before the first question is left out.
    on_end = "stop": they end with the last (count is their number).

    Raises:
        DataError: the file can't be read, is no such list or holds no conversation; names up to 10 mistakes.
        ScenarioError: no file is named.
    """

    def __init__(
        self, workload: Workload, _seed: int, _context: int | None = None, _text: TextMaker | None = None
    ) -> None:
        path = file_of(workload)
        self._task = workload.task
        self._recorded = workload.history == "recorded"
        self._starts = array("q")
        self._ends = array("q")
        mistakes = Mistakes(path)
        unusable = 0
        with opened(path, "ShareGPT file") as file:
            if not file.read(1):
                raise DataError(path, "is empty", _FORM)
            self._file = KeptFile(path, file)
        data = self._file.map
        try:
            for start, end in _elements(data):
                try:
                    usable = bool(_exchanges(data[start:end]))
                except ValueError as error:
                    mistakes.add(_line(data, start), str(error), _FORM)
                    continue
                unusable += not usable
                if usable:
                    self._starts.append(start)
                    self._ends.append(end)
        except _BrokenError as error:
            mistakes.add(_line(data, error.place), str(error), _FORM)
        mistakes.settle()
        if not self._starts:
            raise DataError(path, "holds no conversation of a human and a model", _FORM)
        self.contents_digest = hashlib.sha256(self._file.map).hexdigest()
        self.set_aside = {"unusable": unusable} if unusable else {}
        self.arrivals_ns: Int64s | None = None
        self.count: int | None = len(self._starts) if workload.on_end == "stop" else None

    def conversation(self, session: int) -> Conversation:
        """Return a session.

        Raises:
            IndexError: it is past the end of a file that stops.
            DataError: the file changed since it was opened.
        """
        number = row_of(session, len(self._starts), self.count)
        element = self._file.part(self._starts[number], self._ends[number])
        try:
            exchanges = _exchanges(element)
        except ValueError as error:
            raise DataError(
                self._file.path, f"changed during the run ({error})", "leave it as it is"
            ) from None
        turns = [
            Turn(said, answer=[answered] if answered and self._recorded else None)
            for said, answered in exchanges
        ]
        return Conversation(task=self._task, turns=tuple(turns))


class _BrokenError(Exception):
    """The list can't be read on; place: of the byte."""

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place = place


def _elements(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where each element of the file's list begins and ends, in bytes.

    Raises:
        _BrokenError: the file is not one JSON list.
    """
    opening = _OPENING.match(data)
    if not opening:
        raise _BrokenError(0, "does not begin with a list")
    window = _Window(data)
    at = opening.end()
    separator = _CLOSING.match(data, at)  # of an empty list
    while not separator:
        end = window.end_of_value(at)
        yield at, end
        following = _COMMA.match(data, end)
        if following:
            at = following.end()
        else:
            separator = _CLOSING.match(data, end)
            if not separator:
                raise _BrokenError(
                    end, "has no comma after a conversation" if data[end : end + 64].strip() else _CUT
                )
    if separator.end() < len(data):
        raise _BrokenError(separator.end(), "goes on after the list")


class _Window:
    """Finds the ends of JSON values in a part of the file at a time.

    Bytes are read as Latin-1, which changes no bracket and no quote: a byte is a character then, and a
    place in the text is a place in the file.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._base = 0
        self._text = ""
        self._decode = json.JSONDecoder(strict=False).raw_decode

    def end_of_value(self, start: int) -> int:
        size = _WINDOW_BYTES
        while True:
            at = start - self._base
            try:
                if at < len(self._text):
                    return self._base + self._decode(self._text, at)[1]
                broken = _BrokenError(start, _CUT)
            except json.JSONDecodeError as error:
                broken = _BrokenError(self._base + error.pos, f"is not JSON ({error.msg})")
                if not error.msg.startswith("Unterminated") and error.pos < len(self._text) - _SURELY_BROKEN:
                    raise broken from None
            except RecursionError:
                raise _BrokenError(start, "is not JSON (nested too deep)") from None
            if self._base + len(self._text) == len(self._data):
                raise broken
            size = size if at else 2 * size  # a conversation may be longer than the window
            self._base, self._text = start, self._data[start : start + size].decode("latin-1")


def _line(data: mmap.mmap, place: int) -> int:
    """Return the line (from 1) on which a byte stands."""
    blocks = range(0, place, _WINDOW_BYTES)
    return 1 + sum(data[at : min(place, at + _WINDOW_BYTES)].count(b"\n") for at in blocks)


def _messages(element: bytes) -> list[Message] | None:
    """Return the messages of a conversation as OpenAI has them; None if one is empty or nobody's we know.

    Raises:
        ValueError: it has not ShareGPT's form; the text says where.
    """
    try:
        record = orjson.loads(element)
    except orjson.JSONDecodeError:
        element.decode()  # a UnicodeDecodeError is a ValueError that says where
        return None  # half a surrogate pair: nothing to send
    if not isinstance(record, dict) or not isinstance(record.get("conversations"), list):
        raise ValueError(f"is {KINDS[type(record)]} without a list of `conversations`")
    messages = []
    for number, message in enumerate(record["conversations"]):
        said = message if isinstance(message, dict) else {}
        speaker, text = said.get("from"), said.get("value")
        if not isinstance(speaker, str) or not isinstance(text, str):
            raise ValueError(f"`conversations[{number}]` has no text `from` and `value`")
        if speaker not in _ROLES or not text.strip():
            return None
        messages.append({"role": _ROLES[speaker], "content": text})
    return messages


def _exchanges(element: bytes) -> list[tuple[list[Message], Message | None]]:
    """Return what the human said in each turn (before it, in the first, the system) and what was answered.

    Empty where it is no conversation: see the class. The last turn may have no answer.

    Raises:
        ValueError: it has not ShareGPT's form.
    """
    messages = _messages(element) or []
    system = messages[:1] if messages and messages[0]["role"] == "system" else []
    said = messages[len(system) :]
    if said and said[0]["role"] == "assistant":  # a long conversation that was split
        said = said[1:]
    expected = ["user", "assistant"] * len(said)
    if len(said) < 2 or [message["role"] for message in said] != expected[: len(said)]:
        return []
    answers = [*said[1::2], None][: len(said[::2])]
    asked = [[message] for message in said[::2]]
    asked[0] = [*system, *asked[0]]
    return list(zip(asked, answers, strict=True))
