"""HTTP's framing taken off the reads of an answer, each read keeping its place."""

from itertools import chain
from typing import Final

import httptools
import numpy as np

from loadgen.wire.stopwatch import Reads
from loadgen.wire.timeline import Int64s

_MOST_HEAD: Final = 8 << 10
_HEX_DIGITS: Final = np.array([16**n for n in range(1, 8)], np.int64)
_LAST: Final = b"\r\n0\r\n\r\n"  # behind the data of the last chunk
_INSIDE: Final = len(b"\r\n1\r\n.")  # so far behind the data of one chunk is the next one's


class Framing:
    """Takes HTTP's framing off the reads of an answer; those who timed it have judged whether it is whole."""

    def __init__(self) -> None:
        self._spans: list[bytes] = []
        self.on_body = self._spans.append  # called by llhttp with each span of the body
        self._parser: httptools.HttpResponseParser | None = None
        self._broken = self._over = False

    def on_message_begin(self) -> None:
        """Stop at a second answer: nobody asked for it."""
        if self._over:
            raise ValueError("bytes after the end of the answer")

    def on_message_complete(self) -> None:
        """Take note of the end; an informational answer (1xx) is none."""
        self._over = self._parser is not None and self._parser.get_status_code() >= 200

    def body(self, reads: Reads) -> tuple[bytes, Int64s]:
        """Return the bytes of the body, and the offset in them at which each read ends."""
        if reads.spans and (marks := _marks_of_chunks(reads.data, reads.spans)) is not None:
            return b"".join(reads.spans), marks
        spans, seen = self._spans, []
        spans.clear()
        if self._parser is None and not self._broken:
            self._parser = httptools.HttpResponseParser(self)
        for data in reads.data:
            self._feed(data)
            seen.append(len(spans))
        return b"".join(spans), np.array([0, *map(len, spans)], np.int64).cumsum()[seen]

    def close(self) -> None:
        """Part from the parser, which holds us."""
        self._broken = True
        self._parser = None

    def _feed(self, data: bytes) -> None:
        if self._parser is not None and not self._broken:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._broken = True


def _marks_of_chunks(reads: list[bytes], chunks: list[bytes]) -> Int64s | None:
    """Return how much of the body each read had completed, of a whole answer in plain chunks; else None.

    Plain chunks have their size in as few digits as can be and no extension (RFC 9112, section 7.1), and no
    read ends inside one. Everything else makes the answer longer than they would, so its length tells.
    """
    start = reads[0] if b"\r\n\r\n" in reads[0] else b"".join(reads)
    head = start.find(b"\r\n\r\n", 0, _MOST_HEAD) + 4
    sizes = np.fromiter(chain((0,), map(len, chunks)), np.int64, len(chunks) + 1)  # of the head: none
    data_ends = (sizes + (5 + _HEX_DIGITS.searchsorted(sizes, side="right"))).cumsum()
    data_ends += head - 2 - data_ends[0]
    ends = np.fromiter(map(len, reads), np.int64, len(reads)).cumsum()
    if head < 4 or data_ends[-1] + len(_LAST) != ends[-1]:
        return None
    complete = data_ends.searchsorted(ends, side="right") - 1
    behind = ends - data_ends[complete]
    behind[-1] = 0
    if complete[0] < 0 or behind.max() >= _INSIDE:
        return None
    marks: Int64s = sizes.cumsum()[complete]
    return marks
