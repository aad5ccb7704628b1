"""Server-sent events → output events with the instant of the read that completed each.

Format: WHATWG HTML, section 9.2 "Server-sent events". Decoding runs off the stamping path, and most events
take the short cut of `wire.template`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from loadgen.wire.event import beginning, fields, loads
from loadgen.wire.kind import Endpoint, Piece, error_text
from loadgen.wire.outputs import Outputs
from loadgen.wire.quote import Quote
from loadgen.wire.template import Learned, Template, characters, prove, shape_of, split
from loadgen.wire.timeline import Answer, Int64s, Usage

MAX_EVENT_BYTES: Final = 4 << 20
MAX_BODY_BYTES: Final = 256 << 20
TOO_LARGE: Final = ("bad_stream", f"the answer is larger than {MAX_BODY_BYTES >> 20} MB")
_BLANK_LINE: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_BOM: Final = b"\xef\xbb\xbf"
_MAX_UNUSED_TEMPLATES: Final = 8


class SseDecoder:
    """Decode one answer, fed in slices; reads what an `Endpoint` says an event means.

    outputs: its events with output; events: how many there were, with output or without. The other fields are
    those of the pieces seen. All is complete after `finish`.
    `error` is (outcome, text) once the stream is known to be bad. keep_answer: `answer` is what was said.
    learned: what is known of the target's answers.
    Of an answer that was one body (see `wire.body`): made is how many images or vectors it brought.
    """

    def __init__(
        self, endpoint: Endpoint, learned: Learned | None = None, *, keep_answer: bool = False
    ) -> None:
        self.endpoint = endpoint
        # which texts are quoted is seen in the first event, which a shape would let us skip
        self._learned = learned if learned is not None and not keep_answer else Learned()
        self._tail = b""
        self._tail_ns = 0  # the stamp of its last byte
        self._bytes = 0
        self._template: Template | None = None
        self._unused_templates = 0
        self.quote = Quote() if keep_answer else None
        self._quotes_template = False  # whether the template's texts belong to the answer that is kept
        self.outputs = Outputs()
        self.events = 0
        self.first_event_tokens: int | None = None
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.response_id: str | None = None
        self.done = False
        self.error: tuple[str, str] | None = None
        self.answer: Answer | None = None
        self.made: int | None = None

    def feed(self, data: bytes, ends: Int64s, stamps_ns: Int64s) -> None:
        """Decode the bytes of some parts.

        data: the parts, joined. ends: shape (parts,), offset in `data` at which each part ends.
        stamps_ns: shape (parts,), the instant of the read that brought it.
        """
        if self.error is not None:
            return
        self._bytes += len(data)
        if self._tail:
            # it may hold an event that waited for the byte after its last CR
            ends = np.concatenate(([0], ends)) + len(self._tail)
            stamps_ns = np.concatenate(([self._tail_ns], stamps_ns))
            data = self._tail + data
        pos = self._scan(data)
        self._tail = data[pos:]
        if self._tail:
            self._tail_ns = int(stamps_ns[ends.searchsorted(len(data))])
        self._check_size()
        self.outputs.stamp(ends, stamps_ns)

    def expect(self, data: bytes = b"", pos: int = 0) -> Template | None:
        """Return the template of the event at `pos`; None inside of an event, or when none is known."""
        if self._tail or self.error is not None:
            return None
        self._see_shape(data, pos)
        return self._template if self._template is not None and self._template.around is None else None

    def take(self, texts: list[bytes], stamps_ns: Int64s) -> bool:
        """Take events of the template by their texts, if those are strings; return whether they are.

        stamps_ns: shape (events,), the instant of each.
        """
        template, found = self._template, characters(texts)
        if template is None or found is None:
            return False
        chars, text = found
        if self.quote is not None and self._quotes_template:
            self.quote.add_text(text)
        self._unused_templates = 0
        self.events += len(texts)
        self._bytes += len(text) + len(texts) * (len(template.prefix) + len(template.suffix))
        sizes = np.fromiter(map(len, texts) if chars is None else chars, np.int64, len(texts))
        self.outputs.add_stamped(stamps_ns, sizes, answer=template.answer)
        self._check_size()
        return True

    def finish(self) -> None:
        """End the stream; an event that lacks only its blank line still counts, one cut short does not."""
        if self.error is None and self._tail.strip():
            self._last_event()
        self.outputs.finish()
        if self.quote is not None:
            self.answer = self.quote.answer()

    def _check_size(self) -> None:
        if self.error is not None:
            return
        if len(self._tail) > MAX_EVENT_BYTES:
            self.error = ("bad_stream", f"an event is larger than {MAX_EVENT_BYTES >> 20} MB")
        elif self._bytes > MAX_BODY_BYTES:
            self.error = TOO_LARGE

    def _last_event(self) -> None:
        cut_short, events = _BLANK_LINE.search(self._tail) is None, self.events
        self.feed(b"\n\n", np.array([2], np.int64), np.array([self._tail_ns], np.int64))
        if cut_short and self.error is not None and self.error[0] == "bad_stream":
            self.error, self.events = None, events

    def _scan(self, data: bytes) -> int:
        """Decode every complete event of `data`; return the offset of what is left."""
        pos = 0
        if self.events == 0 and self._bytes == len(data) and data.startswith(_BOM):
            pos = len(_BOM)
        returns = b"\r" in data
        while pos < len(data) and self.error is None:
            self._see_shape(data, pos)
            if self._template is not None and data.startswith(self._template.prefix, pos):
                after = self._run(data, pos, self._template)
                if after > pos:
                    pos = after
                    continue
            if returns:
                blank = _BLANK_LINE.search(data, pos)
                # a final CR may be half of a CRLF
                if blank is None or (blank.end() == len(data) and data.endswith(b"\r")):
                    break
                end = blank.end()
            else:
                end = data.find(b"\n\n", pos) + 2
                if end == 1:
                    break
            self._event(data[pos:end], end)
            pos = end
        return pos

    def _see_shape(self, data: bytes, pos: int) -> None:
        if not self.outputs.count and (shape := self._learned.shape) and (fits := shape.fit(data, pos)):
            self._template, self.response_id = fits[0], self.response_id or fits[1]

    def _run(self, data: bytes, pos: int, template: Template) -> int:
        """Decode the events that fit the template, from `pos` on; return the offset after them."""
        found = split(data, pos, template)
        if found is None:
            self._template = None
            return pos
        ends, chars, text = found
        if self.quote is not None and self._quotes_template:
            self.quote.add_text(text)
        self._unused_templates = 0
        self.events += len(ends)
        pos = ends[-1]
        if not all(chars):  # events with no text
            ends = [end for end, size in zip(ends, chars, strict=True) if size]
            chars = [size for size in chars if size]
        self.outputs.add(ends, chars, answer=template.answer)
        return pos

    def _event(self, raw: bytes, end: int) -> None:
        """Decode one event in full; `end` is the offset at which it was complete."""
        name, payload = fields(raw)
        if not payload:  # a comment; other fields only; or `data:` with nothing, which the format ignores too
            self.events += bool(raw.strip())
            return
        if payload == b"[DONE]":
            self.done = True
            return
        self.events += 1
        try:
            body = loads(payload)
        except ValueError:
            if name == b"error":
                self.error = ("error_in_stream", payload.decode("utf-8", "replace"))
                return
            self.error = ("bad_stream", f"event {self.events} is not JSON: {beginning(payload)!r}")
            return
        if name == b"error":
            self.error = ("error_in_stream", error_text(body))
            return
        if not isinstance(body, dict):
            self.error = ("bad_stream", f"event {self.events} is not a JSON object: {beginning(payload)!r}")
            return
        piece = self.endpoint.read(body)
        if piece.error is not None:
            self.error = ("error_in_stream", piece.error)
            return
        self.response_id = self.response_id or piece.response_id
        self.finish_reason = piece.finish or self.finish_reason
        self.usage = piece.usage or self.usage
        quoted: str | None = "" if self.quote is None else self._keep(body, self.quote)
        if chars := len(piece.answer) + len(piece.reasoning):
            if not self.outputs.count and piece.usage is not None:
                self.first_event_tokens = piece.usage.output_tokens
            self.outputs.add([end], [chars], answer=bool(piece.answer))
            if self._unused_templates < _MAX_UNUSED_TEMPLATES and quoted is not None:
                self._make_template(raw, piece)
                # all of the event's answer being quoted, so is the one string of it that can differ
                self._quotes_template = bool(quoted) and quoted == piece.answer

    def _keep(self, body: Mapping[str, Any], quote: Quote) -> str | None:
        """Keep what an event adds to the answer; return its text, None where it adds to a tool call."""
        text, calls = self.endpoint.quote(body)
        quote.add(text, calls)
        return None if calls else text

    def _make_template(self, raw: bytes, piece: Piece) -> None:
        self._template = prove(raw, piece, self.endpoint)
        if self._template is not None:
            self._unused_templates += 1  # back to 0 once it serves
            self._learned.shape = shape_of(self._template, piece, self.endpoint)
