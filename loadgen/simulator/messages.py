"""A conversation as the model reads it: messages, their parts, tools, and what they count."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from loadgen.simulator.api import ApiError, missing, unknown_value
from loadgen.simulator.media import Medium, read_image, read_sound

# Prompt tokens are estimated: characters of texts and tools, divided by this, rounded up. The same estimate
# as in loadgen.workload.code, so that a prompt cut to 1,000 tokens counts as about 1,000 here.
CHARS_PER_TOKEN: Final = 4.3

_PARTS: Final = ("text", "image_url", "input_audio", "refusal")


class ImageUrl(msgspec.Struct, frozen=True):
    """An image, as a data URL. detail: "low" counts the same for every size."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class Sound(msgspec.Struct, frozen=True):
    """A piece of sound, in base64."""

    data: str
    format: Literal["wav", "mp3"]


class ContentPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of a message."""

    type: str
    text: str = ""
    refusal: str = ""
    image_url: ImageUrl | None = None
    input_audio: Sound | None = None


class _CalledFunction(msgspec.Struct, frozen=True):
    name: str
    arguments: str  # JSON, as the model wrote it


class _ToolCall(msgspec.Struct, frozen=True):
    id: str
    function: _CalledFunction
    type: Literal["function"] = "function"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None

    def text(self) -> str:
        """Return all that the model reads of the message: its texts, names and arguments of its calls."""
        text = self.content if isinstance(self.content, str) else ""
        if isinstance(self.content, list):
            text = "".join(part.text + part.refusal for part in self.content)
        return text + "".join(c.function.name + c.function.arguments for c in self.tool_calls or ())


# The functions that a model may call, by name: the JSON Schema of what each takes, where it has one.
Functions = dict[str, dict[str, Any] | None]


class Offer(NamedTuple):
    """The functions that a model may call now. must: it has to call one."""

    functions: Functions
    must: bool = False


class Said(NamedTuple):
    """A prompt. text: as the prefix cache sees it, roles marked; needs: as in `Ask`."""

    text: str
    tokens: int
    needs: dict[str, str]


Messages = Annotated[list[Message], msgspec.Meta(min_length=1)]


def count(chars: int) -> int:
    """Estimate the tokens of so many characters; at least one."""
    return max(1, math.ceil(chars / CHARS_PER_TOKEN))


def compose(messages: Sequence[Message], tools: str, place: str, instructions: str = "") -> Said:
    """Put a prompt together: instructions and tools come first, as in the templates of models.

    place: of the messages in the request. In the text an image or a sound is as many characters as it has
    tokens' worth, so that it takes its room among the blocks of the prefix cache.

    Raises:
        ApiError: 400; a part that is none, or can't be read.
    """
    texts = [instructions, tools]
    chars, media_tokens = len(instructions) + len(tools), 0
    needs = {"tools": "tools"} if tools else {}
    for i, message in enumerate(messages):
        text = message.text()
        chars += len(text)
        texts += [f"\x1e{message.role[0]}", text]
        if not isinstance(message.content, list):
            continue
        for j, part in enumerate(message.content):
            at = f"{place}[{i}].content[{j}]"
            if medium := _medium(message, part, at):
                media_tokens += medium.tokens
                texts.append(medium.stands_for * math.ceil(medium.tokens * CHARS_PER_TOKEN / 16))
                needs["image_input" if part.type == "image_url" else "audio_input"] = at
    return Said("".join(texts), count(chars) + media_tokens, needs)


def format_need(kind: str | None, name: str) -> dict[str, str]:
    """Return what a format of the answer, of this type and in the field of that name, asks of the model."""
    return {"structured_output": name} if kind in {"json_schema", "json_object"} else {}


def make_offer(functions: Functions, mode: str | None, name: str | None, *, to_user: bool) -> Offer | None:
    """Return the functions that may be called: where there are any, and a user spoke last (`to_user`).

    mode: `tool_choice` where it is none, auto or required; name: the function that it names.

    Raises:
        ApiError: 400; a choice where there are no functions, or of one that is not there.
    """
    if (mode or name) and not functions:
        raise ApiError("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    if name is not None and name not in functions:
        what = f"Tool choice '{name}' not found in 'tools' parameter."
        raise ApiError(what, "tool_choice", "invalid_value")
    if not functions or not to_user or mode == "none":
        return None
    return Offer({name: functions[name]}, must=True) if name else Offer(functions, mode == "required")


def _medium(message: Message, part: ContentPart, at: str) -> Medium | None:
    if part.type not in _PARTS:
        raise unknown_value(part.type, _PARTS, f"{at}.type")
    if part.type in {"text", "refusal"}:
        return None
    given = part.image_url if part.type == "image_url" else part.input_audio
    if given is None:
        raise missing(f"{at}.{part.type}")
    if message.role != "user":
        what = f"{part.type} is only allowed for messages with role 'user', not '{message.role}'."
        raise ApiError(f"Invalid content part: {what}", at, "invalid_value")
    if isinstance(given, ImageUrl):
        return read_image(given.url, f"{at}.image_url.url", low=given.detail == "low")
    return read_sound(given.data, given.format, f"{at}.input_audio.data")
