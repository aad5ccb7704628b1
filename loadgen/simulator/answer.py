"""One answer on its way to the client: an event stream, or a whole message at the end."""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from time import monotonic_ns
from typing import Any, Final

import msgspec

from loadgen.simulator.text import Corpus
from loadgen.simulator.tools import Call

# A client that lets this much pile up has stopped reading; it is dropped, so that it costs no memory.
MOST_UNREAD_BYTES: Final = 1 << 20

_FINGERPRINT: Final = "fp_loadgen_simulated"
_MARK: Final = "\N{SUBSTITUTE}"  # where the token goes in a rendered event


@dataclass(slots=True, eq=False)
class Answer:
    """What is known of an answer before its first token, and the instants of its writes.

    All instants are `time.monotonic_ns`. events_ns: one for each write that carried output, taken
    just before it. finish_reason stays None when the answer was cut off. call: what it says instead of a
    text. blocks: of the prompt, for the prefix cache; cached_tokens: what that held of them.
    """

    response_id: str
    model: str
    created_s: int
    received_ns: int
    prompt_tokens: int
    output_tokens: int
    ends_with: str
    offset: int
    done: asyncio.Future[None]
    call: Call | None = None
    blocks: list[int] = field(default_factory=list)
    cached_tokens: int = 0
    finish_reason: str | None = None
    events_ns: list[int] = field(default_factory=list)

    def usage(self) -> dict[str, Any]:
        """Return the usage object of the API."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.prompt_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

    def end(self) -> None:
        """Note that the last token is out, and wake the handler."""
        self.finish_reason = self.ends_with
        if not self.done.done():
            self.done.set_result(None)


class StreamedAnswer:
    """An answer sent as server-sent events, one token an event, straight into the transport.

    Writing through aiohttp costs a coroutine and several small writes an event. Here the JSON around
    a token is rendered once, and an event is one concatenation and one write.
    """

    def __init__(
        self, answer: Answer, corpus: Corpus, transport: asyncio.Transport, *, include_usage: bool
    ) -> None:
        self.answer = answer
        self._transport = transport
        self._include_usage = include_usage
        delta: dict[str, Any] = {"content": _MARK}
        self._token = partial(corpus.escaped, answer.offset)
        if answer.call is not None:
            delta = {"tool_calls": [{"index": 0, "function": {"arguments": _MARK}}]}
            self._token = partial(_escaped_arguments, answer, corpus)
        self._before, _, self._after = self._event([_choice(delta)]).rpartition(_escaped(_MARK))

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        answer = self.answer
        chunk = {
            "id": answer.response_id,
            "object": "chat.completion.chunk",
            "created": answer.created_s,
            "model": answer.model,
            "system_fingerprint": _FINGERPRINT,
            "choices": choices,
        }
        if self._include_usage:
            chunk["usage"] = None
        return b"data: " + msgspec.json.encode(chunk | more) + b"\n\n"

    def begin(self) -> None:
        """Send the role event. It comes at once, as from servers that open the stream before prefill."""
        # With a mark of 0 uvloop hands every write to the kernel at once, not at the end of its turn:
        # the instants in the log are those of the system calls.
        self._transport.set_write_buffer_limits(high=0)
        content = "" if self.answer.call is None else None
        delta = {"role": "assistant", "content": content, "refusal": None}
        self._transport.write(_http_chunk(self._event([_choice(delta)])))

    def found(self, cached_tokens: int) -> None:
        """Take note of what the prefix cache held of the prompt."""
        self.answer.cached_tokens = cached_tokens

    def deliver(self, *, finished: bool) -> None:
        """Write the next token; with the last one everything that ends the stream."""
        if self._transport.is_closing():
            return
        answer = self.answer
        index = len(answer.events_ns)
        if answer.call is not None and index == 0:
            call = {"index": 0} | answer.call.opening()
            data = _http_chunk(self._event([_choice({"tool_calls": [call]})]))
        else:
            data = _http_chunk(self._before + self._token(index) + self._after)
        if finished:
            data += self._ending()
        answer.events_ns.append(monotonic_ns())
        self._transport.write(data)
        if finished:
            answer.end()
        elif self._transport.get_write_buffer_size() > MOST_UNREAD_BYTES:
            self._transport.abort()

    def _ending(self) -> bytes:
        events = [self._event([_choice({}, self.answer.ends_with)])]
        if self._include_usage:
            events.append(self._event([], usage=self.answer.usage()))
        events.append(b"data: [DONE]\n\n")
        return b"".join(_http_chunk(event) for event in events)


class WholeAnswer:
    """An answer sent as one JSON object when its last token is there."""

    def __init__(self, answer: Answer, corpus: Corpus) -> None:
        self.answer = answer
        self._corpus = corpus

    def found(self, cached_tokens: int) -> None:
        """Take note of what the prefix cache held of the prompt."""
        self.answer.cached_tokens = cached_tokens

    def deliver(self, *, finished: bool) -> None:
        """Take the next token; with the last one the answer can be sent."""
        if finished:
            self.answer.end()

    def body(self) -> bytes:
        """Return the whole answer; the write that carries it begins now."""
        answer = self.answer
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        if answer.call is None:
            message["content"] = self._corpus.text(answer.offset, answer.output_tokens)
        else:
            pieces = (_arguments(answer, self._corpus, i) for i in range(1, answer.output_tokens))
            message["tool_calls"] = [answer.call.opening(arguments="".join(pieces))]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": answer.ends_with,
        }
        body = {
            "id": answer.response_id,
            "object": "chat.completion",
            "created": answer.created_s,
            "model": answer.model,
            "system_fingerprint": _FINGERPRINT,
            "choices": [choice],
            "usage": answer.usage(),
        }
        return msgspec.json.encode(body)


def _arguments(answer: Answer, corpus: Corpus, index: int) -> str:
    """Return what token `index` adds to the arguments of the answer's call."""
    assert answer.call is not None  # noqa: S101  # only asked where there is one
    return answer.call.piece(index, corpus.word(answer.offset, index))


def _escaped_arguments(answer: Answer, corpus: Corpus, index: int) -> bytes:
    return _escaped(_arguments(answer, corpus, index))


def _escaped(text: str) -> bytes:
    """Return text as the inside of a JSON string."""
    return msgspec.json.encode(text)[1:-1]


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _http_chunk(data: bytes) -> bytes:
    """Frame data as one chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)
