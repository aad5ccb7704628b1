"""What a `Reader` reads: a plain connection, as far as it has to know one."""

from typing import Protocol


class Plain(Protocol):
    """What a reader tells a connection. watched: whether it waits for room to write."""

    fd: int
    watched: bool

    def received(self, stamp: int, data: bytes) -> None:
        """Take a read and its instant; no bytes are the end."""

    def look(self, size: int) -> None:
        """Look at a quick stream whose latest read, of so many bytes, may be its last."""

    def drain(self) -> None:
        """Send what has not been sent yet."""

    def lost(self, error: OSError) -> None:
        """The connection is gone."""
