"""How an answer may end, well or badly, byte by byte: outcomes, words, and what becomes of the connection."""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import pytest

from loadgen.wire.stopwatch import MAX_HEADER_BYTES
from tests.wire.rawserver import timeouts_ms
from tests.wire.scripted import (
    BODY,
    EVENTS,
    FINISH,
    SENT,
    Clock,
    Play,
    chunk,
    chunked,
    event,
    head,
    with_length,
)

FIRST, SECOND, THIRD = 1_000, 2_000, 3_000  # the stamps of the reads of a script
HELLO = event({"content": "Hello"})
CHUNKED = head("transfer-encoding: chunked")
_SQUEEZE = zlib.compressobj(wbits=31)
CUT_GZIP = _SQUEEZE.compress(HELLO) + _SQUEEZE.flush(zlib.Z_SYNC_FLUSH)


AFTER_THE_END = {
    "a second answer": with_length(BODY).raw,
    "a second answer, chunked": chunked(BODY, 9).raw,
    "nonsense": b"nonsense",
    "a closing brace": b"}",
    "an event": HELLO,
}


@pytest.mark.parametrize("name", AFTER_THE_END)
@pytest.mark.parametrize("first", [with_length(BODY).raw, chunked(BODY, 50).raw], ids=["length", "chunked"])
@pytest.mark.parametrize("same_read", [True, False], ids=["same read", "later read"])
def test_bytes_after_the_end(name: str, first: bytes, same_read: bool, clock: Clock) -> None:
    play = Play(clock)
    rest = AFTER_THE_END[name]
    if same_read:
        play.read(first + rest, FIRST)
    else:
        play.read(first, FIRST)
        play.read(rest, SECOND)
    t = play.timeline()
    assert (t.outcome, t.done_ns, t.attempts) == ("ok", FIRST, 1)
    assert t.events == len(EVENTS) + 2
    assert not play.connection.usable
    assert play.wire.closed
    assert play.freed[-1] is False


def test_bytes_between_two_requests_are_nobodys(clock: Clock) -> None:
    play = Play(clock)
    play.read(with_length(BODY).raw, FIRST)
    before = play.connection.usable
    play.read(b"HTTP/1.1 408 Request Timeout\r\n\r\n", SECOND)
    assert (before, play.connection.usable) == (True, False)
    assert play.freed == [True, False]


def test_two_requests_on_one_connection_are_kept_apart(clock: Clock) -> None:
    play = Play(clock)
    play.read(with_length(BODY).raw, FIRST)
    one = play.timeline()
    play.timelines.clear()
    play.start()
    play.read(chunked(HELLO + FINISH, 40).raw, SECOND)
    two = play.timeline()
    assert (one.done_ns, two.first_byte_ns, two.done_ns) == (FIRST, SECOND, SECOND)
    assert two.event_chars.tolist() == [5]
    assert two.event_ns.tolist() == [SECOND]
    assert play.freed == [True, True]
    assert play.connection.served == 2


class Ending(NamedTuple):
    """reads: stamped 1000, 2000, ...; then `end` at 9000."""

    reads: list[bytes]
    end: Callable[[Play, int], None] | None
    outcome: str
    error: str | None = None
    chars: tuple[int, ...] = ()
    done_ns: int = 9_000
    status: int | None = 200
    kept: bool = False  # whether the connection is fit for another request


