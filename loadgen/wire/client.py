"""The client of one target: its connections, its time-outs, one `Exchange` per request."""

import asyncio
import errno
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from loadgen.scenario.model import Target
from loadgen.units import NS_PER_S, format_duration
from loadgen.wire.connect import connect, connect_words, resolve, tls_context
from loadgen.wire.decode import DecodeQueue, Decoding
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.outcome import time_out
from loadgen.wire.request import RequestHead
from loadgen.wire.stopwatch import Connection, Exchange, now_ns
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

# A server that closes every connection after its answer, although it says keep-alive (llama.cpp's does),
# would make every request go out twice. After so many connections in a row that were stale when they were
# to serve for the second time, none is kept any more. (Older ones die together when a server restarts.)
_STALE_BEFORE_FRESH: Final = 3


class Client:
    """Sends the requests of one target and keeps its connections.

    Use: `await open()`, then `await send(...)` per request; `sweep()` about every 100 ms judges the
    time-outs; `cut()` ends what is live; `close()` closes the connections.
    """

    def __init__(self, target: Target, head: RequestHead, queue: DecodeQueue) -> None:
        self.target = target
        self.head = head
        self.live: dict[Exchange, Decoding] = {}
        self.unreachable = False  # whether the latest request to end found no connection
        self._endpoint = ENDPOINTS[target.endpoint]
        self._queue = queue
        self._tls = tls_context(target, head)
        self._addresses: tuple[str, ...] = ()
        self._idle: dict[Connection, None] = {}  # in the order they became free; the latest is used first
        self._connecting: dict[Exchange, asyncio.Future[Any]] = {}
        self._open = 0
        self._stale_in_a_row = 0
        self._places: deque[asyncio.Future[None]] = deque()

    async def open(self) -> None:
        """Resolve the name.

        Raises:
            EndpointError: the name is not known.
        """
        self._addresses = await resolve(self.target, self.head)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._open

    async def send(self, prompt: Prompt, deliver: Callable[[Timeline], None]) -> int:
        """Send one request; return the instant at which its answer was complete or it had failed.

        `deliver` gets the `Timeline` a little later, when the answer has been decoded.
        """
        target, endpoint = self.target, self._endpoint
        request = self.head.request(endpoint.body(target, prompt), prompt.session_id)
        exchange = Exchange(asyncio.get_running_loop().create_future(), self._queue.wake)
        decoding = Decoding(
            exchange, endpoint, target.timeouts, self.head.redact, deliver, keep_answer=prompt.keep_answer
        )
        exchange.on_pending = lambda: self._queue.add(decoding)
        self.live[exchange] = decoding
        try:
            # those who wait for a place under max_connections come first
            free = None if self._places else self._free_connection()
            connection = free or await self._connect(exchange)
            if connection is not None:
                served = connection.served
                self._start(connection, exchange, request)
                await exchange.waiter
                if served:
                    once_only = served == 1 and exchange.stale
                    self._stale_in_a_row = self._stale_in_a_row + 1 if once_only else 0
                    if exchange.stale:
                        await self._again(exchange, request)
        finally:
            del self.live[exchange]
        self._queue.add(decoding)
        # read by the caller as soon as this returns; it speaks of no other place's request
        self.unreachable = exchange.failure is not None and exchange.failure[0] == "connect_error"
        return exchange.done_ns or now_ns()

    async def _again(self, exchange: Exchange, request: bytes) -> None:
        """Send once more, on a fresh connection: the server had closed the idle one."""
        decoding = self.live[exchange]
        exchange.begin_again(asyncio.get_running_loop().create_future(), lambda: self._queue.add(decoding))
        connection = await self._connect(exchange, fresh=True)
        if connection is not None:
            self._start(connection, exchange, request)
            await exchange.waiter

    def _start(self, connection: Connection, exchange: Exchange, request: bytes) -> None:
        connection.start(exchange, request)
        limits = self.target.timeouts
        sent = exchange.sent_ns or 0
        exchange.check_ns = sent + min(limits.first_token_ns, limits.between_tokens_ns, limits.total_ns)

    # connections

    def _free_connection(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable:
                return connection
        return None

    def _on_free(self, connection: Connection, reusable: bool) -> None:
        """Take back a connection that can be used again, or take note that one is gone."""
        if reusable and self._stale_in_a_row >= _STALE_BEFORE_FRESH:
            connection.close()  # which comes back here
            return
        if reusable:
            self._idle[connection] = None
        else:
            self._idle.pop(connection, None)
            self._open -= 1
        self._next_place()

    def _next_place(self) -> None:
        """Tell the first who waits under max_connections that there may be room now."""
        while self._places:
            place = self._places.popleft()
            if not place.done():
                place.set_result(None)
                break

    async def _connect(self, exchange: Exchange, *, fresh: bool = False) -> Connection | None:
        """Get a connection for an exchange; None when it failed, which the exchange then says.

        fresh: one that has served before will not do, even where max_connections make it wait for one.
        """
        limit = self.target.max_connections
        while limit is not None and self._open >= limit and not exchange.ended():
            place = asyncio.get_running_loop().create_future()
            self._places.append(place)
            await asyncio.wait((place, exchange.waiter), return_when=asyncio.FIRST_COMPLETED)
            if exchange.ended():
                if not place.cancel():  # told in the same moment: it is the next one's turn
                    self._next_place()
            elif free := self._free_connection():
                if not fresh:
                    return free
                free.close()
        return None if exchange.ended() else await self._dial(exchange)

    async def _dial(self, exchange: Exchange) -> Connection | None:
        self._open += 1
        connection: Connection | None = None
        exchange.connect_start_ns = now_ns()
        task = asyncio.ensure_future(connect(self._addresses, self.head, self._tls))
        self._connecting[exchange] = task
        timeout_ns = self.target.timeouts.connect_ns
        try:
            async with asyncio.timeout(timeout_ns / NS_PER_S):
                connection, self._addresses = await task
        except TimeoutError:
            exchange.fail("timeout", f"not connected within connect = {format_duration(timeout_ns)}")
        except asyncio.CancelledError:
            if not exchange.ended():  # not our cut: the session itself is being cancelled
                raise
        except OSError as error:
            words = connect_words(error, self.head)
            ours = error.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)
            exchange.fail("client_error" if ours else "connect_error", words)
        finally:
            if connection is None and task.done() and not task.cancelled() and task.exception() is None:
                task.result()[0].close()  # made in the very moment its time was up
            del self._connecting[exchange], task  # an error's traceback holds this frame: no cycle through it
            if connection is None:
                self._open -= 1
                self._next_place()
        if connection is None:
            return None
        exchange.connected_ns = now_ns()
        connection.on_free = self._on_free
        if exchange.ended():  # cut off in the very moment
            connection.close()
            return None
        if not connection.usable:
            exchange.fail("disconnected", "the server closed the connection before it was asked anything")
            connection.close()
            return None
        return connection

    # endings

    def sweep(self) -> None:
        """Judge the time-outs of the streams that are due."""
        now = now_ns()
        for exchange in [x for x in self.live if x.sent_ns is not None and x.check_ns <= now]:
            self._judge(exchange, now)

    def _judge(self, exchange: Exchange, now: int) -> None:
        decoding = self.live[exchange]
        if exchange.ended():
            return
        decoding.drain()
        limits = self.target.timeouts
        due_ns, late = time_out(exchange.sent_ns or 0, decoding.sse.last_output_ns, now, limits)
        if late is not None:
            exchange.fail("timeout", late)
        else:
            # a first token that comes now and no other is the earliest that could be due unseen
            exchange.check_ns = min(due_ns, now + limits.between_tokens_ns)

    def cut(self, why: str) -> None:
        """End every live request as cancelled."""
        for exchange in list(self.live):
            exchange.fail("cancelled", why)
            if task := self._connecting.get(exchange):
                task.cancel()

    def close(self) -> None:
        """Close every idle connection (live ones end with `cut`)."""
        for connection in list(self._idle):
            connection.close()
