"""Room for descriptors is made without touching those that are open."""

import fcntl
import os
from pathlib import Path

import pytest

from loadgen.run.limits import _make_room


@pytest.mark.parametrize("number", [64, 300])
def test_an_open_descriptor_stays_what_it_is(number: int) -> None:
    read, write = os.pipe()
    taken = fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, number)
    try:
        before, opened = os.fstat(taken).st_ino, len(list(Path("/proc/self/fd").iterdir()))
        _make_room(taken + 1)
        assert os.fstat(taken).st_ino == before
        assert len(list(Path("/proc/self/fd").iterdir())) == opened
    finally:
        for fd in (read, write, taken):
            os.close(fd)
