"""A socket that a `Reader` reads: what the loop's transports are for TLS."""

import asyncio
import socket
from typing import Any, Protocol

from loadgen.wire.instant import Receive, Stamp, ask
from loadgen.wire.reader import Reader


class Listener(Protocol):
    """The connection above it; see `stopwatch.Connection`."""

    def received(self, stamp: Stamp, data: bytes) -> None:
        """Take a read."""

    def look(self, size: int) -> None:
        """Look at the reads so far."""

    def ended(self, stamp: Stamp, exc: Exception | None) -> None:
        """Take note of the end."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that it is gone."""


class PlainSocket:
    """A connected socket of a `Reader`; stands for a transport of the loop."""

    __slots__ = ("_closed", "_connection", "_reader", "_sock", "_unsent", "fd", "receive", "watched")

    def __init__(self, sock: socket.socket, reader: Reader, connection: Listener) -> None:
        self.fd = sock.fileno()
        self._sock = sock
        self.receive: Receive = sock.recvmsg
        self._reader = reader
        self._connection = connection
        self._unsent: memoryview | None = None
        self._closed = self.watched = False
        ask(sock)
        reader.add(self)

    def is_closing(self) -> bool:
        """Whether it has been closed."""
        return self._closed

    def write(self, data: bytes) -> None:
        """Send a request: at once what the kernel takes, the rest when it takes more."""
        self._send(data)

    def _send(self, data: bytes) -> None:
        self._unsent = memoryview(data if self._unsent is None else bytes(self._unsent) + data)
        self.drain()
        if self._unsent is not None:
            self._reader.watch_writing(self, on=True)
            self.watched = True

    def drain(self) -> None:
        """Send what has not been sent yet."""
        if self._unsent is None:
            return
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            # not from within: whoever writes is not to find its request ended
            asyncio.get_running_loop().call_soon(self.lost, error)
            return
        if sent < len(self._unsent):
            self._unsent = self._unsent[sent:]
            return
        self._unsent = None
        if self.watched:
            self._reader.watch_writing(self, on=False)
            self.watched = False

    def abort(self) -> None:
        """Close at once."""
        if not self._closed:
            self._closed = True
            self._reader.remove(self)
            self._sock.close()

    def quick(self, reads: list[Any]) -> None:
        """See `Reader.quick`."""
        self._reader.quick(self, reads)

    def slow(self) -> bool:
        """See `Reader.slow`; return whether the request had been sent whole: an answer may come before."""
        self._reader.slow(self)
        return self._unsent is None

    # what the reader tells

    def received(self, stamp: Stamp, data: bytes) -> None:
        """Take a read; nothing is the end."""
        if data:
            self._connection.received(stamp, data)
        else:
            self._connection.ended(stamp, None)
            self._connection.connection_lost(None)

    def look(self, size: int) -> None:
        """See `Reader`."""
        self._connection.look(size)

    def lost(self, error: OSError) -> None:
        """The connection is gone."""
        if not self._closed:
            self._connection.connection_lost(error)
