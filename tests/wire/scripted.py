"""A connection fed with scripted bytes under an injected clock; answers framed in every way of HTTP."""

import asyncio
import json
import zlib
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from loadgen.scenario.model import Timeouts
from loadgen.wire.decode import Decoding
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.instant import Timing
from loadgen.wire.stopwatch import Connection, Exchange
from loadgen.wire.template import Learned
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt

CHAT = ENDPOINTS["chat"]
SENT = 500  # what the clock says when the request is sent


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {"id": "r1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


TEXTS = ["", "Grüße", " 漢字", "", "😀", "a\nb"]
FINISH = event({}, "stop") + b"data: [DONE]\n\n"
EVENTS = [event({"content": text}) for text in TEXTS]
BODY = b"".join(EVENTS) + b": ping\n\n" + FINISH
# where in the body each output event is complete, and its characters
OUTPUTS = [(end, len(t)) for end, t in zip(accumulate(map(len, EVENTS)), TEXTS, strict=True) if t]


class Message(NamedTuple):
    """An answer on the wire. at: offset in `raw` after which each byte of the body can be read."""

    raw: bytes
    at: list[int]
    ends_with_connection: bool = False


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "content-type: text/event-stream", *lines, "", ""]).encode()


def with_length(body: bytes, before: bytes = b"", *lines: str) -> Message:
    start = before + head(f"Content-Length: {len(body)}", *lines)
    return Message(start + body, [len(start) + i + 1 for i in range(len(body))])


def until_close(body: bytes, before: bytes = b"") -> Message:
    start = before + head("connection: close")
    return Message(start + body, [len(start) + i + 1 for i in range(len(body))], ends_with_connection=True)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked(body: bytes, size: int, extension: bytes = b"", trailers: bytes = b"") -> Message:
    raw = bytearray(head("Transfer-Encoding: chunked"))
    at: list[int] = []
    for start in range(0, len(body), size):
        data = body[start : start + size]
        raw += b"%x%b\r\n" % (len(data), extension)
        at += [len(raw) + i + 1 for i in range(len(data))]
        raw += data + b"\r\n"
    return Message(bytes(raw) + b"0\r\n" + trailers + b"\r\n", at)


def compressed(body: bytes, wbits: int, name: str) -> Message:
    """Compress event by event, as servers flush; when a byte can be read is asked of zlib, byte by byte."""
    squeeze, inflate = zlib.compressobj(wbits=wbits), zlib.decompressobj(wbits=47)
    events = [e + b"\n\n" for e in body.split(b"\n\n")[:-1]]
    packed = (
        b"".join(squeeze.compress(e) + squeeze.flush(zlib.Z_SYNC_FLUSH) for e in events) + squeeze.flush()
    )
    message = with_length(packed, b"", f"content-encoding: {name}")
    lengths = [len(inflate.decompress(packed[i : i + 1])) for i in range(len(packed))]
    return message._replace(at=[at for at, n in zip(message.at, lengths, strict=True) for _ in range(n)])


class Clock:
    """Stands for the monotonic clock; it goes on by one whenever it is read."""

    now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now - 1


class Wire(asyncio.Transport):
    """Stands for a transport: keeps what was written and whether it was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Stands:
    """Stands for a reader: takes note of when the latest read came."""

    def __init__(self) -> None:
        self.latest_ns = 0
        self.timing = Timing()


class Play:
    """One connection and what its exchanges become."""

    def __init__(self, clock: Clock, timeouts: Timeouts | None = None) -> None:
        self.clock = clock
        self.timeouts = timeouts or Timeouts()
        self.wire = Wire()
        self.connection = Connection(Stands())  # type: ignore[arg-type]  # nothing is read by itself here
        self.connection.connection_made(self.wire)
        self.freed: list[bool] = []
        self.connection.on_free = lambda _, reusable: self.freed.append(reusable)
        self.pending = 0
        self.timelines: list[Timeline] = []
        self.woken: list[Any] = []
        self.start()

    def start(self) -> None:
        self.exchange = Exchange(None, self.woken.append)  # type: ignore[arg-type]  # nobody waits here
        self.exchange.on_pending = self.count
        prompt = Prompt(messages=[], task="t")
        self.decoding = Decoding(
            self.exchange, CHAT, self.timeouts, str, self.timelines.append, prompt=prompt, learned=Learned()
        )
        self.clock.now = SENT
        self.connection.start(self.exchange, b"POST ...")

    def count(self) -> None:
        self.pending += 1

    def read(self, data: bytes, at: int) -> None:
        """Play the loop: hand over what one read of the socket brought."""
        self.clock.now = at
        self.connection.data_received(data)

    def eof(self, at: int) -> None:
        self.clock.now = at
        self.connection.eof_received()
        self.connection.connection_lost(None)

    def reset(self, at: int) -> None:
        self.clock.now = at
        self.connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))

    def timeline(self) -> Timeline:
        while self.decoding.step():
            pass
        (timeline,) = self.timelines
        return timeline


def pieces_of(raw: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({0, len(raw), *(p % len(raw) for p in places)})
    return [raw[a:b] for a, b in pairwise(cuts)]
