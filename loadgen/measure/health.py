"""The instrument watches itself: loop lag, CPU share, garbage collection, memory, connections."""

import asyncio
import gc
import resource
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np

from loadgen.measure.histogram import BUCKETS, Counts, indexes
from loadgen.units import NS_PER_MS, NS_PER_S
from loadgen.wire.instant import CLOCK
from loadgen.wire.timerfd import PreciseTimer

LAG_INTERVAL_NS: Final = 10 * NS_PER_MS
GROWTH: Final = 1.2
GROWTH_BYTES: Final = 64 << 20  # of a small process, 20 % is answers that wait to be decoded


def rss_bytes() -> int:
    """Largest resident memory of this process so far."""
    # not from /proc: opening a file lets another thread have the interpreter
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def waited_ns() -> int | None:
    """How long this thread has been ready to run while its core had something else to do; Linux: schedstat.

    None where the system does not tell.
    """
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None


class Health:
    """Samples how late the loop gets to what is due, and keeps the garbage collector out of the window.

    Loop lag is how long after an instant the loop got to it, sampled at fixed instants every 10 ms: a stall
    of 100 ms is seen by all the instants in it, as arrivals would be.
    core_waited_share: see `waited_ns`, over wall time; None before the end and where it is not told.
    clock_set_ns: by how much the system's clock has been set since the start.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lag_counts: Counts = np.zeros(BUCKETS, np.int64)
        self._lags_ns: list[int] = []  # not counted yet: counting costs more than all the rest of a sample
        self.cpu_share_max = 0.0
        self.gc_pause_ns_max = 0
        self.gc_collections = 0
        self.rss_max = 0
        self.connections_max = 0
        self._timer = PreciseTimer(loop, self._sample)
        self._due_ns = 0
        self._started_ns = self._started_cpu_ns = 0
        self._second_ns = self._second_cpu_ns = 0
        self._rss_base = 0
        self._final_share: float | None = None
        self._started_waited_ns: int | None = None
        self.core_waited_share: float | None = None
        self.clock_set_ns = 0
        self._clock_set_before_ns = 0

    def start(self) -> None:
        """Begin: what is alive now is frozen, the collector is off until `stop`."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._started_ns = self._second_ns = time.perf_counter_ns()
        self._started_cpu_ns = self._second_cpu_ns = time.process_time_ns()
        self._started_waited_ns = waited_ns()
        CLOCK.look()
        self._clock_set_before_ns = CLOCK.set_ns

    def sample_from(self, start_ns: int) -> None:
        """Sample the loop lag from this instant on."""
        self._due_ns = start_ns
        self._timer.arm(start_ns)

    def count_lags(self) -> Counts:
        """Count and return the loop lag so far, in µs; shape (BUCKETS,)."""
        if self._lags_ns:
            np.add.at(self._lag_counts, indexes(np.array(self._lags_ns, np.int64) // 1000), 1)
            self._lags_ns.clear()
        return self._lag_counts

    def stop(self) -> None:
        """End: the collector is on again."""
        self._final_share = self.cpu_share
        waited, wall = waited_ns(), time.perf_counter_ns() - self._started_ns
        if waited is not None and self._started_waited_ns is not None and wall > 0:
            self.core_waited_share = (waited - self._started_waited_ns) / wall
        self.cpu_share_max = max(self.cpu_share_max, self._final_share)  # of a run without a whole second
        self._timer.close()
        gc.enable()
        gc.unfreeze()
        self.rss_max = max(self.rss_max, rss_bytes())

    @property
    def cpu_share(self) -> float:
        """CPU time of this process over wall time, from start to stop (or to now)."""
        if self._final_share is not None:
            return self._final_share
        wall = time.perf_counter_ns() - self._started_ns
        return (time.process_time_ns() - self._started_cpu_ns) / wall if wall > 0 else 0.0

    def each_second(self, connections: int, *, steady: bool) -> None:
        """Take the second's CPU share, memory and sockets; once steady, collect if memory grew a lot."""
        now, cpu = time.perf_counter_ns(), time.process_time_ns()
        if now - self._second_ns >= NS_PER_S // 2:  # a shorter stretch says little
            self.cpu_share_max = max(
                self.cpu_share_max, (cpu - self._second_cpu_ns) / (now - self._second_ns)
            )
            self._second_ns, self._second_cpu_ns = now, cpu
        self.count_lags()
        CLOCK.look()
        self.clock_set_ns = CLOCK.set_ns - self._clock_set_before_ns
        self.connections_max = max(self.connections_max, connections)
        rss = rss_bytes()
        self.rss_max = max(self.rss_max, rss)
        if not steady:
            return
        if not self._rss_base:
            self._rss_base = rss
        elif rss > max(self._rss_base * GROWTH, self._rss_base + GROWTH_BYTES):
            begin = time.perf_counter_ns()
            gc.collect()
            self.gc_pause_ns_max = max(self.gc_pause_ns_max, time.perf_counter_ns() - begin)
            self.gc_collections += 1
            self._rss_base = rss_bytes()

    def _sample(self) -> None:
        now, due = time.perf_counter_ns(), self._due_ns
        while due <= now:
            self._lags_ns.append(now - due)
            due += LAG_INTERVAL_NS
        self._due_ns = due
        self._timer.arm(due)
