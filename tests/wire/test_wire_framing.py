"""HTTP's framing taken off: every read keeps its place, however the answer was cut into reads."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire import framing
from loadgen.wire.framing import Framing

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


def off(reads: list[bytes], few: int, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, list[int]]:
    """Take the framing off; few: up to so many reads it is done read by read."""
    monkeypatch.setattr(framing, "_FEW_READS", few)
    body, marks = Framing().body(b"".join(reads), np.array([len(read) for read in reads], np.int64))
    return body, marks.tolist()


@pytest.mark.parametrize("style", ["%x\r\n", "%X\r\n", "0%x\r\n", "%x;ext=1\r\n"])
@pytest.mark.parametrize("trailer", [b"", b"x: y\r\n"])
@given(
    st.lists(st.sampled_from(SIZES), min_size=1, max_size=60), st.sets(st.integers(0, 2**20), max_size=150)
)
def test_at_once_is_as_read_by_read(style: str, trailer: bytes, sizes: list[int], cuts: set[int]) -> None:
    raw, text = chunked(sizes, style, trailer)
    reads = in_reads(raw, cuts)
    with pytest.MonkeyPatch.context() as patch:
        quick, slow = off(reads, 0, patch), off(reads, 10**6, patch)
    assert quick == slow
    assert quick[0] == text
    assert quick[1][-1] == len(text)


def test_plain_chunks_are_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, _ = chunked([5] * 100)
    reads = in_reads(raw, set(range(0, len(raw), 10)))
    fed: list[int] = []
    monkeypatch.setattr(Framing, "_feed", lambda _, data: fed.append(len(data)))
    Framing().body(b"".join(reads), np.array([len(read) for read in reads], np.int64))
    assert fed[0] == len(raw)


def test_a_second_answer_is_not_part_of_the_first() -> None:
    raw, text = chunked([5] * 60)
    body, marks = Framing().body(raw + raw, np.array([len(raw), len(raw)], np.int64))
    assert (body, marks.tolist()) == (text, [len(text), len(text)])


def test_an_answer_taken_in_parts() -> None:
    raw, text = chunked([300] * 60)
    framing_of_one = Framing()
    got = b""
    for part in in_reads(raw, {777, 5_000, 5_001}):
        body, marks = framing_of_one.body(part, np.array([len(part)], np.int64))
        got += body
        assert marks.tolist() == [len(body)]
    assert got == text
