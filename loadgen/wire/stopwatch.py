"""The stopwatch: a connection whose reads are stamped before anything else happens to them.

`Connection` finds the end of the answer by its HTTP framing (llhttp); an `Exchange` is one request on it
while it is live and holds the reads until they are taken to be decoded. Nothing here parses SSE or JSON and
nothing wakes a coroutine but the end of the answer (docs/measuring.md says why).
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import httptools

from loadgen.wire.instant import Stamp, instant_ns, instants_ns
from loadgen.wire.plain import PlainSocket
from loadgen.wire.reader import Reader
from loadgen.wire.timeline import Int64s
from loadgen.wire.tls import TlsSession, TlsSocket

now_ns: Final = time.perf_counter_ns
PENDING_READS: Final = 256
PENDING_BYTES: Final = 64 << 10
MAX_HEADER_BYTES: Final = 128 << 10
_KEPT: Final = frozenset((b"content-type", b"content-encoding", b"retry-after", b"llm_provider-retry-after"))


class Reads(NamedTuple):
    """Some reads of an answer, with HTTP's framing; stamps_ns: the instant of each, shape (reads,).

    chunked: whether the body is known to come in chunks.
    """

    data: list[bytes]
    stamps_ns: Int64s
    chunked: bool


class Exchange:
    """One request and its answer on the wire, while live.

    reads: instant and bytes of each, in turns, until `take` empties it; seen, swept: how many of its items
    the framing has seen, the last sweep found. headers: the few that decide how the answer is read.
    """

    def __init__(self, waiter: asyncio.Future[None], wake: Callable[[asyncio.Future[None]], None]) -> None:
        self.wake = wake
        self.on_pending: Callable[[], None] | None = None
        self.connection: Connection | None = None
        self.attempts = 0
        self.check_ns = 0  # when the time-outs are looked at next
        self.connect_start_ns: int | None = None
        self.connected_ns: int | None = None
        self.sent_ns: int | None = None
        self.begin(waiter)

    @property
    def stale(self) -> bool:
        """Whether the connection was gone before a byte of the answer came."""
        lost = self.failure is not None and self.failure[0] == "disconnected"
        return lost and not self.reads and self.first_byte_ns is None

    def begin(self, waiter: asyncio.Future[None]) -> None:
        """Make ready for an answer; also for that of a request which is sent a second time."""
        self.waiter = waiter
        self.done_ns: int | None = None
        self.failure: tuple[str, str] | None = None
        self.reads: list[Any] = []
        self.seen = self.swept = 0
        self.pending_bytes = 0
        self.first_byte_ns: int | None = None
        self.status: int | None = None
        self.headers: dict[bytes, bytes] = {}
        self.header_bytes = 0
        self.framed = False
        self.chunked = False
        self.answered = False
        self.complete = False

    def take(self, most: int = PENDING_READS) -> Reads:
        """Hand over the oldest reads."""
        if self.connection is not None:
            self.connection.frame()
        reads = self.reads
        if self.first_byte_ns is None and reads:
            self.first_byte_ns = instant_ns(reads[0])
        stamps_ns = instants_ns(reads[: 2 * most : 2])
        taken = Reads(reads[1 : 2 * most : 2], stamps_ns, self.chunked and self.answered)
        del reads[: 2 * most]
        self.seen = len(reads)
        self.pending_bytes = 0
        return taken

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
            self.fail("bad_stream", what, instant_ns(self.reads[-2]))
            return
        if self.answered:  # a trailer decides nothing any more
            return
        name = name.lower()
        if name in _KEPT:
            self.headers[name] = value
        elif name == b"content-length":
            self.framed = True
        elif name == b"transfer-encoding" and b"chunked" in value.lower():
            self.framed = self.chunked = True

    def on_headers_complete(self) -> None:
        """Take the status; of an informational answer (1xx) nothing is kept."""
        if self.connection is not None and self.connection.parser is not None:
            status = self.connection.parser.get_status_code()
            if status >= 200:
                self.status = status
                self.answered = True
            else:
                self.headers.clear()
                self.framed = self.chunked = False

    def on_message_complete(self) -> None:
        """End the request at the stamp of the read that completed it."""
        if self.answered:
            self.finish(instant_ns(self.reads[-2]))

    # endings

    def finish(self, done_ns: int) -> None:
        """Take the complete answer; its connection is free again."""
        connection = self.connection
        if self.complete or connection is None:
            return
        self.complete = True
        self.done_ns = done_ns
        parser = connection.parser
        connection.release(reusable=self.framed and parser is not None and parser.should_keep_alive())
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
    """One connection; carries one exchange at a time.

    Its reads come from a `Reader`; where that has no epoll, from the loop's transport.
    """

    __slots__ = ("_reader", "exchange", "on_free", "parser", "plain", "served", "transport")

    def __init__(self, reader: Reader) -> None:
        self.on_free: Callable[[Connection, bool], None] | None = None  # set by its client
        self.transport: asyncio.Transport | PlainSocket | None = None
        self.plain: PlainSocket | None = None
        self.exchange: Exchange | None = None
        self.parser: httptools.HttpResponseParser | None = None
        self.served = 0
        self._reader = reader

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
        self.parser = httptools.HttpResponseParser(exchange)
        exchange.sent_ns = now_ns()
        transport.write(request)

    def release(self, *, reusable: bool) -> None:
        """Part from the exchange; no reference between the two is left."""
        self.exchange = None
        self.parser = None
        self.served += 1
        if self.plain is not None:
            reusable &= self.plain.slow()
        if not reusable:
            self.close()
        elif self.on_free is not None:
            self.on_free(self, True)

    def close(self) -> None:
        """Close at once, without waiting for what is still to be written."""
        if self.transport is not None:
            self.transport.abort()
            self.transport = self.plain = None
        on_free, self.on_free = self.on_free, None
        if on_free is not None:
            on_free(self, False)

    # reads

    def received(self, stamp: Stamp, data: bytes) -> None:
        """Take a read, and let the framing look at it."""
        exchange = self.exchange
        if exchange is None:  # bytes that nobody asked for: it can't be trusted with another request
            self.close()
            return
        exchange.reads.append(stamp)
        exchange.reads.append(data)
        self.look(len(data))

    def look(self, size: int) -> None:
        """Let the framing look at what it has not seen; size: bytes of the latest read."""
        self.frame()
        exchange = self.exchange
        if exchange is None:
            return
        exchange.pending_bytes += size
        if exchange.chunked and exchange.answered and self.plain is not None:
            self.plain.quick(exchange.reads)
        many = exchange.pending_bytes >= PENDING_BYTES or len(exchange.reads) >= 2 * PENDING_READS
        if many and exchange.on_pending is not None:
            exchange.on_pending()

    def frame(self) -> None:
        """Feed the framing with the reads it has not seen; the exchange may have ended after it."""
        exchange, parser = self.exchange, self.parser
        if exchange is None or parser is None:
            return
        reads, seen = exchange.reads, exchange.seen
        if len(reads) == seen:
            return
        exchange.seen = len(reads)
        try:
            parser.feed_data(reads[-1] if len(reads) == seen + 2 else b"".join(reads[seen + 1 :: 2]))
        except httptools.HttpParserError as error:
            if exchange.complete:  # bytes after the end: the connection is not to be trusted
                self.close()
            what = f"not HTTP/1.1 as the parser knows it: {error}"
            exchange.fail("bad_stream", what, instant_ns(reads[-2]))
        except httptools.HttpParserUpgrade:
            exchange.fail("bad_stream", "the server switched protocols", instant_ns(reads[-2]))

    # callbacks of a socket, and asyncio's

    def made(self, sock: socket.socket, session: TlsSession | None) -> None:
        """Have a socket read by the reader; session: of TLS."""
        reader = self._reader
        self.plain = TlsSocket(sock, reader, self, session) if session else PlainSocket(sock, reader, self)
        self.transport = self.plain

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport (for TLS a second one takes the place of the first)."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # noqa: S101
        self._reader.timing.here(self, on=True)
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not subclasses

    def data_received(self, data: bytes) -> None:
        """Stamp a read."""
        self._reader.latest_ns = stamp = now_ns()
        self.received(stamp, data)

    def eof_received(self) -> bool:
        """The server has closed its side."""
        self.ended(now_ns(), None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._reader.timing.here(self, on=False)
        self.ended(now_ns(), exc)
        self.close()

    def ended(self, stamp: Stamp, exc: Exception | None) -> None:
        """End what was under way: nothing comes any more."""
        self.frame()
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.answered and not exchange.framed and exc is None:
            exchange.finish(instant_ns(stamp))  # a body that ends with the connection
        else:
            where = "in the middle of the answer" if exchange.answered else "before it answered"
            how = f"the connection was lost ({exc})" if exc else "the server closed the connection"
            exchange.fail("disconnected", f"{how} {where}", instant_ns(stamp))
