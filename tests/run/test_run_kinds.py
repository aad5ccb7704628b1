"""Runs against every kind of endpoint, the probe too: what is sent, and what of the figures applies."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.endpoint import END, HEAD, Asked, Endpoint, event, refusal
from tests.loads import run

COUNTED = {"prompt_tokens": 7, "completion_tokens": 3}
RESPONDED = {"input_tokens": 7, "output_tokens": 3}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "abc"}]}
COMPLETED = {"id": "r", "status": "completed", "output": [MESSAGE], "usage": RESPONDED}


class Kind(NamedTuple):
    """answer: a whole one; events: a streamed one, None where there is none. said: keys the probe has."""

    path: str
    answer: dict[str, Any]
    events: list[dict[str, Any]] | None
    said: set[str]
    output_tokens: int | None = 3


KINDS = {
    "chat": Kind(
        "/v1/chat/completions",
        {"choices": [{"message": {"content": "abc"}, "finish_reason": "stop"}], "usage": COUNTED},
        [
            {"choices": [{"delta": {"content": "abc"}, "finish_reason": "stop"}]},
            {"choices": [], "usage": COUNTED},
        ],
        {"messages", "max_tokens"},
    ),
    "completions": Kind(
        "/v1/completions",
        {"choices": [{"text": "abc", "finish_reason": "stop"}], "usage": COUNTED},
        [{"choices": [{"text": "abc", "finish_reason": "stop"}], "usage": COUNTED}],
        {"prompt", "max_tokens"},
    ),
    "responses": Kind(
        "/v1/responses",
        COMPLETED,
        [
            {"type": "response.output_text.delta", "sequence_number": 1, "delta": "abc"},
            {"type": "response.completed", "response": COMPLETED},
        ],
        {"input", "max_output_tokens"},
    ),
    "images": Kind(
        "/v1/images/generations",
        {"data": [{"b64_json": "AAAA"}], "usage": RESPONDED},
        None,
        {"prompt", "n", "size"},
    ),
    "embeddings": Kind(
        "/v1/embeddings",
        {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 7}},
        None,
        {"input"},
        None,
    ),
}
ROWS = [
    (name, stream) for name, kind in KINDS.items() for stream in (True, False) if kind.events or not stream
]


async def good(kind: Kind, streamed: bool) -> AsyncIterator[bytes]:
    if streamed and kind.events is not None:
        yield HEAD + b"\r\n" + b"".join(event(e) for e in kind.events) + END
    else:
        body = json.dumps(kind.answer).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        yield head.encode() + body


@pytest.mark.parametrize(("name", "stream"), ROWS)
def test_a_run_of_every_kind(name: str, stream: bool, tmp_path: Path) -> None:
    """Nine good answers and one that came too often; before them the probe."""
    kind = KINDS[name]

    def answer(asked: Asked) -> AsyncIterator[bytes]:
        return refusal(429, "slow down") if asked.number == 10 else good(kind, stream)

    workload = {"source": "prompts", "prompts": ["Hi."], "chars_per_token": 4.0, "overhead_tokens": 0.0}
    load = {"concurrency": 1, "requests": 10, "warmup": "0s", "ramp": "0s", "duration": "20s"}
    with Endpoint(answer) as endpoint:
        target = {
            "name": "t",
            "model": "m",
            "base_url": endpoint.base_url,
            "endpoint": name,
            "stream": stream,
        }
        done = run(tmp_path, {"targets": [target], "workload": workload, "load": load}, probe=True)
    asked = endpoint.asked
    assert {a.path for a in asked} == {kind.path}
    assert kind.said <= asked[0].body.keys()  # the probe
    assert len(asked) == 11
    assert [s["outcome"] for s in done.samples] == ["ok"] * 9 + ["rate_limited"]
    first = done.samples[0]
    assert (first["prompt_tokens"], first["output_tokens"]) == (7, kind.output_tokens)
    assert (first["first_token_ns"] is not None) == stream
    assert first["images"] == (1 if name == "images" else None)
    (report,) = done.report["targets"]
    metrics = report["metrics"]
    assert metrics["e2e_ms"]["with_failures"]["count"] == 10
    assert metrics["ttft_ms"]["count"] == (9 if stream else 0)
    assert metrics["ttft_ms"]["with_failures"]["count"] == (10 if stream else 0)
    assert report["rates"]["output_tokens_per_s"] > 0 or not kind.output_tokens
