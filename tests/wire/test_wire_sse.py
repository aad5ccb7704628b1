"""The decoder against a reference that goes byte by byte: any stream, cut in any way, template or not."""

import json
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.sse import SseDecoder

CHAT = ENDPOINTS["chat"]
STREAMS = {p.stem: p.read_bytes() for p in sorted((Path(__file__).parent / "streams").glob("*.sse"))}
CR, LF = b"\r\n"
Read = tuple[int, bytes]  # the stamp of a read and its bytes


# The reference: the WHATWG grammar taken literally, one byte after the other.


class Event(NamedTuple):
    stamp: int
    name: str
    data: bytes | None  # None: there was no data field
    whole: bool  # with its blank line


class Lines:
    """Lines out of bytes; a CRLF is whole with its LF, a CR alone with the CR."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, bytes]] = []
        self._line = bytearray()
        self._after_cr = False

    def take(self, stamp: int, byte: int) -> None:
        if byte == LF and self._after_cr:
            self.lines[-1] = (stamp, self.lines[-1][1])
            self._after_cr = False
            return
        self._after_cr = byte == CR
        if byte in {CR, LF}:
            self.lines.append((stamp, bytes(self._line)))
            self._line.clear()
        else:
            self._line.append(byte)

    def rest(self) -> bytes:
        return bytes(self._line)


def events_of(reads: list[Read]) -> list[Event]:
    """Split reads into events; the last may lack its blank line."""
    lines = Lines()
    at = 0
    last = 0
    for stamp, data in reads:
        for byte in data:
            lines.take(stamp, byte)
            at, last = at + 1, stamp
            if at == 3 and lines.rest() == b"\xef\xbb\xbf":
                lines = Lines()
    events: list[Event] = []
    fields: list[bytes] = []
    for stamp, line in lines.lines:
        if line:
            fields.append(line)
        elif fields:
            events.append(Event(stamp, *fields_of(fields), whole=True))
            fields = []
    if fields or lines.rest():
        events.append(Event(last, *fields_of([*fields, lines.rest()]), whole=False))
    return events


def fields_of(lines: list[bytes]) -> tuple[str, bytes | None]:
    name = ""
    data = []
    for line in lines:
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"event":
            name = value.decode()
        if key == b"data":
            data.append(value)
    return name, b"\n".join(data) if data else None


def output_of(event: dict[str, Any]) -> tuple[str, str]:
    """Answer and reasoning of one chunk, as the OpenAI reference and vLLM's docs name them."""
    answer = reasoning = ""
    for choice in event.get("choices", []):
        delta = choice.get("delta", {})
        content = delta.get("content") or ""
        answer += content if isinstance(content, str) else "".join(part["text"] for part in content)
        answer += delta.get("refusal") or ""
        for call in delta.get("tool_calls", []):
            answer += call["function"].get("name", "") + call["function"].get("arguments", "")
        if "function_call" in delta:
            answer += delta["function_call"].get("name", "") + delta["function_call"].get("arguments", "")
        reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
    return answer, reasoning


class Result(NamedTuple):
    outputs: list[tuple[int, int]]  # stamp and characters
    first_answer: int | None
    reasoning_events: int
    events: int
    ids: str | None
    finish: str | None
    usage: int | None
    outcome: str | None


def expected(reads: list[Read]) -> Result:
    """Read a stream by the reference, up to its first bad event."""
    r = Result([], None, 0, 0, None, None, None, None)
    for event in events_of(reads):
        if event.data == b"[DONE]":
            continue
        r = r._replace(events=r.events + 1)
        if not (event.data or b"").strip():
            continue
        assert event.data is not None
        if event.name == "error":
            return r._replace(outcome="error_in_stream")
        try:
            body = json.loads(event.data.decode("utf-8", "replace"))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return r._replace(outcome="bad_stream") if event.whole else r._replace(events=r.events - 1)
        if body.get("error") or body.get("object") == "error":
            return r._replace(outcome="error_in_stream")
        r = add(r, event, body)
    return r


