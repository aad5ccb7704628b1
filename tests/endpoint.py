"""An OpenAI-compatible server of a test's own: on a thread, answering as the test says."""

import asyncio
import json
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, NamedTuple, Self


class Asked(NamedTuple):
    """One request. number: 0-based, in order of arrival; the same among those of its model and connection."""

    number: int
    of_model: int
    of_connection: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body["model"])


Answer = Callable[[Asked], AsyncIterator[bytes]]
"""Yields the bytes of the answer; the connection is closed after one that has said so."""


def event(value: dict[str, Any] | str) -> bytes:
    """One server-sent event as one HTTP chunk."""
    text = value if isinstance(value, str) else json.dumps(value)
    data = f"data: {text}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def content(text: str) -> bytes:
    return event({"id": "r", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


def finish(reason: str = "stop") -> bytes:
    return event({"id": "r", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage(prompt: int, output: int, **details: Any) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": output, **details}
    return event({"id": "r", "choices": [], "usage": counts})


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
END = event("[DONE]") + b"0\r\n\r\n"


async def stream(
    tokens: int = 3, *, first_s: float = 0.0, gap_s: float = 0.0, close: bool = False
) -> AsyncIterator[bytes]:
    """A good answer: a role event, an event a token, usage, [DONE]."""
    yield HEAD + (b"Connection: close\r\n\r\n" if close else b"\r\n") + content("")
    if first_s:
        await asyncio.sleep(first_s)
    for i in range(tokens):
        if i and gap_s:
            await asyncio.sleep(gap_s)
        yield content("word ")
    yield finish() + usage(7, tokens) + END


async def refusal(status: int, message: str) -> AsyncIterator[bytes]:
    """An error in OpenAI's shape."""
    body = json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None}}).encode()
    head = f"HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    yield head.encode() + body


async def raw(*parts: bytes) -> AsyncIterator[bytes]:
    """Bytes as they are; then the connection is closed."""
    for part in parts:
        yield part
    yield b""


async def silence() -> AsyncIterator[bytes]:
    """No answer, ever."""
    await asyncio.sleep(3600)
    yield b""


class Endpoint:
    """The server; use it in a `with`. base_url ends in /v1. most_open: connections open at once."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.connections = self.open = self.most_open = 0
        self.base_url = ""
        self._answer = answer
        self._tls = tls
        self._ready = threading.Event()
        self._of_model: Counter[str] = Counter()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0, ssl=self._tls, backlog=1000)
        scheme = "http" if self._tls is None else "https"
        self.base_url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._stop.wait()
        server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(self._connection(reader, writer))
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            count = 0
            while await self._one(reader, writer, count):
                count += 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            self.open -= 1
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> bool:
        """Answer one request; return whether the connection stays."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:]) if k}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        of_model = self._of_model[body["model"]]
        asked = Asked(len(self.asked), of_model, count, head[0].split()[1], headers, body)
        self._of_model[body["model"]] += 1
        self.asked.append(asked)
        stays = True
        async for data in self._answer(asked):
            writer.write(data)
            await writer.drain()
            if not data or b"Connection: close" in data:
                stays = False
        return stays
