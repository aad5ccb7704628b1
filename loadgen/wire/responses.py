"""Responses (`/responses`): items in, typed events out, as OpenAI's API reference has them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from loadgen.scenario.model import Target
from loadgen.wire.kind import Endpoint, Event, Piece, error_of, error_text, name_of, read_usage, written
from loadgen.workload.prompt import Message, Prompt

_TEXT: Final = ("response.output_text.delta", "response.refusal.delta")
_ARGUMENTS: Final = "response.function_call_arguments.delta"
_REASONING: Final = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
_CALL: Final = "response.output_item.added"


# requests


def _body(target: Target, prompt: Prompt) -> bytes:
    items = [item for message in prompt.messages for item in _items(message)]
    body: dict[str, Any] = {"model": target.model, "input": items, "stream": target.stream}
    if prompt.tools:
        body["tools"] = [{"type": "function", **tool.get("function", {})} for tool in prompt.tools]
    return written(body, target, prompt, ("max_output_tokens",))


def _items(message: Message) -> Iterator[dict[str, Any]]:
    """Turn a chat message into items: the message, the calls it makes, or what a function returned."""
    content = message.get("content")
    if message.get("role") == "tool":
        call_id = message.get("tool_call_id", "")
        yield {"type": "function_call_output", "call_id": call_id, "output": content or ""}
        return
    if content:
        parts = [_part(p) for p in content] if isinstance(content, list) else content
        yield {"role": message.get("role"), "content": parts}
    for call in message.get("tool_calls") or ():
        yield {"type": "function_call", "call_id": call.get("id", ""), **call.get("function", {})}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Turn a part of a chat message's content into one of Responses; those it does not know stay."""
    kind = part.get("type")
    if kind == "text":
        return {"type": "input_text", "text": part.get("text")}
    if kind == "image_url":
        image = part.get("image_url") or {}
        return {"type": "input_image", "detail": image.get("detail", "auto"), "image_url": image.get("url")}
    return part


# answers


def _read(event: Event) -> Piece:
    kind, said = event.get("type"), event.get("delta")
    if isinstance(said, str):
        if kind in _TEXT or kind == _ARGUMENTS:
            return Piece(said)
        return Piece(reasoning=said) if kind in _REASONING else Piece()
    if kind == _CALL:
        return Piece(_called(event)[0])
    if kind == "error":
        return Piece(error=error_text({k: v for k, v in event.items() if k != "type"}))
    response = event.get("response")
    if not isinstance(response, dict):
        return Piece(error=error_of(event))
    finish, error = None, error_of(response)
    if kind == "response.completed":
        finish = "completed"
    elif kind == "response.incomplete":
        details = response.get("incomplete_details")
        finish = name_of(details.get("reason") if isinstance(details, dict) else None) or "incomplete"
    elif kind == "response.failed":
        error = error or "the response failed"
    usage = read_usage(response.get("usage"), "input", "output")
    return Piece("", "", finish, usage, error, name_of(response.get("id")))


def _called(event: Event) -> tuple[str, str]:
    """Return name and id of the function call that an item is; empty for other items."""
    item = event.get("item")
    if not isinstance(item, dict) or item.get("type") != "function_call":
        return "", ""
    return name_of(item.get("name")) or "", name_of(item.get("call_id")) or ""


def _quote(event: Event) -> tuple[str, list[dict[str, Any]]]:
    kind, said = event.get("type"), event.get("delta")
    if kind in _TEXT:
        return (said if isinstance(said, str) else ""), []
    function = {"arguments": said}
    call_id = ""
    if kind == _CALL:
        function["name"], call_id = _called(event)
    elif kind != _ARGUMENTS:
        return "", []
    if not (call_id or function.get("name") or said):
        return "", []
    return "", [{"index": event.get("output_index"), "id": call_id, "function": function}]


def _whole(body: Event) -> Sequence[Event]:
    output = body.get("output")
    items = [item for item in (output if isinstance(output, list) else ()) if isinstance(item, dict)]
    said = [event for i, item in enumerate(items) for event in _said(item, i)]
    return (*said, {"type": f"response.{body.get('status')}", "response": body})


def _said(item: dict[str, Any], index: int) -> Iterator[Event]:
    """Tell an item of a whole answer as events."""
    if item.get("type") == "function_call":
        yield {"type": _CALL, "item": item, "output_index": index}
        yield {"type": _ARGUMENTS, "delta": item.get("arguments"), "output_index": index}
        return
    thought = item.get("type") == "reasoning"
    kind = "response.reasoning_text.delta" if thought else "response.output_text.delta"
    # a reasoning item has its text, a summary of it, or both
    parts = item.get("content") or item.get("summary")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            yield {"type": kind, "delta": part.get("text") or part.get("refusal"), "output_index": index}


RESPONSES: Final = Endpoint(
    path="/responses",
    body=_body,
    read=_read,
    text_keys=("delta",),
    unread=(b"sequence_number", b"obfuscation"),
    quote=_quote,
    whole=_whole,
)
