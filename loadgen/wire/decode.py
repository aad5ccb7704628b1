"""Decoding off the stamping path, a stream at a time, when no reads come: it ends in a `Timeline`.

A stream is decoded when it ends, when 64 KB of it are pending, and when a time-out has to be judged.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from loadgen.scenario.model import Timeouts
from loadgen.wire.endpoints import Endpoint
from loadgen.wire.inflate import decompressor, inflate
from loadgen.wire.outcome import outcome_of, shorten
from loadgen.wire.sse import SseDecoder
from loadgen.wire.stopwatch import LATEST_READ_NS, Exchange, now_ns
from loadgen.wire.timeline import Int64s, Timeline
from loadgen.wire.timerfd import PreciseTimer

SLICE_NS: Final = 50_000
WAKE_UPS: Final = 2
QUIET_NS: Final = 15_000
LOOK_NS: Final = 80_000
WAKE_PATIENCE_NS: Final = 1_000_000
PATIENCE_NS: Final = 5_000_000
DECODE_NS: Final = 200_000
MAX_ERROR_BODY: Final = 64 << 10
# Above this many streams that wait for decoding a slice grows in proportion, so that memory stays bounded
# even when the generator is past its limit (which the run's verdict then says).
_BACKLOG: Final = 1_000


class Decoding:
    """The decoding of one exchange: takes its reads as they come, ends in a `Timeline`."""

    __slots__ = (
        "_body",
        "_deliver",
        "_delivered",
        "_inflate",
        "_mode",
        "_redact",
        "_timeouts",
        "exchange",
        "queued",
        "sse",
    )

    def __init__(
        self,
        exchange: Exchange,
        endpoint: Endpoint,
        timeouts: Timeouts,
        redact: Callable[[str], str],
        deliver: Callable[[Timeline], None],
        *,
        keep_answer: bool = False,
    ) -> None:
        self.exchange = exchange
        self.sse = SseDecoder(endpoint, keep_answer=keep_answer)
        self.queued = False
        self._body = bytearray()
        self._inflate: Callable[[bytes], bytes] | None = None
        self._mode = ""
        self._timeouts = timeouts
        self._redact = redact
        self._deliver = deliver
        self._delivered = False

    def step(self) -> bool:
        """Decode the oldest reads; return whether there is more to do now."""
        exchange = self.exchange
        if exchange.marks:
            self._decode(*exchange.take())
            if exchange.marks:
                return True
        # once: a stream that was still queued when it ended is queued again by the one who sent it
        if exchange.done_ns is not None and not self._delivered:
            self._delivered = True
            self._deliver(self._timeline(exchange.done_ns))
        return False

    def drain(self) -> None:
        """Decode what has arrived so far (a time-out is about to be judged)."""
        while self.exchange.marks:
            self._decode(*self.exchange.take())

    def _decode(self, data: bytes, ends: Int64s, stamps_ns: Int64s) -> None:
        if not data:  # perhaps not even the headers are complete
            return
        if not self._mode:
            self._choose_mode()
        if self._inflate is not None:
            data, ends, broken = inflate(self._inflate, data, ends)
            self.sse.error = self.sse.error or broken
        if self._mode == "sse":
            self.sse.feed(data, ends, stamps_ns)
        elif len(self._body) < MAX_ERROR_BODY:
            self._body += data

    def _choose_mode(self) -> None:
        exchange = self.exchange
        if exchange.content_encoding not in (b"", b"identity"):
            self._inflate, self.sse.error = decompressor(exchange.content_encoding)
        is_json = exchange.content_type.startswith(b"application/json")
        self._mode = (
            "sse" if exchange.status is not None and exchange.status < 300 and not is_json else "body"
        )

    def _timeline(self, done_ns: int) -> Timeline:
        exchange, sse = self.exchange, self.sse
        sse.finish()
        body = bytes(self._body) if self._mode == "body" else None
        outcome, error = outcome_of(exchange, sse, body, self._timeouts)
        return Timeline(
            outcome=outcome,
            error=shorten(self._redact(error)) if error else None,
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
        )


class DecodeQueue:
    """What is done between two looks at the sockets: some wake-ups, then a slice of decoding.

    Servers send in bursts: streams that began together have their events due together. So both wait until
    no read has come for 15 µs: a session whose request has ended for at most 1 ms, decoding for at most 5 ms,
    and the less the more of them wait. While reads come the queue looks again every 80 µs, since a look at
    every turn of the loop would slow down the reads. And when hundreds of streams end together, waking all
    their sessions at once would keep the loop from the reads of all others for many milliseconds; so they
    go a few at a time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Decoding] = deque()
        self._ended: deque[asyncio.Future[None]] = deque()
        self._scheduled = False
        self._looked_ns = 0
        self._woken_ns = 0
        self._decoded_ns = 0
        self._timer = PreciseTimer(loop, self._look)
        self.next_start_ns: Callable[[], int | None] = lambda: None  # set by whoever plans to send

    def __len__(self) -> int:
        return len(self._waiting) + len(self._ended)

    def add(self, decoding: Decoding) -> None:
        """Decode this stream soon; adding it again before then changes nothing."""
        if not decoding.queued:
            decoding.queued = True
            if not self._waiting:
                self._decoded_ns = now_ns()
            self._waiting.append(decoding)
            self._schedule()

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """Let the session go on that waits for the end of its request."""
        if not self._ended:
            self._woken_ns = now_ns()
        self._ended.append(waiter)
        self._schedule()

    def close(self) -> None:
        """Give the timer back."""
        self._timer.close()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._looked_ns = now_ns()
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        ended, waiting = self._ended, self._waiting
        self._scheduled = False
        now, read_ns = now_ns(), LATEST_READ_NS[0]
        quiet = now - read_ns > QUIET_NS
        if ended and (quiet or now - self._woken_ns > WAKE_PATIENCE_NS // len(ended)):
            self._woken_ns = now
            for _ in range(min(len(ended), WAKE_UPS)):
                waiter = ended.popleft()
                if not waiter.done():
                    waiter.set_result(None)
        elif waiting and (
            (quiet and not self._disturbs(now)) or now - self._decoded_ns > PATIENCE_NS // (1 + len(waiting))
        ):
            self._decode(now)
        if not ended and not waiting:
            return
        if read_ns > self._looked_ns:
            self._scheduled = True
            self._looked_ns = now
            self._timer.arm(now + LOOK_NS)
        else:
            self._schedule()

    def _disturbs(self, now: int) -> bool:
        """Whether a request is to leave before a stream could be decoded."""
        next_ns = self.next_start_ns()
        return next_ns is not None and next_ns - now < DECODE_NS

    def _decode(self, now: int) -> None:
        waiting = self._waiting
        until = now + SLICE_NS * (1 + len(waiting) // _BACKLOG)
        while waiting:
            decoding = waiting.popleft()
            decoding.queued = False
            if decoding.step():
                decoding.queued = True
                waiting.append(decoding)
            self._decoded_ns = now_ns()
            if self._decoded_ns >= until:
                break
