"""A request, whichever kind it came as: what the engine and the simulated model need to know of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from loadgen.simulator.answer import Answer
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
