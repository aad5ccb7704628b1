"""Completions: the text after a prompt, or between that and a `suffix` (fill-in-the-middle)."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec

from loadgen.simulator import speech
from loadgen.simulator.answer import Answer, Ask
from loadgen.simulator.api import MinTokens, NonEmpty, StreamOptions, TokenCap, decode
from loadgen.simulator.messages import count

DEFAULT_CAP: Final = 16  # of OpenAI and vLLM, where a request names none


class CompletionsRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/completions`, as far as the simulator cares; one prompt a request."""

    model: NonEmpty
    prompt: str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=1)]
    suffix: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: TokenCap = None
    min_tokens: MinTokens = None
    ignore_eos: bool | None = None
    seed: int | None = None
    n: Literal[1] | None = None


def read_completions(body: bytes) -> Ask:
    """Read the body of a completions request; an ApiError names the field that is to blame."""
    request = decode(body, CompletionsRequest)
    prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
    suffix = request.suffix or ""
    return Ask(
        model=request.model,
        endpoint="v1/completions",
        id_prefix="cmpl-",
        place="prompt",
        content=(prompt, suffix),
        prompt=f"\x1e{prompt}\x1e{suffix}",
        prompt_tokens=count(len(prompt) + len(suffix)),
        streamed=_streamed,
        whole=_whole,
        stream=bool(request.stream),
        stream_options=request.stream_options,
        seed=request.seed,
        cap=request.max_tokens or DEFAULT_CAP,
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
    )


def _streamed(answer: Answer) -> Iterator[bytes]:
    spoken = [(_choice(speech.MARK, None), answer.said)]
    last = _choice("", answer.ends_with)
    return speech.streamed(answer, "text_completion", None, spoken, last)


def _whole(answer: Answer) -> bytes:
    return speech.whole(answer, "text_completion", _choice(speech.text(answer.said), answer.ends_with))


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
