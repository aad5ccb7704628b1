"""Waiting for planned instants: never early, late by what the loop's lag is."""

import asyncio
import heapq
import sys

from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timerfd import PreciseTimer


class Pacer:
    """Wakes coroutines at absolute instants of the monotonic clock, all from one precise timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._timer = PreciseTimer(loop, self._due)
        self._released = False

    @property
    def next_ns(self) -> int:
        """The earliest instant that somebody waits for."""
        return self._heap[0][0] if self._heap else sys.maxsize

    async def until(self, due_ns: int) -> None:
        """Return at `due_ns` or after it, or at once when all have been released."""
        if self._released or due_ns <= now_ns():
            return
        future = self._loop.create_future()
        self._count += 1  # equal instants wake in the order they were asked for
        heapq.heappush(self._heap, (due_ns, self._count, future))
        if self._heap[0][2] is future:
            self._timer.arm(due_ns)
        await future

    def release(self) -> None:
        """Wake everybody now and let nobody wait any more."""
        self._released = True
        for _, _, future in self._heap:
            if not future.done():
                future.set_result(None)
        self._heap.clear()

    def close(self) -> None:
        """Give the timer back."""
        self.release()
        self._timer.close()

    def _due(self) -> None:
        """Wake those that are due, one by one: the loop looks at the sockets in between."""
        if self._heap and self._heap[0][0] <= now_ns():
            _, _, future = heapq.heappop(self._heap)
            if not future.done():
                future.set_result(None)
        if self._heap:
            self._timer.arm(self._heap[0][0])  # one that is past fires at once
