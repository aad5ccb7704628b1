"""A line of the user's own JSON Lines file: what it may hold, and the turns it stands for."""

import difflib
from collections.abc import Callable
from typing import Any, Final

from loadgen.errors import nearest
from loadgen.units import NS_PER_S
from loadgen.workload.instant import iso_ns, number_ns
from loadgen.workload.lines import KINDS
from loadgen.workload.prompt import Message, Turn

_CONTENTS: Final = ("prompt", "messages", "body")
_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")


def wrong_with(record: Any) -> tuple[str, str] | None:
    """Return what is wrong with a line and what to do, or None. A null counts as not given."""
    if not isinstance(record, dict):
        return f"is {KINDS[type(record)]}, not an object", 'write {"prompt": "..."}'
    given = [key for key in _CONTENTS if record.get(key) is not None]
    if not given:
        return "has none of `prompt`, `messages`, `body`", _nearest(record)
    if len(given) > 1:
        return f"has both `{given[0]}` and `{given[1]}`", "leave one of them out"
    wrong = _wrong_with_content(given[0], record[given[0]])
    if wrong:
        return wrong
    for key, value in record.items():
        if value is not None and key in _CHECKS and not _CHECKS[key][0](value):
            return f"`{key}` must be {_CHECKS[key][1]}", ""
    if given[0] == "body" and record.get("max_tokens") is not None:
        return "`max_tokens` beside `body` would not be sent", "write it into the body"
    if record.get("answer") is not None and given[0] == "messages" and _is_answer(record["messages"][-1]):
        return "has its answer twice: `answer`, and at the end of `messages`", "leave one of them out"
    if record.get("timestamp") is not None:
        return _wrong_with_timestamp(record["timestamp"])
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "max_tokens": (lambda v: _is_whole(v) and v >= 1, "a whole number of at least 1"),
    "task": (_is_text, "a string that is not empty"),
    "answer": (_is_text, "a string that is not empty"),
    "session_id": (lambda v: _is_text(v) or _is_whole(v), "a string that is not empty, or a whole number"),
}


def _nearest(record: dict[str, Any]) -> str:
    for known in _CONTENTS:
        near = difflib.get_close_matches(known, record, n=1)
        if near:
            return f"did you mean `{known}` by `{near[0]}`?"
    keys = ", ".join(f"`{key}`" for key in list(record)[:5])
    return f"it has {keys}" if keys else 'write {"prompt": "..."}'


def _wrong_with_content(key: str, value: Any) -> tuple[str, str] | None:
    if key == "prompt":
        return None if _is_text(value) else ("`prompt` must be a string that is not empty", "")
    if key == "messages":
        wrong = _wrong_with_messages(value, "messages")
        return (wrong, "") if wrong else None
    if not isinstance(value, dict):
        return f"`body` is {KINDS[type(value)]}, not an object", ""
    if value.get("stream") is not True:
        return '`body` does not say "stream": true', "add it: only a stream shows when each token came"
    wrong = _wrong_with_messages(value.get("messages"), "body.messages")
    return (wrong, "") if wrong else None


def _wrong_with_messages(messages: Any, name: str) -> str:
    """Check OpenAI chat messages; return what is wrong, or an empty string."""
    if not isinstance(messages, list) or not messages:
        return f"`{name}` must be a list that is not empty"
    for number, message in enumerate(messages):
        at = f"`{name}[{number}]`"
        if not isinstance(message, dict):
            return f"{at} is {KINDS[type(message)]}, not an object"
        role = message.get("role")
        if not (isinstance(role, str) and role):
            return f"{at} has no `role`"
        if role not in _ROLES and name == "messages":  # a body is sent as it is
            return f'{at} has the role "{role}"; {nearest(role, _ROLES)}'
        # an assistant's message may consist of its tool calls alone
        if "content" not in message and not message.get("tool_calls"):
            return f"{at} has no `content`"
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            return f"{at}.content is {KINDS[type(content)]}, not a string, a list of parts or null"
        for place, part in enumerate(content):
            if not (isinstance(part, dict) and isinstance(part.get("type"), str)):
                return f"{at}.content[{place}] is not an object with a `type`"
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                return f"{at}.content[{place}] has no `text`"
    return ""


def _wrong_with_timestamp(value: Any) -> tuple[str, str] | None:
    if isinstance(value, str):
        try:
            iso_ns(value)
        except ValueError as error:
            return f"`timestamp` {error}", ""
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"`timestamp` is {KINDS[type(value)]}, not a number of seconds or a date and time", ""
    try:
        number_ns(value, NS_PER_S)
    except ValueError:
        return f"`timestamp` {value:g} is no number of seconds", "divide milliseconds by 1,000"
    return None


def timestamp_ns(record: dict[str, Any]) -> int | None:
    """Return a checked line's `timestamp` in nanoseconds from an origin that is the file's own, or None."""
    value = record.get("timestamp")
    if value is None:
        return None
    if isinstance(value, str):
        return iso_ns(value)
    return number_ns(value, NS_PER_S)


def has_answer(record: dict[str, Any]) -> bool:
    """Return whether a later turn can quote what was answered to a checked line, or need not (`body`)."""
    messages = record.get("messages")
    return bool(record.get("answer") or record.get("body") or (messages and _is_answer(messages[-1])))


def turns_of(record: dict[str, Any], *, recorded: bool) -> list[Turn]:
    """Return the turns of a checked line.

    recorded: later turns quote the file's answers; then every assistant message that answers something
    ends a turn, so that each recorded request becomes a request. Otherwise a line is one turn.
    """
    cap = record.get("max_tokens")
    body = record.get("body")
    if body:
        cap = body.get("max_completion_tokens") or body.get("max_tokens")
        return [Turn([], asked_output_tokens=cap if _is_whole(cap) else None, body=body)]
    messages: list[Message] = record.get("messages") or [{"role": "user", "content": record["prompt"]}]
    answer = record.get("answer")
    if not recorded:
        return [Turn(messages, asked_output_tokens=cap)]
    if answer:
        messages = [*messages, {"role": "assistant", "content": answer}]
    return [
        Turn(said, asked_output_tokens=cap, answer=answered or None)
        for said, answered in _exchanges(messages)
    ]


def without_answer(turn: Turn) -> list[Message]:
    """Return a turn's messages without the recorded answer at their end."""
    end = len(turn.messages)
    while end > 1 and _is_answer(turn.messages[end - 1]):
        end -= 1
    return turn.messages[:end]


def _is_answer(message: Message) -> bool:
    return bool(message["role"] == "assistant")


def _exchanges(messages: list[Message]) -> list[tuple[list[Message], list[Message]]]:
    """Split messages into what was said and what was answered to it; the last may have no answer."""
    exchanges: list[tuple[list[Message], list[Message]]] = [([], [])]
    for message in messages:
        said, answered = exchanges[-1]
        if message["role"] != "assistant":
            if answered:
                exchanges.append(([message], []))
            else:
                said.append(message)
        elif any(before["role"] in {"user", "tool", "function"} for before in said):
            answered.append(message)
        else:  # a greeting: nothing was asked yet
            said.append(message)
    return exchanges
