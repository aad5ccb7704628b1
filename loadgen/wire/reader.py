"""All plain connections in one set: read and stamped in one short loop, before anything else is done.

At tens of thousands of reads a second most of a read's cost is memory that is in no cache. So a stream whose
framing is known (chunked, headers past) costs one list here; its bytes are only looked at in full where they
may end the answer. TLS, and systems without epoll, go through the loop's own transports.
"""

import asyncio
import os
import select
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

now_ns: Final = time.perf_counter_ns
AT_ONCE: Final = 16
TURNS: Final = 16  # then the timers have theirs
_READ: Final = 16 << 10
_QUICK_READ: Final = 4 << 10  # of a stream, whose events are small: less memory to ask for and give back
_SMALL: Final = 4
_TAIL: Final = b"\r\n\r\n"


class Plain(Protocol):
    """What a reader tells a connection. watched: whether it waits for room to write."""

    fd: int
    watched: bool

    def received(self, stamp: int, data: bytes) -> None:
        """Take a read and its instant; no bytes are the end."""

    def look(self, size: int) -> None:
        """Look at a quick stream whose latest read, of so many bytes, may be its last."""

    def drain(self) -> None:
        """Send what has not been sent yet."""

    def lost(self, error: OSError) -> None:
        """The connection is gone."""


class Reader:
    """Reads the plain connections of a run.

    latest_ns: instant of the latest read, of TLS too. next_send: returns that of the next planned request,
    for which a burst of reads is interrupted.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, next_send: Callable[[], int] = lambda: sys.maxsize
    ) -> None:
        self.latest_ns = 0
        self.next_send = next_send
        self._loop = loop
        self._connections: dict[int, Plain] = {}
        self._streams: dict[int, list[Any]] = {}
        self._epoll: Any = None
        if hasattr(select, "epoll"):
            # told once of each arrival: else the kernel looks at every socket a second time after its read
            self._edges = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self.read)

    @property
    def plain(self) -> bool:
        """Whether plain connections are read here."""
        return self._epoll is not None

    def close(self) -> None:
        """Give the set back; every connection is closed by then."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def add(self, plain: Plain) -> None:
        """Read a connection from now on."""
        self._connections[plain.fd] = plain
        self._epoll.register(plain.fd, self._edges)

    def remove(self, plain: Plain) -> None:
        """Read it no more."""
        del self._connections[plain.fd]
        self._streams.pop(plain.fd, None)
        if self._epoll is not None:
            self._epoll.unregister(plain.fd)

    def watch_writing(self, plain: Plain, *, on: bool) -> None:
        """Tell a connection when it can write again, too."""
        self._epoll.modify(plain.fd, select.EPOLLIN | select.EPOLLOUT if on else self._edges)

    def quick(self, plain: Plain, reads: list[Any]) -> None:
        """Put instant and bytes of each read into `reads`, and tell only of those that may end the answer."""
        self._streams[plain.fd] = reads

    def slow(self, plain: Plain) -> None:
        """Tell of each read."""
        self._streams.pop(plain.fd, None)

    def read(self) -> None:
        """Read what has come: told by the loop, or by who is about to keep it from its sockets."""
        streams, connections = self._streams, self._connections
        read, stamp, turns = os.read, 0, TURNS
        while turns and (ready := self._epoll.poll(0, AT_ONCE)):
            turns -= 1
            later: list[tuple[int, int, bytes | None]] = []  # all of the round are stamped first
            for fd, what in ready:
                if what & select.EPOLLOUT:
                    connections[fd].drain()
                stamp = now_ns()
                reads = streams.get(fd)
                size = _READ if reads is None else _QUICK_READ
                try:
                    data = read(fd, size)
                except BlockingIOError:
                    continue
                except OSError as error:
                    if fd in connections:
                        connections[fd].lost(error)
                    continue
                if (what != select.EPOLLIN or len(data) == size) and data and not connections[fd].watched:
                    self._epoll.modify(fd, self._edges)  # there may be more, or the end: have it told again
                if reads is None or not data:
                    later.append((fd, stamp, data))
                else:
                    reads.append(stamp)
                    reads.append(data)
                    # only what ends like this can end a chunked answer (RFC 9112, section 7.1); a few bytes
                    # may be the end of that end
                    if data.endswith(_TAIL) or not _SMALL <= len(data) < _QUICK_READ:
                        later.append((fd, len(data), None))
            for fd, number, read_now in later:
                if (plain := connections.get(fd)) is None:  # closed by what came before it
                    continue
                if read_now is None:
                    plain.look(number)
                else:
                    plain.received(number, read_now)
            if len(ready) == AT_ONCE and self.next_send() <= stamp:
                break
        self.latest_ns = stamp or self.latest_ns