LOST = "the connection was lost ([Errno 104] Connection reset by peer) "
MIDDLE = "in the middle of the answer"
ENDINGS = {
    "nothing came": Ending(
        [], Play.eof, "disconnected", "the server closed the connection before it answered", status=None
    ),
    "half a status line": Ending(
        [b"HTTP/1."],
        Play.eof,
        "disconnected",
        "the server closed the connection before it answered",
        status=None,
    ),
    "half of the headers": Ending(
        [b"HTTP/1.1 200 OK\r\nX: y"],
        Play.eof,
        "disconnected",
        "the server closed the connection before it answered",
        status=None,
    ),
    "100 and no more": Ending(
        [b"HTTP/1.1 100 Continue\r\n\r\n"],
        Play.eof,
        "disconnected",
        "the server closed the connection before it answered",
        status=None,
    ),
    "reset before the answer": Ending(
        [], Play.reset, "disconnected", LOST + "before it answered", status=None
    ),
    "chunked, cut in an event": Ending(
        [CHUNKED, chunk(HELLO), b"80\r\n" + HELLO[:50]],
        Play.eof,
        "disconnected",
        f"the server closed the connection {MIDDLE}",
        (5,),
    ),
    "chunked, without the last chunk": Ending(
        [CHUNKED, chunk(HELLO), chunk(FINISH)],
        Play.eof,
        "disconnected",
        f"the server closed the connection {MIDDLE}",
        (5,),
    ),
    "chunked, reset": Ending([CHUNKED, chunk(HELLO)], Play.reset, "disconnected", LOST + MIDDLE, (5,)),
    "shorter than its length": Ending(
        [head("content-length: 999"), HELLO, FINISH],
        Play.eof,
        "disconnected",
        f"the server closed the connection {MIDDLE}",
        (5,),
    ),
    "longer than its length": Ending(
        [head(f"content-length: {len(HELLO)}"), HELLO + FINISH],
        None,
        "truncated",
        "the answer ended without a finish_reason",
        (5,),
        done_ns=2_000,
    ),
    "length not a number": Ending(
        [head("content-length: many")],
        None,
        "bad_stream",
        "not HTTP/1.1 as the parser knows it: Invalid character in Content-Length",
        done_ns=1_000,
        status=None,
    ),
    "until the connection ends": Ending([head(), HELLO, FINISH], Play.eof, "ok", None, (5,)),
    "a coding that is not chunked, until the connection ends": Ending(
        [head("transfer-encoding: identity"), HELLO, FINISH], Play.eof, "ok", None, (5,)
    ),
    "until the connection ends, cut in an event": Ending(
        [head(), HELLO, HELLO[:60]], Play.eof, "truncated", "the answer ended without a finish_reason", (5,)
    ),
    "until the connection ends, cut in [DONE]": Ending(
        [head(), HELLO, FINISH[:-8]], Play.eof, "ok", None, (5,)
    ),
    "until the connection ends, reset": Ending(
        [head(), HELLO, FINISH], Play.reset, "disconnected", LOST + MIDDLE, (5,)
    ),
    "no blank line after the last event": Ending(
        [head(), HELLO, event({"content": "abc"}, "stop")[:-2]], Play.eof, "ok", None, (5, 3)
    ),
    "an error, then the end of the connection": Ending(
        [CHUNKED, chunk(HELLO), chunk(b'data: {"error":{"message":"overloaded"}}\n\n')],
        Play.eof,
        "error_in_stream",
        "overloaded",
        (5,),
    ),
    "an error in a whole answer": Ending(
        [CHUNKED, chunk(HELLO), chunk(b'data: {"error":"overloaded"}\n\n') + b"0\r\n\r\n"],
        None,
        "error_in_stream",
        "overloaded",
        (5,),
        done_ns=3_000,
        kept=True,
    ),
    "no finish_reason, with [DONE]": Ending(
        [CHUNKED, chunk(HELLO) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"],
        None,
        "truncated",
        "the answer ended without a finish_reason",
        (5,),
        done_ns=2_000,
        kept=True,
    ),
    "no output": Ending(
        [with_length(event({"role": "assistant", "content": None}) + FINISH).raw],
        None,
        "empty",
        "the answer carried no output",
        done_ns=1_000,
        kept=True,
    ),
    "no body": Ending(
        [head("content-length: 0")], None, "empty", "the answer carried no output", done_ns=1_000, kept=True
    ),
    "204": Ending(
        [head(status="204 No Content")],
        None,
        "empty",
        "the answer carried no output",
        done_ns=1_000,
        status=204,
    ),
    "not HTTP": Ending(
        [b"SSH-2.0-OpenSSH_9.6\r\n"],
        None,
        "bad_stream",
        "not HTTP/1.1 as the parser knows it: Expected HTTP/, RTSP/ or ICE/",
        done_ns=1_000,
        status=None,
    ),
    "a chunk's size is nonsense": Ending(
        [CHUNKED, chunk(HELLO), b"xyz\r\n"],
        None,
        "bad_stream",
        "not HTTP/1.1 as the parser knows it: Invalid character in chunk size",
        (5,),
        done_ns=3_000,
    ),
    "another protocol": Ending(
        [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"],
        None,
        "bad_stream",
        "the server switched protocols",
        done_ns=1_000,
        status=None,
    ),
    "a header too large": Ending(
        [head()[:-2], b"x: " + b"y" * MAX_HEADER_BYTES + b"\r\nz: "],
        None,
        "bad_stream",
        "the answer's headers are larger than 128 KB",
        done_ns=2_000,
        status=None,
    ),
    "too many headers": Ending(
        [head()[:-2], b"x: y\r\n" * (MAX_HEADER_BYTES // 2)],
        None,
        "bad_stream",
        "the answer's headers are larger than 128 KB",
        done_ns=2_000,
        status=None,
    ),
    "too many trailers": Ending(
        [CHUNKED, chunk(HELLO) + chunk(FINISH) + b"0\r\n", b"x: y\r\n" * (MAX_HEADER_BYTES // 2)],
        None,
        "bad_stream",
        "the answer's headers are larger than 128 KB",
        (5,),
        done_ns=3_000,
    ),
    "broken gzip": Ending(
        [with_length(b"\x1f\x8b nonsense", b"", "content-encoding: gzip").raw],
        None,
        "bad_stream",
        "broken compressed body: Error -3 while decompressing data: unknown compression method",
        done_ns=1_000,
        kept=True,
    ),
    "gzip cut short": Ending(
        [with_length(CUT_GZIP, b"", "content-encoding: gzip").raw],
        None,
        "truncated",
        "the answer ended without a finish_reason",
        (5,),
        done_ns=1_000,
        kept=True,
    ),
    "a coding nobody asked for": Ending(
        [with_length(BODY, b"", "content-encoding: br").raw],
        None,
        "bad_stream",
        "Content-Encoding 'br' although identity was asked for",
        done_ns=1_000,
        kept=True,
    ),
    "identity, said aloud": Ending(
        [with_length(HELLO + FINISH, b"", "content-encoding: Identity ").raw],
        None,
        "ok",
        None,
        (5,),
        done_ns=1_000,
        kept=True,
    ),
    "nested without end": Ending(
        [with_length(HELLO + b"data: " + b"[" * 200_000 + b"\n\n").raw],
        None,
        "bad_stream",
        "event 2 is not JSON: '" + "[" * 277 + "…",
        (5,),
        done_ns=1_000,
        kept=True,
    ),
    "an error nested deeply": Ending(
        [with_length(b'data: {"error":' + b'{"error":' * 900 + b"1" + b"}" * 901 + b"\n\n").raw],
        None,
        "error_in_stream",
        '{"error":1}',
        done_ns=1_000,
        kept=True,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_how_an_answer_ends(name: str, clock: Clock) -> None:
    row = ENDINGS[name]
    play = Play(clock)
    for i, data in enumerate(row.reads):
        clock.now = 9_000  # for what is not stamped by a read
        for start in range(0, len(data), 1 << 17):
            play.read(data[start : start + (1 << 17)], 1_000 * (i + 1))
    if row.end is not None:
        row.end(play, 9_000)
    t = play.timeline()
    assert (t.outcome, t.error, t.status) == (row.outcome, row.error, row.status)
    assert t.event_chars.tolist() == [*row.chars]
    assert t.done_ns == row.done_ns
    assert t.first_byte_ns == (1_000 if row.reads else None)
    assert play.connection.usable is row.kept


def test_the_end_of_a_stream_that_has_failed_is_not_seen_twice(clock: Clock) -> None:
    play = Play(clock)
    play.read(CHUNKED + chunk(HELLO), FIRST)
    clock.now = SECOND
    play.exchange.fail("timeout", "too late")
    play.read(chunk(FINISH) + b"0\r\n\r\n", THIRD)
    play.eof(THIRD)
    t = play.timeline()
    assert (t.outcome, t.error, t.done_ns, t.event_chars.tolist()) == ("timeout", "too late", SECOND, [5])
    assert play.freed == [False]
    assert len(play.woken) == 1
    assert not play.decoding.step()
    assert len(play.timelines) == 1


LIMITS = timeouts_ms(first_token=20, between_tokens=30, total=100)
NO_FIRST, NO_NEXT = "no token within first_token = 20ms", "no token within between_tokens = 30ms"
LATE_FIRST = "first token later than first_token = 20ms"
LATE_NEXT = "next token later than between_tokens = 30ms"
ROLE, TOKEN, LAST = (
    chunk(event({"role": "assistant", "content": ""})),
    chunk(HELLO),
    chunk(FINISH) + b"0\r\n\r\n",
)
MS = 1_000_000


@pytest.mark.parametrize(
    ("reads", "error"),
    [
        ([(19, ROLE), (20 - 1e-6, TOKEN), (21, LAST)], None),
        ([(19, ROLE), (20, TOKEN), (21, LAST)], LATE_FIRST),
        ([(1, ROLE), (20, LAST)], NO_FIRST),  # it is not known before its end that it has no output
        ([(10, TOKEN), (40 - 1e-6, TOKEN), (41, LAST)], None),
        ([(10, TOKEN), (40, TOKEN), (41, LAST)], LATE_NEXT),
        ([(10, TOKEN), (30, ROLE), (41, TOKEN), (42, LAST)], LATE_NEXT),
        ([(10, TOKEN), (40 - 1e-6, LAST)], None),
        ([(10, TOKEN), (40, LAST)], NO_NEXT),  # nobody knew that no token would come any more
        ([(n, TOKEN) for n in range(10, 100, 10)] + [(100 - 1e-6, LAST)], None),
        ([(n, TOKEN) for n in range(10, 100, 10)] + [(100, LAST)], "done later than total = 100ms"),
    ],
)
def test_the_time_outs_by_the_stamps_alone(
    reads: list[tuple[float, bytes]], error: str | None, clock: Clock
) -> None:
    play = Play(clock, LIMITS)
    play.read(CHUNKED, SENT + 1)
    for at_ms, data in reads:
        play.read(data, SENT + round(at_ms * MS))
    t = play.timeline()
    assert (t.outcome, t.error) == (("timeout", error) if error else ("ok", None))
