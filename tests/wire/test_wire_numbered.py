"""The short cut through events that differ in more than their text: numbers and padding that nobody reads."""

import json
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.sse import SseDecoder
from loadgen.wire.timeline import Answer
from tests.wire.test_wire_sse import Read, cuts
from tests.wire.test_wire_streams import STREAMS

KINDS = {name: data for name, data in STREAMS.items() if "/" in name or name == "openai_obfuscation"}


def kind_of(name: str) -> str:
    return name.partition("/")[0] if "/" in name else "chat"


def decoded(kind: str, slices: list[list[Read]], *, template: bool = True, keep: bool = False) -> SseDecoder:
    decoder = SseDecoder(ENDPOINTS[kind], keep_answer=keep)
    if not template:
        decoder._make_template = lambda *_: None  # type: ignore[method-assign]
    for reads in slices:
        ends = np.array([*accumulate(len(d) for _, d in reads)], np.int64)
        decoder.feed(b"".join(d for _, d in reads), ends, np.array([s for s, _ in reads], np.int64))
    decoder.finish()
    return decoder


def result(decoder: SseDecoder) -> tuple[Any, ...]:
    return (
        decoder.outputs.event_ns.tolist(),
        decoder.outputs.event_chars.tolist(),
        decoder.outputs.first_answer_ns,
        decoder.outputs.reasoning,
        decoder.events,
        decoder.finish_reason,
        decoder.usage,
        decoder.error,
        decoder.answer,
    )


def delta(number: object, text: str, kind: str = "output_text", after: str = "") -> bytes:
    """One event of Responses; `after` is JSON that follows the text."""
    name = f"response.{kind}.delta"
    body = f'{{"type":"{name}","sequence_number":{number},"item_id":"m","delta":{json.dumps(text)}{after}}}'
    return f"event: {name}\ndata: {body}\n\n".encode()


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_numbered_events_take_the_short_cut(keep: bool, padded: bool, parsed: list[bytes]) -> None:
    texts = [f' tok"{i}\\é' for i in range(1_100)]  # the numbers grow from one digit to four
    after = [f',"obfuscation":"{"aZ9" * (i % 5)}"' if padded else "" for i in range(1_100)]
    thoughts = b"".join(delta(i, "hm", "reasoning_text") for i in range(20))
    data = thoughts + b"".join(
        delta(i, t, after=a) for i, (t, a) in enumerate(zip(texts, after, strict=True))
    )
    decoder = decoded("responses", [[(7, data)]], keep=keep)
    assert len(parsed) == 2
    assert decoder.outputs.event_chars.tolist() == [2] * 20 + [len(t) for t in texts]
    assert (decoder.outputs.reasoning, decoder.events) == (20, 1_120)
    assert decoder.answer == (Answer("".join(texts)) if keep else None)


TEXTS = st.lists(
    st.sampled_from(
        [
            *('"', "\\", '\\"', "\n\n", "", " ", "é", "😀", "a", "data: ", "}", '"}', "[DONE]"),
            *('","sequence_number":5,"delta":"', '"sequence_number":', ',"obfuscation":"x"}'),
            delta(3, "x").decode(),
        ]
    ),
    max_size=3,
).map("".join)
EVENTS = st.builds(
    delta,
    st.sampled_from([*range(12), 99, 100, "007", "1.5", '"a"', '"\\n"', "null", "-1", "1e3", "[1]"]),
    TEXTS,
    st.sampled_from(["output_text"] * 5 + ["refusal", "reasoning_text", "function_call_arguments", "other"]),
    st.sampled_from([""] * 3 + [',"obfuscation":"x"', ',"obfuscation":""', ',"delta":"twice"', ',"x":{']),
)


@given(slices=st.lists(EVENTS, max_size=12).map(b"".join).flatmap(cuts))
def test_any_numbered_stream_gives_what_full_parsing_gives(slices: list[list[Read]]) -> None:
    for keep in (False, True):
        fast = decoded("responses", slices, keep=keep)
        assert result(fast) == result(decoded("responses", slices, template=False, keep=keep))


@given(data=st.data(), name=st.sampled_from(sorted(KINDS)))
def test_a_recording_of_any_kind_cut_anywhere(data: st.DataObject, name: str) -> None:
    slices = data.draw(cuts(KINDS[name]))
    full = decoded(kind_of(name), slices, template=False, keep=True)
    assert result(decoded(kind_of(name), slices, keep=True)) == result(full)


CALLS = [
    {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}},
    {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
]


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("responses/openai", Answer('Red, grün and "blue"\n. That is all there漢')),
        ("responses/openai_function_calls", Answer("", CALLS)),
        ("responses/openai_reasoning_summary", Answer("Forty")),
        ("responses/llama_cpp", Answer("Let me look.", CALLS[:1])),
        ("responses/openai_refusal", Answer("I can't help.")),
        ("completions/vllm", Answer("    return a + b\n")),
        ("completions/several_choices", Answer("acc")),
        ("openai_obfuscation", Answer('Red, green and "blue".')),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_next_turn_quotes(name: str, answer: Answer) -> None:
    assert decoded(kind_of(name), [[(0, STREAMS[name])]], keep=True).answer == answer
