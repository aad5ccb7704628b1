"""Images: made of tokens, like those of the gpt-image models, so that larger and better ones take longer."""

import base64
from functools import partial
from typing import Annotated, Final, Literal

import msgspec

from loadgen.simulator.answer import Answer, Ask
from loadgen.simulator.api import ApiError, NonEmpty, decode
from loadgen.simulator.media import png
from loadgen.simulator.messages import count

# Tokens of one image, as OpenAI documents them for gpt-image-1.
IMAGE_TOKENS: Final = {
    "1024x1024": {"low": 272, "medium": 1056, "high": 4160},
    "1024x1536": {"low": 408, "medium": 1584, "high": 6240},
    "1536x1024": {"low": 400, "medium": 1568, "high": 6208},
}


class ImagesRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/images/generations`; "auto" is the first size, in medium quality."""

    model: NonEmpty
    prompt: NonEmpty
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    size: Literal["auto", "1024x1024", "1024x1536", "1536x1024"] | None = None
    quality: Literal["auto", "low", "medium", "high"] | None = None
    output_format: Literal["png"] | None = None
    background: Literal["auto", "opaque"] | None = None
    stream: bool | None = None
    response_format: str | None = None


def read_images(body: bytes) -> Ask:
    """Read the body of an images request; an ApiError names the field that is to blame."""
    request = decode(body, ImagesRequest)
    if request.response_format is not None:  # of the DALL-E models; gpt-image models know b64_json only
        raise ApiError("Unknown parameter: 'response_format'.", "response_format", "unknown_parameter")
    prompt_tokens = count(len(request.prompt))
    size = request.size if request.size and request.size != "auto" else "1024x1024"
    quality = request.quality if request.quality and request.quality != "auto" else "medium"
    return Ask(
        model=request.model,
        endpoint="v1/images/generations",
        id_prefix="img-",
        place="prompt",
        content=request.prompt,
        prompt_tokens=prompt_tokens,
        whole=partial(_whole, size, quality),
        stream=bool(request.stream),
        work=[(prompt_tokens, IMAGE_TOKENS[size][quality])] * (request.n or 1),
    )


def _whole(size: str, quality: str, answer: Answer) -> bytes:
    width, height = map(int, size.split("x"))
    images = (png(width, height, (answer.offset + i) % 256) for i in range(len(answer.work)))
    body = {
        "created": answer.created_s,
        "background": "opaque",
        "data": [{"b64_json": base64.b64encode(image).decode()} for image in images],
        "output_format": "png",
        "quality": quality,
        "size": size,
        "usage": {
            "input_tokens": answer.ask.prompt_tokens,
            "input_tokens_details": {"text_tokens": answer.ask.prompt_tokens, "image_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": answer.output_tokens},
            "total_tokens": answer.ask.prompt_tokens + answer.output_tokens,
        },
    }
    return msgspec.json.encode(body)
