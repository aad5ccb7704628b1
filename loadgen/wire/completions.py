"""Completions (`/completions`): a text goes on; with a suffix, its middle is filled in."""

from typing import Any, Final

from loadgen.scenario.model import Target
from loadgen.wire.chat import USAGE_TOO
from loadgen.wire.kind import Endpoint, Event, Piece, error_of, name_of, read_usage, written
from loadgen.workload.prompt import Prompt, joined


def _body(target: Target, prompt: Prompt) -> bytes:
    before, after = prompt.fill or (joined(prompt.messages), "")
    body: dict[str, Any] = {"model": target.model, "prompt": before, "stream": target.stream}
    if after:
        body["suffix"] = after
    if target.stream:
        body["stream_options"] = USAGE_TOO
    return written(body, target, prompt, ("max_tokens",))


def _read(event: Event) -> Piece:
    answer, finish = "", None
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            answer += name_of(choice.get("text")) or ""
            finish = name_of(choice.get("finish_reason")) or finish
    return Piece(
        answer,
        finish=finish,
        usage=read_usage(event.get("usage")),
        error=error_of(event),
        response_id=name_of(event.get("id")),
    )


def _quote(event: Event) -> tuple[str, list[dict[str, Any]]]:
    choices = event.get("choices")
    # of several answers a conversation goes on with the first
    first = [
        choice
        for choice in (choices if isinstance(choices, list) else ())
        if isinstance(choice, dict) and not choice.get("index")
    ]
    return _read({"choices": first[:1]}).answer, []


COMPLETIONS: Final = Endpoint(
    path="/completions",
    body=_body,
    read=_read,
    text_keys=("text",),
    unread=(b"obfuscation",),
    quote=_quote,
)
