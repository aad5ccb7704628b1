"""The short cut says what decoding in full says, however an answer was written and cut into reads."""

from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadgen.wire import decode, shortcut
from loadgen.wire.decode import Decoding
from loadgen.wire.template import Learned, Template
from loadgen.wire.timeline import Timeline
from loadgen.workload.prompt import Prompt
from tests.wire.scripted import CHAT, Clock, Play, event, head

FIRST, STEP = 1_000, 10
ROLE = {"role": "assistant", "content": ""}
STYLES = ("%x\r\n", "%X\r\n", "0%x\r\n", "%x;a=b\r\n")
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
TEXTS = PLAIN | st.text(max_size=8)
EVENTS = st.one_of(
    TEXTS.map(lambda text: event({"content": text})),
    st.sampled_from(["x", "it"]).map(lambda text: event({"reasoning_content": text})),
    st.sampled_from(
        [b": ping\n\n", b"data: {}\n\n", event(ROLE), event({"content": "a\\"}), b"data: [DONE]\n\n"]
    ),
    TEXTS.map(lambda text: event({"content": "1"}) + event({"content": text})),
    st.sampled_from([b'data: {"error": {"message": "no"}}\n\n', b"data: nonsense\n\n"]),
)


def written(events: list[bytes], style: str) -> list[bytes]:
    """The answer in pieces: its head, a chunk an event, the end."""
    chunks = [(style % len(data)).encode() + data + b"\r\n" for data in events]
    return [head("transfer-encoding: chunked"), *chunks, b"0\r\n\r\n"]


def played(reads: list[bytes], clock: Clock, learned: Learned, every: int, *, keep: bool) -> Timeline:
    play = Play(clock)
    play.decoding = Decoding(
        play.exchange,
        CHAT,
        play.timeouts,
        str,
        play.timelines.append,
        prompt=Prompt(messages=[], task="t", keep_answer=keep),
        learned=learned,
    )
    for i, data in enumerate(reads):
        play.read(data, FIRST + i * STEP)
        if i % every == every - 1:
            play.decoding.drain()
    if play.exchange.done_ns is None:
        play.eof(FIRST + len(reads) * STEP)
    return play.timeline()


def shown(timeline: Timeline) -> dict[str, Any]:
    row = msgspec.structs.asdict(timeline)
    return row | {key: row[key].tolist() for key in ("event_ns", "event_chars")}


def both(
    reads: list[bytes], clock: Clock, learned: list[Learned], every: int, *, keep: bool = False
) -> dict[str, Any]:
    short = shown(played(reads, clock, learned[0], every, keep=keep))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "take_whole_events", lambda some, _, __, feed: feed(some.data, some.stamps_ns))
        full = shown(played(reads, clock, learned[1], every, keep=keep))
    assert short == full
    return short


@given(
    events=st.lists(EVENTS, max_size=30),
    style=st.sampled_from(STYLES),
    merged=st.sets(st.integers(0, 31), max_size=12),
    cuts=st.sets(st.integers(0, 5_000), max_size=6),
    every=st.sampled_from([1, 3, 1_000]),
    keep=st.booleans(),
    before=st.booleans(),
)
@example(
    events=[event({"content": "ab"})] * 30,
    style="%x\r\n",
    merged={3, 9},
    cuts=set(),
    every=1_000,
    keep=False,
    before=True,
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_says_the_same(
    events: list[bytes],
    style: str,
    merged: set[int],
    cuts: set[int],
    every: int,
    keep: bool,
    before: bool,
    clock: Clock,
) -> None:
    learned = [Learned(), Learned()]
    if before:
        both(written([event({"content": "x"}), event({}, "stop")], style), clock, learned, 1_000)
    reads: list[bytes] = []
    for i, piece in enumerate(written([*events, event({}, "stop"), b"data: [DONE]\n\n"], style)):
        joined = reads.pop() + piece if i in merged and reads else piece
        reads.append(joined)
    raw, ends = b"".join(reads), set(np.cumsum([len(data) for data in reads]).tolist())
    places = sorted({0, len(raw)} | ends | {cut % len(raw) for cut in cuts})
    both([raw[a:b] for a, b in pairwise(places)], clock, learned, every, keep=keep)


@pytest.mark.parametrize("style", STYLES[:2])
@pytest.mark.parametrize("text", ["token", "Grüße", 'a "b"\n', "漢" * 70])
def test_most_of_an_answer_is_never_decoded_in_full(
    style: str, text: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = Learned()
    texts = [text[: 1 + i % len(text)] for i in range(100)]
    some = [event(ROLE), *(event({"content": each}) for each in texts), event({}, "stop")]
    played(written(some, style), clock, learned, 1_000, keep=False)
    in_full: list[int] = []
    feed = Decoding._feed

    def counted(self: Decoding, reads: list[bytes], stamps_ns: Any) -> None:
        in_full.append(len(reads))
        feed(self, reads, stamps_ns)

    monkeypatch.setattr(Decoding, "_feed", counted)
    other = [each.replace(b'"r1"', b'"another-id"') for each in some]
    timeline = played(written(other, style), clock, learned, 1_000, keep=False)
    assert (timeline.outcome, timeline.response_id, timeline.events) == ("ok", "another-id", 102)
    assert timeline.event_chars.tolist() == [len(each) for each in texts]
    assert timeline.event_ns.tolist() == [FIRST + (2 + i) * STEP for i in range(100)]
    assert sum(in_full) == 3  # the role, the reason to stop, the end


def test_streams_of_other_events_are_soon_left_alone(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    texts_of = shortcut.texts_of

    def counted(reads: list[bytes], template: Template) -> tuple[list[bytes], list[int]]:
        calls.append(len(reads))
        return texts_of(reads, template)

    monkeypatch.setattr(shortcut, "texts_of", counted)
    mixed = [event({"content": "a"}) if i % 2 else event({"reasoning_content": "b"}) for i in range(80)]
    timeline = played(written([*mixed, event({}, "stop")], "%x\r\n"), clock, Learned(), 1_000, keep=False)
    assert (timeline.outcome, len(timeline.event_ns), timeline.reasoning_events) == ("ok", 80, 40)
    assert len(calls) <= 6