def add(r: Result, event: Event, body: dict[str, Any]) -> Result:
    answer, reasoning = output_of(body)
    if answer or reasoning:
        r.outputs.append((event.stamp, len(answer) + len(reasoning)))
    if reasoning and not answer:
        r = r._replace(reasoning_events=r.reasoning_events + 1)
    if answer and r.first_answer is None:
        r = r._replace(first_answer=event.stamp)
    finishes = [c["finish_reason"] for c in body.get("choices", []) if c.get("finish_reason")]
    usage = body.get("usage") or {}
    return r._replace(
        ids=r.ids or body.get("id") or None,
        finish=[r.finish, *finishes][-1],
        usage=usage.get("completion_tokens", r.usage),
    )


# The decoder under test.


def actual(slices: list[list[Read]], *, template: bool = True) -> Result:
    """Feed slices of reads; `template=False` parses every event in full."""
    decoder = SseDecoder(CHAT)
    if not template:
        decoder._make_template = lambda *_: None  # type: ignore[method-assign]
    for reads in slices:
        data = b"".join(d for _, d in reads)
        ends = np.array([*accumulate(len(d) for _, d in reads)], np.int64)
        decoder.feed(data, ends, np.array([s for s, _ in reads], np.int64))
    decoder.finish()
    assert decoder.outputs.event_ns.dtype == decoder.outputs.event_chars.dtype == np.int64
    return Result(
        list(zip(decoder.outputs.event_ns.tolist(), decoder.outputs.event_chars.tolist(), strict=True)),
        decoder.outputs.first_answer_ns,
        decoder.outputs.reasoning,
        decoder.events,
        decoder.response_id,
        decoder.finish_reason,
        None if decoder.usage is None else decoder.usage.output_tokens,
        None if decoder.error is None else decoder.error[0],
    )


def reads_of(data: bytes, places: list[int]) -> list[Read]:
    """Cut at some places, perhaps twice at the same: a read that brings nothing; stamps grow."""
    pieces = [data[a:b] for a, b in pairwise([0, *sorted(p % (len(data) + 1) for p in places), len(data)])]
    return [(1000 + 7 * i, piece) for i, piece in enumerate(pieces)]


def slices_of(reads: list[Read], every: int) -> list[list[Read]]:
    return [reads[i : i + every] for i in range(0, len(reads), every)]


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[list[Read]]:
    """Cut into reads, most often where it hurts: around line ends and quotes; then into slices."""
    tender = [i + d for i, byte in enumerate(data) if byte in b'\r\n"\\' for d in (0, 1)]
    place = st.integers(0, len(data))
    places = draw(st.lists(st.sampled_from(tender) | place if tender else place, max_size=60))
    return slices_of(reads_of(data, places), draw(st.sampled_from([1, 1, 2, 5, 100])))


def joined(slices: list[list[Read]]) -> list[Read]:
    return [read for reads in slices for read in reads]


# Streams made up to fool the template.

TEXTS = st.lists(
    st.sampled_from(
        [
            *(
                '","',
                '"}',
                '"',
                "\\",
                "\\\\",
                "\n",
                "\n\n",
                "\r\n\r\n",
                "data: ",
                "[DONE]",
                "",
                " ",
                " " * 20,
            ),
            *('{"content":"', '"},"finish_reason":null}]}\n\n', ',"finish_reason":null}]}', '"content": "'),
            *('data: {"id":"a","choices":[{"index":0,"delta":{"content":"', "a", "é", "漢字", "😀", "\ud83d"),
            *("\x00", "\u2028", "loadgen", "</think>"),
        ]
    ),
    max_size=4,
).map("".join)


class Style(NamedTuple):
    """How a server writes JSON."""

    separators: tuple[str, str] = (",", ":")
    ascii: bool = False
    content_last: bool = False
    head: str = "data: "
    end: str = "\n\n"
    id: str = "a"


