"""The reader is told once of each arrival, so nothing that has arrived may be left lying."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loadgen.wire.instant import Receive, Stamp, ask
from loadgen.wire.reader import Reader


class Listener:
    """Keeps what it is told of one socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.fd = sock.fileno()
        self.receive: Receive = sock.recvmsg
        ask(sock)
        self.got: list[bytes] = []
        self.reads: list[Any] = []
        self.over = asyncio.Event()
        self.drained = 0
        self.watched = False

    def received(self, stamp: Stamp, data: bytes) -> None:
        self.got.append(data)
        if not data:
            self.over.set()

    def look(self, size: int) -> None:
        pass

    @property
    def all(self) -> bytes:
        return b"".join(self.reads[1::2] + self.got)

    def drain(self) -> None:
        self.drained += 1

    def lost(self, error: OSError) -> None:
        self.over.set()


@asynccontextmanager
async def reading(*, quick: bool) -> AsyncIterator[tuple[Reader, Listener, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    async with reading_of(ours, theirs, quick=quick) as (reader, listener):
        yield reader, listener, theirs


@asynccontextmanager
async def reading_of(
    ours: socket.socket, theirs: socket.socket, *, quick: bool
) -> AsyncIterator[tuple[Reader, Listener]]:
    with ours, theirs:
        ours.setblocking(False)
        reader = Reader(asyncio.get_running_loop())
        if not reader.plain:
            pytest.skip("plain sockets are the loop's here")
        listener = Listener(ours)
        reader.add(listener)
        if quick:
            reader.quick(listener, listener.reads)
        yield reader, listener
        reader.remove(listener)
        reader.close()


@pytest.mark.parametrize("size", [1, 478, 479, 480, 16_383, 16_384, 16_385, 16_863, 16_864, 50_000])
@pytest.mark.parametrize("quick", [False, True])
async def test_all_that_came_before_the_end(size: int, quick: bool) -> None:
    async with reading(quick=quick) as (_, listener, theirs):
        data = bytes(range(256)) * (size // 256 + 1)
        theirs.sendall(data[:size])  # the loop sees data and end at once
        theirs.close()
        await asyncio.wait_for(listener.over.wait(), 5)
        assert listener.all == data[:size]
        assert listener.got[-1] == b""


async def test_what_is_left_by_a_full_read() -> None:
    async with reading(quick=True) as (_, listener, theirs):
        theirs.sendall(b"x" * 40_000)  # and nothing after it
        async with asyncio.timeout(5):
            while len(listener.all) < 40_000:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.001)
        assert [len(data) for data in listener.got][:2] == [479, 16_384]


async def test_a_small_read_is_not_told() -> None:
    async with reading(quick=True) as (_, listener, theirs):
        theirs.sendall(b"x" * 400)
        async with asyncio.timeout(5):
            while not listener.all:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.001)
        assert listener.reads[1:] == [b"x" * 400]
        assert not listener.got


async def test_a_reset_behind_data() -> None:
    async with reading(quick=True) as (_, listener, theirs):
        theirs.sendall(b"x" * 100)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        await asyncio.wait_for(listener.over.wait(), 5)


async def test_both_ways_while_there_is_more_to_send() -> None:
    async with reading(quick=True) as (reader, listener, theirs):
        listener.watched = True
        reader.watch_writing(listener, on=True)
        theirs.sendall(b"x" * 10_000)
        async with asyncio.timeout(5):
            while len(listener.all) < 10_000 or listener.drained < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        listener.watched = False
        reader.watch_writing(listener, on=False)
        theirs.sendall(b"y" * 10_000)
        theirs.close()
        await asyncio.wait_for(listener.over.wait(), 5)
        assert listener.all == b"x" * 10_000 + b"y" * 10_000
