"""The short cut past the framing: reads that are one chunk each, which is one event like those before.

Servers write a chunk an event, and at the loads that count most reads bring one. The framing of such a read
and all of the event but its text are told by the read's size and the template (see `wire.template`), so they
are compared and cut off, a step for all reads. The other reads of an answer, most often the first and the
last, go through llhttp and the decoder.
"""

import operator
from collections.abc import Callable
from itertools import compress, count, repeat
from typing import Final

from loadgen.wire.framing import CRLF, Framing
from loadgen.wire.sse import SseDecoder
from loadgen.wire.stopwatch import Reads
from loadgen.wire.template import Template
from loadgen.wire.timeline import Int64s

_TRIES: Final = 6  # reads that are decoded by themselves, and templates that are tried
_FEW: Final = 4


def take_whole_events(
    reads: Reads, framing: Framing, sse: SseDecoder, feed: Callable[[list[bytes], Int64s], None]
) -> None:
    """Decode reads that begin between two chunks; feed: decodes some of them in full."""
    data, stamps_ns = reads.data, reads.stamps_ns
    at = 0
    for _ in range(_TRIES):
        if at >= len(data) or not framing.between:
            break
        template = sse.expect(data[at], data[at].find(b"\n") + 1)
        if template is None:
            feed(data[at : at + 1], stamps_ns[at : at + 1])
            at += 1
            continue
        texts, odd = texts_of(data[at:], template)
        if len(odd) > _FEW + len(texts) // _FEW:
            break
        for place in [*(at + place for place in odd), len(data)]:
            run = texts[at - len(data) + len(texts) : place - len(data) + len(texts)]
            if run and not sse.take(run, stamps_ns[at:place]):
                feed(data[at:place], stamps_ns[at:place])
            feed(data[place : place + 1], stamps_ns[place : place + 1])
            at = place + 1
            if sse.expect() is not template or not framing.between:
                break
    feed(data[at:], stamps_ns[at:])


def texts_of(reads: list[bytes], template: Template) -> tuple[list[bytes], list[int]]:
    """Find the reads that are one chunk each (RFC 9112, section 7.1) with one event of the template.

    Returns their texts, and the places of the reads that are not: there the text is any bytes. Whether the
    texts are insides of JSON strings is not known yet.
    """
    sizes, suffix = list(map(len, reads)), template.suffix + CRLF
    odd: list[int] = []
    texts: list[bytes] = []
    for heads in _HEADS:
        prefixes = {size: heads[size] + template.prefix for size in set(sizes)}
        left = {size: size - len(prefix) - len(suffix) for size, prefix in prefixes.items()}
        behind = map(bytes.removeprefix, reads, map(prefixes.__getitem__, sizes))
        texts = list(map(bytes.removesuffix, behind, repeat(suffix)))
        # nothing is removed of what is not there, and then the size tells
        odd = list(compress(count(), map(operator.ne, map(len, texts), map(left.__getitem__, sizes))))
        if 2 * len(odd) <= len(reads):
            break
    return texts, odd


class _Heads(dict[int, bytes]):
    """How a read begins that is one chunk, by its size; form: how the server writes the chunk's size."""

    def __init__(self, form: bytes) -> None:
        super().__init__()
        self._form = form

    def __missing__(self, size: int) -> bytes:
        head = b"\0"  # no such read is one chunk
        for digits in range(1, 8):
            line = self._form % max(0, size - digits - 2 * len(CRLF))
            if len(line) == digits and line != b"0":
                head = line + CRLF
        self[size] = head
        return head


_HEADS: Final = (_Heads(b"%x"), _Heads(b"%X"))
