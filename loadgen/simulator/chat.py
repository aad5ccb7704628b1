"""Chat completions: the request, the stream of chunks, the whole answer."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec

from loadgen.simulator import speech
from loadgen.simulator.answer import Answer, http_chunk
from loadgen.simulator.api import ApiError, MinTokens, NonEmpty, TokenCap, decode
from loadgen.simulator.ask import Ask, format_need
from loadgen.simulator.messages import Function, Message, Messages, compose, make_offer
from loadgen.simulator.text import Corpus


class Tool(msgspec.Struct, frozen=True):
    """One of the request's tools."""

    type: Literal["function"]
    function: Function


class ChosenFunction(msgspec.Struct, frozen=True):
    """The function that has to be called."""

    name: str


class ToolChoice(msgspec.Struct, frozen=True):
    """The tool that has to be called."""

    type: Literal["function"]
    function: ChosenFunction


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a streamed answer."""

    include_usage: bool = False


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form of the answer; accepted, and not kept to."""

    type: Literal["text", "json_object", "json_schema"]


class ThinkingConfig(msgspec.Struct, frozen=True):
    """Gemini's own way to say how much it is to think."""

    thinking_level: NonEmpty | None = None


class Google(msgspec.Struct, frozen=True):
    """What Gemini's OpenAI-compatible endpoint takes beyond OpenAI's fields."""

    thinking_config: ThinkingConfig = ThinkingConfig()


class ExtraBody(msgspec.Struct, frozen=True):
    """The field of that name in a body for Gemini."""

    google: Google = Google()


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
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    extra_body: ExtraBody = ExtraBody()
    seed: int | None = None
    n: Literal[1] | None = None


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def read_chat(body: bytes) -> Ask:
    """Read the body of a chat completions request.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    request = decode(_DECODER, body)
    for i, message in enumerate(request.messages):
        if message.content is None and message.role != "assistant":
            param = f"messages[{i}].content"
            raise ApiError(
                400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            )
    choice = request.tool_choice
    offer = make_offer(
        [tool.function for tool in request.tools or ()],
        choice if isinstance(choice, str) else None,
        choice.function.name if isinstance(choice, ToolChoice) else None,
        to_user=request.messages[-1].role == "user",
    )
    _check_answered_all(request.messages)
    if request.max_tokens and request.max_completion_tokens:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    check_stream_options(request.stream_options, stream=request.stream)
    tools = msgspec.json.encode(request.tools).decode() if request.tools else ""
    said = compose(request.messages, tools, "messages")
    kind = request.response_format.type if request.response_format else None
    needs = said.needs | format_need(kind, "response_format") | ({"tools": "tools"} if tools else {})
    return Ask(
        model=request.model,
        endpoint="v1/chat/completions",
        id_prefix="chatcmpl-",
        place="messages",
        content=request.messages,
        prompt=said.text,
        prompt_tokens=said.tokens,
        streamed=partial(_streamed, include_usage=include_usage(request.stream_options)),
        whole=_whole,
        stream=bool(request.stream),
        seed=request.seed,
        cap=request.max_completion_tokens or request.max_tokens,
        cap_name="max_completion_tokens" if request.max_completion_tokens else "max_tokens",
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        offer=offer,
        effort=request.reasoning_effort or request.extra_body.google.thinking_config.thinking_level,
        needs=needs,
    )


def include_usage(options: StreamOptions | None) -> bool:
    """Whether a streamed answer ends with a usage event."""
    return options is not None and options.include_usage


def check_stream_options(options: StreamOptions | None, *, stream: bool | None) -> None:
    """Refuse options of a stream where none is asked for.

    Raises:
        ApiError: 400.
    """
    if options and not stream:
        what = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(400, what, param="stream_options")


def _check_answered_all(messages: Sequence[Message]) -> None:
    """Refuse what OpenAI refuses: a call without a result, a result without a call."""
    waiting: list[str] = []
    for i, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                what = "a message of the role 'tool' must answer one of the 'tool_calls' before it."
                raise ApiError(400, f"Invalid parameter: {what}", param=f"messages[{i}].role")
            waiting.remove(message.tool_call_id)
            continue
        _check_answered(waiting, i)
        waiting = [call.id for call in message.tool_calls or ()]
    _check_answered(waiting, len(messages))


def _check_answered(waiting: Sequence[str], i: int) -> None:
    if waiting:
        raise ApiError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. These got no response: {', '.join(waiting)}",
            param=f"messages[{i}].role",
        )


def _streamed(answer: Answer, corpus: Corpus, *, include_usage: bool) -> Iterator[bytes]:
    shell = _shell(answer, "chat.completion.chunk")
    no_usage = {"usage": None} if include_usage else {}

    def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return speech.data_event(shell | {"choices": [choice]} | no_usage)

    yield http_chunk(event({"role": "assistant", "content": None if answer.call else "", "refusal": None}))
    first = answer.reasoning_tokens
    around = speech.split(event({"reasoning_content": speech.MARK}))
    yield from speech.framed(around, corpus, answer.offset, first)
    if answer.call is None:
        around = speech.split(event({"content": speech.MARK}))
        yield from speech.framed(around, corpus, answer.offset + first, answer.output_tokens - first)
    elif answer.output_tokens > first:
        yield http_chunk(event({"tool_calls": [{"index": 0} | answer.call.opening()]}))
        function = {"arguments": speech.MARK}
        before, after = speech.split(event({"tool_calls": [{"index": 0, "function": function}]}))
        for piece in speech.argument_pieces(answer, corpus):
            yield http_chunk(before + speech.escaped(piece) + after)
    end = http_chunk(event({}, answer.ends_with))
    if include_usage:
        end += http_chunk(speech.data_event(shell | {"choices": [], "usage": answer.usage()}))
    yield end + http_chunk(speech.DONE)


def _whole(answer: Answer, corpus: Corpus) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if answer.reasoning_tokens:
        message["reasoning_content"] = speech.reasoning(answer, corpus)
    if answer.call is None:
        message["content"] = speech.text(answer, corpus)
    elif answer.output_tokens > answer.reasoning_tokens:
        message["tool_calls"] = [answer.call.opening(arguments=speech.arguments(answer, corpus))]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.ends_with}
    body = _shell(answer, "chat.completion") | {"choices": [choice], "usage": answer.usage()}
    return msgspec.json.encode(body)


def _shell(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.response_id,
        "object": kind,
        "created": answer.created_s,
        "model": answer.model,
        "system_fingerprint": speech.FINGERPRINT,
    }
