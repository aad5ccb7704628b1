"""The stopwatch: a connection whose reads are stamped before anything else happens to them.

`Connection` stamps and feeds the HTTP framing (llhttp); an `Exchange` is one request on it while it is
live and holds the stamps and the body until the decoder takes them. Nothing here parses SSE or
JSON and nothing wakes a coroutine but the end of the answer (docs/measuring.md says why).
"""

import asyncio
import time
from array import array
from collections.abc import Callable
from typing import Final

import httptools
import numpy as np

from loadgen.wire.timeline import Int64s

now_ns: Final = time.perf_counter_ns
PENDING_READS: Final = 256
PENDING_BYTES: Final = 64 << 10
MAX_HEADER_BYTES: Final = 128 << 10
LATEST_READ_NS: Final = [0]  # of all connections: by it is known whether a burst has passed


class Exchange:
    """One request and its answer on the wire, while live.

    stamps: instant of every read; marks: how long the body was after it; body: its bytes so far.
    These three are emptied by the decoder as it goes.
    """

    __slots__ = (
        "answered",
        "attempts",
        "body",
        "check_ns",
        "complete",
        "connect_start_ns",
        "connected_ns",
        "connection",
        "content_encoding",
        "content_type",
        "done_ns",
        "failure",
        "first_byte_ns",
        "framed",
        "header_bytes",
        "marks",
        "on_body",
        "on_pending",
        "sent_ns",
        "stamps",
        "status",
        "waiter",
        "wake",
    )

    def __init__(self, waiter: asyncio.Future[None], wake: Callable[[asyncio.Future[None]], None]) -> None:
        self.waiter = waiter
        self.wake = wake
        self.on_pending: Callable[[], None] | None = None
        self.connection: Connection | None = None
        self.attempts = 0
        self.check_ns = 0  # when the time-outs are looked at next
        self.connect_start_ns: int | None = None
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None
        self.done_ns: int | None = None
        self.failure: tuple[str, str] | None = None
        self.begin()

    def ended(self) -> bool:
        """Whether the answer is complete or the request has failed."""
        return self.done_ns is not None

    @property
    def stale(self) -> bool:
        """Whether the connection was gone before a byte of the answer came."""
        return (
            self.failure is not None
            and self.failure[0] == "disconnected"
            and not self.stamps
            and self.first_byte_ns is None
        )

    def begin_again(self, waiter: asyncio.Future[None], on_pending: Callable[[], None]) -> None:
        """Make ready to be sent a second time."""
        self.waiter = waiter
        self.on_pending = on_pending
        self.done_ns = None
        self.failure = None
        self.begin()

    def begin(self) -> None:
        """Make ready for an answer."""
        self.stamps = array("q")
        self.marks = array("q")
        self.body = bytearray()
        self.on_body = self.body.extend  # called by llhttp with each span of the body
        self.first_byte_ns: int | None = None
        self.status: int | None = None
        self.content_type = b""
        self.content_encoding = b""
        self.header_bytes = 0
        self.framed = False
        self.answered = False
        self.complete = False

    def take(self, most_reads: int = PENDING_READS) -> tuple[bytes, Int64s, Int64s]:
        """Hand over the oldest reads: body bytes, offset in them at which each read ends, stamp of each read.

        Shapes: (bytes,), (reads,), (reads,).
        """
        stamps, marks, body = self.stamps, self.marks, self.body
        if self.first_byte_ns is None and stamps:
            self.first_byte_ns = stamps[0]
        if len(marks) <= most_reads:
            taken = bytes(body), np.array(marks, np.int64), np.array(stamps, np.int64)
            del body[:], marks[:], stamps[:]
            return taken
        upto = marks[most_reads - 1]
        data, ends = bytes(body[:upto]), np.array(marks[:most_reads], np.int64)
        of_read = np.array(stamps[:most_reads], np.int64)
        del body[:upto], stamps[:most_reads]
        self.marks = array("q", [m - upto for m in marks[most_reads:]])
        return data, ends, of_read

    # llhttp's callbacks

    def on_message_begin(self) -> None:
        """Refuse a second answer: nobody asked for it, and its bytes must not be taken for this one's."""
        if self.complete:
            raise ValueError("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that decide how the body is read."""
        self.header_bytes += len(name) + len(value)
        if self.header_bytes > MAX_HEADER_BYTES:
            what = f"the answer's headers are larger than {MAX_HEADER_BYTES >> 10} KB"
            self.fail("bad_stream", what, self.stamps[-1])
            return
        if self.answered:  # a trailer decides nothing any more
            return
        name = name.lower()
        if name == b"content-type":
            self.content_type = value.lower()
        elif name == b"content-encoding":
            self.content_encoding = value.lower().strip()
        elif name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
            self.framed = True

    def on_headers_complete(self) -> None:
        """Take the status; of an informational answer (1xx) nothing is kept."""
        if self.connection is not None and self.connection.parser is not None:
            status = self.connection.parser.get_status_code()
            if status >= 200:
                self.status = status
                self.answered = True
            else:
                self.content_type = self.content_encoding = b""
                self.framed = False

    def on_message_complete(self) -> None:
        """End the request at the stamp of the read that completed it."""
        if self.answered:
            self.finish(self.stamps[-1])

    # endings

    def finish(self, done_ns: int) -> None:
        """Take the complete answer; its connection is free again."""
        connection = self.connection
        if self.complete or connection is None:
            return
        self.complete = True
        self.done_ns = done_ns
        connection.release(reusable=self.framed and connection.keeps_alive())
        self._wake()

    def fail(self, outcome: str, error: str, at_ns: int | None = None) -> None:
        """End the request as failed and drop its connection."""
        if self.done_ns is not None:
            return
        self.failure = (outcome, error)
        self.done_ns = at_ns if at_ns is not None else now_ns()
        if self.connection is not None:
            self.connection.release(reusable=False)
        self._wake()

    def _wake(self) -> None:
        self.connection = None
        self.on_pending = None
        self.wake(self.waiter)


class Connection(asyncio.Protocol):
    """One connection; carries one exchange at a time."""

    __slots__ = ("exchange", "feed", "on_free", "parser", "served", "transport")

    def __init__(self) -> None:
        self.on_free: Callable[[Connection, bool], None] | None = None  # set by its client
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None
        self.parser: httptools.HttpResponseParser | None = None
        self.feed: Callable[[bytes], None] = _unexpected
        self.served = 0

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it now."""
        return self.transport is not None and not self.transport.is_closing() and self.exchange is None

    def start(self, exchange: Exchange, request: bytes) -> None:
        """Send a request; the stamp is taken just before the kernel gets its first byte."""
        transport = self.transport
        assert transport is not None  # noqa: S101  # the caller has checked `usable`
        exchange.connection = self
        exchange.attempts += 1
        self.exchange = exchange
        self.parser = parser = httptools.HttpResponseParser(exchange)
        self.feed = parser.feed_data
        exchange.sent_ns = now_ns()
        transport.write(request)

    def keeps_alive(self) -> bool:
        """Whether the server lets this connection carry another request."""
        return self.parser is not None and bool(self.parser.should_keep_alive())

    def release(self, *, reusable: bool) -> None:
        """Part from the exchange; no reference between the two is left."""
        self.exchange = None
        self.parser = None
        self.feed = _unexpected
        self.served += 1
        if not reusable:
            self.close()
        elif self.on_free is not None:
            self.on_free(self, True)

    def close(self) -> None:
        """Close at once, without waiting for what is still to be written."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = None
        on_free, self.on_free = self.on_free, None
        if on_free is not None:
            on_free(self, False)

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (for TLS a second one takes the place of the first)."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not subclasses

    def data_received(self, data: bytes) -> None:
        """Stamp a read, then let the framing find the body in it."""
        stamp = now_ns()
        exchange = self.exchange
        if exchange is None:
            self._unsolicited()
            return
        LATEST_READ_NS[0] = stamp
        exchange.stamps.append(stamp)
        feed = self.feed
        try:
            feed(data)
        except httptools.HttpParserError as error:
            self._bad_framing(exchange, error)
        except httptools.HttpParserUpgrade:
            exchange.fail("bad_stream", "the server switched protocols", stamp)
        marks = exchange.marks
        marks.append(len(exchange.body))
        if (len(data) >= PENDING_BYTES or len(marks) >= PENDING_READS) and exchange.on_pending is not None:
            exchange.on_pending()

    def eof_received(self) -> bool:
        """The server has closed its side."""
        self._ended(now_ns(), None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._ended(now_ns(), exc)
        self.close()

    def pause_writing(self) -> None:
        """Nothing to do: a request is written whole, the kernel and the transport hold it."""

    def resume_writing(self) -> None:
        """See pause_writing."""

    def _ended(self, stamp: int, exc: Exception | None) -> None:
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.answered and not exchange.framed and exc is None:
            exchange.finish(stamp)  # a body that ends with the connection
        else:
            where = "in the middle of the answer" if exchange.answered else "before it answered"
            how = f"the connection was lost ({exc})" if exc else "the server closed the connection"
            exchange.fail("disconnected", f"{how} {where}", stamp)

    def _bad_framing(self, exchange: Exchange, error: Exception) -> None:
        if exchange.complete:  # bytes after the end: the answer is whole, the connection is not to be trusted
            self.close()
        else:
            exchange.fail("bad_stream", f"not HTTP/1.1 as the parser knows it: {error}", exchange.stamps[-1])

    def _unsolicited(self) -> None:
        """Bytes that nobody asked for: this connection can't be trusted with another request."""
        self.close()


def _unexpected(data: bytes) -> None:
    """Stand for the parser of a connection that waits for nothing."""
