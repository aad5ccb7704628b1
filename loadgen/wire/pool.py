"""The connections of one target: kept, made, waited for under `max_connections`."""

import asyncio
import errno
from typing import Any, Final

from loadgen.scenario.model import Target
from loadgen.units import NS_PER_S, format_duration
from loadgen.wire.connect import connect, connect_words, resolve, tls_context
from loadgen.wire.reader import Reader
from loadgen.wire.request import RequestHead
from loadgen.wire.stopwatch import Connection, Exchange, now_ns

# A server that closes every connection after its answer, although it says keep-alive (llama.cpp's does),
# would make every request go out twice. After so many connections in a row that were stale when they were
# to serve for the second time, none is kept any more. (Older ones die together when a server restarts.)
_STALE_BEFORE_FRESH: Final = 3


class Pool:
    """The connections of one target."""

    def __init__(self, target: Target, head: RequestHead, reader: Reader) -> None:
        self.opened = 0  # how many are open
        self._target = target
        self._head = head
        self._reader = reader
        self._tls = tls_context(target, head)
        self._addresses: tuple[str, ...] = ()
        self._idle: dict[Connection, None] = {}  # in the order they became free; the latest is used first
        self._connecting: dict[Exchange, asyncio.Future[Any]] = {}
        self._stale_in_a_row = 0
        # who waits under max_connections, in order; also those who were told and have not had their turn of
        # the loop yet, so that nobody who comes meanwhile takes their connection
        self._places: dict[asyncio.Future[None], None] = {}

    async def open(self) -> None:
        """Resolve the name.

        Raises:
            EndpointError: the name is not known.
        """
        self._addresses = await resolve(self._target, self._head)

    async def get(self, exchange: Exchange) -> Connection | None:
        """Get a connection, kept or new; None when there is none to be had, which the exchange then says."""
        # those who wait for a place under max_connections come first
        free = None if self._places else self._free()
        return free or await self.connect(exchange)

    def note_stale(self, connection_served: int, *, stale: bool) -> None:
        """Take note whether a kept connection was gone when it was to serve again."""
        once_only = connection_served == 1 and stale
        self._stale_in_a_row = self._stale_in_a_row + 1 if once_only else 0

    def give_up(self, exchange: Exchange) -> None:
        """Stop connecting for an exchange that has ended."""
        if task := self._connecting.get(exchange):
            task.cancel()

    def close(self) -> None:
        """Close every idle connection."""
        for connection in list(self._idle):
            connection.close()

    def _free(self) -> Connection | None:
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
            self.opened -= 1
        self._next_place()

    def _next_place(self) -> None:
        """Tell the first who waits under max_connections that there may be room now."""
        for place in self._places:
            if not place.done():
                place.set_result(None)
                break

    async def connect(self, exchange: Exchange, *, fresh: bool = False) -> Connection | None:
        """Get a connection for an exchange; None when it failed, which the exchange then says.

        fresh: one that has served before will not do, even where max_connections make it wait for one.
        """
        limit, told = self._target.max_connections, False
        while limit is not None and not _ended(exchange):
            if self.opened < limit and (told or not self._places):
                break
            place = asyncio.get_running_loop().create_future()
            self._places[place] = None
            try:
                await asyncio.wait((place, exchange.waiter), return_when=asyncio.FIRST_COMPLETED)
            finally:
                del self._places[place]
            told = True
            if _ended(exchange):
                if not place.cancel():  # told in the same moment: it is the next one's turn
                    self._next_place()
            elif free := self._free():
                if not fresh:
                    return free
                free.close()
        return None if _ended(exchange) else await self._dial(exchange)

    async def _dial(self, exchange: Exchange) -> Connection | None:
        self.opened += 1
        connection: Connection | None = None
        exchange.connect_start_ns = now_ns()
        task = asyncio.ensure_future(connect(self._addresses, self._head, self._tls, self._reader))
        self._connecting[exchange] = task
        timeout_ns = self._target.timeouts.connect_ns
        try:
            async with asyncio.timeout(timeout_ns / NS_PER_S):
                connection, self._addresses = await task
        except TimeoutError:
            exchange.fail("timeout", f"not connected within connect = {format_duration(timeout_ns)}")
        except asyncio.CancelledError:
            if not _ended(exchange):  # not our cut: the session itself is being cancelled
                raise
        except OSError as error:
            words = connect_words(error, self._head)
            ours = error.errno in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL)
            exchange.fail("client_error" if ours else "connect_error", words)
        finally:
            if connection is None and task.done() and not task.cancelled() and task.exception() is None:
                task.result()[0].close()  # made in the very moment its time was up
            del self._connecting[exchange], task  # an error's traceback holds this frame: no cycle through it
            if connection is None:
                self.opened -= 1
                self._next_place()
        if connection is None:
            return None
        exchange.connected_ns = now_ns()
        connection.on_free = self._on_free
        if _ended(exchange):  # cut off in the very moment
            connection.close()
            return None
        if not connection.usable:
            exchange.fail("disconnected", "the server closed the connection before it was asked anything")
            connection.close()
            return None
        return connection


def _ended(exchange: Exchange) -> bool:
    return exchange.done_ns is not None  # may have come about while something was waited for
