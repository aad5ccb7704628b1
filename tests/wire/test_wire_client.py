"""The client against real sockets: connections kept, found dead, limited."""

import asyncio
import resource
import socket
from typing import Any

import pytest

from loadgen.wire.stopwatch import Connection
from tests.wire.rawserver import (
    STREAM_HEAD,
    RawServer,
    Script,
    Step,
    calling,
    chunk,
    event,
    outcomes,
    stream,
)

OK = stream("Hello", " you")
SERVE: Script = [Step.REQUEST, OK, Step.AGAIN]


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


async def test_one_refused_connection_says_nothing_of_kept_ones() -> None:
    """Else one refusal would slow down every place that still has a connection."""
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        assert (await caller.send()).outcome == "ok"
        caller.client.unreachable = True  # as another place's request has left it
        assert (await caller.send()).outcome == "ok"
        assert server.accepted == 1
        assert not caller.client.unreachable


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
        caller.client._pool._addresses = ("127.0.0.9", "127.0.0.1")
        assert outcomes(await caller.send_many(50)) == {"ok": 50}
        assert caller.client._pool._addresses[0] == "127.0.0.1"


async def test_addresses_put_in_another_order_meanwhile_fail_nobody() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        caller.client._pool._addresses = ("127.0.0.9", "127.0.0.1")
        request = asyncio.ensure_future(caller.send())
        while not caller.client._pool._connecting:  # noqa: ASYNC110  # a few turns of the loop
            await asyncio.sleep(0)
        caller.client._pool._addresses = ("127.0.0.1", "127.0.0.9")  # as another one has found out
        assert (await request).outcome == "ok"


async def test_one_connection_is_shared_evenly() -> None:
    served: list[int] = []
    async with RawServer(SERVE) as server, calling(server.base_url, max_connections=1) as caller:

        async def place(number: int) -> None:
            while len(served) < 30:
                await caller.send()
                served.append(number)

        await asyncio.gather(*(place(i) for i in range(3)))
        assert server.accepted == 1
    assert all(abs(served.count(i) - len(served) / 3) <= 1 for i in range(3))


@pytest.mark.parametrize("n", [2, 3, 4, 12])
async def test_a_limit_and_kept_connections_that_are_all_dead(n: int) -> None:
    # each second request on a connection kills it; the one who sends again must not be given such a one
    async with RawServer(GONE_AT_THE_SECOND) as server, calling(server.base_url, max_connections=1) as caller:
        timelines = await caller.send_many(n)
        assert outcomes(timelines) == {"ok": n}
        assert max(t.attempts for t in timelines) == 2


async def test_a_server_that_never_keeps_a_connection_is_understood() -> None:
    async with RawServer(GONE_AT_THE_SECOND) as server, calling(server.base_url) as caller:
        timelines = [await caller.send() for _ in range(8)]
        assert outcomes(timelines) == {"ok": 8}
        assert [t.attempts for t in timelines] == [1, 2, 2, 2, 1, 1, 1, 1]


async def test_a_restart_of_the_server_does_not_end_keep_alive() -> None:
    old: Script = [Step.REQUEST, OK, Step.REQUEST, OK, Step.REQUEST]
    async with RawServer(*[old] * 6, SERVE) as server, calling(server.base_url) as caller:
        for attempts in (1, 1, 2, 1, 1):
            timelines = await caller.send_many(6)
            assert {(t.outcome, t.attempts) for t in timelines} == {("ok", attempts)}
        assert server.accepted == 12


async def test_a_connection_lost_while_idle_is_not_used() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        await caller.send()
        (connection,) = caller.client._pool._idle
        connection.connection_lost(ConnectionResetError())
        second = await caller.send()
        assert (second.outcome, second.attempts, server.accepted) == ("ok", 1, 2)


async def test_a_connection_lost_before_it_could_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(addresses: tuple[str, ...], *_: Any) -> tuple[Connection, tuple[str, ...]]:
        connection = Connection(caller.client._pool._reader)
        connection.connection_lost(None)
        return connection, addresses

    monkeypatch.setattr("loadgen.wire.pool.connect", connect)
    async with calling("http://127.0.0.1:1/v1") as caller:
        t = await caller.send()
        assert t.outcome == "disconnected"
        assert t.error == "the server closed the connection before it was asked anything"


async def test_no_file_descriptors_left_is_the_clients_own_failure() -> None:
    async with RawServer(SERVE) as server, calling(server.base_url) as caller:
        await caller.send()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            timelines = await caller.send_many(3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert outcomes(timelines) == {"ok": 1, "client_error": 2}
        assert {t.error for t in timelines} - {None} == {
            f"can't connect to 127.0.0.1:{server.port}: Too many open files"
        }
        assert (await caller.send()).outcome == "ok"


@pytest.mark.parametrize("behind", [b"}", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
async def test_an_end_with_bytes_behind_it_in_one_read_is_found(behind: bytes) -> None:
    """The reader looks in full only at what ends as an answer must; the sweep finds the others."""
    begun = asyncio.Event()
    whole = stream("a", "b", "c")
    at = whole.index(b"data:") + 400
    serve: Script = [Step.REQUEST, whole[:at], begun, whole[at:] + behind, Step.HOLD]
    async with RawServer(serve) as server, calling(server.base_url) as caller:
        asked = asyncio.ensure_future(caller.send())
        await caller.until_live(1)
        while not any(exchange.reads for exchange in caller.client.live):  # noqa: ASYNC110  # a few turns
            await asyncio.sleep(0)
        begun.set()
        t = await asked
        assert (t.outcome, t.event_chars.tolist()) == ("ok", [1, 1, 1])
        assert caller.client.connections == 0
