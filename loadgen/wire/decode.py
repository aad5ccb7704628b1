"""Decoding off the stamping path (`wire.decode_queue` says when): the reads of a stream → a `Timeline`.

A stream is decoded when it ends, when 64 KB of it are pending, and when a time-out has to be judged.
"""

from collections.abc import Callable
from typing import Final

from loadgen.scenario.model import Timeouts
from loadgen.wire.framing import Framing
from loadgen.wire.inflate import decompressor, inflate
from loadgen.wire.kind import Endpoint
from loadgen.wire.outcome import outcome_of, retry_words, shorten
from loadgen.wire.sse import MAX_BODY_BYTES, TOO_LARGE, SseDecoder
from loadgen.wire.stopwatch import Exchange
from loadgen.wire.timeline import Int64s, Timeline

MAX_ERROR_BODY: Final = 64 << 10


class Decoding:
    """The decoding of one exchange: takes its reads as they come, ends in a `Timeline`."""

    def __init__(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        timeouts: Timeouts,
        redact: Callable[[str], str],
        deliver: Callable[[Timeline], None],
        *,
        keep_answer: bool = False,
        asked: int = 1,
    ) -> None:
        self.exchange = exchange
        self.sse = SseDecoder(endpoint, keep_answer=keep_answer)
        self.queued = False
        self._framing = Framing()
        self._body = bytearray()
        self._inflate: Callable[[bytes], bytes] | None = None
        self._mode = ""
        self._whole = not endpoint.streams
        self._asked = asked
        self._timeouts = timeouts
        self._redact = redact
        self._deliver = deliver
        self._delivered = False

    def step(self) -> bool:
        """Decode the oldest reads; return whether there is more to do now."""
        exchange = self.exchange
        if exchange.reads:
            self._decode(*exchange.take())
            if exchange.reads:
                return True
        # once: a stream that was still queued when it ended is queued again by the one who sent it
        if exchange.done_ns is not None and not self._delivered:
            self._delivered = True
            self._deliver(self._timeline(exchange.done_ns))
        return False

    def drain(self) -> None:
        """Decode what has arrived so far (a time-out is about to be judged)."""
        while self.exchange.reads:
            self._decode(*self.exchange.take())

    def _decode(self, raw: bytes, sizes: Int64s, stamps_ns: Int64s) -> None:
        data, ends = self._framing.body(raw, sizes)
        if not data:  # perhaps not even the headers are complete
            return
        if not self._mode:
            self._choose_mode(data)
        if self._inflate is not None:
            data, ends, broken = inflate(self._inflate, data, ends)
            self.sse.error = self.sse.error or broken
        if self._mode == "sse":
            self.sse.feed(data, ends, stamps_ns)
        elif self._mode == "whole" and len(self._body) + len(data) > MAX_BODY_BYTES:
            self.sse.error = self.sse.error or TOO_LARGE
            self._body.clear()
        elif self._mode == "whole" or len(self._body) < MAX_ERROR_BODY:
            self._body += data

    def _choose_mode(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange.content_encoding not in (b"", b"identity"):
            self._inflate, self.sse.error = decompressor(exchange.content_encoding)
        if exchange.status is None or exchange.status >= 300:
            self._mode = "body"
        elif self._whole:
            self._mode = "whole"
        else:  # no line of an event stream begins like HTML or JSON, whatever the header says
            other = data[:64].lstrip()[:1] in (b"<", b"{")
            is_json = exchange.content_type.startswith(b"application/json")
            self._mode = "body" if other or is_json else "sse"

    def _timeline(self, done_ns: int) -> Timeline:
        exchange, sse = self.exchange, self.sse
        if self._mode == "whole" and exchange.failure is None and sse.error is None:
            sse.whole(self._body)
        sse.finish()
        self._framing.close()
        body = bytes(self._body) if self._mode == "body" else None
        outcome, error = outcome_of(exchange, sse, body, self._timeouts, self._asked)
        if error is not None:
            error = shorten(self._redact(error))
            if outcome == "rate_limited":
                error += self._redact(retry_words(exchange.retry_after))
        return Timeline(
            outcome=outcome,
            error=error,
            status=exchange.status,
            connect_start_ns=exchange.connect_start_ns,
            connected_ns=exchange.connected_ns,
            sent_ns=exchange.sent_ns,
            first_byte_ns=exchange.first_byte_ns,
            first_answer_ns=sse.first_answer_ns,
            done_ns=done_ns,
            event_ns=sse.event_ns,
            event_chars=sse.event_chars,
            events=sse.events,
            reasoning_events=sse.reasoning_events,
            first_event_tokens=sse.first_event_tokens,
            response_id=self._redact(sse.response_id) if sse.response_id else None,
            finish_reason=self._redact(sse.finish_reason) if sse.finish_reason else None,
            usage=sse.usage,
            attempts=max(1, exchange.attempts),
            answer=sse.answer,
            images=sse.made if sse.endpoint.makes == "images" else None,
        )
