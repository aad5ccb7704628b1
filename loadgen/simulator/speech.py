"""What an answer says, as events and as a whole, in the shapes that chat and completions share.

Tokens are the insides of JSON strings, ready to be put into an event.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from loadgen.simulator.answer import Answer

MARK: Final = "\N{SUBSTITUTE}"  # where the token goes in a rendered event
_ESCAPED_MARK: Final = msgspec.json.encode(MARK)[1:-1]


def http_chunk(data: bytes) -> bytes:
    """Frame data as one chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def split(event: bytes) -> tuple[bytes, bytes]:
    """Return what comes before the last MARK of a rendered event, and after it."""
    before, _, after = event.rpartition(_ESCAPED_MARK)
    return before, after


def text(tokens: Iterable[bytes]) -> str:
    """Return what tokens say together."""
    return str(msgspec.json.decode(b'"%b"' % b"".join(tokens)))


def streamed(
    answer: Answer,
    kind: str,
    first: dict[str, Any] | None,
    spoken: Iterable[tuple[dict[str, Any], list[bytes]]],
    last: dict[str, Any],
) -> Iterator[bytes]:
    """Yield the beginning of a stream, what each token brings, and the end.

    first: the choice of the first event, which waits for no token. spoken: choices with a MARK, and the
    tokens that take its place. last: the choice that ends it.
    """
    shell, options = _shell(answer, kind), answer.ask.stream_options
    with_usage = options is not None and options.include_usage
    no_usage = {"usage": None} if with_usage else {}

    def event(choices: list[Any], usage: dict[str, Any]) -> bytes:
        return b"data: " + msgspec.json.encode(shell | {"choices": choices} | usage) + b"\n\n"

    yield http_chunk(event([first], no_usage)) if first else b""
    for choice, tokens in spoken:
        before, after = split(event([choice], no_usage))
        for token in tokens:
            yield http_chunk(before + token + after)
    end = http_chunk(event([last], no_usage))
    if with_usage:
        end += http_chunk(event([], {"usage": answer.usage()}))
    yield end + http_chunk(b"data: [DONE]\n\n")


def whole(answer: Answer, kind: str, choice: dict[str, Any]) -> bytes:
    """Return the body of an answer that is not streamed."""
    return msgspec.json.encode(_shell(answer, kind) | {"choices": [choice], "usage": answer.usage()})


def _shell(answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": answer.response_id,
        "object": kind,
        "created": answer.created_s,
        "model": answer.ask.model,
        "system_fingerprint": "fp_loadgen_simulated",
    }
