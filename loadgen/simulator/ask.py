"""A request, whichever kind it came as: what the engine and the simulated model need to know of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from loadgen.simulator.answer import Answer
from loadgen.simulator.api import ApiError
from loadgen.simulator.messages import Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request.

    endpoint: its path, without the first slash. place: the field that holds the prompt, to blame where that
    is too long. content: what the answer depends on besides model and seeds. prompt: as the prefix cache
    sees it; empty where none is used. cap: the most tokens of the answer (None: it ends by itself);
    cap_name: its field. min_tokens, ignore_eos: of vLLM and SGLang; the answer has at least so many tokens,
    or never ends itself. offer: functions to call now. effort: of reasoning; effort_name: its field.
    needs: what it asks a model to be capable of, and the field that does. work: prompt and output tokens of
    each sequence, where both are fixed. streamed: yields the beginning of a stream, what each token brings,
    the end; None: it can't be streamed. whole: makes the body.
    """

    model: str
    endpoint: str
    id_prefix: str
    place: str
    content: object
    prompt_tokens: int
    whole: Callable[[Answer], bytes]
    streamed: Callable[[Answer], Iterator[bytes]] | None = None
    stream: bool = False
    prompt: str = ""
    seed: int | None = None
    cap: int | None = None
    cap_name: str = "max_tokens"
    min_tokens: int = 0
    ignore_eos: bool = False
    offer: Offer | None = None
    effort: str | None = None
    effort_name: str = "reasoning_effort"
    needs: dict[str, str] = field(default_factory=dict)
    work: Sequence[tuple[int, int]] = ()


class StreamOptions(msgspec.Struct, frozen=True):
    """Options of a streamed answer."""

    include_usage: bool = False


def usage_wanted(options: StreamOptions | None, *, stream: bool | None) -> bool:
    """Return whether a stream ends with its usage.

    Raises:
        ApiError: 400; options of a stream where none is asked for.
    """
    if options and not stream:
        what = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise ApiError(what, "stream_options")
    return options is not None and options.include_usage


def format_need(kind: str | None, name: str) -> dict[str, str]:
    """Return what a format of the answer, of this type and in the field of that name, asks of the model."""
    return {"structured_output": name} if kind in {"json_schema", "json_object"} else {}
