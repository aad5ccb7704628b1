"""The client of one target: its time-outs, one `Exchange` per request."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from loadgen.scenario.model import Target
from loadgen.wire.decode import Decoding
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.outcome import time_out
from loadgen.wire.pool import Pool
from loadgen.wire.request import RequestHead
from loadgen.wire.stopwatch import PENDING_READS, Connection, Exchange, now_ns
from loadgen.wire.template import Learned
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

SWEPT: Final = 150  # requests that are looked at in one go


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
        self._endpoint, self._limits = ENDPOINTS[target.endpoint], target.timeouts
        if not (target.stream and self._endpoint.streams):  # the answer comes at once, so only total applies
            self._endpoint, total_ns = self._endpoint._replace(streams=False), self._limits.total_ns
            self._limits = replace(self._limits, first_token_ns=total_ns, between_tokens_ns=total_ns)
        self._learned = Learned()
        self._queue = queue
        self._pool = Pool(target, head, queue.reader)

    async def open(self) -> None:
        """Resolve the name.

        Raises:
            EndpointError: the name is not known.
        """
        await self._pool.open()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._pool.opened

    def request(self, prompt: Prompt) -> bytes:
        """Return the bytes of a request; made beforehand they cost nothing when its time has come."""
        return self.head.request(self._endpoint.body(self.target, prompt), prompt.session_id)

    async def send(
        self, prompt: Prompt, deliver: Callable[[Timeline], None], request: bytes | None = None
    ) -> int:
        """Send one request; return the instant at which its answer was complete or it had failed.

        `deliver` gets the `Timeline` a little later, when the answer has been decoded. request: as `request`
        made it, where it was made beforehand.
        """
        if request is None:
            request = self.request(prompt)
        exchange = Exchange(self._queue.loop.create_future(), self._queue.wake)
        known, redact = self._learned, self.head.redact
        decoding = Decoding(
            exchange, self._endpoint, self._limits, redact, deliver, prompt=prompt, learned=known
        )
        exchange.on_pending = lambda: self._queue.add(decoding)
        self.live[exchange] = decoding
        try:
            connection = await self._pool.get(exchange)
            if connection is not None:
                served = connection.served
                self._start(connection, exchange, request)
                await exchange.waiter
                if served:
                    self._pool.note_stale(served, stale=exchange.stale)
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
        exchange.begin(self._queue.loop.create_future())
        exchange.on_pending = lambda: self._queue.add(decoding)
        connection = await self._pool.connect(exchange, fresh=True)
        if connection is not None:
            self._start(connection, exchange, request)
            await exchange.waiter

    def _start(self, connection: Connection, exchange: Exchange, request: bytes) -> None:
        connection.start(exchange, request)
        limits = self._limits
        sent = exchange.sent_ns or 0
        exchange.check_ns = sent + min(limits.first_token_ns, limits.between_tokens_ns, limits.total_ns)

    # endings

    def sweep(self) -> Iterator[None]:
        """Judge time-outs, find ends with bytes behind them, decode long streams; yield for the sockets."""
        now, many = now_ns(), 2 * PENDING_READS
        for number, x in enumerate(list(self.live)):
            if number % SWEPT == SWEPT - 1:
                yield
            due, reads = x.check_ns <= now, len(x.reads)
            still, x.swept = 0 < reads == x.swept, reads  # the last that came may be the end
            if x.connection is not None and (due or still or reads >= many):
                x.connection.frame()
                if reads >= many:
                    self._queue.add(self.live[x])
                if due and x.done_ns is None:
                    self._judge(x, now)

    def _judge(self, exchange: Exchange, now: int) -> None:
        decoding = self.live[exchange]
        decoding.drain()
        limits = self._limits
        due_ns, late = time_out(exchange.sent_ns or 0, decoding.sse.outputs.last_ns, now, limits)
        if late is not None:
            exchange.fail("timeout", late)
        else:
            # a first token that comes now and no other is the earliest that could be due unseen
            exchange.check_ns = min(due_ns, now + limits.between_tokens_ns)

    def cut(self, why: str) -> None:
        """End every live request as cancelled."""
        for exchange in list(self.live):
            exchange.fail("cancelled", why)
            self._pool.give_up(exchange)

    def close(self) -> None:
        """Close every idle connection (live ones end with `cut`)."""
        self._pool.close()
