"""The chat completions request as the simulator reads it, and errors in OpenAI's shape.

Fields it does not know are accepted and ignored, as gateways do.
"""

import re
from typing import Annotated, Final, Literal

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


class Message(msgspec.Struct, frozen=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None

    def texts(self) -> list[str]:
        """Return every text of the message, in order."""
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content or ()]


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a streamed answer."""

    include_usage: bool = False


TokenCap = Annotated[int, msgspec.Meta(ge=1)] | None


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions`, as far as the simulator cares."""

    model: Annotated[str, msgspec.Meta(min_length=1)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCap = None
    max_completion_tokens: TokenCap = None
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
    if request.max_tokens and request.max_completion_tokens:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if request.stream_options and not request.stream:
        raise ApiError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    return request


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
