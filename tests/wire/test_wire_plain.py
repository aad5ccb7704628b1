"""A socket of our own reader: requests larger than the kernel takes at once, and answers that come early."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from loadgen.workload.prompt import Prompt
from tests.wire.rawserver import PROMPT, calling

BIG = Prompt(messages=[{"role": "user", "content": "x" * 8_000_000}], task="t")
ANSWER = (
    b'data: {"id": "r", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
    b'data: {"id": "r", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server whose sockets take little at a time."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    listening.bind(("127.0.0.1", 0))

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
            await reader.read()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(served, sock=listening, limit=4_096)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        server.close()
        await asyncio.sleep(0.01)


async def body_of(reader: asyncio.StreamReader) -> int:
    """Read one request whole; return the length of its body."""
    size = 0
    while (line := await reader.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    left = size
    while left:
        left -= len(await reader.read(left))
    return size


async def test_a_request_larger_than_the_kernel_takes_at_once() -> None:
    sizes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(3):
            sizes.append(await body_of(reader))
            writer.write(HEAD + ANSWER)

    async with serving(serve) as base_url, calling(base_url) as caller:
        for prompt in (BIG, PROMPT, BIG):
            assert (await caller.send(prompt)).outcome == "ok"
        assert caller.client.connections == 1
        (connection,) = caller.client._pool._idle
        assert connection.plain is not None
        assert connection.plain.slow()
    assert sizes[0] == sizes[2] > 8_000_000


async def test_a_connection_whose_answer_came_before_its_request_is_not_used_again() -> None:
    connected = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected += 1
        if connected > 1:
            await body_of(reader)
        writer.write(HEAD + ANSWER)
        await reader.read()

    async with serving(serve) as base_url, calling(base_url) as caller:
        assert (await caller.send(BIG)).outcome == "ok"
        assert caller.client.connections == 0
        assert (await caller.send(PROMPT)).outcome == "ok"
    assert connected == 2


async def test_a_server_that_hangs_up_while_a_request_is_sent() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async with serving(serve) as base_url, calling(base_url) as caller:
        assert (await caller.send(BIG)).outcome == "disconnected"
        assert caller.client.connections == 0
