"""All connections in one set: read in one short loop, each read with the instant at which it arrived.

At tens of thousands of reads a second most of a read's cost is memory that is in no cache. So a stream whose
framing is known (chunked, headers past) costs one list here; its bytes are only looked at in full where they
may end the answer. On systems without epoll connections are the loop's own transports.
"""

import asyncio
import select
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from loadgen.wire.instant import ROOM, Receive, Timing
from loadgen.wire.readable import Plain

now_ns: Final = time.perf_counter_ns
AT_ONCE: Final = 16
TURNS: Final = 16  # then the timers have theirs
_LOOKS: Final = 4  # at the sockets, after which a planned request is looked for: each time costs 1 % of all
_READ: Final = 16 << 10
# most events are smaller; Python has such memory at hand, asks the system for none and leaves no holes in it
_QUICK_READ: Final = 479
_SMALL: Final = 4
# only what ends in CRLF twice can end a chunked answer (RFC 9112, section 7.1), or a few bytes of that
_CR: Final = b"\r"[0]


class Reader:
    """Reads the connections of a run.

    latest_ns: when we last read. next_send: returns the instant of the next planned request.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, next_send: Callable[[], int] = lambda: sys.maxsize
    ) -> None:
        self.latest_ns = 0
        self.timing = Timing()
        self.next_send = next_send
        self._loop = loop
        self._connections: dict[int, Plain] = {}
        self._streams: list[tuple[Receive, list[Any]] | None] = []  # by descriptor
        self._epoll: Any = None
        if hasattr(select, "epoll"):
            # told once of each arrival: else the kernel looks at every socket a second time after its read
            self._edges = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self.read)

    @property
    def plain(self) -> bool:
        """Whether sockets are read here."""
        return self._epoll is not None

    def close(self) -> None:
        """Give the set back; every connection is closed by then."""
        self.timing.close()
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._epoll = None

    def add(self, plain: Plain) -> None:
        """Read a connection from now on."""
        self._connections[plain.fd] = plain
        self._streams += [None] * (plain.fd + 1 - len(self._streams))
        self._epoll.register(plain.fd, self._edges)

    def remove(self, plain: Plain) -> None:
        """Read it no more."""
        del self._connections[plain.fd]
        self._streams[plain.fd] = None
        if self._epoll is not None:
            self._epoll.unregister(plain.fd)

    def watch_writing(self, plain: Plain, *, on: bool) -> None:
        """Tell a connection when it can write again, too."""
        self._epoll.modify(plain.fd, select.EPOLLIN | select.EPOLLOUT if on else self._edges)

    def quick(self, plain: Plain, reads: list[Any]) -> None:
        """Put instant and bytes of each read into `reads`, and tell only of those that may end the answer."""
        self._streams[plain.fd] = plain.receive, reads

    def slow(self, plain: Plain) -> None:
        """Tell of each read."""
        self._streams[plain.fd] = None

    def read(self) -> None:
        """Read what has come: told by the loop, or by who is about to keep it from its sockets."""
        streams, only, turns = self._streams, select.EPOLLIN, TURNS
        while turns and (ready := self._epoll.poll(0, AT_ONCE)):
            turns -= 1
            later: list[tuple[int, Any, bytes | None]] = []  # once all of the round are read
            for fd, what in ready:
                stream = streams[fd]
                if stream is None or what != only:
                    self._read_slowly(fd, what, later)
                    continue
                receive, reads = stream
                try:
                    data, said, _, _ = receive(_QUICK_READ, ROOM)
                    stamp = said[0][2]
                except OSError as error:
                    self._lost(fd, error)
                    continue
                except IndexError:
                    stamp = self.timing.unsaid(data)
                if not _SMALL <= len(data) < _QUICK_READ:
                    later.append((fd, stamp, data))
                    continue
                reads.append(stamp)
                reads.append(data)
                if data[-4] == _CR:
                    later.append((fd, len(data), None))
            for fd, number, read_now in later:
                if (plain := self._connections.get(fd)) is None:  # closed by what came before it
                    continue
                if read_now is None:
                    plain.look(number)
                else:
                    plain.received(number, read_now)
                    if len(read_now) == _QUICK_READ and fd in self._connections:
                        self._read_slowly(fd, only, later)  # what is behind it
            if (len(ready) == AT_ONCE or not turns % _LOOKS) and self.next_send() <= now_ns():
                break
        if turns < TURNS:
            self.latest_ns = now_ns()

    def _read_slowly(self, fd: int, what: int, later: list[tuple[int, Any, bytes | None]]) -> None:
        plain = self._connections[fd]
        if what & select.EPOLLOUT:
            plain.drain()
        try:
            data, said, _, _ = plain.receive(_READ, ROOM)
        except OSError as error:
            self._lost(fd, error)
            return
        if (what != select.EPOLLIN or len(data) == _READ) and data and not plain.watched:
            self._epoll.modify(fd, self._edges)  # there may be more, or the end: have it told again
        later.append((fd, said[0][2] if said else self.timing.unsaid(data), data))

    def _lost(self, fd: int, error: OSError) -> None:
        if not isinstance(error, BlockingIOError) and fd in self._connections:
            self._connections[fd].lost(error)
