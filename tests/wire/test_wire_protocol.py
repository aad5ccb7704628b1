"""The stopwatch protocol fed with scripted bytes and an injected clock: every instant is known exactly."""

from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.wire.body import MAX_ERROR_BODY
from loadgen.wire.stopwatch import PENDING_BYTES, PENDING_READS
from tests.wire.scripted import (
    BODY,
    FINISH,
    OUTPUTS,
    SENT,
    TEXTS,
    Clock,
    Message,
    Play,
    chunk,
    chunked,
    compressed,
    event,
    head,
    pieces_of,
    until_close,
    with_length,
)

FIRST, STEP = 1_000, 10  # the clock: when the first read comes, and between two
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n"
FRAMINGS = {
    "length": with_length(BODY),
    "until close": until_close(BODY),
    "a chunk of one byte": chunked(BODY, 1),
    "small chunks": chunked(BODY, 7),
    "one chunk, extension, trailers": chunked(
        BODY, 10**6, b';a="b"', b"X-Sum: 1\r\ncontent-type: application/json\r\n"
    ),
    "after 100": with_length(BODY, CONTINUE),
    "after 100 and 103": with_length(BODY, CONTINUE + HINTS),
    "after 103, until close": until_close(BODY, HINTS),
    "gzip": compressed(BODY, 31, "gzip"),
    "deflate": compressed(BODY, 15, "deflate"),
}


def check(clock: Clock, message: Message, places: list[int], decode_after: set[int]) -> None:
    """Play a message in these pieces; every instant must be that of the read that brought it."""
    play = Play(clock)
    reads: list[tuple[int, int]] = []  # offset after the read, stamp
    for i, piece in enumerate(pieces_of(message.raw, places)):
        reads.append((len(piece) + (reads[-1][0] if reads else 0), FIRST + i * STEP))
        play.read(piece, reads[-1][1])
        if i in decode_after:
            play.decoding.step()
    if message.ends_with_connection:
        play.eof(9_999_999)

    def stamp(offset: int) -> int:
        return next(at for end, at in reads if end >= offset)

    t = play.timeline()
    assert (t.outcome, t.error, t.status, t.sent_ns, t.first_byte_ns) == ("ok", None, 200, SENT, FIRST)
    assert t.event_ns.tolist() == [stamp(message.at[end - 1]) for end, _ in OUTPUTS]
    assert t.event_chars.tolist() == [chars for _, chars in OUTPUTS]
    assert t.first_answer_ns == t.event_ns[0]
    assert t.done_ns == (9_999_999 if message.ends_with_connection else reads[-1][1])
    assert t.events == len(TEXTS) + 2
    assert play.freed == [not message.ends_with_connection]
    assert play.connection.usable is not message.ends_with_connection
    assert len(play.woken) == 1


@pytest.mark.parametrize("name", FRAMINGS)
def test_an_answer_cut_in_two_anywhere(name: str, clock: Clock) -> None:
    message = FRAMINGS[name]
    for place in range(0, len(message.raw), 1 if len(message.raw) < 3_000 else 7):
        check(clock, message, [place], {0} if place % 2 else set())


@pytest.mark.parametrize("name", FRAMINGS)
def test_an_answer_that_came_byte_by_byte(name: str, clock: Clock) -> None:
    message = FRAMINGS[name]
    check(clock, message, list(range(len(message.raw))), set())


@given(
    name=st.sampled_from(sorted(FRAMINGS)),
    places=st.lists(st.integers(0, 10**5), max_size=80),
    decode_after=st.sets(st.integers(0, 80)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the clock holds nothing to reset
def test_an_answer_cut_anywhere(name: str, places: list[int], decode_after: set[int], clock: Clock) -> None:
    check(clock, FRAMINGS[name], places, decode_after)


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=30), most=st.integers(1, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reads_are_handed_over_in_any_portions(sizes: list[int], most: int, clock: Clock) -> None:
    message = FRAMINGS["small chunks"]
    whole, parted = Play(clock), Play(clock)
    for i, piece in enumerate(pieces_of(message.raw, list(accumulate(sizes)))):
        for play in (whole, parted):
            play.read(piece, FIRST + i * STEP)
    at_once = whole.exchange.take(10**6)
    assert b"".join(at_once.data) == message.raw
    reads: list[tuple[bytes, int]] = []
    while parted.exchange.reads:
        some = parted.exchange.take(most)
        reads += zip(some.data, some.stamps_ns.tolist(), strict=True)
    assert reads == list(zip(at_once.data, at_once.stamps_ns.tolist(), strict=True))


def test_a_stream_is_to_be_decoded_when_enough_is_pending(clock: Clock) -> None:
    play = Play(clock)
    play.read(head("transfer-encoding: chunked"), FIRST)
    for i in range(PENDING_READS - 2):
        play.read(b"1\r\na\r\n", FIRST + i)
    assert play.pending == 0
    play.read(b"1\r\nb\r\n", FIRST)
    assert play.pending == 1
    play.decoding.step()
    assert not play.exchange.reads
    play.read(chunk(b"x" * PENDING_BYTES), FIRST)
    assert play.pending == 2


def test_of_a_huge_refusal_only_the_beginning_is_kept(clock: Clock) -> None:
    play = Play(clock)
    play.read(head("transfer-encoding: chunked", status="500 X"), FIRST)
    for i in range(100):
        play.read(chunk(b"x" * PENDING_BYTES), FIRST + i)
        play.decoding.step()
    assert len(play.decoding._body) <= 2 * MAX_ERROR_BODY
    assert not play.exchange.reads
    play.read(b"0\r\n\r\n", 77_777)
    assert play.timeline().error == "HTTP 500: " + "x" * 289 + "…"


def test_an_answer_of_many_reads_is_decoded_in_slices(clock: Clock) -> None:
    play = Play(clock)
    pieces = [event({"content": "x" * 90})] * 1_000 + [FINISH]
    raw = b"".join(map(chunk, pieces))
    play.read(head("transfer-encoding: chunked"), FIRST)
    for i, piece in enumerate(pieces_of(raw, list(range(0, len(raw), 64)))):
        play.read(piece, FIRST + i)
    play.read(b"0\r\n\r\n", 77_777)
    slices = 1
    while play.decoding.step():
        slices += 1
    (t,) = play.timelines
    assert slices > 5
    assert (t.outcome, len(t.event_ns), t.done_ns) == ("ok", 1_000, 77_777)
    ends = accumulate(len(chunk(p)) for p in pieces[:-1])
    # a chunk's last two bytes are framing: the event is complete before them
    assert t.event_ns.tolist() == [FIRST + (end - 3) // 64 for end in ends]
