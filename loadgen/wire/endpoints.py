"""The kinds of endpoint: path, request body, and how to read one event of the answer.

A new kind is a row in `ENDPOINTS` and a recorded stream in the tests.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from loadgen.scenario.model import Target
from loadgen.wire.timeline import Usage
from loadgen.workload.prompt import Prompt


class Piece(NamedTuple):
    """What one event of a stream says.

    answer: output a user sees, tool calls' names and arguments included; reasoning: the rest of the output.
    """

    answer: str = ""
    reasoning: str = ""
    finish: str | None = None
    usage: Usage | None = None
    error: str | None = None
    response_id: str | None = None


class Endpoint(NamedTuple):
    """One kind of endpoint.

    text_keys: JSON keys whose string value is streamed output; the decoder's fast path looks for them.
    quote: what an event adds to the message that a later turn quotes: text, and pieces of tool calls.
    """

    path: str
    body: Callable[[Target, Prompt], bytes]
    read: Callable[[Mapping[str, Any]], Piece]
    text_keys: tuple[str, ...]
    quote: Callable[[Mapping[str, Any]], tuple[str, list[dict[str, Any]]]]


def error_text(body: Any) -> str:
    """Find the words of an error answer: OpenAI's `error.message`, FastAPI's `detail`, or all of it."""
    while isinstance(body, dict):
        values = (body.get(key) for key in ("error", "message", "detail", "msg"))
        words = next((v for v in values if isinstance(v, dict | list) or (isinstance(v, str) and v)), None)
        if words is None:
            break
        body = words
    if isinstance(body, str):
        return body
    try:
        return orjson.dumps(body).decode()
    except orjson.JSONEncodeError:  # nested deeper, or a number larger, than it writes
        return "an error that can't be shown"


def _int(value: Any) -> int | None:
    """Take a count of tokens; what is none, or beyond every sum that is made of it, is left out."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _detail(usage: Mapping[str, Any], table: str, key: str) -> int | None:
    details = usage.get(table)
    return _int(details.get(key)) if isinstance(details, dict) else None


def read_usage(usage: Any) -> Usage | None:
    """Read the `usage` object of chat completions; None when it is null or says nothing."""
    if not isinstance(usage, dict) or not usage:
        return None
    return Usage(
        prompt_tokens=_int(usage.get("prompt_tokens")),
        output_tokens=_int(usage.get("completion_tokens")),
        cached_tokens=_detail(usage, "prompt_tokens_details", "cached_tokens"),
        reasoning_tokens=_detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def _tool_text(calls: Any) -> str:
    """Names and arguments of streamed tool calls: they are output too."""
    if not isinstance(calls, list):
        return ""
    functions = [c.get("function") for c in calls if isinstance(c, dict)]
    return "".join(
        part
        for f in functions
        if isinstance(f, dict)
        for part in (f.get("name"), f.get("arguments"))
        if isinstance(part, str)
    )


def _chat_body(target: Target, prompt: Prompt) -> bytes:
    extra = target.extra_body
    if prompt.body is not None:
        named = prompt.body if "model" in prompt.body else {"model": target.model} | prompt.body
        return orjson.dumps(named | extra)
    body: dict[str, Any] = {
        "model": target.model,
        "messages": prompt.messages,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if prompt.tools:
        body["tools"] = prompt.tools
    if prompt.asked_output_tokens is not None and "max_completion_tokens" not in extra:
        body["max_tokens"] = prompt.asked_output_tokens
    if prompt.session_id is not None and target.session is not None and target.session.field is not None:
        body[target.session.field] = prompt.session_id
    if prompt.exact_output:
        # of the cap that goes out: engines refuse a minimum above it, and without one they would never end
        cap = extra.get("max_completion_tokens") or extra.get("max_tokens") or prompt.asked_output_tokens
        if cap is not None:
            body |= {"min_tokens": cap, "ignore_eos": True}
    return orjson.dumps(body | extra)


def _chat_read(event: Mapping[str, Any]) -> Piece:
    answer = reasoning = ""
    finish = None
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            finish = reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        for key, value in delta.items():  # it has one key or two; asking for six would take longer
            if key in ("content", "refusal"):
                answer += value if isinstance(value, str) else ""
            elif key == "tool_calls":
                answer += _tool_text(value)
            elif key == "function_call":
                answer += _tool_text([{"function": value}])
            elif key == "reasoning_content" or (key == "reasoning" and not delta.get("reasoning_content")):
                # some servers send the same reasoning under both names
                reasoning += value if isinstance(value, str) else ""
    error = event.get("error")
    failed = error_text(error) if error else None
    if failed is None and event.get("object") == "error":
        failed = error_text(dict(event))
    usage = event.get("usage")
    response_id = event.get("id")
    return Piece(
        answer,
        reasoning,
        finish,
        read_usage(usage) if usage else None,
        failed,
        response_id if isinstance(response_id, str) and response_id else None,
    )


def _chat_quote(event: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        # of several answers a conversation goes on with the first
        if not isinstance(choice, dict) or (choice.get("index") or 0) != 0:
            continue
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        text = "".join(t for t in (delta.get("content"), delta.get("refusal")) if isinstance(t, str))
        calls = delta.get("tool_calls")
        return text, [c for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []
    return "", []


ENDPOINTS: Final[Mapping[str, Endpoint]] = {
    "chat": Endpoint(
        path="/chat/completions",
        body=_chat_body,
        read=_chat_read,
        text_keys=("content", "reasoning_content", "reasoning"),
        quote=_chat_quote,
    ),
}
