"""Time-outs and cutting off, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loadgen.wire.client import Client
from loadgen.wire.connect import connect as real_connect
from loadgen.wire.timeline import Timeline
from tests.wire.rawserver import (
    PROMPT,
    STREAM_HEAD,
    Caller,
    RawServer,
    Script,
    Step,
    calling,
    chunk,
    event,
    outcomes,
    stream,
    timeouts_ms,
)

OK = stream("Hello", " you")
SERVE: Script = [Step.REQUEST, OK, Step.AGAIN]


@asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """A listening socket whose queue is full: the kernel answers no further attempt to connect."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for filler in fillers:
            filler.close()


async def test_a_connection_that_is_not_made_in_time() -> None:
    async with full_backlog() as base_url, calling(base_url, timeouts=timeouts_ms(connect=30)) as caller:
        timelines = await caller.send_many(3)
        assert outcomes(timelines) == {"timeout": 3}
        assert {t.error for t in timelines} == {"not connected within connect = 30ms"}
        assert {t.sent_ns for t in timelines} == {t.connected_ns for t in timelines} == {None}
        assert caller.client.connections == 0


STARTED = STREAM_HEAD + chunk(event("a"))
ROLE_ONLY = STREAM_HEAD + chunk(event("")) + chunk(b": ping\n\n")


@pytest.mark.parametrize(
    ("limit", "said", "error"),
    [
        ("first_token", b"", "no token within first_token = 40ms"),
        ("first_token", b"HTTP/1.1 100 Continue\r\n\r\n", "no token within first_token = 40ms"),
        ("first_token", ROLE_ONLY, "no token within first_token = 40ms"),
        ("between_tokens", STARTED, "no token within between_tokens = 40ms"),
        ("between_tokens", STARTED + chunk(b": ping\n\n"), "no token within between_tokens = 40ms"),
        ("total", b"", "not done within total = 40ms"),
        ("total", STARTED, "not done within total = 40ms"),
    ],
)
async def test_a_silent_server_is_timed_out(limit: str, said: bytes, error: str) -> None:
    async with (
        RawServer([Step.REQUEST, said, Step.HOLD]) as server,
        calling(server.base_url, timeouts=timeouts_ms(**{limit: 40})) as caller,
    ):
        t = await caller.send()
        assert (t.outcome, t.error) == ("timeout", error)
        assert len(t.event_ns) == (said.startswith(STARTED))
        assert t.sent_ns is not None
        assert t.done_ns - t.sent_ns >= 40_000_000
        assert caller.client.connections == 0
        assert t.attempts == server.accepted == 1


async def test_tokens_that_keep_coming_meet_the_limit_between_them() -> None:
    async with (
        RawServer(SERVE) as server,
        calling(server.base_url, timeouts=timeouts_ms(between_tokens=500)) as c,
    ):
        assert (await c.send()).outcome == "ok"


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"first_token": 20}, "first token later than first_token = 20ms"),
        ({"total": 20}, "done later than total = 20ms"),
        ({}, None),
    ],
)
async def test_an_answer_that_came_too_late_is_judged_by_its_stamps(
    limits: dict[str, int], error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "sweep", lambda _: None)  # nobody comes by in time
    late = asyncio.Event()
    async with (
        RawServer([Step.REQUEST, late, OK]) as server,
        calling(server.base_url, timeouts=timeouts_ms(**limits)) as caller,
    ):
        sent = asyncio.ensure_future(caller.send())
        await caller.until_live(1)
        asyncio.get_running_loop().call_later(0.05, late.set)
        t = await sent
        assert (t.outcome, t.error) == ("timeout" if error else "ok", error)


async def cut(caller: Caller, n: int, answered: int = 0) -> list[Timeline]:
    """Cut off n requests that are being sent, once so many of them have begun to be answered."""
    tasks = [asyncio.ensure_future(caller.send()) for _ in range(n)]
    await asyncio.sleep(0.02)
    while sum(bool(x.reads) for x in caller.client.live) < answered:  # noqa: ASYNC110  # nothing tells
        await asyncio.sleep(0.001)
    caller.client.cut("the end of the grace time")
    return list(await asyncio.gather(*tasks))


@pytest.mark.parametrize(
    "said", [None, b"", ROLE_ONLY, STARTED], ids=["unread", "waiting", "role", "streaming"]
)
async def test_cut_off(said: bytes | None) -> None:
    script: Script = [Step.HOLD] if said is None else [Step.REQUEST, said, Step.HOLD]
    async with RawServer(script) as server, calling(server.base_url, max_connections=8) as caller:
        timelines = await cut(caller, 10, answered=8 if said else 0)  # two of them wait for a connection
        assert {(t.outcome, t.error) for t in timelines} == {("cancelled", "the end of the grace time")}
        assert sum(t.sent_ns is not None for t in timelines) == 8
        assert sum(len(t.event_ns) for t in timelines) == (8 if said == STARTED else 0)
        assert caller.client.connections == 0


async def test_cut_off_while_connecting() -> None:
    async with full_backlog() as base_url, calling(base_url) as caller:
        timelines = await cut(caller, 3)
        assert {(t.outcome, t.sent_ns, t.connected_ns) for t in timelines} == {("cancelled", None, None)}
        assert caller.client.connections == 0


async def test_after_a_cut_the_client_still_serves() -> None:
    async with RawServer([Step.REQUEST, Step.HOLD], SERVE) as server, calling(server.base_url) as caller:
        assert outcomes(await cut(caller, 1)) == {"cancelled": 1}
        assert (await caller.send()).outcome == "ok"


async def test_cut_off_in_the_moment_of_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:

        async def connect(*args: Any) -> Any:
            made = await real_connect(*args)
            # comes before the one who waits for the connection goes on
            asyncio.get_running_loop().call_soon(caller.client.cut, "enough")
            return made

        monkeypatch.setattr("loadgen.wire.pool.connect", connect)
        t = await caller.send()
        assert (t.outcome, t.error, t.sent_ns) == ("cancelled", "enough", None)
        assert t.connected_ns is not None
        assert server.requests == []


async def test_a_session_cancelled_in_the_moment_of_connecting(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:

        async def connect(*args: Any) -> Any:
            made.append(await real_connect(*args))
            asyncio.get_running_loop().call_soon(session.cancel)
            return made[0]

        monkeypatch.setattr("loadgen.wire.pool.connect", connect)
        session = asyncio.ensure_future(caller.client.send(PROMPT, print))
        with pytest.raises(asyncio.CancelledError):
            await session
        assert not made[0][0].usable
        assert caller.client.connections == 0


async def test_a_token_that_comes_late_and_no_other() -> None:
    """The limit between tokens is short, the one for the first is long, and the first was long in coming."""
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.08, late.set)
    async with (
        RawServer([Step.REQUEST, late, STARTED, Step.HOLD]) as server,
        calling(server.base_url, timeouts=timeouts_ms(between_tokens=30)) as caller,
    ):
        t = await caller.send()
        assert (t.outcome, t.error) == ("timeout", "no token within between_tokens = 30ms")
        assert len(t.event_ns) == 1
