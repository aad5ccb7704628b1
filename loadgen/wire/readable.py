"""What a `Reader` reads: a plain connection, as far as it has to know one."""

from typing import Protocol

from loadgen.wire.instant import Receive, Stamp


class Plain(Protocol):
    """What a reader tells a connection. watched: whether it waits for room to write."""

    fd: int
    watched: bool
    receive: Receive

    def received(self, stamp: Stamp, data: bytes) -> None:
        """Take a read and its instant; no bytes are the end."""

    def look(self, size: int) -> None:
        """Look at a quick stream whose latest read, of so many bytes, may be its last."""

    def drain(self) -> None:
        """Send what has not been sent yet."""

    def lost(self, error: OSError) -> None:
        """The connection is gone."""
