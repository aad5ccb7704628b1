"""HTTP's framing taken off: every read keeps its place, however the answer was cut into reads."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.framing import Framing
from loadgen.wire.stopwatch import Reads

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SIZES = (1, 9, 15, 16, 17, 255, 256, 300, 4_096)
STYLES = ["%x\r\n", "%X\r\n", "0%x\r\n", "%x;ext=1\r\n"]


class Answer:
    """An answer of chunks. at: offset in `raw` behind each byte of the body; behind: behind each chunk."""

    def __init__(self, chunks: list[bytes], style: str = "%x\r\n", trailer: bytes = b"") -> None:
        self.raw = HEAD
        self.body = b"".join(chunks)
        self.at: list[int] = []
        self.behind: list[int] = []
        for data in chunks:
            self.raw += (style % len(data)).encode()
            self.at += range(len(self.raw) + 1, len(self.raw) + len(data) + 1)
            self.raw += data + b"\r\n"
            self.behind.append(len(self.raw))
        self.raw += b"0\r\n" + trailer + b"\r\n"

    def marks(self, reads: list[bytes]) -> list[int]:
        """How much of the body each read had completed."""
        ends = np.cumsum([len(data) for data in reads])
        return [int(n) for n in np.searchsorted(self.at, ends, side="right")]


def letters(sizes: list[int]) -> list[bytes]:
    return [bytes([97 + i % 26]) * size for i, size in enumerate(sizes)]


def in_reads(raw: bytes, cuts: set[int]) -> list[bytes]:
    places = sorted({0, len(raw), *(cut % len(raw) for cut in cuts)})
    return [raw[a:b] for a, b in pairwise(places)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("trailer", [b"", b"x: y\r\n"])
@given(
    st.lists(st.sampled_from(SIZES), min_size=1, max_size=60), st.sets(st.integers(0, 2**20), max_size=150)
)
def test_every_read_keeps_its_place(style: str, trailer: bytes, sizes: list[int], cuts: set[int]) -> None:
    answer = Answer(letters(sizes), style, trailer)
    reads = in_reads(answer.raw, cuts)
    body, marks = Framing().body(reads)
    assert body == answer.body
    assert marks.tolist() == answer.marks(reads)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("parts", [1, 2])
def test_where_one_is_between_two_chunks(style: str, parts: int) -> None:
    answer = Answer([b"5\r\n", b"\r\n", b"x\r\n5\r\n", b"a" * 20, b"0\r\n\r\n"], style)
    for end in range(1, len(answer.raw)):
        framing = Framing()
        for part in in_reads(answer.raw[:end], {end // parts}):
            framing.body([part])
        assert framing.between is (end in answer.behind), answer.raw[:end]


@pytest.mark.parametrize("style", STYLES)
@given(sizes=st.lists(st.sampled_from(SIZES), min_size=3, max_size=20), data=st.data())
def test_whole_chunks_may_be_left_out_between_two(style: str, sizes: list[int], data: st.DataObject) -> None:
    answer = Answer(letters(sizes), style)
    first = data.draw(st.integers(0, len(sizes) - 2))
    last = data.draw(st.integers(first + 1, len(sizes) - 1))
    framing = Framing()
    before, _ = framing.body([answer.raw[: answer.behind[first]]])
    assert framing.between
    after, _ = framing.body([answer.raw[answer.behind[last] :]])
    assert before + after == b"".join(letters(sizes)[: first + 1] + letters(sizes)[last + 1 :])
    assert not framing.between


def begun(*data: bytes, chunked: bool = True) -> tuple[Framing, Reads]:
    framing = Framing()
    return framing, framing.begin(Reads(list(data), np.arange(len(data)), chunked))


def test_the_head_is_taken_off_where_it_is_whole() -> None:
    answer = Answer([b"hello", b"you"])
    rest = answer.raw[len(HEAD) :]
    for data in ([answer.raw], [HEAD, rest], [HEAD + rest[:3], rest[3:]]):
        framing, reads = begun(*data)
        assert framing.between
        assert b"".join(reads.data) == rest
        assert reads.stamps_ns.tolist() == list(range(len(data)))[-len(reads.data) :]
        assert framing.body(reads.data)[0] == answer.body
        again = Reads([HEAD], np.arange(1), True)
        assert framing.begin(again) is again


def test_where_the_head_is_not_taken_off_the_parser_sees_it() -> None:
    answer = Answer([b"hello", b"you"])
    cut = [answer.raw[:9], answer.raw[9:]]
    for data in (cut, [CONTINUE + answer.raw], [CONTINUE, answer.raw]):
        framing, reads = begun(*data)
        assert not framing.between
        assert reads.data == data
        assert framing.body(reads.data)[0] == answer.body
    framing, reads = begun(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n3\r\nabc\r\n", chunked=False)
    assert framing.body(reads.data)[0] == b"3\r\nabc\r\n"
    assert not framing.between


def test_a_second_answer_is_not_part_of_the_first() -> None:
    answer = Answer([b"hello"] * 60)
    framing = Framing()
    body, marks = framing.body([answer.raw, answer.raw])
    assert (body, marks.tolist()) == (answer.body, [len(body), len(body)])
    assert not framing.between


def test_an_answer_taken_in_parts() -> None:
    answer = Answer(letters([300] * 60))
    framing, got = Framing(), b""
    for part in in_reads(answer.raw, {777, 5_000, 5_001}):
        body, marks = framing.body([part])
        got += body
        assert marks.tolist() == [len(body)]
    assert got == answer.body
    assert framing.body([])[0] == b""
