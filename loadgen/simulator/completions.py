"""Completions: the text after a prompt, or between that and a `suffix` (fill-in-the-middle)."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec

from loadgen.simulator import speech
from loadgen.simulator.answer import Answer, http_chunk
from loadgen.simulator.api import MinTokens, NonEmpty, TokenCap, decode
from loadgen.simulator.ask import Ask
from loadgen.simulator.chat import StreamOptions, check_stream_options, include_usage
from loadgen.simulator.messages import count
from loadgen.simulator.text import Corpus

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


_DECODER: Final = msgspec.json.Decoder(CompletionsRequest)


def read_completions(body: bytes) -> Ask:
    """Read the body of a completions request.

    Raises:
        ApiError: 400, with the field in `param` where one is to blame.
    """
    request = decode(_DECODER, body)
    check_stream_options(request.stream_options, stream=request.stream)
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
        streamed=partial(_streamed, include_usage=include_usage(request.stream_options)),
        whole=_whole,
        stream=bool(request.stream),
        seed=request.seed,
        cap=request.max_tokens or DEFAULT_CAP,
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
    )


def _streamed(answer: Answer, corpus: Corpus, *, include_usage: bool) -> Iterator[bytes]:
    no_usage = {"usage": None} if include_usage else {}
    yield b""  # nothing comes before the first token
    around = speech.split(speech.data_event(_body(answer, speech.MARK, None) | no_usage))
    yield from speech.framed(around, corpus, answer.offset, answer.output_tokens)
    end = http_chunk(speech.data_event(_body(answer, "", answer.ends_with) | no_usage))
    if include_usage:
        last = _body(answer, "", None) | {"choices": [], "usage": answer.usage()}
        end += http_chunk(speech.data_event(last))
    yield end + http_chunk(speech.DONE)


def _whole(answer: Answer, corpus: Corpus) -> bytes:
    body = _body(answer, speech.text(answer, corpus), answer.ends_with)
    return msgspec.json.encode(body | {"usage": answer.usage()})


def _body(answer: Answer, text: str, finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
    return {
        "id": answer.response_id,
        "object": "text_completion",
        "created": answer.created_s,
        "model": answer.model,
        "system_fingerprint": speech.FINGERPRINT,
        "choices": [choice],
    }
