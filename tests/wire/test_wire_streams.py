"""Recorded streams in the shapes of real servers → what the decoder must read in each."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from loadgen.wire.endpoints import ENDPOINTS
from loadgen.wire.sse import SseDecoder
from loadgen.wire.timeline import Usage

FOLDER = Path(__file__).parent / "streams"
# those of another kind than chat lie in a folder of its name
STREAMS = {
    path.relative_to(FOLDER).with_suffix("").as_posix(): path.read_bytes() for path in FOLDER.rglob("*.sse")
}


class Reading(NamedTuple):
    """chars: of each output event; reasoning: how many are nothing else; answer: index of the first other."""

    chars: list[int]
    events: int
    reasoning: int = 0
    answer: int | None = 0
    finish: str | None = "stop"
    usage: Usage | None = None
    first_tokens: int | None = None
    id: str | None = None
    done: bool = True
    error: tuple[str, str] | None = None


VLLM, LLAMA, OPENAI, GEN = "chatcmpl-9a1", "chatcmpl-Lk3", "chatcmpl-Cx", "gen-17"
RESPONSE = Reading([], 0, finish="completed", done=False)  # what those of Responses have in common
TABLE = {
    "vllm": Reading([3, 4, 8, 16], 8, usage=Usage(24, 12), id=VLLM),
    "vllm_continuous_usage": Reading(
        [7, 6, 14], 6, finish="length", usage=Usage(9, 8, cached_tokens=0), first_tokens=3, id=VLLM
    ),
    "vllm_reasoning_content": Reading(
        [8, 8, 5, 1], 7, reasoning=2, answer=2, usage=Usage(5, 7, reasoning_tokens=4), id=VLLM
    ),
    "vllm_error": Reading(
        [2],
        3,
        finish=None,
        id=VLLM,
        error=("error_in_stream", "EngineCore encountered an issue."),
        done=False,
    ),
    "object_error": Reading(
        [2], 2, finish=None, id=VLLM, error=("error_in_stream", "out of memory"), done=False
    ),
    "event_error": Reading(
        [4], 3, finish=None, id=LLAMA, error=("error_in_stream", "context shift is disabled"), done=False
    ),
    "error_words": Reading(
        [1], 2, finish=None, id=VLLM, error=("error_in_stream", "upstream went away"), done=False
    ),
    "llama_cpp": Reading([4, 5, 2, 5], 7, finish="length", usage=Usage(31, 4, cached_tokens=30), id=LLAMA),
    "llama_cpp_python": Reading([1, 2, 2], 5, id="chatcmpl-5f"),
    "llama_cpp_python_interrupted": Reading([1, 2], 3, finish=None, id="chatcmpl-5f"),
    "litellm": Reading([3, 2, 1], 5, usage=Usage(14, 3), id="chatcmpl-lite"),
    "transformers": Reading([2, 6], 4, usage=Usage(8, 2), id="r7", done=False),
    "openai": Reading([5, 6, 1], 6, usage=Usage(9, 131, cached_tokens=0, reasoning_tokens=128), id=OPENAI),
    "openai_refusal": Reading([7, 6], 4, id=OPENAI),
    "openai_tool_calls": Reading([7, 2, 13, 6], 6, finish="tool_calls", usage=Usage(60, 22), id=OPENAI),
    "function_call": Reading([1, 7], 3, finish="function_call", id=VLLM),
    "openai_obfuscation": Reading([3, 2, 5, 4, 7, 1], 9, usage=Usage(12, 7, 0, 0), id=OPENAI),
    "content_parts": Reading([3, 4, 6, 5], 6, usage=Usage(5, 6), id="cmpl-m1"),
    "only_reasoning": Reading(
        [6, 6, 9],
        6,
        reasoning=3,
        answer=None,
        finish="length",
        usage=Usage(8, 4, reasoning_tokens=4),
        id=VLLM,
    ),
    "azure": Reading([3, 1], 5, id=OPENAI),
    "openrouter_reasoning": Reading([2, 4, 3], 7, reasoning=2, answer=2, usage=Usage(10, 6), id=GEN),
    "reasoning_under_both_names": Reading([3, 3, 4, 2], 5, reasoning=3, answer=3, id=VLLM),
    "answer_and_reasoning_at_once": Reading([2, 8, 1], 4, reasoning=1, answer=1, id=VLLM),
    "several_choices": Reading([3, 4, 3], 7, finish="length", id=VLLM),
    "pings": Reading([1, 1], 9, id=VLLM),
    "crlf": Reading([1, 2, 3], 5, id=VLLM),
    "cr": Reading([1, 2, 3], 5, id=VLLM),
    "mixed_line_ends": Reading([1, 1, 1, 1, 1], 6, id=VLLM, done=False),
    "byte_order_mark": Reading([1, 1], 3, id=VLLM),
    "other_fields": Reading([1, 1, 1], 4, id=VLLM),
    "multi_line_data": Reading([3, 3], 3, id=VLLM, done=False),
    "no_space": Reading([1, 1, 1], 5, id=VLLM),
    "no_final_blank_line": Reading([1, 1, 2], 3, id=VLLM, done=False),
    "cut_in_an_event": Reading([1, 1], 2, finish=None, id=VLLM, done=False),
    "escapes": Reading([4, 1, 1, 1, 2, 2, 2, 5], 9, id=VLLM),
    "lone_surrogates": Reading([1, 1, 1, 2, 1], 6, id=VLLM),
    "broken_utf8": Reading([1, 1, 2, 1], 5, id=VLLM),
    "whole_answer_in_one_event": Reading([10], 1, usage=Usage(3, 4), first_tokens=4, id=VLLM),
    "no_output": Reading([], 3, answer=None, id=VLLM),
    "not_json": Reading(
        [1],
        2,
        finish=None,
        id=VLLM,
        done=False,
        error=("bad_stream", "event 2 is not JSON: '<html>oops</html>'"),
    ),
    "not_an_object": Reading(
        [1],
        2,
        finish=None,
        id=VLLM,
        done=False,
        error=("bad_stream", "event 2 is not a JSON object: '[1, 2]'"),
    ),
    "completions/vllm": Reading([10, 2, 2, 2, 1], 6, usage=Usage(21, 5), id="cmpl-7"),
    "completions/llama_cpp": Reading([1, 2, 1], 4, finish="length", usage=Usage(11, 3, 10), id=LLAMA),
    "completions/several_choices": Reading([1, 1, 2, 1], 6, finish="length", id="cmpl-7"),
    "completions/no_output": Reading([], 2, answer=None, id="cmpl-7"),
    "completions/error": Reading(
        [2], 2, finish=None, id="cmpl-7", done=False, error=("error_in_stream", "the model crashed")
    ),
    "responses/openai": RESPONSE._replace(
        chars=[3, 2, 4, 4, 7, 1, 1, 5, 3, 4, 6, 1], events=20, usage=Usage(12, 13, 3, 0), id="resp_68c1"
    ),
    "responses/vllm": RESPONSE._replace(chars=[2, 2, 1], events=11, usage=Usage(9, 3, 0, 0), id="resp_v1"),
    "responses/llama_cpp": RESPONSE._replace(
        chars=[3, 3, 5, 1, 7, 8, 7], events=16, usage=Usage(31, 14, 24), id="resp_k3"
    ),
    "responses/no_event_names": RESPONSE._replace(
        chars=[3, 2, 1], events=11, usage=Usage(14, 3, 0, 0), id="resp_l1", done=True
    ),
    "responses/openai_reasoning_summary": RESPONSE._replace(
        chars=[7, 11, 3, 3, 2], events=18, reasoning=3, answer=3, usage=Usage(30, 66, 0, 64), id="resp_r1"
    ),
    "responses/vllm_reasoning_text": RESPONSE._replace(
        chars=[2, 2, 1, 2], events=15, reasoning=3, answer=3, usage=Usage(30, 5, 0, 3), id="resp_r2"
    ),
    "responses/only_reasoning": RESPONSE._replace(
        chars=[3, 4],
        events=10,
        reasoning=2,
        answer=None,
        finish="max_output_tokens",
        usage=Usage(7, 16, 0, 16),
        id="resp_o1",
    ),
    "responses/openai_function_calls": RESPONSE._replace(
        chars=[7, 2, 4, 3, 4, 2, 4, 2], events=15, usage=Usage(60, 22, 0, 0), id="resp_t1"
    ),
    "responses/openai_refusal": RESPONSE._replace(
        chars=[7, 6], events=7, usage=Usage(9, 5, 0, 0), id="resp_f1"
    ),
    "responses/openai_incomplete": RESPONSE._replace(
        chars=[4, 5], events=10, finish="max_output_tokens", usage=Usage(7, 16, 0, 0), id="resp_i1"
    ),
    "responses/openai_failed": RESPONSE._replace(
        chars=[3],
        events=9,
        finish=None,
        id="resp_x1",
        error=("error_in_stream", "The model failed to generate a response."),
    ),
    "responses/openai_error": RESPONSE._replace(
        events=3,
        answer=None,
        finish=None,
        id="resp_e1",
        error=("error_in_stream", "Rate limit reached for gpt-5.4"),
    ),
    "responses/gateway_error": RESPONSE._replace(
        chars=[1], events=9, finish=None, id="resp_g1", error=("error_in_stream", "upstream went away")
    ),
    "responses/cut_off": RESPONSE._replace(chars=[5, 6], events=9, finish=None, id="resp_c1"),
    "responses/no_output": RESPONSE._replace(events=3, answer=None, usage=Usage(7, 0, 0, 0), id="resp_n1"),
}


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def by_lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def decoded(name: str, slices: list[bytes]) -> SseDecoder:
    """Feed each slice on its own, as one read whose stamp is the number of bytes so far."""
    decoder = SseDecoder(ENDPOINTS[name.partition("/")[0] if "/" in name else "chat"])
    at = 0
    for data in slices:
        at += len(data)
        decoder.feed(data, np.array([len(data)], np.int64), np.array([at], np.int64))
    decoder.finish()
    return decoder


def reading(decoder: SseDecoder) -> Reading:
    answer = decoder.outputs.first_answer_ns
    return Reading(
        chars=decoder.outputs.event_chars.tolist(),
        events=decoder.events,
        reasoning=decoder.outputs.reasoning,
        answer=None if answer is None else decoder.outputs.event_ns.tolist().index(answer),
        finish=decoder.finish_reason,
        usage=decoder.usage,
        first_tokens=decoder.first_event_tokens,
        id=decoder.response_id,
        done=decoder.done,
        error=decoder.error,
    )


def test_every_recording_has_a_row() -> None:
    assert sorted(TABLE) == sorted(STREAMS)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("cut", [byte_by_byte, by_lines])
def test_a_recording_is_read_as_the_table_says(name: str, cut: Any) -> None:
    assert reading(decoded(name, cut(STREAMS[name]))) == TABLE[name]


@pytest.mark.parametrize("name", TABLE)
def test_a_recording_that_came_in_one_read(name: str) -> None:
    row = TABLE[name]
    # one stamp for all: whatever the first answer is, its instant is that of the first event
    expected = row._replace(answer=None if row.answer is None else 0)
    decoder = decoded(name, whole(STREAMS[name]))
    assert reading(decoder) == expected
    assert set(decoder.outputs.event_ns.tolist()) <= {len(STREAMS[name])}


@pytest.mark.parametrize("name", TABLE)
def test_the_fast_path_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = decoded(name, whole(STREAMS[name]))
    monkeypatch.setattr(SseDecoder, "_make_template", lambda *_: None)
    assert reading(decoded(name, whole(STREAMS[name]))) == reading(fast)
