"""A server that plays a script on each connection, byte for byte, and a client to call it with."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from enum import Enum
from typing import Any, Self

from loadgen.scenario.lengths import Duration
from loadgen.scenario.model import Target, Timeouts
from loadgen.wire.client import Client
from loadgen.wire.decode_queue import DecodeQueue
from loadgen.wire.request import request_head
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt


class Step(Enum):
    """What a script does besides sending bytes and waiting for an `asyncio.Event`; at its end it closes."""

    REQUEST = "wait for a whole request"
    AGAIN = "begin the script again"
    HOLD = "wait until the client is gone"
    RESET = "cut the connection with a TCP reset"


Script = Sequence[bytes | Step | asyncio.Event]


class RawServer:
    """Plays the n-th script on the n-th connection, the last one on all that follow."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = scripts
        self.accepted = 0
        self.requests: list[bytes] = []
        self.most_open = 0
        self._open = 0
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=self._tls, backlog=1000
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        scheme = "https" if self._tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        number, self.accepted = self.accepted, self.accepted + 1
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            await self._play(self.scripts[min(number, len(self.scripts) - 1)], reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in script:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step is Step.REQUEST:
                self.requests.append(await self._request(reader))
            elif step is Step.HOLD:
                await reader.read()
            elif step is Step.RESET:
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                await self._play(script, reader, writer)

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        assert length, head
        return head + await reader.readexactly(int(length[1]))


def answer(body: bytes | str, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer with its length; JSON unless a header says otherwise."""
    data = body if isinstance(body, bytes) else body.encode()
    kind = (
        ()
        if any(h.lower().startswith("content-type") for h in headers)
        else ("Content-Type: application/json",)
    )
    lines = [f"HTTP/1.1 {status}", *headers, *kind, f"Content-Length: {len(data)}", "", ""]
    return "\r\n".join(lines).encode() + data


def stream(*texts: str, finish: str | None = "stop") -> bytes:
    """A whole event stream, chunked: one chunk an event."""
    events = [chunk(event(text)) for text in texts]
    if finish:
        events.append(chunk(event("", finish) + b"data: [DONE]\n\n"))
    return STREAM_HEAD + b"".join(events) + b"0\r\n\r\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str, finish: str | None = None) -> bytes:
    body = {"id": "r1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}
    return f"data: {json.dumps(body)}\n\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def timeouts_ms(**limits: int) -> Timeouts:
    """Time-outs in milliseconds; those not named are far away."""
    return Timeouts(**{f"{name}_ns": Duration(ms * 10**6) for name, ms in limits.items()})


def outcomes(timelines: list[Timeline]) -> Counter[str]:
    return Counter(t.outcome for t in timelines)


PROMPT = Prompt(messages=[{"role": "user", "content": "Hi, Zoë"}], task="t", asked_output_tokens=8)


class Caller:
    """A client, and what it delivered."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.delivered: list[list[Timeline]] = []

    async def send(self, prompt: Prompt = PROMPT) -> Timeline:
        """Send one request and wait for its timeline."""
        got: list[Timeline] = []
        self.delivered.append(got)
        async with asyncio.timeout(20):  # a test that fails is to end
            done_ns = await self.client.send(prompt, got.append)
            while not got:  # noqa: ASYNC110  # a few turns of the loop
                await asyncio.sleep(0)
        assert got[0].done_ns == done_ns
        return got[0]

    async def send_many(self, n: int) -> list[Timeline]:
        return list(await asyncio.gather(*(self.send() for _ in range(n))))

    async def until_live(self, n: int) -> None:
        """Wait until so many requests have been sent and not ended."""
        while sum(x.sent_ns is not None for x in self.client.live) < n:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def calling(
    base_url: str, environ: dict[str, str] | None = None, **target: Any
) -> AsyncIterator[Caller]:
    """Open a client with a sweep every 2 ms; at the end nothing may be left open or told twice."""
    row = Target(name="t", model="m", base_url=base_url, **target)
    client = Client(
        row, request_head(row, "targets[0]", environ or {}), DecodeQueue(asyncio.get_running_loop())
    )
    await client.open()
    caller = Caller(client)

    async def sweep() -> None:
        while True:
            list(client.sweep())
            await asyncio.sleep(0.002)

    sweeper = asyncio.ensure_future(sweep())
    try:
        yield caller
    finally:
        sweeper.cancel()
        client.cut("the test is over")
        client.close()
    await asyncio.sleep(0.01)
    assert client.live == {}
    assert client.connections == 0
    assert [len(got) for got in caller.delivered] == [1] * len(caller.delivered)
