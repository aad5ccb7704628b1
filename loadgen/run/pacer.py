"""Waiting for planned instants: never early, late by what the loop's lag is."""

import asyncio
import heapq
import sys
from typing import Final

from loadgen.wire.stopwatch import now_ns
from loadgen.wire.timerfd import PreciseTimer

_TOGETHER: Final = 4  # woken before the sockets are looked at again
_NEAR_NS: Final = 40_000  # what is due so soon is waited for awake: to arm a timer costs a third of it
_MOST_EARLY_NS: Final = 150_000


class Pacer:
    """Wakes coroutines at absolute instants of the monotonic clock, all from one precise timer.

    A core that sleeps wakes up late: by some 5 µs, on a virtual machine by 50 to 100 µs. So the timer is set
    for earlier, by what it was late at its best of late, and the rest is waited for awake.

    next_ns: the earliest instant that somebody waits for, or is on the way from: it is past until the one
    who has been woken goes on, so that nothing long is begun in between.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.next_ns = sys.maxsize
        self._loop = loop
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self._timer = PreciseTimer(loop, self._fired)
        self._armed_ns = 0
        self._early_ns = 0
        self._awake = False
        self._released = False

    async def until(self, due_ns: int) -> None:
        """Return at `due_ns` or after it, or at once when all have been released."""
        if self._released or due_ns <= now_ns():
            return
        future = self._loop.create_future()
        self._count += 1  # equal instants wake in the order they were asked for
        heapq.heappush(self._heap, (due_ns, self._count, future))
        if self._heap[0][2] is future and not self._awake:
            self._arm(due_ns)
        self.next_ns = min(self.next_ns, due_ns)
        try:
            await future
        finally:
            self.next_ns = self._heap[0][0] if self._heap else sys.maxsize

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

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns - self._early_ns
        self._timer.arm(self._armed_ns)

    def _fired(self) -> None:
        late_ns = now_ns() - self._armed_ns
        self._early_ns += min(late_ns - self._early_ns, max(1, late_ns // 64))
        self._early_ns = min(self._early_ns, _MOST_EARLY_NS)
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        """Wake those that are due, a few at a time: the loop looks at the sockets in between."""
        heap, now = self._heap, now_ns()
        for _ in range(_TOGETHER):
            if not heap or heap[0][0] > now:
                break
            _, _, future = heapq.heappop(heap)
            if not future.done():
                future.set_result(None)
        self._awake = bool(heap) and heap[0][0] - self._early_ns - _NEAR_NS < now
        if self._awake:
            self._loop.call_soon(self._wake)
        elif heap:
            self._arm(heap[0][0])
