"""A request, whichever kind it came as: what the engine and the simulated model need to know of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from loadgen.simulator.answer import Answer
from loadgen.simulator.api import ApiError
from loadgen.simulator.messages import Offer
from loadgen.simulator.text import Corpus


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
    the end. whole: makes the body.
    """

    model: str
    endpoint: str
    id_prefix: str
    place: str
    content: object
    prompt_tokens: int
    whole: Callable[[Answer, Corpus], bytes]
    streamed: Callable[[Answer, Corpus], Iterator[bytes]] | None = None
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

    def __post_init__(self) -> None:
        """Refuse a least length above the most.

        Raises:
            ApiError: 400.
        """
        if self.cap and self.min_tokens > self.cap:
            what = (
                f"min_tokens must be less than or equal to {self.cap_name}={self.cap}, got {self.min_tokens}."
            )
            raise ApiError(400, what, param="min_tokens", code="invalid_value")


def format_need(kind: str | None, name: str) -> dict[str, str]:
    """Return what a format of the answer, of this type and in the field of that name, asks of the model."""
    return {"structured_output": name} if kind in {"json_schema", "json_object"} else {}
