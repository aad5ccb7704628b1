"""TLS on a socket that a `Reader` reads: the same instants as without it, and decryption after them."""

import asyncio
import contextlib
import errno
import socket
import ssl
from typing import Any, Final

from loadgen.wire.instant import Stamp
from loadgen.wire.plain import Listener, PlainSocket
from loadgen.wire.reader import Reader

_READ: Final = 16 << 10  # what a TLS record holds at most (RFC 8446, section 5.1)


class TlsSession:
    """One TLS session in memory: what was received goes in, what is to be sent comes out."""

    __slots__ = ("_incoming", "_outgoing", "_tls")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    async def shake_hands(self, sock: socket.socket) -> None:
        """Shake hands over a socket that doesn't block.

        Raises:
            OSError: it failed (`ssl.SSLError`: and TLS says why), or the server went away.
        """
        loop, done = asyncio.get_running_loop(), False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            finally:  # a server that is not trusted is told so, too
                with contextlib.suppress(ConnectionError):  # what became of it the next read says
                    await loop.sock_sendall(sock, self._outgoing.read())
            if not done:
                data = await loop.sock_recv(sock, _READ)
                if not data:
                    raise ConnectionResetError(errno.ECONNRESET, "closed by the server in the handshake")
                self._incoming.write(data)

    def encrypt(self, data: bytes) -> bytes:
        """Return what is to be sent for some bytes, and for what else the session has to say."""
        left = memoryview(data)
        while left:
            left = left[self._tls.write(left) :]
        return self._outgoing.read()

    def decrypt(self, data: bytes) -> tuple[bytes, bool]:
        """Return what has come whole in the bytes so far, and whether the server has ended the session.

        Raises:
            ssl.SSLError: this is no TLS, or not the server's.
        """
        self._incoming.write(data)
        parts = []
        over = True
        try:
            while part := self._tls.read(_READ):  # nothing: the server has said that nothing more comes
                parts.append(part)
        except ssl.SSLWantReadError:
            over = False
        return b"".join(parts), over


class TlsSocket(PlainSocket):
    """A `PlainSocket` with a session on top."""

    __slots__ = ("_session",)

    def __init__(
        self, sock: socket.socket, reader: Reader, connection: Listener, session: TlsSession
    ) -> None:
        self._session = session
        super().__init__(sock, reader, connection)

    def write(self, data: bytes) -> None:
        """Send a request."""
        try:
            self._send(self._session.encrypt(data))
        except ssl.SSLError as error:
            # not from within: whoever writes is not to find its request ended
            asyncio.get_running_loop().call_soon(self.lost, error)

    def quick(self, reads: list[Any]) -> None:
        """Do nothing: what is read is no chunk yet."""

    def received(self, stamp: Stamp, data: bytes) -> None:
        """Take a read; nothing is the end, whether or not TLS has said so before."""
        if not data:
            super().received(stamp, data)
            return
        try:
            text, over = self._session.decrypt(data)
        except ssl.SSLError as error:
            self.lost(error)
            return
        if answer := self._session.encrypt(b""):  # to a change of keys, say
            self._send(answer)
        if text:
            super().received(stamp, text)
        if over and not self.is_closing():
            super().received(stamp, b"")
