"""Chat completions (`/chat/completions`), as OpenAI's API reference has them and as servers deviate."""

from collections.abc import Sequence
from typing import Any, Final

from loadgen.scenario.model import Target
from loadgen.wire.kind import Endpoint, Event, Piece, error_of, read_usage, text_of_parts, written
from loadgen.workload.prompt import Prompt

USAGE_TOO: Final = {"include_usage": True}
_CAPS: Final = ("max_completion_tokens", "max_tokens")


def _body(target: Target, prompt: Prompt) -> bytes:
    model, messages = target.model, prompt.messages
    body: dict[str, Any]
    if target.stream:
        body = {"model": model, "messages": messages, "stream": True, "stream_options": USAGE_TOO}
    else:
        body = {"model": model, "messages": messages, "stream": False}
    if prompt.tools:
        body["tools"] = prompt.tools
    return written(body, target, prompt, _CAPS)


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


def _read(event: Event) -> Piece:
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
                answer += value if isinstance(value, str) else text_of_parts(value)
            elif key == "tool_calls":
                answer += _tool_text(value)
            elif key == "function_call":
                answer += _tool_text([{"function": value}])
            elif key == "reasoning_content" or (key == "reasoning" and not delta.get("reasoning_content")):
                # some servers send the same reasoning under both names
                reasoning += value if isinstance(value, str) else ""
    usage = event.get("usage")
    response_id = event.get("id")
    return Piece(
        answer,
        reasoning,
        finish,
        read_usage(usage) if usage else None,
        error_of(event) if event.get("error") or event.get("object") == "error" else None,
        response_id if isinstance(response_id, str) and response_id else None,
    )


def _quote(event: Event) -> tuple[str, list[dict[str, Any]]]:
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        # of several answers a conversation goes on with the first
        if not isinstance(choice, dict) or (choice.get("index") or 0) != 0:
            continue
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            continue
        said = (delta.get("content"), delta.get("refusal"))
        text = "".join(t if isinstance(t, str) else text_of_parts(t) for t in said)
        calls = delta.get("tool_calls")
        return text, [c for c in calls if isinstance(c, dict)] if isinstance(calls, list) else []
    return "", []


def _whole(body: Event) -> Sequence[Event]:
    choices = body.get("choices")
    said = [
        {**choice, "delta": choice.get("message")}
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict)
    ]
    return ({**body, "choices": said},)


CHAT: Final = Endpoint(
    path="/chat/completions",
    body=_body,
    read=_read,
    text_keys=("content", "reasoning_content", "reasoning", "text"),
    unread=(b"obfuscation",),
    quote=_quote,
    whole=_whole,
)
