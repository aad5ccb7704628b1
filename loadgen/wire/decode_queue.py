"""When decoding and wake-ups have their turn: while no reads come, for those must be stamped first."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from loadgen.wire.decode import Decoding
from loadgen.wire.reader import Reader
from loadgen.wire.stopwatch import now_ns

WAKE_UP_NS: Final = 150_000
QUIET_NS: Final = 15_000
CALM_NS: Final = 400_000
MANY: Final = 200  # so many wait that it is looked at every turn of the loop, not every millisecond
LOOK_S: Final = 0.001
WAKE_PATIENCE_NS: Final = 250_000
PATIENCE_NS: Final = 2_000_000_000


class DecodeQueue:
    """What is done between two looks at the sockets: a wake-up, else some decoding.

    That is of one answer, at most 256 reads of it.

    When hundreds of streams end together, waking all their sessions at once would keep the loop from the
    sockets for many milliseconds; so they go one by one. Nothing goes when a planned request would have to
    wait. More is to be heeded while reads are stamped by us (`Timing`), which must then come first. Servers
    send in bursts: streams that began together have their events due together. So a session whose request
    has ended waits until no read has come for 15 µs, but for at most 0.25 ms, and the less the more of them
    wait. An answer takes some tenths of a millisecond to decode; it waits until no read has come for 0.4 ms
    divided among those that wait, but for at most two seconds, divided likewise.
    reader: whose reads come first. loop: asking asyncio for it costs a system call.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = Reader(loop)
        self.loop = loop
        self._waiting: deque[Decoding] = deque()
        self._ended: deque[asyncio.Future[None]] = deque()
        self._scheduled = self._again = False
        self._woken_ns = 0
        self._decoded_ns = 0
        self._takes_ns = 0  # a decoding, lately
        self._next_send = self.reader.next_send

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

    def give_way(self, next_send: Callable[[], int]) -> None:
        """Take what returns the instant of the next planned request."""
        self._next_send = self.reader.next_send = next_send

    def close(self) -> None:
        """Give the reader's set back."""
        self.reader.close()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.call_soon(self._look)

    def _look_again(self) -> None:
        self._again = False
        if self._waiting:
            self._schedule()

    def _look(self) -> None:
        ended, waiting, reader = self._ended, self._waiting, self.reader
        self._scheduled = False
        now, late_matters = now_ns(), reader.timing.late_matters
        calm_ns = now - reader.latest_ns if late_matters else sys.maxsize
        if ended and (
            (calm_ns > QUIET_NS and self._next_send() > now + WAKE_UP_NS)
            or now - self._woken_ns > WAKE_PATIENCE_NS // len(ended)
        ):
            self._woken_ns = now
            waiter = ended.popleft()
            if not waiter.done():
                waiter.set_result(None)
        elif waiting and (
            (calm_ns > CALM_NS // len(waiting) and self._next_send() > now + self._takes_ns * 5 // 4)
            or now - self._decoded_ns > PATIENCE_NS // len(waiting)
        ):
            if late_matters and reader.plain:  # calm may be due to what kept the loop from its sockets
                reader.read()
            if (
                not late_matters
                or reader.latest_ns < now
                or now - self._decoded_ns > PATIENCE_NS // len(waiting)
            ):
                self._decode(waiting)
            self._schedule()
        if ended or len(waiting) > MANY:
            self._schedule()
        elif waiting and not self._again and not self._scheduled:
            self._again = True
            self.loop.call_later(LOOK_S, self._look_again)

    def _decode(self, waiting: deque[Decoding]) -> None:
        begin, decoding = now_ns(), waiting.popleft()
        decoding.queued = False
        if decoding.step():
            decoding.queued = True
            waiting.appendleft(decoding)  # while it is in the caches
        self._decoded_ns = now_ns()
        self._takes_ns += (self._decoded_ns - begin - self._takes_ns) // 8
