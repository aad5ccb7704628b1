"""The answer that is kept for the next turn: the same however the bytes came, and free where nobody asks."""

import json
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.sse import SseDecoder
from loadgen.wire.timeline import Answer
from loadgen.workload.prompt import Prompt
from tests.wire.rawserver import RawServer, Script, Step, calling, stream
from tests.wire.test_wire_sse import STREAMS, TRICKY, Read, cuts, events_of, joined, made_up_streams


def text_of(reads: list[Read]) -> str:
    """Join the text of the first choice, event by event as the reference of `test_wire_sse` splits them."""
    text = ""
    for event in events_of(reads):
        if event.data == b"[DONE]" or not (event.data or b"").strip():
            continue
        assert event.data is not None
        try:
            body = json.loads(event.data.decode("utf-8", "replace"))
        except ValueError:
            body = None
        bad = event.name == "error" or not isinstance(body, dict)
        if bad or body.get("error") or body.get("object") == "error":
            break
        for choice in body.get("choices", []):
            if choice.get("index", 0) == 0:
                delta = choice.get("delta", {})
                said = delta.get("content") or ""
                text += said if isinstance(said, str) else "".join(part["text"] for part in said)
                text += delta.get("refusal") or ""
    return text.encode("utf-8", "replace").decode()  # a lone surrogate is "?"


def decoded(slices: list[list[Read]], *, template: bool = True, keep: bool = True) -> SseDecoder:
    decoder = SseDecoder(ENDPOINTS["chat"], keep_answer=keep)
    if not template:
        decoder._make_template = lambda *_: None  # type: ignore[method-assign]
    for reads in slices:
        ends = np.array([*accumulate(len(d) for _, d in reads)], np.int64)
        decoder.feed(b"".join(d for _, d in reads), ends, np.array([s for s, _ in reads], np.int64))
    decoder.finish()
    return decoder


def answer_of(data: bytes) -> Answer:
    answer = decoded([[(0, data)]]).answer
    assert answer is not None
    return answer


def delta(index: int | None = 0, **said: Any) -> bytes:
    choice = {"delta": said, "finish_reason": None} | ({} if index is None else {"index": index})
    return f"data: {json.dumps({'id': 'a', 'choices': [choice]})}\n\n".encode()


@given(slices=st.sampled_from([*STREAMS.values(), *TRICKY.values()]).flatmap(cuts), template=st.booleans())
def test_a_stream_cut_anywhere_gives_its_text(slices: list[list[Read]], template: bool) -> None:
    answer = decoded(slices, template=template).answer
    assert answer is not None
    assert answer.text == text_of(joined(slices))


@given(slices=made_up_streams().flatmap(cuts))
def test_any_stream_cut_anywhere_gives_its_text(slices: list[list[Read]]) -> None:
    answer = decoded(slices).answer
    assert answer is not None
    assert answer.text == text_of(joined(slices))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("openrouter_reasoning", "Yes"),
        ("vllm_reasoning_content", "Hello!"),
        ("several_choices", "Red!"),
        ("openai_refusal", "I can't help."),
    ],
)
def test_of_a_recording_the_visible_text_is_kept(name: str, text: str) -> None:
    assert answer_of(STREAMS[name]).text == text


CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}},
    {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]


@given(slices=cuts(STREAMS["openai_tool_calls"]))
def test_recorded_tool_calls_cut_anywhere(slices: list[list[Read]]) -> None:
    assert decoded(slices).answer == Answer("", CALLS)


def piece(
    arguments: str | None, index: int | None = None, call_id: str | None = None, name: str | None = None
) -> bytes:
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": call_id, "function": {k: v for k, v in function.items() if v is not None}}
    return delta(tool_calls=[{k: v for k, v in call.items() if v is not None}])


PIECES: dict[str, list[bytes]] = {
    "one after the other": [
        *[piece("", 0, "call_a", "weather"), piece('{"city":', 0), piece('"Bern"}', 0)],
        *[piece(None, 1, "call_b", "time"), piece("{}", 1)],
    ],
    "in turns": [
        *[piece("", 0, "call_a", "weather"), piece("", 1, "call_b", "time"), piece('{"city":"', 0)],
        *[piece("{}", 1), piece('Bern"}', 0)],
    ],
    "id and name in every piece": [
        *[piece('{"city":', 0, "call_a", "weather"), piece('"Bern"}', 0, "call_a", "weather")],
        piece("{}", 1, "call_b", "time"),
    ],
    "without an index": [
        *[piece('{"city"', None, "call_a", "weather"), piece(':"Bern"}'), piece("{}", None, "call_b", "time")]
    ],
    "one index for all": [
        *[piece('{"city":"Bern"}', 0, "call_a", "weather"), piece("{}", 0, "call_b", "time")]
    ],
    "both in one event": [
        delta(tool_calls=[{"index": i} | call for i, call in enumerate(CALLS)]),
    ],
}


@pytest.mark.parametrize("name", PIECES)
def test_parallel_tool_calls_are_put_together(name: str) -> None:
    assert answer_of(delta(content="Let me see. ") + b"".join(PIECES[name])) == Answer("Let me see. ", CALLS)


def test_a_call_without_an_id_gets_one() -> None:
    answer = answer_of(piece("{}", 0, "", "f") + piece("{}", 1, None, "g"))
    assert [(c["id"], c["function"]["name"]) for c in answer.tool_calls] == [("call_0", "f"), ("call_1", "g")]


@pytest.mark.parametrize(
    "calls",
    [
        *[None, "text", {}, [None, 1, "x", []], [{}], [{"index": []}], [{"index": {}, "id": 7}]],
        *[[{"function": 3}], [{"function": {"name": 1, "arguments": {"a": 1}}}]],
    ],
)
def test_nonsense_where_a_tool_call_belongs(calls: Any) -> None:
    answer = answer_of(delta(tool_calls=calls) + delta(content="x"))
    assert answer.text == "x"
    assert all(c["function"] == {"name": "", "arguments": ""} for c in answer.tool_calls)


@pytest.mark.parametrize("index", [[1], {"a": 0}, "0", 1.5, 1])
def test_only_the_first_of_several_answers_is_kept(index: Any) -> None:
    other = b"".join(delta(index, content=text) for text in ("no", "not", "never"))
    assert answer_of(other + delta(None, content="a") + other + delta(0, content="b") * 3).text == "abbb"


def test_keeping_takes_the_short_cut_too(parsed: list[bytes]) -> None:
    texts = [f' tok"{i}\\' * (i % 4) for i in range(200)]
    data = b"".join(delta(reasoning="hm") for _ in range(50)) + b"".join(delta(content=t) for t in texts)
    assert answer_of(data) == Answer("".join(texts))
    assert len(parsed) == 3  # the first reasoning, an empty content, the first content


def test_where_nobody_asks_nothing_is_kept() -> None:
    assert decoded([[(0, STREAMS["openai_tool_calls"])]], keep=False).answer is None


@pytest.mark.parametrize("cut", [lambda data: data, lambda data: data[:-40]], ids=["whole", "cut short"])
async def test_the_timeline_carries_the_answer(cut: Callable[[bytes], bytes]) -> None:
    script: Script = [Step.REQUEST, cut(stream("Hello", " you", "!"))]
    async with RawServer(script, script) as server, calling(server.base_url) as caller:
        kept = await caller.send(Prompt(messages=[], task="t", keep_answer=True))
        plain = await caller.send()
    assert kept.outcome == plain.outcome
    assert kept.answer == Answer("Hello you!")
    assert plain.answer is None
