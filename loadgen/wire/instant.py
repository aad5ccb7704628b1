"""When a read arrived: the kernel's own instant of it, else ours.

Linux notes when it took in a segment and hands that out with the read (SO_TIMESTAMPNS, socket(7)). So what a
busy loop reads late is not late in any figure. Such a stamp is kept as it comes, on the system's clock, and
turned into nanoseconds of `time.perf_counter_ns` when it is needed. Both clocks run at one speed, whatever
adjusts it; only setting the system's moves the one against the other (clock_gettime(2)), and is looked for.
"""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import numpy as np

from loadgen.units import NS_PER_S
from loadgen.wire.timeline import Int64s

Stamp = bytes | int
"""A struct timespec of the system's clock; or nanoseconds of `time.perf_counter_ns`."""

Receive = Callable[[int, int], tuple[bytes, list[tuple[int, int, bytes]], int, Any]]
"""recvmsg(2): bytes at most, room for what is said with them → those, that, flags and address."""

_TIMESPEC: Final = struct.Struct("=qq")
ROOM: Final = socket.CMSG_SPACE(_TIMESPEC.size)
"""Bytes that a read needs for what the kernel says with it."""

_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h; `socket` has no name for it
_TRIES: Final = 10
_AT_ONCE_NS: Final = 1_000  # nothing came between two looks at the clocks
_SET_NS: Final = 50_000
_BEGINS_NS: Final = NS_PER_S


class Timing:
    """Whose reads have the kernel's instants. kernel: whether all have had them so far."""

    def __init__(self) -> None:
        self.kernel = True
        self._here: set[object] = set()
        self._began_ns = time.perf_counter_ns()
        # the kernel begins with instants a little after the first socket has asked for them
        first = socket.socket(type=socket.SOCK_DGRAM)
        ask(first)
        self._first = first.detach()

    def close(self) -> None:
        """Give back what is held."""
        if self._first >= 0:
            os.close(self._first)
            self._first = -1

    @property
    def late_matters(self) -> bool:
        """Whether there are connections of which a read has the instant at which we get to it."""
        return bool(self._here)

    def here(self, connection: object, *, on: bool) -> None:
        """Take note of such a connection, or of its end."""
        if on:
            self.kernel = False
            self._here.add(connection)
        else:
            self._here.discard(connection)

    def unsaid(self, data: bytes) -> Stamp:
        """Make the stamp of a read that came without; only the end of a connection should."""
        if data and time.perf_counter_ns() - self._began_ns > _BEGINS_NS:
            self.here(self, on=True)  # nor will the next have one
        return _TIMESPEC.pack(*divmod(time.time_ns(), NS_PER_S))


class SystemClock:
    """How far the system's clock is ahead of `time.perf_counter_ns`, and by how much it has been set.

    ahead_ns, set_ns: nanoseconds; set_ns: the steps added up, since this process began.
    """

    def __init__(self) -> None:
        self.ahead_ns = _ahead_ns()
        self.set_ns = 0

    def look(self) -> None:
        """See whether it has been set. What arrived before and is decoded after is then off by as much."""
        ahead_ns = _ahead_ns()
        if abs(ahead_ns - self.ahead_ns) > _SET_NS:
            self.set_ns += abs(ahead_ns - self.ahead_ns)
            self.ahead_ns = ahead_ns


def _ahead_ns() -> int:
    between, ahead = NS_PER_S, 0
    for _ in range(_TRIES):
        before, system, after = time.perf_counter_ns(), time.time_ns(), time.perf_counter_ns()
        if after - before < between:
            between, ahead = after - before, system - (before + after) // 2
        if between < _AT_ONCE_NS:
            break
    return ahead


CLOCK: Final = SystemClock()


def ask(sock: socket.socket) -> None:
    """Have the kernel say with each read when it arrived. Some don't (gVisor): a read then comes without."""
    if struct.calcsize("l") * 2 == _TIMESPEC.size:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def instant_ns(stamp: Stamp) -> int:
    """Return a stamp in nanoseconds of `time.perf_counter_ns`."""
    if isinstance(stamp, int):
        return stamp
    seconds, ns = _TIMESPEC.unpack(stamp)
    return int(seconds * NS_PER_S + ns - CLOCK.ahead_ns)


def instants_ns(stamps: Sequence[Stamp]) -> Int64s:
    """Return stamps, all of one kind, in nanoseconds of `time.perf_counter_ns`; shape (stamps,)."""
    if not stamps or isinstance(stamps[0], int):
        return np.array(stamps, np.int64)
    times = np.frombuffer(b"".join(cast("Sequence[bytes]", stamps)), np.int64).reshape(-1, 2)
    instants: Int64s = times[:, 0] * NS_PER_S + (times[:, 1] - CLOCK.ahead_ns)
    return instants
