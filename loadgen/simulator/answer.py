"""One answer on its way to the client: an event stream, or a whole message at the end."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, Final

from loadgen.simulator.text import Call

# A client that lets this much pile up has stopped reading; it is dropped, so that it costs no memory.
MOST_UNREAD_BYTES: Final = 1 << 20


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

    response_id: str
    model: str
    created_s: int
    received_ns: int
    prompt_tokens: int
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
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.prompt_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": len(self.thoughts)},
        }

    def end(self) -> None:
        """Note that the last token is out, and wake the handler."""
        self.finish_reason = self.ends_with
        if not self.done.done():
            self.done.set_result(None)


class StreamedAnswer:
    """An answer sent as server-sent events, one token an event, straight into the transport.

    Writing through aiohttp costs a coroutine and several small writes an event. Here an event is one write
    of what `pieces` yields: the beginning, what each token brings, the end.
    """

    def __init__(self, answer: Answer, pieces: Iterator[bytes], transport: asyncio.Transport) -> None:
        self.answer = answer
        self._pieces = pieces
        self._transport = transport

    def begin(self) -> None:
        """Send the beginning. It comes at once, as from servers that open the stream before prefill."""
        # With a mark of 0 uvloop hands every write to the kernel at once, not at the end of its turn:
        # the instants in the log are those of the system calls.
        self._transport.set_write_buffer_limits(high=0)
        if beginning := next(self._pieces):
            self._transport.write(beginning)

    def deliver(self, *, finished: bool) -> None:
        """Write the next token; with the last one everything that ends the stream."""
        if self._transport.is_closing():
            return
        data = next(self._pieces)
        if finished:
            data += next(self._pieces)
        self.answer.events_ns.append(monotonic_ns())
        self._transport.write(data)
        if finished:
            self.answer.end()
        elif self._transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self._transport.abort()


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
