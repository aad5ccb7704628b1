"""What Python itself costs: the least that a client on asyncio and uvloop can do to time streams.

    bare_client.py STREAMS MODEL REQUESTS RAMP_S PORT

The load of reference_client.c. Each read is stamped and kept; at the end of an answer its events are
searched for and given their stamps. No HTTP and no JSON is parsed, nothing is checked, kept or written, and
it relies on the framing of reference_server: a bound for clients in Python, not a rival.
"""

import asyncio
import gc
import sys
import time

import numpy as np
import uvloop

FIELD = b'content":"'
END = b"0\r\n\r\n"
BODY_BYTES = 1000


class Stream(asyncio.BufferedProtocol):
    """One connection; every connection reads into the same memory."""

    memory = bytearray(64 << 10)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> asyncio.Future[None]:
        """Make ready for an answer; the future is done when it is complete."""
        self.reads: list[bytes] = []
        self.stamps_ns: list[int] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return self.ended

    def get_buffer(self, _: int) -> bytearray:
        """Lend the memory."""
        return self.memory

    def buffer_updated(self, size: int) -> None:
        """Stamp and keep a read."""
        self.stamps_ns.append(time.perf_counter_ns())
        self.reads.append(bytes(memoryview(self.memory)[:size]))
        if self.reads[-1].endswith(END):
            self.ended.set_result(None)

    def instants_ns(self) -> np.ndarray:
        """Return the instants of the events with output."""
        data, places, at = b"".join(self.reads), [], -1
        while (at := data.find(FIELD, at + 1)) >= 0:
            if data[at + len(FIELD)] != ord('"'):  # the role alone
                places.append(at)
        ends = np.cumsum(list(map(len, self.reads)))
        return np.array(self.stamps_ns)[ends.searchsorted(places, side="right")]


def request(model: str, port: int) -> bytes:
    """Write the request; its body has the size that reference_client's has."""
    front = f'{{"model":"{model}","stream":true,"stream_options":{{"include_usage":true}},'
    front += '"messages":[{"role":"user","content":"'
    body = front + "x" * (BODY_BYTES - len(front) - 4) + '"}]}'
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def main(streams: int, model: str, requests: int, ramp_s: float, port: int) -> None:
    """Carry out the load."""
    gc.freeze()
    gc.disable()
    loop, left, events = asyncio.get_running_loop(), requests, 0

    async def place(number: int) -> None:
        nonlocal left, events
        await asyncio.sleep(ramp_s * number / streams)
        transport, stream = await loop.create_connection(Stream, "127.0.0.1", port)
        while left > 0:
            left -= 1
            ended = stream.begin()
            transport.write(request(model, port))
            await ended
            events += len(stream.instants_ns())
        transport.close()

    await asyncio.gather(*map(place, range(streams)))
    print(f"{events} events of {requests} answers")


if __name__ == "__main__":
    _, streams, model, requests, ramp_s, port = sys.argv
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(streams), model, int(requests), float(ramp_s), int(port)))
