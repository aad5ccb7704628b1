"""The answer as a later turn quotes it, put together while its stream is decoded."""

from collections.abc import Mapping, Sequence
from typing import Any

from loadgen.wire.timeline import Answer


class Quote:
    """Takes the text and the pieces of tool calls as they come, and ends in an `Answer`.

    Pieces of one call have the same `index`; the first has id and name, all have a part of the arguments
    (OpenAI's API reference, "chat.completion.chunk"). Some servers leave out the index, the id, or both,
    or give several calls the same index; a piece with another id than its call begins a call then.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._open: dict[int | None, dict[str, Any]] = {}  # the call that pieces of an index belong to

    def add(self, text: str, calls: Sequence[Mapping[str, Any]]) -> None:
        """Take what one event brings."""
        self._texts.append(text)
        for call in calls:
            self.add_call(call)

    def add_text(self, text: str) -> None:
        """Take text that follows what came before."""
        self._texts.append(text)

    def add_call(self, piece: Mapping[str, Any]) -> None:
        """Take one piece of a tool call, of the shape of `delta.tool_calls[i]`."""
        index, name = piece.get("index"), piece.get("id")
        key = index if isinstance(index, int) else None
        call_id = name if isinstance(name, str) else ""
        call = self._open.get(key)
        if call is None or (call_id and call["id"] and call_id != call["id"]):
            call = {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
            self._open[key] = call
            self._calls.append(call)
        call["id"] = call["id"] or call_id
        function = piece.get("function")
        if not isinstance(function, dict):
            return
        said = call["function"]
        if isinstance(function.get("name"), str):
            said["name"] = said["name"] or function["name"]
        if isinstance(function.get("arguments"), str):
            said["arguments"] += function["arguments"]

    def answer(self) -> Answer:
        """Return the whole; a call that got no id gets one, for the message of its result has to name it."""
        for i, call in enumerate(self._calls):
            call["id"] = call["id"] or f"call_{i}"
        return Answer("".join(self._texts), self._calls)
