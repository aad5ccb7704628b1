"""HTTPS with certificates made on the spot: trusted, not trusted, for another host."""

import asyncio
import select
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from loadgen.errors import EndpointError
from loadgen.scenario.lengths import FilePath
from loadgen.scenario.model import Target
from loadgen.wire.client import Client
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.request import request_head
from loadgen.workload.prompt import Prompt
from tests.wire.rawserver import (
    STREAM_HEAD,
    RawServer,
    Script,
    Step,
    calling,
    chunk,
    event,
    stream,
    timeouts_ms,
)

SERVE: Script = [Step.REQUEST, stream("Hello", " you"), Step.AGAIN]
CA = trustme.CA()


def server_context(*names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def here() -> ssl.SSLContext:
    return server_context("127.0.0.1")


@pytest.fixture
def ca_file(tmp_path: Path) -> FilePath:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return FilePath(path)


async def test_a_certificate_of_a_named_authority(here: ssl.SSLContext, ca_file: FilePath) -> None:
    async with RawServer(SERVE, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        first, *rest = [await caller.send() for _ in range(3)]
        assert [(t.outcome, t.error) for t in (first, *rest)] == [("ok", None)] * 3
        assert None not in {first.connect_start_ns, first.connected_ns, first.first_byte_ns}
        assert [t.connected_ns for t in rest] == [None, None]
        assert server.accepted == 1


async def test_many_tls_streams_at_once(here: ssl.SSLContext, ca_file: FilePath) -> None:
    async with RawServer(SERVE, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        assert {t.outcome for t in await caller.send_many(30)} == {"ok"}


async def test_a_certificate_nobody_vouches_for(here: ssl.SSLContext) -> None:
    async with RawServer(SERVE, tls=here) as server, calling(server.base_url) as caller:
        t = await caller.send()
        why = "is not trusted: unable to get local issuer certificate"
        why += " (ca_file is to hold the CA that signed it)"
        assert (t.outcome, t.error) == ("connect_error", f"the certificate of 127.0.0.1:{server.port} {why}")
        assert (t.sent_ns, t.connected_ns, server.requests) == (None, None, [])
        assert t.connect_start_ns is not None


async def test_a_certificate_for_another_host(ca_file: FilePath) -> None:
    tls = server_context("llm.example.com", "127.0.0.2")
    async with RawServer(SERVE, tls=tls) as server, calling(server.base_url, ca_file=ca_file) as caller:
        t = await caller.send()
        assert t.outcome == "connect_error"
        assert "certificate" in str(t.error)
        assert "IP address mismatch, certificate is not valid for '127.0.0.1'" in str(t.error)
        assert "ca_file" not in str(t.error)  # no CA would help


async def test_insecure_takes_any_certificate() -> None:
    tls = server_context("elsewhere")
    async with RawServer(SERVE, tls=tls) as server, calling(server.base_url, insecure=True) as caller:
        assert (await caller.send()).outcome == "ok"


async def test_https_to_a_server_that_speaks_plain_http() -> None:
    plain: Script = [b"HTTP/1.1 400 Bad Request\r\n\r\n", Step.HOLD]
    async with RawServer(plain) as server, calling(server.base_url.replace("http", "https")) as caller:
        t = await caller.send()
        assert t.outcome == "connect_error"
        assert str(t.error).startswith(f"TLS with 127.0.0.1:{server.port} failed: ")


async def test_http_to_a_server_that_speaks_tls(here: ssl.SSLContext) -> None:
    async with (
        RawServer(SERVE, tls=here) as server,
        calling(server.base_url.replace("https", "http")) as caller,
    ):
        assert (await caller.send()).outcome in {"disconnected", "bad_stream"}


async def test_a_handshake_that_never_ends_is_timed_out() -> None:
    async with RawServer([Step.HOLD]) as server:
        base_url = server.base_url.replace("http", "https")
        async with calling(base_url, timeouts=timeouts_ms(connect=30)) as caller:
            t = await caller.send()
            assert (t.outcome, t.error) == ("timeout", "not connected within connect = 30ms")


async def test_cut_off_in_the_handshake() -> None:
    async with RawServer([Step.HOLD]) as server, calling(server.base_url.replace("http", "https")) as caller:
        request = asyncio.ensure_future(caller.send())
        await asyncio.sleep(0.02)
        caller.client.cut("enough")
        t = await request
        assert (t.outcome, t.error, t.sent_ns) == ("cancelled", "enough", None)


async def test_a_kept_tls_connection_that_dies_is_replaced(here: ssl.SSLContext, ca_file: FilePath) -> None:
    dies: Script = [Step.REQUEST, stream("a"), Step.REQUEST]
    async with (
        RawServer(dies, SERVE, tls=here) as server,
        calling(server.base_url, ca_file=ca_file) as caller,
    ):
        first, second = await caller.send(), await caller.send()
        assert [(t.outcome, t.attempts) for t in (first, second)] == [("ok", 1), ("ok", 2)]


async def test_a_stream_larger_than_the_buffer(here: ssl.SSLContext, ca_file: FilePath) -> None:
    texts = ["x" * 1_000] * 2_000
    serve: Script = [Step.REQUEST, stream(*texts), Step.AGAIN]
    async with RawServer(serve, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        t = await caller.send()
        assert (t.outcome, t.events) == ("ok", 2_001)
        assert t.event_chars.tolist() == [1_000] * 2_000


async def test_a_request_of_many_records(here: ssl.SSLContext, ca_file: FilePath) -> None:
    text = "x" * 3_000_000  # more than the kernel takes at once
    async with RawServer(SERVE, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        for _ in range(2):
            t = await caller.send(Prompt([{"role": "user", "content": text}], "t"))
            assert t.outcome == "ok"
        assert [text.encode() in request for request in server.requests] == [True, True]


async def test_the_server_says_goodbye_in_the_middle(here: ssl.SSLContext, ca_file: FilePath) -> None:
    half: Script = [Step.REQUEST, STREAM_HEAD, chunk(event("a"))]
    async with RawServer(half, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        t = await caller.send()
        assert (t.outcome, t.events) == ("disconnected", 1)
        assert t.error == "the server closed the connection in the middle of the answer"


async def test_an_answer_that_ends_with_the_connection(here: ssl.SSLContext, ca_file: FilePath) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    serve: Script = [Step.REQUEST, head, event("a"), event("", "stop") + b"data: [DONE]\n\n"]
    async with RawServer(serve, tls=here) as server, calling(server.base_url, ca_file=ca_file) as caller:
        assert [(t.outcome, t.finish_reason) for t in [await caller.send()]] == [("ok", "stop")]


async def test_bytes_that_are_no_tls(here: ssl.SSLContext, ca_file: FilePath) -> None:
    def serve() -> None:
        sock, _ = server.accept()
        tls = here.wrap_socket(sock, server_side=True)
        tls.recv(100_000)
        with socket.socket(fileno=tls.detach()) as plain:
            plain.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            plain.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        base_url = f"https://127.0.0.1:{server.getsockname()[1]}/v1"
        async with calling(base_url, ca_file=ca_file) as caller:
            t = await caller.send()
        await asyncio.to_thread(thread.join)
    assert t.outcome == "disconnected"
    assert "WRONG_VERSION_NUMBER" in str(t.error).upper().replace(" ", "_")


async def test_where_there_is_no_epoll(
    here: ssl.SSLContext, ca_file: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: the loop's transports, whose reads are stamped when they are read."""
    monkeypatch.delattr(select, "epoll", raising=False)
    for tls in (here, None):
        serve: Script = [Step.REQUEST, stream("Hello", " you"), Step.AGAIN]
        async with RawServer(serve, tls=tls) as server, calling(server.base_url, ca_file=ca_file) as caller:
            timing = caller.client._queue.reader.timing
            known = [(timing.kernel, timing.late_matters)]
            for _ in range(2):
                t = await caller.send()
                assert (t.outcome, t.events) == ("ok", 3)
            known.append((timing.kernel, timing.late_matters))
            assert known == [(True, False), (False, True)]
            caller.client.close()
            async with asyncio.timeout(5):
                while timing.late_matters:  # noqa: ASYNC110  # nothing tells
                    await asyncio.sleep(0.001)


@pytest.mark.parametrize("text", ["", "no certificate"])
async def test_a_ca_file_without_a_certificate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(text)
    target = Target(name="t", model="m", base_url="https://127.0.0.1:1/v1", ca_file=FilePath(path))
    with pytest.raises(EndpointError) as caught:
        Client(target, request_head(target, "targets[0]", {}), DecodeQueue(asyncio.get_running_loop()))
    assert str(caught.value).startswith(f"target 't': ca_file {path}: can't be used: ")
