"""The chat completions request as the simulator reads it, and errors in OpenAI's shape.

Fields it does not know are accepted and ignored, as gateways do.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

_DECODE_PLACE: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")


class ApiError(Exception):
    """An answer of OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        super().__init__(message)

    def body(self) -> bytes:
        """Return the JSON body."""
        detail = {
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        }
        return msgspec.json.encode({"error": detail})


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message; only parts with text count as prompt tokens."""

    type: str
    text: str = ""


class CalledFunction(msgspec.Struct, frozen=True):
    """What an assistant message called. arguments: JSON, as the model wrote it."""

    name: str
    arguments: str


class ToolCall(msgspec.Struct, frozen=True):
    """One call in an assistant message."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        """Return all that the model reads of the message: its texts, names and arguments of its calls."""
        text = self.content if isinstance(self.content, str) else ""
        if isinstance(self.content, list):
            text = "".join(part.text for part in self.content)
        return text + "".join(c.function.name + c.function.arguments for c in self.tool_calls or ())


class Function(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call. parameters: JSON Schema."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


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


TokenCap = Annotated[int, msgspec.Meta(ge=1)] | None
MinTokens = Annotated[int, msgspec.Meta(ge=0)] | None


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions`, as far as the simulator cares.

    min_tokens, ignore_eos: of vLLM and SGLang; the answer has at least so many tokens, or never ends itself.
    """

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCap = None
    max_completion_tokens: TokenCap = None
    min_tokens: MinTokens = None
    ignore_eos: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    seed: int | None = None
    n: Literal[1] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a streamed answer ends with a usage event."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def token_cap(self) -> int | None:
        """The most tokens the answer may have, by either of its two names."""
        return self.max_completion_tokens or self.max_tokens


_DECODER: Final = msgspec.json.Decoder(ChatRequest)


def read_chat_request(body: bytes) -> ChatRequest:
    """Read the body of a chat completions request.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}") from None
    for i, message in enumerate(request.messages):
        if message.content is None and message.role != "assistant":
            param = f"messages[{i}].content"
            raise ApiError(
                400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
            )
    _check_tools(request)
    if request.max_tokens and request.max_completion_tokens:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if request.min_tokens and request.token_cap and request.min_tokens > request.token_cap:
        raise ApiError(
            400,
            f"min_tokens must be less than or equal to max_tokens={request.token_cap}, got"
            f" {request.min_tokens}.",
            param="min_tokens",
            code="invalid_value",
        )
    if request.stream_options and not request.stream:
        raise ApiError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    return request


def _check_tools(request: ChatRequest) -> None:
    """Refuse what OpenAI refuses: a choice of no tool, a call without a result, a result without a call."""
    choice = request.tool_choice
    names = [tool.function.name for tool in request.tools or ()]
    if choice is not None and not names:
        raise ApiError(400, "'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if isinstance(choice, ToolChoice) and choice.function.name not in names:
        what = f"Tool choice '{choice.function.name}' not found in 'tools' parameter."
        raise ApiError(400, what, param="tool_choice", code="invalid_value")
    waiting: list[str] = []
    for i, message in enumerate(request.messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                what = "a message of the role 'tool' must answer one of the 'tool_calls' before it."
                raise ApiError(400, f"Invalid parameter: {what}", param=f"messages[{i}].role")
            waiting.remove(message.tool_call_id)
            continue
        _check_answered(waiting, i)
        waiting = [call.id for call in message.tool_calls or ()]
    _check_answered(waiting, len(request.messages))


def _check_answered(waiting: Sequence[str], i: int) -> None:
    if waiting:
        raise ApiError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. These got no response: {', '.join(waiting)}",
            param=f"messages[{i}].role",
        )


def _invalid(text: str) -> ApiError:
    """Turn msgspec's "what - at `$.path`" into OpenAI's message and param."""
    match = _DECODE_PLACE.fullmatch(text)
    what, path = (match["what"], match["path"] or "") if match else (text, "")
    if missing := _MISSING.fullmatch(what):
        param = f"{path}.{missing[1]}" if path else missing[1]
        return ApiError(
            400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    if not path:
        return ApiError(400, f"Invalid request body: {what}.")
    return ApiError(400, f"Invalid value for '{path}': {what}.", param=path, code="invalid_value")
