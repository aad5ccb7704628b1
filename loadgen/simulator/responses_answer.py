"""The answer of the Responses API: its typed events in OpenAI's order, and the whole object."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from loadgen.simulator import speech
from loadgen.simulator.answer import Answer, http_chunk
from loadgen.simulator.text import Corpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer repeats of its request. summary: reasoning is told as a summary, not as it is."""

    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    instructions: str | None
    max_output_tokens: int | None
    effort: str | None
    summary: str | None
    format: str


class _Form(NamedTuple):
    """How one kind of text is streamed: its events, and what it is within its item."""

    part_event: str
    text_event: str
    place: str
    part: dict[str, Any]
    more: dict[str, Any]


_OUTPUT: Final = _Form(
    "response.content_part",
    "response.output_text",
    "content_index",
    {"type": "output_text", "annotations": [], "logprobs": []},
    {"logprobs": []},
)
_REASONING: Final = _Form(
    "response.content_part", "response.reasoning_text", "content_index", {"type": "reasoning_text"}, {}
)
_SUMMARY: Final = _Form(
    "response.reasoning_summary_part",
    "response.reasoning_summary_text",
    "summary_index",
    {"type": "summary_text"},
    {},
)


class _Events:
    """Renders events, each with the next number."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, kind: str, **fields: Any) -> bytes:
        value = {"type": kind, "sequence_number": self.number} | fields
        self.number += 1
        return http_chunk(b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value)))

    def deltas(self, kind: str, tokens: Iterator[bytes], **fields: Any) -> Iterator[tuple[bytes, bytes]]:
        """Yield each token, which comes as the inside of a JSON string, and its event."""
        value = {"type": kind, "sequence_number": speech.MARK} | fields | {"delta": speech.MARK}
        text = b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value))
        head, after = speech.split(text)
        before, between = speech.split(head)
        before, between = before[:-1], between[1:]  # a number stands without quotes
        for token in tokens:
            data = b"%b%d%b%b%b" % (before, self.number, between, token, after)
            self.number += 1
            yield token, http_chunk(data)


def streamed(told: Told, answer: Answer, corpus: Corpus) -> Iterator[bytes]:
    """Yield the beginning of the stream, what each token brings, and the end."""
    events = _Events()
    begun = _response(told, answer, "in_progress", [])
    yield events("response.created", response=begun) + events("response.in_progress", response=begun)
    waiting = b""
    first = answer.reasoning_tokens
    if first:
        form = _SUMMARY if told.summary else _REASONING
        item = {"id": _item_id("rs", answer), "type": "reasoning", "summary": []}
        tokens = (corpus.escaped(answer.offset, i) for i in range(first))
        waiting = yield from _spoken(events, form, item, 0, tokens)
        ended = _output(told, answer, corpus)[0]
        waiting += events("response.output_item.done", output_index=0, item=ended)
    if answer.output_tokens > first:
        index = int(first > 0)
        if answer.call is None:
            item = _message(answer, "in_progress", [])
            tokens = (corpus.escaped(answer.offset, i) for i in range(first, answer.output_tokens))
            parts = _spoken(events, _OUTPUT, item, index, tokens)
        else:
            parts = _called(events, _call(answer, "in_progress", ""), index, answer, corpus)
        yield waiting + next(parts)
        waiting = yield from parts
        ended = _output(told, answer, corpus)[-1]
        waiting += events("response.output_item.done", output_index=index, item=ended)
    done = _ended(told, answer, corpus)
    yield waiting + events(f"response.{done['status']}", response=done)


def whole(told: Told, answer: Answer, corpus: Corpus) -> bytes:
    """Return the body of an answer that is not streamed."""
    return msgspec.json.encode(_ended(told, answer, corpus))


_Parts = Generator[bytes, None, bytes]  # what each token brings; returns what comes when the item is whole


def _spoken(
    events: _Events, form: _Form, item: dict[str, Any], index: int, tokens: Iterator[bytes]
) -> _Parts:
    place = {"item_id": item["id"], "output_index": index, form.place: 0}
    opening = events("response.output_item.added", output_index=index, item=item)
    opening += events(f"{form.part_event}.added", **place, part=form.part | {"text": ""})
    said = []
    for token, data in events.deltas(f"{form.text_event}.delta", tokens, **place, **form.more):
        said.append(token)
        yield opening + data
        opening = b""
    text = msgspec.json.decode(b'"%b"' % b"".join(said))
    closing = events(f"{form.text_event}.done", **place, text=text, **form.more)
    return closing + events(f"{form.part_event}.done", **place, part=form.part | {"text": text})


def _called(events: _Events, item: dict[str, Any], index: int, answer: Answer, corpus: Corpus) -> _Parts:
    yield events("response.output_item.added", output_index=index, item=item)
    place = {"item_id": item["id"], "output_index": index}
    pieces = (speech.escaped(piece) for piece in speech.argument_pieces(answer, corpus))
    for _, data in events.deltas("response.function_call_arguments.delta", pieces, **place):
        yield data
    arguments = speech.arguments(answer, corpus)
    return events("response.function_call_arguments.done", **place, arguments=arguments)


def _output(told: Told, answer: Answer, corpus: Corpus) -> list[dict[str, Any]]:
    """Return the items of a whole answer."""
    first, status = answer.reasoning_tokens, _status(answer)
    items: list[dict[str, Any]] = []
    if first:
        form = _SUMMARY if told.summary else _REASONING
        part = form.part | {"text": speech.reasoning(answer, corpus)}
        item = {"id": _item_id("rs", answer), "type": "reasoning", "summary": []}
        items.append(item | {"summary" if told.summary else "content": [part]})
    if answer.output_tokens > first and answer.call is None:
        part = _OUTPUT.part | {"text": speech.text(answer, corpus)}
        items.append(_message(answer, status, [part]))
    elif answer.output_tokens > first:
        items.append(_call(answer, status, speech.arguments(answer, corpus)))
    return items


def _message(answer: Answer, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    identity = _item_id("msg", answer)
    return {
        "id": identity,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _call(answer: Answer, status: str, arguments: str) -> dict[str, Any]:
    assert answer.call is not None  # noqa: S101  # only asked where there is one
    return {
        "id": _item_id("fc", answer),
        "type": "function_call",
        "status": status,
        "call_id": answer.call.id,
        "name": answer.call.name,
        "arguments": arguments,
    }


def _item_id(prefix: str, answer: Answer) -> str:
    return f"{prefix}_{answer.response_id.removeprefix('resp_')}"


def _status(answer: Answer) -> str:
    return "incomplete" if answer.ends_with == "length" else "completed"


def _ended(told: Told, answer: Answer, corpus: Corpus) -> dict[str, Any]:
    usage = {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.prompt_tokens + answer.output_tokens,
    }
    status = _status(answer)
    body = _response(told, answer, status, _output(told, answer, corpus))
    if status == "incomplete":
        body["incomplete_details"] = {"reason": "max_output_tokens"}
    return body | {"usage": usage}


def _response(told: Told, answer: Answer, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": answer.response_id,
        "object": "response",
        "created_at": answer.created_s,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": told.instructions,
        "max_output_tokens": told.max_output_tokens,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": told.effort, "summary": told.summary},
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": told.format}},
        "tool_choice": told.tool_choice,
        "tools": told.tools,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }
