"""A read has the instant at which it arrived, however late it is read."""

import asyncio
import socket
import threading
import time

import pytest

from loadgen.units import NS_PER_S
from loadgen.wire.instant import ROOM, SystemClock, Timing, ask, instant_ns, instants_ns
from loadgen.wire.stopwatch import now_ns
from tests.wire.rawserver import STREAM_HEAD, calling, chunk, event
from tests.wire.test_wire_reader import reading, reading_of
from tests.wire.test_wire_tls import server_context


def wait_for(sock: socket.socket) -> int:
    """Wait until something has arrived; return the instant after that."""
    sock.settimeout(5)
    sock.recv(1, socket.MSG_PEEK)
    sock.setblocking(False)
    return now_ns()


async def test_what_is_read_late_is_not_late() -> None:
    async with reading(quick=True) as (reader, listener, theirs):
        sock = listener.receive.__self__  # type: ignore[attr-defined]  # of a bound method
        await asyncio.sleep(0.1)  # until the kernel has begun with instants
        said = []
        for _ in range(3):
            before = now_ns()
            theirs.sendall(b"x" * 100)
            said.append((before, wait_for(sock)))
            time.sleep(0.02)  # noqa: ASYNC251  # the loop is kept from its sockets
            reader.read()
        for (before, after), instant in zip(said, instants_ns(listener.reads[::2]), strict=True):
            assert before - 1_000 <= instant <= after + 1_000  # how well the two clocks can be compared
        assert reader.timing.kernel
        assert not reader.timing.late_matters


async def test_reads_together_have_the_last_ones_instant() -> None:
    async with reading(quick=True) as (reader, listener, theirs):
        sock = listener.receive.__self__  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        theirs.sendall(b"x" * 100)
        first = wait_for(sock)
        time.sleep(0.02)  # noqa: ASYNC251
        theirs.sendall(b"y" * 100)
        time.sleep(0.02)  # noqa: ASYNC251
        reader.read()
        stamp, data = listener.reads
        assert len(data) == 200
        assert instant_ns(stamp) > first


async def test_a_kernel_that_does_not_say() -> None:
    ours, theirs = socket.socketpair()  # of the Unix family, which has no instants
    async with reading_of(ours, theirs, quick=True) as (reader, listener):
        reader.timing._began_ns -= 2 * NS_PER_S  # a kernel may take a while to begin
        for _ in range(2):
            theirs.sendall(b"x" * 100)
            before = now_ns()
            reader.read()
            assert before - 1_000 <= instant_ns(listener.reads[-2]) <= now_ns() + 1_000
        assert not reader.timing.kernel
        assert reader.timing.late_matters


def test_the_end_of_a_connection_has_no_instant() -> None:
    timing = Timing()
    timing._began_ns -= 2 * NS_PER_S
    timing.unsaid(b"")
    assert timing.kernel
    timing.here(test_reads_together_have_the_last_ones_instant, on=True)
    assert (timing.kernel, timing.late_matters) == (False, True)
    timing.here(test_reads_together_have_the_last_ones_instant, on=False)
    assert (timing.kernel, timing.late_matters) == (False, False)
    timing.close()


def test_stamps_of_both_kinds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        ask(ours)
        time.sleep(0.1)  # until the kernel has begun with instants
        theirs.sendall(b"x")
        _, said, _, _ = ours.recvmsg(10, ROOM)
    stamp = said[0][2]
    assert instants_ns([stamp, stamp]).tolist() == [instant_ns(stamp)] * 2
    assert instants_ns([3, 4]).tolist() == [instant_ns(3), instant_ns(4)] == [3, 4]
    assert instants_ns([]).tolist() == []


def test_a_clock_that_is_set_is_noticed() -> None:
    clock = SystemClock()
    clock.look()
    assert clock.set_ns == 0
    ahead_ns, clock.ahead_ns = clock.ahead_ns, clock.ahead_ns - 5_000_000
    clock.look()
    assert abs(clock.set_ns - 5_000_000) < 50_000
    assert abs(clock.ahead_ns - ahead_ns) < 50_000


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_stalled_loop_does_not_make_the_server_slow(scheme: str) -> None:
    """The first token comes while the loop does something else for long; it keeps its own instant."""
    asked, write, written, end = (threading.Event() for _ in range(4))

    def serve() -> None:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "https":
            sock = context.wrap_socket(sock, server_side=True)
        with sock:
            sock.recv(100_000)
            sock.sendall(STREAM_HEAD)
            asked.set()
            write.wait(5)
            sock.sendall(chunk(event("first")))
            written.set()
            end.wait(5)
            sock.sendall(chunk(event("", "stop") + b"data: [DONE]\n\n") + b"0\r\n\r\n")
            sock.recv(1)

    context = server_context("127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        base_url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/v1"
        async with calling(base_url, insecure=scheme == "https") as caller:
            sending = asyncio.ensure_future(caller.send())
            while not asked.is_set():  # noqa: ASYNC110  # a thread sets it
                await asyncio.sleep(0.001)
            before = now_ns()
            write.set()
            written.wait(5)
            after = now_ns()
            time.sleep(0.05)  # noqa: ASYNC251  # the loop is kept from its sockets
            await asyncio.sleep(0.02)
            end.set()
            timeline = await sending
            plain = caller.client._queue.reader.plain
        thread.join()
    if not plain:
        pytest.skip("plain sockets are the loop's here")
    assert before - 1_000 <= timeline.event_ns[0] <= after + 1_000
