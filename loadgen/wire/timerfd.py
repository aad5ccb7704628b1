"""Timers that are due to the microsecond, where the loop's own tick in milliseconds.

Linux: timerfd on CLOCK_MONOTONIC, which is the clock of `time.perf_counter_ns` there. Elsewhere `arm`
falls back to the loop's timers.
"""

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from loadgen.units import NS_PER_S

_CLOCK_MONOTONIC: Final = 1
_TFD_NONBLOCK_CLOEXEC: Final = 0o2004000
_TFD_TIMER_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class PreciseTimer:
    """Calls back once an absolute instant of `time.perf_counter_ns` has passed, never before it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._due_ns = 0
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1
        if sys.platform == "linux":
            libc = ctypes.CDLL(None, use_errno=True)
            self._settime = libc.timerfd_settime
            self._spec = _Itimerspec()
            self._spec_at = ctypes.byref(self._spec)
            self._fd = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._readable)

    def arm(self, due_ns: int) -> None:
        """Set the instant; an earlier setting is forgotten."""
        self._due_ns = due_ns
        if self._fd >= 0:
            value = self._spec.it_value
            value.tv_sec, value.tv_nsec = divmod(max(1, due_ns), NS_PER_S)
            self._settime(self._fd, _TFD_TIMER_ABSTIME, self._spec_at, None)
            return
        if self._handle is not None:
            self._handle.cancel()
        wait_s = max(0.0, (due_ns - time.perf_counter_ns()) / NS_PER_S)
        self._handle = self._loop.call_later(wait_s, self._tick)

    def close(self) -> None:
        """Stop for good."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
        if self._handle is not None:
            self._handle.cancel()

    def _readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # armed anew since it became readable
            return
        self._callback()

    def _tick(self) -> None:
        if time.perf_counter_ns() < self._due_ns:  # the loop's timers fire early by up to a tick
            self._handle = self._loop.call_later(0.0002, self._tick)
        else:
            self._callback()
