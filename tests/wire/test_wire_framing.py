"""HTTP's framing taken off: every read keeps its place, however the answer was cut into reads."""

from itertools import pairwise

import httptools
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.framing import Framing
from loadgen.wire.stopwatch import Reads

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SIZES = (1, 9, 15, 16, 17, 255, 256, 300, 4_096)


def chunked(sizes: list[int], style: str = "%x\r\n", trailer: bytes = b"") -> tuple[bytes, bytes]:
    """An answer of chunks of these sizes, and its body."""
    texts = [bytes([97 + i % 26]) * size for i, size in enumerate(sizes)]
    chunks = [(style % len(text)).encode() + text + b"\r\n" for text in texts]
    return HEAD + b"".join(chunks) + b"0\r\n" + trailer + b"\r\n", b"".join(texts)


def in_reads(raw: bytes, cuts: set[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    return [raw[a:b] for a, b in pairwise(places)]


def quick_and_slow(reads: list[bytes]) -> tuple[tuple[bytes, list[int]], tuple[bytes, list[int]]]:
    """Take the framing off: with the spans that a parser finds in the whole, and read by read."""
    stamps = np.arange(len(reads))
    found = []
    for known in (spans_of(b"".join(reads)), None):
        body, marks = Framing().body(Reads(reads, stamps, known))
        found.append((body, marks.tolist()))
    return found[0], found[1]


def spans_of(raw: bytes) -> list[bytes]:
    class Listener:
        def __init__(self) -> None:
            self.spans: list[bytes] = []
            self.on_body = self.spans.append

    listener = Listener()
    httptools.HttpResponseParser(listener).feed_data(raw)
    return listener.spans


@pytest.mark.parametrize("style", ["%x\r\n", "%X\r\n", "0%x\r\n", "%x;ext=1\r\n"])
@pytest.mark.parametrize("trailer", [b"", b"x: y\r\n"])
@given(
    st.lists(st.sampled_from(SIZES), min_size=1, max_size=60), st.sets(st.integers(0, 2**20), max_size=150)
)
def test_at_once_is_as_read_by_read(style: str, trailer: bytes, sizes: list[int], cuts: set[int]) -> None:
    raw, text = chunked(sizes, style, trailer)
    quick, slow = quick_and_slow(in_reads(raw, cuts))
    assert quick == slow
    assert quick[0] == text
    assert quick[1][-1] == len(text)


@pytest.mark.parametrize("behind", [0, 1, 2, 3, 4, 5, 6])
def test_plain_chunks_are_not_read_twice(behind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, _ = chunked([5] * 100)  # ten bytes a chunk: 5, CRLF, the data, CRLF
    reads = in_reads(raw, set(range(len(HEAD) - 2 + behind, len(raw) - 20, 10)))
    _, expected = quick_and_slow(reads)
    fed: list[bytes] = []
    monkeypatch.setattr(Framing, "_feed", lambda _, data: fed.append(data))
    body, marks = Framing().body(Reads(reads, np.arange(len(reads)), spans_of(raw)))
    if behind < 6:  # so far behind a chunk's data, the data of the next has not begun
        assert (body, marks.tolist()) == expected
    assert bool(fed) is (behind == 6)


def test_a_second_answer_is_not_part_of_the_first() -> None:
    raw, text = chunked([5] * 60)
    body, marks = Framing().body(Reads([raw, raw], np.arange(2), None))
    assert (body, marks.tolist()) == (text, [len(text), len(text)])


def test_an_answer_taken_in_parts() -> None:
    raw, text = chunked([300] * 60)
    framing_of_one = Framing()
    got = b""
    for part in in_reads(raw, {777, 5_000, 5_001}):
        body, marks = framing_of_one.body(Reads([part], np.arange(1), None))
        got += body
        assert marks.tolist() == [len(body)]
    assert got == text
