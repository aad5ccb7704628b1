"""When decoding and wake-ups have their turn: while no reads come, for those must be stamped first."""

import asyncio
from collections import deque
from typing import Final

from loadgen.wire.decode import Decoding
from loadgen.wire.stopwatch import LATEST_READ_NS, now_ns
from loadgen.wire.timerfd import PreciseTimer

SLICE_NS: Final = 50_000
WAKE_UPS: Final = 2
QUIET_NS: Final = 15_000
LOOK_NS: Final = 80_000
WAKE_PATIENCE_NS: Final = 1_000_000
PATIENCE_NS: Final = 5_000_000
# Above this many streams that wait for decoding a slice grows in proportion, so that memory stays bounded
# even when the generator is past its limit (which the run's verdict then says).
_BACKLOG: Final = 1_000


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
        elif waiting and (quiet or now - self._decoded_ns > PATIENCE_NS // (1 + len(waiting))):
            self._decode(now)
        if not ended and not waiting:
            return
        if read_ns > self._looked_ns:
            self._scheduled = True
            self._looked_ns = now
            self._timer.arm(now + LOOK_NS)
        else:
            self._schedule()

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
