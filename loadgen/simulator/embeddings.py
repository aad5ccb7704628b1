"""Embeddings: unit vectors that depend on model, seed and text; never streamed."""

import array
import base64
import hashlib
import math
from functools import partial
from typing import Annotated, Any, Literal

import msgspec

from loadgen.simulator.answer import Answer, Ask
from loadgen.simulator.api import NonEmpty, decode
from loadgen.simulator.messages import count

_Tokens = Annotated[list[int], msgspec.Meta(min_length=1)]
_Inputs = Annotated[list[NonEmpty | int | _Tokens], msgspec.Meta(min_length=1, max_length=2048)]


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/embeddings`: one text or several, or their tokens."""

    model: NonEmpty
    input: NonEmpty | _Inputs
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 1536


def read_embeddings(body: bytes) -> Ask:
    """Read the body of an embeddings request; an ApiError names the field that is to blame."""
    request = decode(body, EmbeddingsRequest)
    # a list of numbers is one text, as its tokens
    one = isinstance(request.input, str) or all(isinstance(part, int) for part in request.input)
    inputs: list[Any] = [request.input] if one else list(request.input)
    tokens = [count(len(i)) if isinstance(i, str) else len(i) if isinstance(i, list) else 1 for i in inputs]
    return Ask(
        model=request.model,
        endpoint="v1/embeddings",
        id_prefix="embd-",
        place="input",
        content=None,
        prompt_tokens=sum(tokens),
        whole=partial(_whole, request, inputs),
        work=[(n, 1) for n in tokens],
    )


def _whole(request: EmbeddingsRequest, inputs: list[Any], answer: Answer) -> bytes:
    data = []
    for index, text in enumerate(inputs):
        vector: Any = _vector(msgspec.json.encode((answer.seed, request.model, text)), request.dimensions)
        if request.encoding_format == "base64":
            vector = base64.b64encode(vector.tobytes()).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": answer.ask.prompt_tokens, "total_tokens": answer.ask.prompt_tokens}
    body = {"object": "list", "data": data, "model": request.model, "usage": usage}
    return msgspec.json.encode(body, enc_hook=list)


def _vector(identity: bytes, dimensions: int) -> "array.array[float]":
    """Return a vector of length 1 whose direction is drawn from the identity."""
    drawn = array.array("h", hashlib.shake_128(identity).digest(2 * dimensions))
    length = math.sqrt(sum(x * x for x in drawn)) or 1.0
    return array.array("f", [x / length for x in drawn])