def chunk(style: Style, delta: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None} | more.pop("choice", {})
    if style.content_last:
        choice = {k: choice[k] for k in reversed(choice)}
    body = {"id": style.id, "choices": [choice], **more}
    text = json.dumps(body, ensure_ascii=style.ascii, separators=style.separators)
    # a lone surrogate is written as its escape, the one way JSON can carry it
    payload = "".join(f"\\u{ord(c):04x}" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
    return (style.head + payload + style.end).encode()


def raw(style: Style, inside: str, key: str = "content") -> bytes:
    """Put text unescaped where a string belongs: most often that is no JSON any more."""
    return chunk(style, {key: "@@"}).replace(b"@@", inside.encode())


STYLES = st.builds(
    Style,
    separators=st.sampled_from([(",", ":"), (", ", ": "), (",", ":" + " " * 17)]),
    ascii=st.booleans(),
    content_last=st.booleans(),
    head=st.sampled_from(["data: ", "data:", "event: message\ndata: ", ": ping\ndata: ", "\ndata: "]),
    end=st.sampled_from(["\n\n"] * 5 + ["\r\n\r\n", "\r\r", "\n\r\n", "\r\n\r", "\n\r", "\n\n\n"]),
    id=st.sampled_from("ab"),
)
EVENTS = st.one_of(
    *[TEXTS.map(lambda text: ("content", text))] * 8,
    TEXTS.map(lambda text: ("reasoning", text)),
    TEXTS.map(lambda text: ("reasoning_content", text)),
    st.tuples(st.sampled_from(["both names", "answer and reasoning", "refusal", "tool", "twice"]), TEXTS),
    st.tuples(
        st.sampled_from(["role", "null", "finish", "usage", "usage here", "ping", "empty", "done"]), TEXTS
    ),
)
BAD = st.text(alphabet='\\",ab', max_size=4)


def event(style: Style, kind: str, text: str) -> bytes:
    made: dict[str, bytes] = {
        "both names": chunk(style, {"reasoning_content": text, "reasoning": "same"}),
        "answer and reasoning": chunk(style, {"content": "x", "reasoning": text}),
        "refusal": chunk(style, {"refusal": text, "content": None}),
        "tool": chunk(style, {"tool_calls": [{"function": {"name": "f", "arguments": text}}]}),
        "twice": raw(style, 'first","content":"second'),
        "role": chunk(style, {"role": "assistant", "content": ""}),
        "null": chunk(style, {"role": "assistant", "content": None}),
        "finish": chunk(style, {"content": text}, choice={"finish_reason": "stop"}),
        "usage": chunk(style, {}, usage={"completion_tokens": len(text)}),
        "usage here": chunk(style, {"content": text}, usage={"completion_tokens": len(text)}),
        "ping": f": {len(text)}{style.end}".encode(),
        "empty": f"data:{style.end}".encode(),
        "done": f"data: [DONE]{style.end}".encode(),
    }
    return made.get(kind) or chunk(style, {kind: text})


A = Style()
GOOD = chunk(A, {"content": "abc"})
# Each would be misread by a template that is less careful.
TRICKY = {
    "two broken strings that make two whole ones": GOOD * 2 + raw(A, "x\\") + raw(A, ',"') + GOOD,
    "one broken string that makes two": GOOD * 2 + raw(A, 'x","y') + GOOD,
    "strings that end in a backslash": GOOD + raw(A, "x\\\\") * 3 + raw(A, ',\\"') + GOOD,
    "the text stands elsewhere too": b"".join(
        b'data: {"content":"%b","choices":[{"delta":{"content":"hi"}}]}\n\n' % x for x in (b"hi", b"hello")
    ),
    "another name for it when it is empty": b"".join(
        chunk(A, {"reasoning_content": x, "reasoning": "same"}) for x in ("abc", "de", "", "f")
    ),
    "the template's own bytes as text": b"".join(
        chunk(A, {"content": GOOD.decode() * n}) for n in (1, 2, 0, 3)
    ),
    "a key twice": GOOD + raw(A, 'first","content":"second') * 3 + GOOD,
    "another order of keys in between": (GOOD + chunk(A._replace(content_last=True), {"content": "de"})) * 3,
    "ids take turns": GOOD
    + chunk(A._replace(id="b"), {})
    + GOOD
    + chunk(A._replace(id="b"), {"content": "d"}),
    "CR CR, then CR CRLF": (GOOD.replace(b"\n\n", b"\r\r") * 3 + GOOD.replace(b"\n\n", b"\r\r\n")) * 2,
    "CRLF": GOOD.replace(b"\n", b"\r\n") * 4,
    "a CR inside the JSON, which ends the line": GOOD + GOOD.replace(b"{", b"{\r"),
    "nonsense before a last CR": GOOD + b"data: nonsense\r\r",
    "cut short": GOOD + GOOD[:-9],
}


@pytest.mark.parametrize(("template", "in_full"), [(True, 2), (False, 200)])
def test_a_plain_stream_takes_the_short_cut(template: bool, in_full: int, parsed: list[bytes]) -> None:
    data = b"".join(chunk(A, {"content": f" tok{i}" * (i % 4)}) for i in range(200))
    assert len(actual([reads_of(data, [999, 5_000])], template=template).outputs) == 150
    assert len(parsed) == in_full


def check_every_cut(data: bytes) -> None:
    """Cut in two everywhere, each half a slice; the reference says which byte completes each event."""
    by_byte = expected(list(enumerate(bytes([byte]) for byte in data)))
    for place in range(len(data) + 1):
        wanted = by_byte._replace(
            outputs=[(int(at >= place), chars) for at, chars in by_byte.outputs],
            first_answer=None if by_byte.first_answer is None else int(by_byte.first_answer >= place),
        )
        assert actual([[(0, data[:place])], [(1, data[place:])]]) == wanted, f"cut at {place}"


@pytest.mark.parametrize("name", TRICKY)
def test_a_tricky_stream_cut_in_two(name: str) -> None:
    check_every_cut(TRICKY[name])


@pytest.mark.parametrize("name", STREAMS)
def test_a_recording_cut_in_two(name: str) -> None:
    check_every_cut(STREAMS[name])


@given(slices=st.sampled_from([*STREAMS.values(), *TRICKY.values()]).flatmap(cuts), template=st.booleans())
def test_a_stream_cut_anywhere(slices: list[list[Read]], template: bool) -> None:
    assert actual(slices, template=template) == expected(joined(slices))


@st.composite
def made_up_streams(draw: st.DrawFn) -> bytes:
    """Runs of events of one style; perhaps a bad one; perhaps a BOM, or no blank line at the end."""
    parts = [b"\xef\xbb\xbf"] if draw(st.integers(0, 9)) == 0 else []
    for _ in range(draw(st.integers(1, 3))):
        style = draw(STYLES)
        parts += [event(style, *e) for e in draw(st.lists(EVENTS, max_size=12))]
        if draw(st.integers(0, 3)) == 0:
            parts += [raw(style, inside) for inside in draw(st.lists(BAD, max_size=3))]
    data = b"".join(parts)
    return data[: len(data) - draw(st.integers(0, 3))]


@given(slices=made_up_streams().flatmap(cuts))
def test_any_stream_cut_anywhere(slices: list[list[Read]]) -> None:
    assert actual(slices) == expected(joined(slices))


@given(data=made_up_streams())
def test_the_template_gives_what_full_parsing_gives(data: bytes) -> None:
    reads = [(i, bytes([byte])) for i, byte in enumerate(data)]
    assert actual([reads]) == actual([reads], template=False)
