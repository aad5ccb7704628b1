"""HTTP's framing taken off the reads of an answer, each read keeping its place."""

from itertools import accumulate
from typing import Final

import httptools
import numpy as np

from loadgen.wire.stopwatch import Reads
from loadgen.wire.timeline import NO_EVENTS, Int64s

CRLF: Final = b"\r\n"
_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_INFORMATIONAL: Final = b"1"
_STATUS: Final = len("HTTP/1.1 ")


class Framing:
    """Takes HTTP's framing off the reads of an answer; those who timed it have judged whether it is whole.

    between: whether what has been fed ends between two chunks. Reads that are whole chunks may then be left
    out, for no chunk depends on those before it (RFC 9112, section 7.1).
    """

    def __init__(self) -> None:
        self._spans: list[bytes] = []
        self.on_body = self._spans.append  # called by llhttp with each span of the body
        self._parser: httptools.HttpResponseParser | None = None
        self._begun = self._broken = self._over = self._behind_chunk = False
        self.between = False

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        """Stop at a second answer: nobody asked for it."""
        if self._over:
            raise ValueError("bytes after the end of the answer")

    def on_chunk_header(self) -> None:
        """Take note that a chunk has begun."""
        self._behind_chunk = False

    def on_chunk_complete(self) -> None:
        """Take note that it has ended."""
        self._behind_chunk = True

    def on_message_complete(self) -> None:
        """Take note of the end; an informational answer (1xx) is none."""
        self._over = self._parser is not None and self._parser.get_status_code() >= 200

    def begin(self, reads: Reads) -> Reads:
        """Take the head off, if it is whole in the first read of a chunked answer."""
        begun, self._begun = self._begun, True
        if begun or not reads.chunked or reads.data[0].startswith(_INFORMATIONAL, _STATUS):
            return reads
        _, blank, rest = reads.data[0].partition(CRLF + CRLF)
        if not blank:
            return reads
        self.between = True
        skipped = 0 if rest else 1
        return Reads([rest, *reads.data[1:]][skipped:], reads.stamps_ns[skipped:], reads.chunked)

    def body(self, reads: list[bytes]) -> tuple[bytes, Int64s]:
        """Return the bytes of the body, and the offset in them at which each read ends."""
        if not reads:
            return b"", NO_EVENTS
        spans, seen = self._spans, []
        spans.clear()
        if self._parser is None and not self._broken:
            self._parser = httptools.HttpResponseParser(self)
            if self.between:  # the head was taken off
                self._parser.feed_data(_CHUNKED)
        for data in reads:
            self._feed(data)
            seen.append(len(spans))
        # behind a chunk, a line that has ended is its own end: that of the next one's size would be told
        self.between = self._behind_chunk and not self._over and reads[-1].endswith(CRLF)
        ends = list(accumulate(map(len, spans), initial=0))
        return b"".join(spans), np.array([ends[n] for n in seen], np.int64)

    def close(self) -> None:
        """Part from the parser, which holds us."""
        self._broken, self.between = True, False
        self._parser = None

    def _feed(self, data: bytes) -> None:
        if self._parser is not None and not self._broken:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._broken = True
