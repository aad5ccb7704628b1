"""A request, whichever kind it came as, and its answer: an event stream, or a whole message at the end."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Final

from loadgen.simulator.api import StreamOptions
from loadgen.simulator.messages import Offer
from loadgen.simulator.text import Call

# A client that lets this much pile up has stopped reading; it is dropped, so that it costs no memory.
MOST_UNREAD_BYTES: Final = 1 << 20


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
    whole: "Callable[[Answer], bytes]"
    streamed: "Callable[[Answer], Iterator[bytes]] | None" = None
    stream: bool = False
    stream_options: StreamOptions | None = None
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


@dataclass(slots=True, eq=False)
class Answer:
    """What is known of an answer before its first token, and the instants of its writes.

    All instants are `time.monotonic_ns`. events_ns: one for each write that carried output, taken
    just before it. finish_reason stays None when the answer was cut off. output_tokens: in all. thoughts,
    said: the tokens of its reasoning and those after it, as `Corpus.tokens` has them; said: where there is
    a call of a tool, that call's. work: prompt and output tokens of each sequence that the engine has to do
    for it. blocks: of the prompt, for the prefix cache; cached_tokens: what that held of them. seed: the
    simulator's.
    """

    ask: Ask
    response_id: str
    created_s: int
    received_ns: int
    output_tokens: int
    ends_with: str
    seed: int
    offset: int
    done: asyncio.Future[None]
    work: Sequence[tuple[int, int]]
    thoughts: list[bytes]
    said: list[bytes]
    call: Call | None
    blocks: list[int]
    cached_tokens: int = 0
    finish_reason: str | None = None
    events_ns: list[int] = field(default_factory=list)

    def usage(self) -> dict[str, Any]:
        """Return the usage object of chat completions and completions."""
        return {
            "prompt_tokens": self.ask.prompt_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.ask.prompt_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": len(self.thoughts)},
        }

    def end(self) -> None:
        """Note that the last token is out, and wake the handler."""
        self.finish_reason = self.ends_with
        if not self.done.done():
            self.done.set_result(None)


@dataclass(slots=True, eq=False)
class StreamedAnswer:
    """An answer sent as server-sent events, one token an event, straight into the transport.

    Writing through aiohttp costs a coroutine and several small writes an event. Here an event is one write
    of what `pieces` yields: the beginning, what each token brings, the end.
    """

    answer: Answer
    pieces: Iterator[bytes]
    transport: asyncio.Transport

    def begin(self) -> None:
        """Send the beginning. It comes at once, as from servers that open the stream before prefill."""
        # With a mark of 0 uvloop hands every write to the kernel at once, not at the end of its turn:
        # the instants in the log are those of the system calls.
        self.transport.set_write_buffer_limits(high=0)
        if beginning := next(self.pieces):
            self.transport.write(beginning)

    def deliver(self, *, finished: bool) -> None:
        """Write the next token; with the last one everything that ends the stream."""
        if self.transport.is_closing():
            return
        data = next(self.pieces)
        if finished:
            data += next(self.pieces)
        self.answer.events_ns.append(monotonic_ns())
        self.transport.write(data)
        if finished:
            self.answer.end()
        elif self.transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self.transport.abort()


class WholeAnswer:
    """An answer sent as one JSON object when the last token of its last sequence is there."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._left = len(answer.work)

    def deliver(self, *, finished: bool) -> None:
        """Take the next token; with the last one the answer can be sent."""
        self._left -= finished
        if not self._left:
            self.answer.end()
