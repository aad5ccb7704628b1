"""Responses: the request; its answer is made in `responses_answer`."""

from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec

from loadgen.simulator.api import ApiError, MinTokens, NonEmpty, TokenCap, decode, unknown_value
from loadgen.simulator.ask import Ask, format_need
from loadgen.simulator.messages import (
    CalledFunction,
    ContentPart,
    Function,
    ImageUrl,
    Message,
    Sound,
    ToolCall,
    compose,
    make_offer,
)
from loadgen.simulator.responses_answer import Told, streamed, whole

_PARTS: Final = {"input_text": "text", "output_text": "text", "refusal": "refusal"} | {
    "input_image": "image_url",
    "input_audio": "input_audio",
}


class Part(msgspec.Struct, frozen=True):
    """One part of a message. image_url: a data URL; detail: of an image."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    detail: Literal["auto", "low", "high", "original"] | None = None
    input_audio: Sound | None = None


class Item(msgspec.Struct, frozen=True):
    """One item of the conversation: a message, a call, its output, or reasoning (which is not read again)."""

    type: Literal["message", "function_call", "function_call_output", "reasoning"] = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: str | list[Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[Part] = ""


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call. parameters: JSON Schema."""

    type: Literal["function"]
    name: NonEmpty
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """The function that has to be called."""

    type: Literal["function"]
    name: str


class Reasoning(msgspec.Struct, frozen=True):
    """How much the model is to think, and whether it tells a summary in place of the thoughts."""

    effort: str | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class Format(msgspec.Struct, frozen=True):
    """The form of the answer; accepted, and not kept to."""

    type: Literal["text", "json_object", "json_schema"] = "text"


class Text(msgspec.Struct, frozen=True):
    """Options of a text."""

    format: Format = Format()


class ResponsesRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/responses`, as far as the simulator cares."""

    model: NonEmpty
    input: str | Annotated[list[Item], msgspec.Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: TokenCap = None
    min_tokens: MinTokens = None
    ignore_eos: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    previous_response_id: str | None = None
    seed: int | None = None


_DECODER: Final = msgspec.json.Decoder(ResponsesRequest)


def read_responses(body: bytes) -> Ask:
    """Read the body of a responses request.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    request = decode(_DECODER, body)
    if request.previous_response_id is not None:
        what = f"Previous response with id '{request.previous_response_id}' not found."
        raise ApiError(400, what, param="previous_response_id", code="previous_response_not_found")
    items = [Item(role="user", content=request.input)] if isinstance(request.input, str) else request.input
    messages = [_message(item, f"input[{i}]") for i, item in enumerate(items)]
    _check_calls(items)
    choice, functions = request.tool_choice, request.tools or []
    offer = make_offer(
        [Function(tool.name, tool.description, tool.parameters) for tool in functions],
        choice if isinstance(choice, str) else None,
        choice.name if isinstance(choice, ToolChoice) else None,
        to_user=messages[-1].role == "user",
    )
    tools = msgspec.to_builtins(functions)
    # instructions come before all, like tools
    before = (request.instructions or "") + (msgspec.json.encode(tools).decode() if tools else "")
    said = compose(messages, before, "input")
    reasoning = request.reasoning or Reasoning()
    told = Told(
        tools=tools,
        tool_choice=msgspec.to_builtins(choice or "auto"),
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        effort=reasoning.effort,
        summary=reasoning.summary,
        format=request.text.format.type if request.text else "text",
    )
    return Ask(
        model=request.model,
        endpoint="v1/responses",
        id_prefix="resp_",
        place="input",
        content=(request.instructions, messages),
        prompt=said.text,
        prompt_tokens=said.tokens,
        streamed=partial(streamed, told),
        whole=partial(whole, told),
        stream=bool(request.stream),
        seed=request.seed,
        cap=request.max_output_tokens,
        cap_name="max_output_tokens",
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        offer=offer,
        effort=reasoning.effort,
        effort_name="reasoning.effort",
        needs=said.needs | format_need(told.format, "text.format") | ({"tools": "tools"} if tools else {}),
    )


def _message(item: Item, at: str) -> Message:
    """Return an item as the message of chat completions that it amounts to."""
    if item.type == "function_call":
        call = ToolCall(item.call_id, CalledFunction(item.name, item.arguments))
        return Message(role="assistant", tool_calls=[call])
    if item.type == "function_call_output":
        return Message(role="tool", content=_content(item.output, at), tool_call_id=item.call_id)
    if item.type == "reasoning":
        return Message(role="assistant", content="")
    for name, value in (("role", item.role), ("content", item.content)):
        if value is None:
            param = f"{at}.{name}"
            what = f"Missing required parameter: '{param}'."
            raise ApiError(400, what, param=param, code="missing_required_parameter")
    return Message(role=item.role or "user", content=_content(item.content or "", at))


def _content(content: str | list[Part], at: str) -> str | list[ContentPart]:
    if isinstance(content, str):
        return content
    parts = []
    for j, part in enumerate(content):
        if part.type not in _PARTS:
            raise unknown_value(part.type, _PARTS, f"{at}.content[{j}].type")
        image = ImageUrl(part.image_url, part.detail) if part.image_url is not None else None
        parts.append(ContentPart(_PARTS[part.type], part.text, part.refusal, image, part.input_audio))
    return parts


def _check_calls(items: list[Item]) -> None:
    """Refuse a call without its output, and an output without its call."""
    calls = [item.call_id for item in items if item.type == "function_call"]
    outputs = [item.call_id for item in items if item.type == "function_call_output"]
    for call in calls:
        if call not in outputs:
            raise ApiError(400, f"No tool output found for function call {call}.", param="input")
    for output in outputs:
        if output not in calls:
            what = f"No tool call found for function call output with call_id {output}."
            raise ApiError(400, what, param="input")
