"""Responses: the request, the typed events in OpenAI's order, the whole object."""

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from loadgen.simulator import messages
from loadgen.simulator.answer import Answer, Ask
from loadgen.simulator.api import ApiError, MinTokens, NonEmpty, TokenCap, decode, missing, unknown_value
from loadgen.simulator.speech import MARK, http_chunk, split, text

# Types of parts, and what chat completions call them.
_PARTS: Final = {
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "input_image": "image_url",
    "input_audio": "input_audio",
}


class _Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    input_audio: messages.Sound | None = None


class _Item(msgspec.Struct, frozen=True):
    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[_Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[_Part] = ""


class _Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["function"]
    name: NonEmpty
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None  # told in place of the thoughts


class _Format(msgspec.Struct, frozen=True):  # accepted, and not kept to
    type: Literal["text", "json_object", "json_schema"] = "text"


class _Text(msgspec.Struct, frozen=True):
    format: _Format = _Format()


class ResponsesRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/responses`, as far as the simulator cares."""

    model: NonEmpty
    input: str | Annotated[list[_Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: TokenCap = None
    min_tokens: MinTokens = None
    ignore_eos: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Tool | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    previous_response_id: str | None = None
    seed: int | None = None


def read_responses(body: bytes) -> Ask:
    """Read the body of a responses request; an ApiError names the field that is to blame."""
    request = decode(body, ResponsesRequest)
    if request.previous_response_id is not None:
        what = f"Previous response with id '{request.previous_response_id}' not found."
        raise ApiError(what, "previous_response_id", "previous_response_not_found")
    items = [_Item(role="user", content=request.input)] if isinstance(request.input, str) else request.input
    said = [_message(item, f"input[{i}]") for i, item in enumerate(items)]
    _check_calls(items)
    choice = request.tool_choice
    mode, name = (None, choice.name) if isinstance(choice, _Tool) else (choice, None)
    functions = {tool.name: tool.parameters for tool in request.tools or ()}
    offer = messages.make_offer(functions, mode, name, to_user=said[-1].role == "user")
    tools = msgspec.json.encode(request.tools).decode() if request.tools else ""
    prompt = messages.compose(said, tools, "input", request.instructions or "")
    shell = _shell(request)
    return Ask(
        model=request.model,
        endpoint="v1/responses",
        id_prefix="resp_",
        place="input",
        content=(request.instructions, said),
        prompt=prompt.text,
        prompt_tokens=prompt.tokens,
        streamed=partial(_streamed, shell),
        whole=lambda answer: msgspec.json.encode(_ended(shell, answer)),
        stream=bool(request.stream),
        seed=request.seed,
        cap=request.max_output_tokens,
        cap_name="max_output_tokens",
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        offer=offer,
        effort=shell["reasoning"]["effort"],
        effort_name="reasoning.effort",
        needs=prompt.needs | messages.format_need(shell["text"]["format"]["type"], "text.format"),
    )


def _message(item: _Item, at: str) -> messages.Message:
    """Return an item as a message of chat completions from which the model reads the same."""
    if item.type == "function_call":
        return messages.Message(role="assistant", content=item.name + item.arguments)
    if item.type == "function_call_output":
        return messages.Message(role="tool", content=_content(item.output, at))
    if item.type == "reasoning":  # not read again
        return messages.Message(role="assistant", content="")
    if item.role is None:
        raise missing(f"{at}.role")
    if item.content is None:
        raise missing(f"{at}.content")
    return messages.Message(role=item.role, content=_content(item.content, at))


def _content(content: str | list[_Part], at: str) -> str | list[messages.ContentPart]:
    if isinstance(content, str):
        return content
    parts = []
    for j, part in enumerate(content):
        if part.type not in _PARTS:
            raise unknown_value(part.type, _PARTS, f"{at}.content[{j}].type")
        image = messages.ImageUrl(part.image_url, part.detail) if part.image_url is not None else None
        parts.append(
            messages.ContentPart(_PARTS[part.type], part.text, part.refusal, image, part.input_audio)
        )
    return parts


def _check_calls(items: list[_Item]) -> None:
    """Refuse a call without its output, and an output without its call."""
    calls = [item.call_id for item in items if item.type == "function_call"]
    outputs = [item.call_id for item in items if item.type == "function_call_output"]
    for call in calls:
        if call not in outputs:
            raise ApiError(f"No tool output found for function call {call}.", "input")
    for output in outputs:
        if output not in calls:
            raise ApiError(f"No tool call found for function call output with call_id {output}.", "input")


class _Form(NamedTuple):
    """How one kind of item is streamed: its events, and the part of it that the text is (of a call: none)."""

    text_event: str
    part_event: str
    place: dict[str, int]
    part: dict[str, Any]
    more: dict[str, Any]
    name: str = "text"


_OUTPUT: Final = _Form(
    "response.output_text",
    "response.content_part",
    {"content_index": 0},
    {"type": "output_text", "annotations": [], "logprobs": []},
    {"logprobs": []},
)
_REASONING: Final = _Form(
    "response.reasoning_text", "response.content_part", {"content_index": 0}, {"type": "reasoning_text"}, {}
)
_SUMMARY: Final = _Form(
    "response.reasoning_summary_text",
    "response.reasoning_summary_part",
    {"summary_index": 0},
    {"type": "summary_text"},
    {},
)
_CALL: Final = _Form("response.function_call_arguments", "", {}, {}, {}, "arguments")


class _Output(NamedTuple):
    """One item of the answer: as it is when it begins, and when all its tokens are there."""

    form: _Form
    tokens: list[bytes]
    begun: dict[str, Any]
    ended: dict[str, Any]


def _output(shell: dict[str, Any], answer: Answer) -> list[_Output]:
    identity = answer.response_id.removeprefix("resp_")
    items = []
    if answer.thoughts:
        form, place = (_SUMMARY, "summary") if shell["reasoning"]["summary"] else (_REASONING, "content")
        begun: dict[str, Any] = {"id": f"rs_{identity}", "type": "reasoning", "summary": []}
        ended: dict[str, Any] = {place: [form.part | {"text": text(answer.thoughts)}]}
        items.append(_Output(form, answer.thoughts, begun, begun | ended))
    if not answer.said:
        return items
    if answer.call:
        form, begun = _CALL, {"id": f"fc_{identity}", "type": "function_call", "status": "in_progress"}
        begun |= {"call_id": answer.call.id, "name": answer.call.name, "arguments": ""}
        ended = {"arguments": text(answer.said)}
    else:
        form, begun = _OUTPUT, {"id": f"msg_{identity}", "type": "message", "status": "in_progress"}
        begun |= {"role": "assistant", "content": []}
        ended = {"content": [form.part | {"text": text(answer.said)}]}
    return [*items, _Output(form, answer.said, begun, begun | {"status": _status(answer)} | ended)]


def _streamed(shell: dict[str, Any], answer: Answer) -> Iterator[bytes]:
    numbers = count()

    def event(kind: str, fields: dict[str, Any]) -> bytes:
        return http_chunk(_rendered(kind, next(numbers), fields))

    begun = {"response": _response(shell, answer, "in_progress", [])}
    yield event("response.created", begun) + event("response.in_progress", begun)
    waiting = b""  # until there is a token
    for index, (form, tokens, opened, closed) in enumerate(_output(shell, answer)):
        place = {"item_id": opened["id"], "output_index": index} | form.place
        waiting += event("response.output_item.added", {"output_index": index, "item": opened})
        left = tokens
        if form.part_event:
            waiting += event(f"{form.part_event}.added", place | {"part": form.part | {"text": ""}})
        else:  # the first token of a call is its name
            yield waiting
            waiting, left = b"", tokens[1:]
        fields = place | form.more | {"delta": MARK}
        head, after = split(_rendered(f"{form.text_event}.delta", MARK, fields))
        before, between = split(head)
        before, between = before[:-1], between[1:]  # a number stands without quotes
        for token in left:
            yield waiting + http_chunk(b"%b%d%b%b%b" % (before, next(numbers), between, token, after))
            waiting = b""
        said = text(tokens)
        waiting = event(f"{form.text_event}.done", place | {form.name: said} | form.more)
        if form.part_event:
            waiting += event(f"{form.part_event}.done", place | {"part": form.part | {"text": said}})
        waiting += event("response.output_item.done", {"output_index": index, "item": closed})
    ended = _ended(shell, answer)
    yield waiting + event(f"response.{ended['status']}", {"response": ended})


def _rendered(kind: str, number: int | str, fields: dict[str, Any]) -> bytes:
    value = {"type": kind, "sequence_number": number} | fields
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(value))


def _status(answer: Answer) -> str:
    return "incomplete" if answer.ends_with == "length" else "completed"


def _ended(shell: dict[str, Any], answer: Answer) -> dict[str, Any]:
    usage = {
        "input_tokens": answer.ask.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(answer.thoughts)},
        "total_tokens": answer.ask.prompt_tokens + answer.output_tokens,
    }
    status = _status(answer)
    why = {"reason": "max_output_tokens"} if status == "incomplete" else None
    body = _response(shell, answer, status, [item.ended for item in _output(shell, answer)])
    return body | {"incomplete_details": why, "usage": usage}


def _response(shell: dict[str, Any], answer: Answer, status: str, output: list[Any]) -> dict[str, Any]:
    known = {"id": answer.response_id, "created_at": answer.created_s, "model": answer.ask.model}
    return shell | known | {"status": status, "output": output}


def _shell(request: ResponsesRequest) -> dict[str, Any]:
    """Return what every response to a request tells, with room for what is the answer's own."""
    reasoning, form = request.reasoning or _Reasoning(), request.text or _Text()
    return {
        "id": None,
        "object": "response",
        "created_at": None,
        "status": None,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": {},
        "model": None,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": msgspec.to_builtins(reasoning),
        "store": False,
        "temperature": 1.0,
        "text": msgspec.to_builtins(form),
        "tool_choice": msgspec.to_builtins(request.tool_choice or "auto"),
        "tools": msgspec.to_builtins(request.tools or []),
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }
