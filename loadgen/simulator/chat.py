"""Chat completions: the request, the stream of chunks, the whole answer."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import msgspec

from loadgen.simulator import speech
from loadgen.simulator.answer import Answer, Ask
from loadgen.simulator.api import ApiError, MinTokens, NonEmpty, StreamOptions, TokenCap, decode, missing
from loadgen.simulator.messages import Message, Messages, compose, format_need, make_offer

_END: Final = Message(role="user", content="")


class _Function(msgspec.Struct, frozen=True, omit_defaults=True):
    name: NonEmpty
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct, frozen=True):
    type: Literal["function"]
    function: _Function


class _ResponseFormat(msgspec.Struct, frozen=True):  # accepted, and not kept to
    type: Literal["text", "json_object", "json_schema"]


class _ThinkingConfig(msgspec.Struct, frozen=True):
    thinking_level: NonEmpty | None = None


class _Google(msgspec.Struct, frozen=True):
    thinking_config: _ThinkingConfig = _ThinkingConfig()


class _ExtraBody(msgspec.Struct, frozen=True):  # of Gemini's OpenAI-compatible endpoint
    google: _Google = _Google()


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions`, as far as the simulator cares."""

    model: NonEmpty
    messages: Messages
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCap = None
    max_completion_tokens: TokenCap = None
    min_tokens: MinTokens = None
    ignore_eos: bool | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Tool | None = None
    reasoning_effort: str | None = None
    response_format: _ResponseFormat | None = None
    extra_body: _ExtraBody = _ExtraBody()
    seed: int | None = None
    n: Literal[1] | None = None


def read_chat(body: bytes) -> Ask:
    """Read the body of a chat completions request; an ApiError names the field that is to blame."""
    request = decode(body, ChatRequest)
    _check(request.messages)
    choice = request.tool_choice
    mode, name = (None, choice.function.name) if isinstance(choice, _Tool) else (choice, None)
    functions = {tool.function.name: tool.function.parameters for tool in request.tools or ()}
    offer = make_offer(functions, mode, name, to_user=request.messages[-1].role == "user")
    if request.max_tokens and request.max_completion_tokens:
        what = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise ApiError(what, "max_tokens", "invalid_parameter_combination")
    tools = msgspec.json.encode(request.tools).decode() if request.tools else ""
    said = compose(request.messages, tools, "messages")
    kind = request.response_format.type if request.response_format else None
    return Ask(
        model=request.model,
        endpoint="v1/chat/completions",
        id_prefix="chatcmpl-",
        place="messages",
        content=request.messages,
        prompt=said.text,
        prompt_tokens=said.tokens,
        streamed=_streamed,
        whole=_whole,
        stream=bool(request.stream),
        stream_options=request.stream_options,
        seed=request.seed,
        cap=request.max_completion_tokens or request.max_tokens,
        cap_name="max_completion_tokens" if request.max_completion_tokens else "max_tokens",
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        offer=offer,
        effort=request.reasoning_effort or request.extra_body.google.thinking_config.thinking_level,
        needs=said.needs | format_need(kind, "response_format"),
    )


def _check(messages: Sequence[Message]) -> None:
    """Refuse what OpenAI refuses: no content, a call without a result, a result without a call."""
    waiting: list[str] = []
    for i, message in enumerate((*messages, _END)):
        if message.content is None and message.role != "assistant":
            raise missing(f"messages[{i}].content")
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                what = "a message of the role 'tool' must answer one of the 'tool_calls' before it."
                raise ApiError(f"Invalid parameter: {what}", f"messages[{i}].role")
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            what = "An assistant message with 'tool_calls' must be followed by tool messages responding to"
            what += f" each 'tool_call_id'. These got no response: {', '.join(waiting)}"
            raise ApiError(what, f"messages[{i}].role")
        waiting = [call.id for call in message.tool_calls or ()]


def _streamed(answer: Answer) -> Iterator[bytes]:
    def choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}

    role = {"role": "assistant", "content": None if answer.call else "", "refusal": None}
    spoken = [(choice({"reasoning_content": speech.MARK}), answer.thoughts)]
    if answer.call is None:
        spoken.append((choice({"content": speech.MARK}), answer.said))
    else:
        opening = {"index": 0} | answer.call.opening(arguments=speech.MARK)
        more = {"index": 0, "function": {"arguments": speech.MARK}}
        spoken.append((choice({"tool_calls": [opening]}), answer.said[:1]))
        spoken.append((choice({"tool_calls": [more]}), answer.said[1:]))
    last = choice({}, answer.ends_with)
    return speech.streamed(answer, "chat.completion.chunk", choice(role), spoken, last)


def _whole(answer: Answer) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if answer.thoughts:
        message["reasoning_content"] = speech.text(answer.thoughts)
    if answer.call is None:
        message["content"] = speech.text(answer.said)
    elif answer.said:
        message["tool_calls"] = [answer.call.opening(arguments=speech.text(answer.said))]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.ends_with}
    return speech.whole(answer, "chat.completion", choice)
