"""HTTP's framing taken off the reads of an answer, each read keeping its place."""

from typing import Final

import httptools
import numpy as np

from loadgen.wire.timeline import Int64s

_FEW_READS: Final = 40
_MOST_HEAD: Final = 8 << 10
_HEX_DIGITS: Final = np.array([16**n for n in range(1, 8)], np.int64)


class Framing:
    """Takes HTTP's framing off the reads of an answer; those who timed it have judged whether it is whole."""

    def __init__(self) -> None:
        self._spans: list[bytes] = []
        self.on_body = self._spans.append  # called by llhttp with each span of the body
        self._parser = httptools.HttpResponseParser(self)
        self._begun = self._broken = self._over = False

    def on_message_begin(self) -> None:
        """Stop at a second answer: nobody asked for it."""
        if self._over:
            raise ValueError("bytes after the end of the answer")

    def on_message_complete(self) -> None:
        """Take note of the end; an informational answer (1xx) is none."""
        self._over = self._parser.get_status_code() >= 200

    def body(self, raw: bytes, sizes: Int64s) -> tuple[bytes, Int64s]:
        """Return the bytes of the body, and the offset in them at which each read ends.

        sizes: shape (reads,), how many bytes each read brought.
        """
        spans, ends = self._spans, sizes.cumsum()
        spans.clear()
        marks = None
        if not self._begun and len(ends) > _FEW_READS:
            self._feed(raw)
            marks = _marks_of_chunks(raw, np.array([len(span) for span in spans], np.int64), ends)
            if marks is None:  # once more, read by read
                self._parser = httptools.HttpResponseParser(self)
                self._broken = self._over = False
                spans.clear()
        self._begun = True
        if marks is None:
            seen, start = [], 0
            for end in ends.tolist():
                self._feed(raw[start:end])
                seen.append(len(spans))
                start = end
            marks = np.array([0, *map(len, spans)], np.int64).cumsum()[seen]
        return b"".join(spans), marks

    def close(self) -> None:
        """Part from the parser, which holds us."""
        self._broken = True
        del self._parser

    def _feed(self, data: bytes) -> None:
        if not self._broken:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._broken = True


def _marks_of_chunks(raw: bytes, sizes: Int64s, ends: Int64s) -> Int64s | None:
    """Return how much of the body each read had completed, of a whole answer in plain chunks; else None.

    sizes: shape (chunks,), bytes of each. ends: shape (reads,), offset in `raw`. Plain chunks have their
    size in as few digits as can be and no extension (RFC 9112, section 7.1). Everything else makes the
    answer longer than they would, so its length tells.
    """
    head = raw.find(b"\r\n\r\n", 0, _MOST_HEAD) + 4
    digits = 1 + np.searchsorted(_HEX_DIGITS, sizes, side="right")
    chunk_ends = head + (digits + sizes + 4).cumsum()
    if not len(sizes) or head < 4 or chunk_ends[-1] + 5 != len(raw) or not sizes.all():
        return None
    done = sizes.cumsum()
    chunk = (chunk_ends - 2).searchsorted(ends, side="right")  # the first whose bytes are not all there
    last = np.minimum(chunk, len(sizes) - 1)
    part = ends - (chunk_ends[last] - 2 - sizes[last])
    marks: Int64s = np.where(
        chunk < len(sizes), done[last] - sizes[last] + np.clip(part, 0, sizes[last]), done[-1]
    )
    return marks
