"""With garbage collection off nothing may pile up: requests, failed ones too, leave no reference cycles."""

import asyncio
import gc
import re
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.wire.rawserver import Caller, answer, calling, stream, timeouts_ms

ANSWERS = {
    "ok": stream("Hello", " you"),
    "http_error": answer('{"error":"oops"}', "500 X"),
    "disconnected": stream("Hello")[:-40],
    "bad_stream": answer(b"data: {\n\n", "200 OK", "Content-Type: text/event-stream"),
}


class Quick(asyncio.Protocol):
    """A server without garbage of its own; every fifth request fails, each time in another way."""

    requests = 0

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        Quick.requests += len(re.findall(b"POST /", data))
        kind = "ok" if Quick.requests % 5 else [*ANSWERS, "reset", "timeout"][1 + Quick.requests // 5 % 5]
        if kind in ANSWERS:
            self.transport.write(ANSWERS[kind])
        if kind in {"disconnected", "reset"}:
            self.transport.close() if kind == "disconnected" else self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def check_garbage() -> None:
    """Collect; asyncio's own transports each hold themselves, uvloop leaves nothing."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    found = Counter(f"{type(x).__module__}.{type(x).__qualname__}" for x in gc.garbage)
    gc.garbage.clear()
    ours = (
        "loadgen.",
        "httptools.",
        "builtins.frame",
        "builtins.traceback",
        "builtins.coroutine",
        "_asyncio.",
    )
    assert [name for name in found if name.startswith(ours)] == []
    assert isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop) or found.total() < 100, found


async def send(caller: Caller, n: int, at_once: int, seen: Counter[str]) -> None:
    left = iter(range(n))

    async def place() -> None:
        for _ in left:
            seen[(await caller.send()).outcome] += 1
            caller.delivered.clear()

    await asyncio.gather(*(place() for _ in range(at_once)))


@pytest.mark.slow
async def test_ten_thousand_requests_leave_no_cycles(no_collection: None) -> None:
    seen: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(Quick, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with calling(base_url, timeouts=timeouts_ms(total=20)) as caller:
        await send(caller, 200, 50, seen)
        gc.collect()  # what is made once stays
        await send(caller, 10_000, 50, seen)
        check_garbage()
    server.close()
    await server.wait_closed()
    assert all(seen[kind] > 400 for kind in ("http_error", "disconnected", "bad_stream", "timeout"))


async def test_connections_that_fail_leave_no_cycles(no_collection: None) -> None:
    seen: Counter[str] = Counter()
    with socket.socket() as refusing, socket.socket() as silent:
        for s in (refusing, silent):
            s.bind(("127.0.0.1", 0))
        silent.listen(100)
        for scheme, port, n in (
            ("http", refusing.getsockname()[1], 1_000),
            ("https", silent.getsockname()[1], 50),
        ):
            base_url = f"{scheme}://127.0.0.1:{port}/v1"
            async with calling(base_url, timeouts=timeouts_ms(connect=20)) as caller:
                await send(caller, 25, 25, seen)
                gc.collect()
                await send(caller, n, 25, seen)
                check_garbage()
    assert seen == {"connect_error": 1_025, "timeout": 75}
