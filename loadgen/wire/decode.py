"""Decoding off the stamping path (`wire.decode_queue` says when): the reads of a stream → a `Timeline`.

A stream is decoded when it ends, when 64 KB of it are pending, and when a time-out has to be judged.
"""

from collections.abc import Callable

from loadgen.scenario.model import Timeouts
from loadgen.wire.body import keep, mode_of, read_whole
from loadgen.wire.framing import CRLF, Framing
from loadgen.wire.inflate import decompressor, inflate
from loadgen.wire.kind import Endpoint
from loadgen.wire.outcome import outcome_of, retry_words, shorten
from loadgen.wire.shortcut import take_whole_events
from loadgen.wire.sse import SseDecoder
from loadgen.wire.stopwatch import Exchange, Reads
from loadgen.wire.template import Learned
from loadgen.wire.timeline import Int64s, Timeline
from loadgen.workload.prompt import Prompt


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
        prompt: Prompt,
        learned: Learned,
    ) -> None:
        self.exchange = exchange
        self.sse = SseDecoder(endpoint, learned, keep_answer=prompt.keep_answer)
        self.queued = False
        self._framing = Framing()
        self._body = bytearray()
        self._inflate: Callable[[bytes], bytes] | None = None
        self._mode = ""
        self._asked = len(prompt.inputs) or 1
        self._timeouts = timeouts
        self._redact = redact
        self._deliver = deliver
        self._delivered = False

    def step(self) -> bool:
        """Decode the oldest reads, or deliver what they came to; return whether there is more to do now."""
        exchange = self.exchange
        if exchange.reads:
            self._decode(exchange.take())
            return bool(exchange.reads) or exchange.done_ns is not None
        # once: a stream that was still queued when it ended is queued again by the one who sent it
        if exchange.done_ns is not None and not self._delivered:
            self._delivered = True
            self._deliver(self._timeline(exchange.done_ns))
        return False

    def drain(self) -> None:
        """Decode what has arrived so far (a time-out is about to be judged)."""
        while self.exchange.reads:
            self._decode(self.exchange.take())

    def _decode(self, reads: Reads) -> None:
        reads = self._framing.begin(reads)
        if self._framing.between and reads.data:
            self._begin(reads.data[0].partition(CRLF)[2])
        if self._framing.between and self._mode == "sse" and self._inflate is None:
            take_whole_events(reads, self._framing, self.sse, self._feed)
        else:
            self._feed(reads.data, reads.stamps_ns)

    def _begin(self, body: bytes) -> None:
        """Find out what it is that comes, by the headers and the first bytes of the body."""
        if not self._mode:
            self._mode = mode_of(self.exchange, body, streams=self.sse.endpoint.streams)
            if (encoding := self.exchange.headers.get(b"content-encoding")) is not None:
                self._inflate, self.sse.error = decompressor(encoding.lower().strip())

    def _feed(self, reads: list[bytes], stamps_ns: Int64s) -> None:
        """Decode reads in full."""
        data, ends = self._framing.body(reads)
        if not data:  # perhaps not even the headers are complete
            return
        self._begin(data)
        if self._inflate is not None:
            data, ends, broken = inflate(self._inflate, data, ends)
            self.sse.error = self.sse.error or broken
        if self._mode == "sse":
            self.sse.feed(data, ends, stamps_ns)
        else:
            self.sse.error = self.sse.error or keep(self._body, data, self._mode)

    def _timeline(self, done_ns: int) -> Timeline:
        exchange, sse = self.exchange, self.sse
        if self._mode == "whole" and exchange.failure is None and sse.error is None:
            read_whole(self._body, sse)
        sse.finish()
        self._framing.close()
        body = bytes(self._body) if self._mode == "other" else None
        outcome, error = outcome_of(exchange, sse, body, self._timeouts, self._asked)
        if error is not None:
            error = shorten(self._redact(error))
            if outcome == "rate_limited":
                error += self._redact(retry_words(exchange.headers))
        return Timeline(
            outcome=outcome,
            error=error,
            status=exchange.status,
            connect_start_ns=exchange.connect_start_ns,
            connected_ns=exchange.connected_ns,
            sent_ns=exchange.sent_ns,
            first_byte_ns=exchange.first_byte_ns,
            first_answer_ns=sse.outputs.first_answer_ns,
            done_ns=done_ns,
            event_ns=sse.outputs.event_ns,
            event_chars=sse.outputs.event_chars,
            events=sse.events,
            reasoning_events=sse.outputs.reasoning,
            first_event_tokens=sse.first_event_tokens,
            response_id=self._redact(sse.response_id) if sse.response_id else None,
            finish_reason=self._redact(sse.finish_reason) if sse.finish_reason else None,
            usage=sse.usage,
            attempts=max(1, exchange.attempts),
            answer=sse.answer,
            images=sse.made if sse.endpoint.makes == "images" else None,
        )
