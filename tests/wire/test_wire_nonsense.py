"""Whatever a server sends, a request ends in a timeline that can be written down; nothing is raised."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadgen.wire.body import read_whole
from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.outcome import OUTCOMES
from loadgen.wire.sse import SseDecoder
from loadgen.wire.timeline import Timeline
from tests.wire.scripted import (
    BODY,
    Clock,
    Play,
    chunk,
    chunked,
    compressed,
    event,
    head,
    until_close,
    with_length,
)

NAMES = st.sampled_from(
    [
        *(
            "choices",
            "delta",
            "content",
            "reasoning_content",
            "reasoning",
            "refusal",
            "tool_calls",
            "function_call",
        ),
        *(
            "function",
            "name",
            "arguments",
            "finish_reason",
            "usage",
            "completion_tokens",
            "prompt_tokens",
            "error",
        ),
        *(
            "prompt_tokens_details",
            "cached_tokens",
            "completion_tokens_details",
            "id",
            "object",
            "message",
            "detail",
        ),
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 2**64, 10**40, -1, 1.5, 1e400, float("nan")]),
    st.text(st.characters(), max_size=5),
    st.sampled_from(["error", "stop", "\ud83d", ""]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
EVENTS = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.fixed_dictionaries(
        {
            "choices": st.lists(
                st.fixed_dictionaries({"delta": st.dictionaries(NAMES, VALUES, max_size=4)}), max_size=2
            )
        },
        optional={"usage": st.dictionaries(NAMES, VALUES, max_size=4), "id": LEAVES},
    ),
)
MESSAGES = [with_length(BODY), until_close(BODY), chunked(BODY, 60), compressed(BODY, 31, "gzip")]
ONE_CLOCK = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it holds nothing to reset


def check(t: Timeline) -> None:
    assert t.outcome in OUTCOMES
    assert (t.error is None) == (t.outcome == "ok")
    orjson.dumps([t.error, t.response_id, t.finish_reason])  # fails on what no file can hold
    assert t.usage is None or all(n is None or 0 <= n < 2**53 for n in vars_of(t.usage))
    assert (t.event_chars > 0).all()
    assert len(t.event_ns) == len(t.event_chars) <= t.events
    assert len(t.event_ns) == 0 or t.event_ns[-1] <= t.done_ns


def vars_of(usage: Any) -> list[int | None]:
    return [getattr(usage, name) for name in usage.__struct_fields__]


def answered(clock: Clock, raw: bytes, places: list[int]) -> Timeline:
    play = Play(clock)
    for i, (a, b) in enumerate(zip([0, *places], [*places, len(raw)], strict=True)):
        if a < b:
            play.read(raw[a:b], 1_000 * (i + 1))
    play.eof(1_000_000)
    return play.timeline()


@given(events=st.lists(EVENTS, max_size=6), escaped=st.booleans())
@example(events=[{"id": "\ud83d", "choices": [{"finish_reason": "\ud83d"}]}], escaped=True)
@example(events=[{"error": {"message": "\ud83d"}}], escaped=True)
@example(events=[{"error": json.loads("[" * 300 + "]" * 300)}], escaped=True)
@example(
    events=[{"usage": {"prompt_tokens": 2**63, "completion_tokens": 10**40, "id": "\ud83d"}}], escaped=True
)
@example(events=[{"choices": [{"delta": 5}, {"delta": {"tool_calls": 5}}, 5]}, {"choices": 5}], escaped=True)
@ONE_CLOCK
def test_any_json_in_a_stream(events: list[Any], escaped: bool, clock: Clock) -> None:
    texts = [json.dumps(e, ensure_ascii=escaped) for e in events]
    body = b"".join(b"data: %b\n\n" % text.encode("utf-8", "surrogatepass") for text in texts)
    check(answered(clock, head("transfer-encoding: chunked") + chunk(event({"content": "a"}) + body), []))


KEYS = [
    *(
        "type",
        "delta",
        "item",
        "response",
        "error",
        "output",
        "status",
        "usage",
        "data",
        "choices",
        "message",
    ),
    *("call_id", "name", "arguments", "output_index", "content", "summary", "text", "refusal", "embedding"),
    *(
        "incomplete_details",
        "reason",
        "input_tokens",
        "output_tokens",
        "input_tokens_details",
        "index",
        "url",
    ),
]
TYPES = st.sampled_from(
    [f"response.{name}" for name in ("created", "completed", "incomplete", "failed", "output_item.added")]
    + [f"response.{name}.delta" for name in ("output_text", "reasoning_text", "function_call_arguments")]
    + ["error", "function_call", "message", "reasoning", "completed", "queued"]
)
ANY = st.recursive(
    LEAVES | TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)
BODIES = st.builds(
    lambda type_, body: {"type": type_} | body, TYPES, st.dictionaries(st.sampled_from(KEYS), ANY, max_size=5)
)


@pytest.mark.parametrize("kind", ENDPOINTS)
@settings(max_examples=40)
@given(bodies=st.lists(BODIES | st.dictionaries(st.sampled_from(KEYS), ANY, max_size=5), max_size=5))
@example(bodies=[{"type": [], "delta": "x"}, {"type": {}, "item": {"type": []}}])
@example(bodies=[{"output": [{"type": "message", "content": [{"text": {}}]}], "status": {}}])
def test_any_json_for_any_kind(kind: str, bodies: list[Any]) -> None:
    texts = [json.dumps(body).encode() for body in bodies]
    data = b"".join(b"data: %b\n\n" % text for text in texts)
    streamed = SseDecoder(ENDPOINTS[kind], keep_answer=True)
    streamed.feed(data, np.array([len(data)], np.int64), np.array([1], np.int64))
    streamed.finish()
    assert len(streamed.outputs.event_ns) == len(streamed.outputs.event_chars) <= streamed.events
    for text in texts:
        whole = SseDecoder(ENDPOINTS[kind], keep_answer=True)
        read_whole(bytearray(text), whole)
        whole.finish()
        assert (whole.outputs.event_chars > 0).all()
        assert not len(whole.outputs.event_ns)
        orjson.dumps([whole.error, whole.response_id, whole.finish_reason, whole.made])


@given(value=VALUES, status=st.sampled_from([200, 204, 301, 400, 429, 500]))
@ONE_CLOCK
def test_any_json_as_an_answer(value: Any, status: int, clock: Clock) -> None:
    body = json.dumps(value).encode()
    start = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    check(answered(clock, start.encode() + body, []))


@given(
    message=st.integers(0, len(MESSAGES) - 1),
    damage=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 3), st.binary(max_size=4)), max_size=4),
    places=st.lists(st.integers(0, 10**4), max_size=5),
)
@ONE_CLOCK
def test_any_damage_to_an_answer(
    message: int, damage: list[tuple[int, int, bytes]], places: list[int], clock: Clock
) -> None:
    raw = MESSAGES[message].raw
    for place, gone, new in damage:
        at = place % (len(raw) + 1)
        raw = raw[:at] + new + raw[at + gone :]
    check(answered(clock, raw, sorted(p % (len(raw) + 1) for p in places)))


@given(raw=st.binary(max_size=200))
@ONE_CLOCK
def test_any_bytes_as_an_answer(raw: bytes, clock: Clock) -> None:
    check(answered(clock, raw, []))
    check(answered(clock, head() + raw, []))
    check(answered(clock, with_length(raw).raw, []))
