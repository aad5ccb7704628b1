"""Names, TLS, connecting, and the words for a connection that could not be made."""

import asyncio
import errno
import socket
import ssl
from typing import Final

from loadgen.errors import EndpointError
from loadgen.scenario.model import Target
from loadgen.wire.reader import Reader
from loadgen.wire.request import RequestHead
from loadgen.wire.stopwatch import Connection
from loadgen.wire.tls import TlsSession

# X509_V_ERR_* of OpenSSL for an issuer that is not known
_NOT_SIGNED: Final = frozenset((2, 18, 19, 20, 21))


def tls_context(target: Target, head: RequestHead) -> ssl.SSLContext | None:
    """Build the TLS context of a target: verified unless `insecure`; None for plain HTTP.

    Raises:
        EndpointError: `ca_file` holds no certificate.
    """
    if head.scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=target.ca_file)
    except (ssl.SSLError, OSError) as error:
        place = f"target {target.name!r}: ca_file {target.ca_file}"
        raise EndpointError(place, f"can't be used: {error}", "give a PEM file with the CA") from None
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # a write could then have to wait for a read
    return context


async def resolve(target: Target, head: RequestHead) -> tuple[str, ...]:
    """Resolve the host, once a run.

    Raises:
        EndpointError: the name is not known.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(head.host, head.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is empty or too long
        place, why = f"target {target.name!r}", getattr(error, "strerror", None) or error
        raise EndpointError(place, f"can't resolve {head.host}: {why}", "check base_url") from None
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


async def connect(
    addresses: tuple[str, ...], head: RequestHead, tls: ssl.SSLContext | None, reader: Reader
) -> tuple[Connection, tuple[str, ...]]:
    """Connect to the first address that answers; return it with the addresses, that one first.

    Raises:
        OSError: none does (the last one's error).
    """
    for address in addresses:
        try:
            connection = await _connect(address, head, tls, reader)
        except OSError:
            if address == addresses[-1]:
                raise
        else:
            return connection, (address, *(a for a in addresses if a != address))
    raise OSError(errno.EHOSTUNREACH, "no address")


async def _connect(address: str, head: RequestHead, tls: ssl.SSLContext | None, reader: Reader) -> Connection:
    loop = asyncio.get_running_loop()
    if not reader.plain:
        _, made = await loop.create_connection(
            lambda: Connection(reader),
            address,
            head.port,
            ssl=tls,
            server_hostname=head.host if tls is not None else None,
        )
        return made
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, (address, head.port))
        session = None if tls is None else TlsSession(tls, head.host)
        if session is not None:
            await session.shake_hands(sock)
    except BaseException:
        sock.close()
        raise
    connection = Connection(reader)
    connection.made(sock, session)
    return connection


def connect_words(error: BaseException, head: RequestHead) -> str:
    """Say in words why a connection was not made."""
    where = f"{head.host}:{head.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} is not trusted: {error.verify_message}{_trust(error)}"
    if isinstance(error, ssl.SSLError):
        return f"TLS with {where} failed: {error.reason or error}"
    if isinstance(error, ConnectionRefusedError):
        return f"{where} refuses connections"
    if isinstance(error, OSError):
        return f"can't connect to {where}: {error.strerror or error}"
    return f"can't connect to {where}: {type(error).__name__}"


def _trust(error: ssl.SSLCertVerificationError) -> str:
    """Say what would help, where that is a CA."""
    return " (ca_file is to hold the CA that signed it)" if error.verify_code in _NOT_SIGNED else ""
