"""The client against real sockets: connections kept, found dead, limited, timed out, cut off."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadgen.wire.client import Client
from loadgen.wire.timeline import Timeline
from tests.wire.rawserver import (
    STREAM_HEAD,
    Caller,
    RawServer,
    Script,
    Step,
    calling,
    chunk,
    event,
    stream,
    timeouts_ms,
)

OK = stream("Hello", " you")
SERVE: Script = [Step.REQUEST, OK, Step.AGAIN]


def outcomes(timelines: list[Timeline]) -> Counter[str]:
    return Counter(t.outcome for t in timelines)


# connections


async def test_a_connection_is_used_again() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        first, second, third = [await caller.send() for _ in range(3)]
        assert [t.outcome for t in (first, second, third)] == ["ok"] * 3
        assert (server.accepted, len(server.requests), caller.client.connections) == (1, 3, 1)
        assert None not in {first.connect_start_ns, first.connected_ns}
        assert {second.connect_start_ns, second.connected_ns, third.connected_ns} == {None}
        assert [t.attempts for t in (first, second, third)] == [1, 1, 1]


async def test_the_instants_of_a_request_are_in_order() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        t = await caller.send()
        first, last = t.event_ns.tolist()
        instants = [t.connect_start_ns, t.connected_ns, t.sent_ns, t.first_byte_ns, first, last, t.done_ns]
        assert None not in instants
        assert instants == sorted(x for x in instants if x is not None)
        assert t.first_answer_ns == first
        assert (t.status, t.finish_reason, t.response_id, t.events) == (200, "stop", "r1", 3)
        assert t.event_chars.tolist() == [5, 4]


async def test_many_streams_at_once() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        assert outcomes(await caller.send_many(300)) == {"ok": 300}
        assert server.most_open == server.accepted == 300
        assert outcomes(await caller.send_many(300)) == {"ok": 300}
        assert server.accepted == 300


GONE_AFTER_THE_ANSWER: Script = [Step.REQUEST, OK]
GONE_AT_THE_SECOND: Script = [Step.REQUEST, OK, Step.REQUEST]
RESET_AT_THE_SECOND: Script = [Step.REQUEST, OK, Step.REQUEST, Step.RESET]


@pytest.mark.parametrize("script", [GONE_AT_THE_SECOND, RESET_AT_THE_SECOND], ids=["closed", "reset"])
async def test_a_kept_connection_that_dies_is_replaced_once(script: Script) -> None:
    async with RawServer(script, SERVE) as server, calling(server.base_url) as caller:
        first, second = await caller.send(), await caller.send()
        assert [(t.outcome, t.error) for t in (first, second)] == [("ok", None)] * 2
        assert (first.attempts, second.attempts) == (1, 2)
        assert (server.accepted, len(server.requests)) == (2, 3)
        assert second.connected_ns is not None
        assert second.sent_ns is not None
        assert second.connected_ns <= second.sent_ns
        assert caller.client.connections == 1


async def test_a_connection_closed_while_idle_is_not_used() -> None:
    async with RawServer(GONE_AFTER_THE_ANSWER, SERVE) as server, calling(server.base_url) as caller:
        await caller.send()
        while caller.client.connections:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        second = await caller.send()
        assert (second.outcome, second.attempts, len(server.requests)) == ("ok", 1, 2)


async def test_the_replacement_of_a_dead_connection_is_not_replaced() -> None:
    async with RawServer(GONE_AT_THE_SECOND, [Step.REQUEST]) as server, calling(server.base_url) as caller:
        await caller.send()
        second = await caller.send()
        assert (second.outcome, second.attempts) == ("disconnected", 2)
        assert (server.accepted, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([Step.REQUEST], "the server closed the connection before it answered"),
        ([Step.REQUEST, b"HTTP/1.1 200 O"], "the server closed the connection before it answered"),
        (
            [Step.REQUEST, STREAM_HEAD + chunk(event("a"))],
            "the server closed the connection in the middle of",
        ),
        ([Step.REQUEST, Step.RESET], "the connection was lost ("),
    ],
    ids=["closed", "in the status line", "in the stream", "reset"],
)
async def test_a_fresh_connection_that_dies_is_a_failure(script: Script, error: str) -> None:
    async with RawServer(script) as server, calling(server.base_url) as caller:
        t = await caller.send()
        assert (t.outcome, t.attempts) == ("disconnected", 1)
        assert error in str(t.error)
        assert (server.accepted, len(server.requests), caller.client.connections) == (1, 1, 0)


async def test_a_kept_connection_that_dies_in_the_answer_is_a_failure() -> None:
    script: Script = [Step.REQUEST, OK, Step.REQUEST, b"HTTP/1.1 200 OK\r\n"]
    async with RawServer(script, SERVE) as server, calling(server.base_url) as caller:
        await caller.send()
        t = await caller.send()
        assert (t.outcome, t.attempts, server.accepted) == ("disconnected", 1, 1)


async def test_a_server_that_closes_at_once() -> None:
    async with RawServer([]) as server, calling(server.base_url) as caller:
        assert outcomes(await caller.send_many(50)) == {"disconnected": 50}
        assert server.accepted == 50


@pytest.mark.parametrize("said", [b"Connection: close\r\n", b""], ids=["connection close", "HTTP/1.0"])
async def test_a_connection_that_is_not_to_be_kept_is_closed(said: bytes) -> None:
    version = b"HTTP/1.1" if said else b"HTTP/1.0"
    body = event("a", "stop")
    raw = b"%b 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (version, said, len(body), body)
    async with RawServer([Step.REQUEST, raw, Step.HOLD]) as server, calling(server.base_url) as caller:
        assert outcomes([await caller.send(), await caller.send()]) == {"ok": 2}
        assert server.accepted == 2
        assert caller.client.connections == 0


async def test_bytes_after_the_end_cost_the_connection_not_the_request() -> None:
    script: Script = [Step.REQUEST, OK + b"HTTP/1.1 200 OK\r\n\r\n", Step.HOLD]
    async with RawServer(script) as server, calling(server.base_url) as caller:
        assert outcomes([await caller.send(), await caller.send()]) == {"ok": 2}
        assert server.accepted == 2


# the limit


async def test_max_connections_is_kept() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url, max_connections=3) as caller:
        assert outcomes(await caller.send_many(40)) == {"ok": 40}
        assert (server.most_open, server.accepted, len(server.requests)) == (3, 3, 40)


async def test_waiting_for_a_connection_is_first_come_first_served() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url, max_connections=1) as caller:
        sent = [t.sent_ns or 0 for t in await caller.send_many(20)]
        assert sent == sorted(sent)


async def test_no_one_waits_for_ever_behind_one_that_can_not_connect() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening: connections are refused
        base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        async with calling(base_url, max_connections=1) as caller:
            timelines = await caller.send_many(5)
    assert outcomes(timelines) == {"connect_error": 5}
    assert all("refuses connections" in str(t.error) for t in timelines)


async def test_a_limit_and_a_server_that_closes_after_each_answer() -> None:
    async with (
        RawServer(GONE_AFTER_THE_ANSWER) as server,
        calling(server.base_url, max_connections=2) as caller,
    ):
        timelines = await caller.send_many(30)
        assert outcomes(timelines) == {"ok": 30}
        assert server.most_open <= 3  # the server may see the next before it has dropped the last
        assert max(t.attempts for t in timelines) <= 2


async def test_a_limit_and_a_server_that_fails_every_request() -> None:
    async with (
        RawServer([Step.REQUEST, Step.RESET]) as server,
        calling(server.base_url, max_connections=2) as c,
    ):
        assert outcomes(await c.send_many(30)) == {"disconnected": 30}
        assert server.accepted == 30


async def test_one_cut_off_while_it_waits_gives_its_turn_on() -> None:
    hold = asyncio.Event()
    async with (
        RawServer([Step.REQUEST, hold, OK, Step.REQUEST, OK, Step.AGAIN]) as server,
        calling(server.base_url, max_connections=1) as caller,
    ):
        first = asyncio.ensure_future(caller.send())
        await caller.until_live(1)
        second, third = asyncio.ensure_future(caller.send()), asyncio.ensure_future(caller.send())
        await asyncio.sleep(0)
        waiting = [x for x in caller.client.live if x.sent_ns is None]
        assert len(waiting) == 2
        waiting[0].fail("cancelled", "cut")
        assert (await second).outcome == "cancelled"
        hold.set()
        assert outcomes([await first, await third]) == {"ok": 2}


# several addresses of one name


async def test_the_address_that_answers_is_remembered() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        # nobody listens on the first
        caller.client._addresses = ("127.0.0.9", "127.0.0.1")
        assert outcomes(await caller.send_many(50)) == {"ok": 50}
        assert caller.client._addresses[0] == "127.0.0.1"


async def test_addresses_put_in_another_order_meanwhile_fail_nobody() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        caller.client._addresses = ("127.0.0.9", "127.0.0.1")
        request = asyncio.ensure_future(caller.send())
        while not caller.client._connecting:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        caller.client._addresses = ("127.0.0.1", "127.0.0.9")  # as another one has found out
        assert (await request).outcome == "ok"


# time-outs


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
        ({"first_token": 20}, "no token within first_token = 20ms"),
        ({"total": 20}, "not done within total = 20ms"),
        ({}, None),
    ],
)
async def test_an_answer_that_came_too_late_is_judged_by_its_stamps(
    limits: dict[str, int], error: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "sweep", lambda _: None)  # nobody comes by in time
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, late.set)
    async with (
        RawServer([Step.REQUEST, late, OK]) as server,
        calling(server.base_url, timeouts=timeouts_ms(**limits)) as caller,
    ):
        t = await caller.send()
        assert (t.outcome, t.error) == ("timeout" if error else "ok", error)


# cut off


async def cut(caller: Caller, n: int) -> list[Timeline]:
    """Cut off n requests that are being sent."""
    tasks = [asyncio.ensure_future(caller.send()) for _ in range(n)]
    await asyncio.sleep(0.02)
    caller.client.cut("the end of the grace time")
    return list(await asyncio.gather(*tasks))


@pytest.mark.parametrize(
    "said", [None, b"", ROLE_ONLY, STARTED], ids=["unread", "waiting", "role", "streaming"]
)
async def test_cut_off(said: bytes | None) -> None:
    script: Script = [Step.HOLD] if said is None else [Step.REQUEST, said, Step.HOLD]
    async with RawServer(script) as server, calling(server.base_url, max_connections=8) as caller:
        timelines = await cut(caller, 10)  # two of them wait for a connection
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
