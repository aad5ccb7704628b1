"""What an answer says, token by token and as a whole, in the shapes that all kinds of endpoint share."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from loadgen.simulator.answer import Answer, http_chunk
from loadgen.simulator.text import Corpus

MARK: Final = "\N{SUBSTITUTE}"  # where the token goes in a rendered event
_ESCAPED_MARK: Final = msgspec.json.encode(MARK)[1:-1]
DONE: Final = b"data: [DONE]\n\n"
FINGERPRINT: Final = "fp_loadgen_simulated"


def data_event(value: dict[str, Any]) -> bytes:
    """Render a server-sent event without a name."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def split(event: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the last MARK of a rendered event, and after it."""
    before, _, after = event.rpartition(_ESCAPED_MARK)
    return before, after


def framed(around: tuple[bytes, bytes], corpus: Corpus, offset: int, tokens: int) -> Iterator[bytes]:
    """Yield an event for each token of the corpus from `offset` on."""
    before, after = around
    for index in range(tokens):
        yield http_chunk(before + corpus.escaped(offset, index) + after)


def escaped(text: str) -> bytes:
    """Return text as the inside of a JSON string."""
    return msgspec.json.encode(text)[1:-1]


def reasoning(answer: Answer, corpus: Corpus) -> str:
    """Return the whole reasoning."""
    return corpus.text(answer.offset, answer.reasoning_tokens)


def text(answer: Answer, corpus: Corpus) -> str:
    """Return the whole answer after the reasoning."""
    first = answer.reasoning_tokens
    return corpus.text(answer.offset + first, answer.output_tokens - first)


def argument_pieces(answer: Answer, corpus: Corpus) -> Iterator[str]:
    """Yield what each token of the answer's call after the first adds to its arguments."""
    assert answer.call is not None  # noqa: S101  # only asked where there is one
    first = answer.offset + answer.reasoning_tokens
    for index in range(1, answer.output_tokens - answer.reasoning_tokens):
        yield answer.call.piece(index, corpus.word(first, index))


def arguments(answer: Answer, corpus: Corpus) -> str:
    """Return all arguments of the answer's call."""
    return "".join(argument_pieces(answer, corpus))
